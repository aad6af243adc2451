//! `host:port`, checked once.

use std::{fmt, net::IpAddr};

/// Where a server is reached or listens: `host:port`, `1.2.3.4:port` or `[::1]:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    text: String,
    port_starts: usize,
}

impl Address {
    /// Reads `host:port` with a port from 1 to 65535.
    ///
    /// # Errors
    /// What is wrong, in words that fit after the key's name.
    pub fn parse(text: &str) -> Result<Address, String> {
        let problem = || format!("is \"{text}\", but must be host:port, such as 127.0.0.1:50051");
        let (host, port) = text.rsplit_once(':').ok_or_else(problem)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let number: u16 = port.parse().map_err(|_| problem())?;
        if number == 0 || port.starts_with('+') || !(plain || bracketed && is_ip(host)) {
            return Err(problem());
        }
        Ok(Address { text: text.into(), port_starts: host.len() + 1 })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name or number before the port, without brackets.
    pub fn host(&self) -> &str {
        self.text[..self.port_starts - 1].trim_matches(['[', ']'])
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.text[self.port_starts..].parse().expect("the port was checked")
    }

    /// Whether only this machine can reach it. A name other than `localhost` may lead anywhere.
    pub fn is_loopback(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host().eq_ignore_ascii_case("localhost"),
        }
    }
}

fn is_ip(bracketed: &str) -> bool {
    bracketed.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
