//! What this process takes of its machine, under the names that Prometheus gives to it.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::metrics::Page;

/// Writes down what the machine tells; on one without `/proc` only the time on its processors.
pub(super) fn write(page: &mut Page) {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    page.counter("process_cpu_seconds_total", "Time on the machine's processors.")
        .value(&[], used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        page.gauge("process_resident_memory_bytes", "Memory of this process that is in use.")
            .number(&[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open files and connections.")
            .number(&[], open.count() as u64);
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_become_bytes() {
        let status = "Name:\tserver\nVmPeak:\t  99 kB\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        assert_eq!(resident_bytes(status), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tserver\n"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.into_text();
        let memory = text.lines().find(|line| line.starts_with("process_resident_memory_bytes "));
        let bytes: f64 = memory.expect("told").rsplit(' ').next().unwrap().parse().unwrap();
        assert!(bytes > 1e6, "{bytes}");
    }
}
