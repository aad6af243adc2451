//! Encrypted connections: who may believe whom, and why not.
//!
//! **Promises.** A server is believed only with a certificate of the right authority that is valid now and
//! names the address that was called; a server that calls another one, only with a certificate that names
//! its cluster and its ID (see [`Identity`]). Whatever is refused is refused in words that say which
//! certificate is wrong, why, and what to do. Files that change are looked at again ([`Keeper`]): good ones
//! serve the next connection, bad ones are reported and the old ones stay. A handshake that never ends
//! keeps nobody else waiting ([`Handshakes`]).
//!
//! **May not** decide what a caller may do (`rpc` does), or touch what a connection carries.
//!
//! **Why this way.** Only TLS 1.3, and no session is resumed: every connection is judged by the
//! certificates of its day, so that a new authority or an expired certificate means what it says. tonic's
//! own acceptor and connector would do for certificates that never change, but they tell nobody why
//! somebody was refused, and take any number of handshakes.

mod connector;
mod dates;
mod explain;
mod files;
mod handshakes;
mod identity;
mod keeper;
mod knock;
mod material;
mod problem;
#[cfg(test)]
mod tests;

pub use self::{
    connector::{Connector, Dialing},
    dates::{Expiry, expiry_words},
    files::{Files, TlsError, file_expiry},
    handshakes::{Handshakes, Patience},
    identity::{Identity, NoMember, member},
    keeper::{Keeper, check},
    knock::Knocks,
    material::Holder,
    problem::{Distrust, wants_tls},
};
