//! What a test may want otherwise than the shipped settings, and the config file made of it.

use std::{fmt::Write as _, path::Path};

/// Where certificates are, in a cluster's folder.
pub(super) const CERTS: &str = "certs";

/// How a cluster is set up. The shipped settings hold, except that a password check costs next to
/// nothing, and that nobody is slowed down for many calls from one address: here all of them are.
#[derive(Clone)]
pub(crate) struct Options {
    /// How many servers are configured, from ID 1.
    pub(crate) servers: u32,
    /// `available` or `majority`.
    pub(crate) policy: &'static str,
    /// The servers' common secret.
    pub(crate) secret: Option<&'static str>,
    /// Whether they encrypt, with certificates that `server certs` made.
    pub(crate) tls: bool,
    /// Where the servers are reached, if not where they listen: somebody stands in front of them.
    pub(crate) fronts: Option<Vec<u16>>,
    /// Environment variables of the servers, such as `CHINWAG__LIMITS__SUBSCRIBER_BUFFER`; `{id}` in a
    /// value stands for the server's ID, and relative paths begin in the cluster's folder.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            servers: 3,
            policy: "available",
            secret: None,
            tls: false,
            fronts: None,
            environment: Vec::new(),
        }
    }
}

/// Without these limits everybody may do as much as one can from one address.
const UNLIMITED: [(&str, &str); 5] = [
    ("CHINWAG__LIMITS__ACCOUNT_CALLS_PER_SECOND", "0"),
    ("CHINWAG__LIMITS__ADDRESS_CALLS_PER_SECOND", "0"),
    ("CHINWAG__LIMITS__NEW_ACCOUNTS_PER_HOUR", "0"),
    ("CHINWAG__LIMITS__CALLS_UNDER_WAY", "1000000"),
    ("CHINWAG__LIMITS__STREAMS_PER_CONNECTION", "10000"),
];

impl Options {
    /// The shipped limits and the shipped cost of a password.
    pub(crate) fn as_shipped() -> Options {
        let shipped = [
            ("CHINWAG__LIMITS__ACCOUNT_CALLS_PER_SECOND", "200"),
            ("CHINWAG__LIMITS__ADDRESS_CALLS_PER_SECOND", "2000"),
            ("CHINWAG__LIMITS__NEW_ACCOUNTS_PER_HOUR", "1000"),
            ("CHINWAG__LIMITS__CALLS_UNDER_WAY", "256"),
            ("CHINWAG__LIMITS__STREAMS_PER_CONNECTION", "256"),
            ("CHINWAG__ACCOUNTS__PASSWORD_MEMORY_KIB", "19456"),
            ("CHINWAG__ACCOUNTS__PASSWORD_ITERATIONS", "2"),
        ];
        let environment = shipped.map(|(name, value)| (name, value.to_owned())).to_vec();
        Options { environment, ..Options::default() }
    }

    /// The environment of a server.
    pub(super) fn environment_of(&self, id: &str) -> Vec<(&'static str, String)> {
        let own = self.environment.iter();
        let own = own.map(|(name, value)| (*name, value.replace("{id}", id)));
        UNLIMITED.into_iter().map(|(name, value)| (name, value.to_owned())).chain(own).collect()
    }

    /// The config file for servers on these ports of loopback, which the others reach at `fronts`, with
    /// all files below `folder`.
    pub(super) fn config(&self, ports: &[u16], fronts: &[u16], folder: &Path) -> String {
        let secret = self.secret.map(|_| folder.join("secret").display().to_string());
        let mut text = format!(
            "cluster:\n  name: test\n  policy: {}\n  secret_file: \"{}\"\nservers:\n",
            self.policy,
            secret.unwrap_or_default(),
        );
        for (id, (port, front)) in (1..).zip(ports.iter().zip(fronts)) {
            let at = |port| format!("\"127.0.0.1:{port}\"");
            writeln!(text, "  {id}: {{ address: {}, listen: {} }}", at(front), at(port))
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
        if self.tls {
            let certs = folder.join(CERTS);
            let file = |name: &str| certs.join(name).display().to_string();
            writeln!(
                text,
                "tls: {{ certificate: \"{}\", key: \"{}\", ca: \"{}\", client_ca: \"{}\" }}",
                file("server-{id}.pem"),
                file("server-{id}.key"),
                file("ca.pem"),
                file("ca.pem"),
            )
            .expect("a string takes it");
        }
        text
    }
}
