//! What was made, and what to do with it, in words for an operator.

use std::fmt;

use super::{Certificate, Made, Origin};
use crate::{config::Config, tls::expiry_words};

/// See the file's header.
pub struct Report<'a> {
    /// What is there now.
    pub made: &'a Made,
    /// The configuration that it was made for.
    pub config: &'a Config,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { made, config } = self;
        line(f, &made.authority, "the authority")?;
        for (id, certificate) in &made.servers {
            line(f, certificate, &format!("server {id}"))?;
        }
        let ca = made.authority.path.display();
        writeln!(
            f,
            "\nCopy to each server's machine (keys stay readable by the server's user alone):"
        )?;
        for (id, certificate) in &made.servers {
            let address = config.servers.get(id).map(|server| server.address.as_str());
            let (address, own) = (address.unwrap_or_default(), certificate.path.display());
            let key = certificate.path.with_extension("key");
            writeln!(f, "  server {id} ({address}): {ca} {own} {}", key.display())?;
        }
        writeln!(f, "and to each client's: {ca} (it is no secret)")?;
        writeln!(
            f,
            "Keep {} to yourself, on none of these machines: who has it can make servers.",
            made.authority_key.display()
        )?;
        let folder = made.authority.path.parent().unwrap_or_else(|| "".as_ref()).display();
        write!(
            f,
            "\nIn the configuration of servers and clients ({{id}} stands for the server's ID):\n  \
             tls:\n    \
             certificate: \"{folder}/server-{{id}}.pem\"\n    \
             key: \"{folder}/server-{{id}}.key\"\n    \
             ca: \"{ca}\"\n    \
             client_ca: \"{ca}\"\n\
             A server that runs with these files takes up new ones within seconds."
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, certificate: &Certificate, whose: &str) -> fmt::Result {
    let origin = match certificate.origin {
        Origin::Made => "made",
        Origin::Kept => "kept",
    };
    let (path, valid) = (certificate.path.display(), expiry_words(certificate.until));
    writeln!(f, "{origin} {path}: {whose}, valid {valid}")
}
