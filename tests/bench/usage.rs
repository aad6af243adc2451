//! What a process takes from the machine, as Linux counts it.

use std::{fs, ops::Sub};

/// Clock ticks a second, the same on every Linux.
const TICKS: f64 = 100.0;

/// Since the process began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Seconds on a processor.
    pub(crate) cpu: f64,
    /// Bytes that it made the disk write.
    pub(crate) written: u64,
}

impl Usage {
    /// Of this process; of the caller's own for `None`.
    pub(crate) fn of(pid: Option<u32>) -> Usage {
        Usage::if_alive(pid).expect("Linux tells of a process that runs")
    }

    /// The same of a process that may have ended.
    pub(crate) fn if_alive(pid: Option<u32>) -> Option<Usage> {
        let stat = read(pid, "stat")?;
        // The name in parentheses may hold anything; user and system time are fields 14 and 15.
        let after = stat.rsplit(") ").next().expect("a name");
        let ticks = |field: usize| {
            let word = after.split(' ').nth(field - 3).expect("a field");
            word.parse::<f64>().expect("ticks")
        };
        let written = line(&read(pid, "io")?, "write_bytes:");
        Some(Usage { cpu: (ticks(14) + ticks(15)) / TICKS, written })
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, earlier: Usage) -> Usage {
        Usage { cpu: self.cpu - earlier.cpu, written: self.written - earlier.written }
    }
}

/// What the process holds in memory right now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> i64 {
    line(&read(Some(pid), "status").expect("it runs"), "VmRSS:") as i64
}

/// What these processes hold together, in KiB: what several share counts once, and those that ended not at all.
pub(crate) fn shared_out_kib(pids: &[u32]) -> u64 {
    let rollups = pids.iter().filter_map(|pid| read(Some(*pid), "smaps_rollup"));
    rollups.map(|rollup| line(&rollup, "Pss:")).sum()
}

fn read(pid: Option<u32>, file: &str) -> Option<String> {
    let pid = pid.map_or("self".to_owned(), |pid| pid.to_string());
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

fn line(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}
