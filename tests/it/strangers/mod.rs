//! Whoever is no server of this cluster, or talks nonsense: nothing is told and nothing changes, at every
//! call between servers. The calls are found in the descriptors, so that a new one is tested at once.

mod calls;
mod certificates;
mod ghost;
mod nonsense;
mod outsiders;
mod recorder;
mod replays;
mod scene;
