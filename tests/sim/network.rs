//! The network between servers and to clients: what is cut, lost, late, doubled or stuck.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chinwag::cluster::{Body, Message};

use crate::chance::Chance;

/// A server or a client: clients are numbered after the servers.
pub(crate) type Place = usize;

/// A message on its way.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Message,
    pub(crate) snapshot: Option<Arc<Vec<u8>>>,
}

/// What the network does.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) cut: BTreeMap<(Place, Place), u32>,
    /// Servers whose answers to clients never arrive.
    pub(crate) mute: BTreeSet<usize>,
    /// Streams of batches that hold what they take.
    pub(crate) stuck: BTreeSet<(usize, usize)>,
    pub(crate) held: Vec<Flight>,
    /// In percent.
    pub(crate) loss: usize,
    pub(crate) twice: usize,
    pub(crate) reorder: usize,
    pub(crate) delay_ms: usize,
    pub(crate) cuts_snapshots: bool,
    /// How much passes before something that is brought to be merged is cut, once.
    pub(crate) merge_cut: Option<u64>,
    arrival: BTreeMap<(Place, Place, bool), Duration>,
}

impl Network {
    pub(crate) fn is_cut(&self, from: Place, to: Place) -> bool {
        self.cut.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    pub(crate) fn set_cut(&mut self, from: Place, to: Place, cut: bool) {
        let count = self.cut.entry((from, to)).or_default();
        *count = if cut { *count + 1 } else { count.saturating_sub(1) };
    }

    /// How long something takes; never overtaking on the same connection, unless that is the fault.
    pub(crate) fn arrival(
        &mut self,
        now: Duration,
        (from, to, bulk): (Place, Place, bool),
        chance: &mut Chance,
    ) -> Duration {
        let mut micros = 60 + chance.below(500);
        if self.delay_ms > 0 && chance.percent(40) {
            micros += chance.below(self.delay_ms * 1_000);
        }
        let at = now + Duration::from_micros(micros as u64);
        if chance.percent(self.reorder) {
            return at;
        }
        let before = self.arrival.entry((from, to, bulk)).or_default();
        *before = at.max(*before);
        *before
    }

    /// Everything is well again; but what is brought to be merged is brought now, and may still be cut once.
    pub(crate) fn heal(&mut self) -> Vec<Flight> {
        let held = std::mem::take(&mut self.held);
        let (arrival, merge_cut) = (std::mem::take(&mut self.arrival), self.merge_cut);
        *self = Network { arrival, merge_cut, ..Network::default() };
        held
    }
}

/// Whether it travels with the updates, apart from the signs of life.
pub(crate) fn is_bulk(body: &Body) -> bool {
    !matches!(
        body,
        Body::Heartbeat(_)
            | Body::HeartbeatReply(_)
            | Body::Prepare { .. }
            | Body::Promise(_)
            | Body::PrepareRefused { .. }
            | Body::Evict { .. }
            | Body::Evicted { .. }
            | Body::Resign { .. }
    )
}
