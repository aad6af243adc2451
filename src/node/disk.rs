//! Whether the disk has room, looked at beside the loop: a disk that answers slowly delays nobody.

use std::time::Duration;

use tokio::{sync::watch, time::interval};

use crate::store::Store;

/// How often the free disk space is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Tells at changes whether less than `reserve` bytes are free, until nobody listens.
pub(super) async fn watch(store: Store, reserve: u64, told: watch::Sender<bool>) {
    let mut tick = interval(EVERY);
    while !told.is_closed() {
        tick.tick().await;
        let store = store.clone();
        let asked = tokio::task::spawn_blocking(move || store.free_space()).await;
        let Ok(Ok(free)) = asked else { continue };
        let low = free < reserve;
        let changed = told.send_if_modified(|known| std::mem::replace(known, low) != low);
        if changed && low {
            tracing::warn!(free_bytes = free, reserve_bytes = reserve, "the disk is nearly full");
        }
    }
}
