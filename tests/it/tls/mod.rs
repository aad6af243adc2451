//! Servers that encrypt: the promises hold over TLS, and whoever is not believed is told why, on both sides.

mod clients;
mod failover;
mod outside;
mod renewal;

use std::time::Duration;

use crate::harness::{Cluster, Options, until};

/// Whatever is awaited comes within this.
const SOON: Duration = Duration::from_secs(30);

/// So many servers that encrypt and demand certificates of each other.
fn encrypted(servers: u32) -> Options {
    Options { servers, tls: true, ..Options::default() }
}

/// Waits until a server has written these words.
async fn logs(cluster: &Cluster, id: u32, words: &str) {
    until(format!("server {id} says: {words}\n{}", cluster.log(id)), SOON, || {
        let told = cluster.log(id).contains(words);
        async move { told.then_some(()) }
    })
    .await;
}
