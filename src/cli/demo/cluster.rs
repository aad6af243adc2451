//! The demo's servers: child processes in a temporary folder.

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{DemoError, call, io_error};
use crate::{
    client::{Client, Patience},
    config::SHIPPED,
    wire::chat::{GetStatusResponse, Role},
};

/// Three servers; dropping it ends them.
pub(super) struct Cluster {
    folder: TempDir,
    addresses: BTreeMap<u32, String>,
    children: BTreeMap<u32, Child>,
    watcher: Client,
}

impl Cluster {
    pub(super) fn start() -> Result<Cluster, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("chinwag-demo-")
            .tempdir()
            .map_err(io_error("making a temporary folder"))?;
        let addresses = free_addresses()?;
        std::fs::write(folder.path().join("cluster.yaml"), config_with(&addresses))
            .map_err(io_error("writing the configuration"))?;
        let servers: Vec<String> = addresses.values().cloned().collect();
        let patience = Patience {
            attempt: Duration::from_millis(300),
            connect: Duration::from_millis(200),
            ..Patience::default()
        };
        let watcher = Client::new(&servers, patience).map_err(call("connecting"))?;
        let mut cluster = Cluster { folder, addresses, children: BTreeMap::new(), watcher };
        for id in 1..=3 {
            cluster.restart(id)?;
        }
        Ok(cluster)
    }

    pub(super) fn addresses(&self) -> &BTreeMap<u32, String> {
        &self.addresses
    }

    pub(super) fn servers(&self) -> Vec<String> {
        self.addresses.values().cloned().collect()
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.children.iter().map(|(id, child)| (*id, child.id()))
    }

    /// Starts a server, with the disk that it has.
    pub(super) fn restart(&mut self, id: u32) -> Result<(), DemoError> {
        let program = std::env::current_exe().map_err(io_error("finding this program"))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("server-{id}.log")))
            .map_err(io_error("opening a server's log"))?;
        let child = Command::new(program)
            .arg("--id")
            .arg(id.to_string())
            .arg("--config")
            .arg(self.folder.path().join("cluster.yaml"))
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(io_error("starting a server"))?;
        self.children.insert(id, child);
        Ok(())
    }

    /// SIGKILL. Returns when it was sent.
    pub(super) fn kill(&mut self, id: u32) -> Result<Instant, DemoError> {
        let Some(mut child) = self.children.remove(&id) else {
            return Err(DemoError::Late(format!("server {id} is not running")));
        };
        let killed = Instant::now();
        child.kill().map_err(io_error("killing the leader"))?;
        child.wait().map_err(io_error("waiting for its end"))?;
        Ok(killed)
    }

    /// Who leads.
    pub(super) async fn leader(&self, patience: Duration) -> Result<u32, DemoError> {
        self.wait_for(patience, "no server leads", |status| {
            (status.role() == Role::Leader).then_some(status.server_id)
        })
        .await
    }

    /// Waits until a leader has all three servers in sync, and says who it is.
    pub(super) async fn all_in_sync(&self, patience: Duration) -> Result<u32, DemoError> {
        self.wait_for(patience, "the servers are not in sync", |status| {
            let in_sync = status.servers.iter().filter(|server| server.in_sync).count();
            (status.role() == Role::Leader && in_sync == 3).then_some(status.server_id)
        })
        .await
    }

    async fn wait_for(
        &self,
        patience: Duration,
        complaint: &str,
        what: impl Fn(&GetStatusResponse) -> Option<i32>,
    ) -> Result<u32, DemoError> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let answers = self.watcher.status().await;
            let statuses = answers.iter().filter_map(|answer| answer.status.as_ref().ok());
            if let Some(id) = statuses.filter_map(&what).next() {
                return Ok(u32::try_from(id).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let folder = self.folder.path().display();
        Err(DemoError::Late(format!("{complaint} after {patience:?}; their logs are in {folder}")))
    }

    /// Asks the servers to end, and waits for it.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        for child in self.children.values() {
            if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && !self.all_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn all_ended(&mut self) -> bool {
        self.children.values_mut().all(|child| matches!(child.try_wait(), Ok(Some(_))))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The shipped configuration with other addresses. One of these may be a shipped one, so that all are
/// taken out before any is put in.
fn config_with(addresses: &BTreeMap<u32, String>) -> String {
    let place = |id: &u32| format!("<address of server {id}>");
    let empty = addresses.keys().fold(SHIPPED.to_owned(), |config, id| {
        config.replace(&format!("127.0.0.1:{}", 50050 + id), &place(id))
    });
    addresses.iter().fold(empty, |config, (id, address)| config.replace(&place(id), address))
}

/// Three ports that nobody uses now; all are held until the last one is found.
fn free_addresses() -> Result<BTreeMap<u32, String>, DemoError> {
    let failed = io_error("finding a free port");
    let mut held = Vec::new();
    let mut addresses = BTreeMap::new();
    for id in 1..=3 {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(&failed)?;
        addresses.insert(id, listener.local_addr().map_err(&failed)?.to_string());
        held.push(listener);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{cluster::ServerId, config::Config};

    #[test]
    fn a_free_port_may_be_the_shipped_one_of_another_server() {
        let ports = [50053_u16, 50051, 50052];
        let addresses =
            (1..).zip(ports).map(|(id, port)| (id, format!("127.0.0.1:{port}"))).collect();
        let config = Config::parse(&config_with(&addresses), "the demo", HashMap::new());
        let config = config.expect("a good configuration");
        for (id, address) in &addresses {
            assert_eq!(config.servers[&ServerId(*id)].address.to_string(), *address);
        }
    }
}
