//! What a test may want otherwise than the shipped settings, and the config file made of it.

use std::{fmt::Write as _, path::Path};

/// How a cluster is set up. The shipped settings hold, except that a password check costs next to
/// nothing.
#[derive(Clone)]
pub(crate) struct Options {
    /// How many servers are configured, from ID 1.
    pub(crate) servers: u32,
    /// `available` or `majority`.
    pub(crate) policy: &'static str,
    /// The servers' common secret.
    pub(crate) secret: Option<&'static str>,
    /// Where the servers are reached, if not where they listen: somebody stands in front of them.
    pub(crate) fronts: Option<Vec<u16>>,
    /// Environment variables of the servers, such as `CHINWAG__LIMITS__SUBSCRIBER_BUFFER`.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            servers: 3,
            policy: "available",
            secret: None,
            fronts: None,
            environment: Vec::new(),
        }
    }
}

impl Options {
    /// The config file for servers on these ports of loopback, with all files below `folder`.
    pub(super) fn config(&self, ports: &[u16], folder: &Path) -> String {
        let secret = self.secret.map(|_| folder.join("secret").display().to_string());
        let mut text = format!(
            "cluster:\n  name: test\n  policy: {}\n  secret_file: \"{}\"\nservers:\n",
            self.policy,
            secret.unwrap_or_default(),
        );
        for (id, port) in (1_usize..).zip(ports) {
            let front = self.fronts.as_ref().map_or(port, |fronts| &fronts[id - 1]);
            let (address, listen) = (format!("127.0.0.1:{front}"), format!("127.0.0.1:{port}"));
            writeln!(text, "  {id}: {{ address: \"{address}\", listen: \"{listen}\" }}")
                .expect("a string takes it");
        }
        let data = folder.join("data");
        write!(
            text,
            "storage: {{ data_dir: \"{}\" }}\n\
             accounts: {{ password_memory_kib: 8, password_iterations: 1 }}\n",
            data.display(),
        )
        .expect("a string takes it");
        text
    }
}
