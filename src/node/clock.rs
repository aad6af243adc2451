//! The only clock.

use std::time::Duration;

use crate::cluster::Time;

/// The boot-time clock, which goes on while the machine sleeps.
pub fn boot_clock() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Time(Duration::new(seconds, nanoseconds))
}
