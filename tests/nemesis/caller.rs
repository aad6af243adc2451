//! Who calls: whose process holds the other end of a connection on this machine. What travels over it may be
//! encrypted.

use std::{collections::BTreeMap, fs, path::Path};

/// The server whose process holds the socket that is bound to `from` and connected to `to`; `None` if nobody
/// does any more. `processes` are the servers' process numbers.
pub(crate) fn of(from: u16, to: u16, processes: &BTreeMap<u32, u32>) -> Option<u32> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = table.lines().find_map(|line| socket(line, from, to))?;
    let link = format!("socket:[{inode}]");
    let holds = |process: u32| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| is_link_to(&file.path(), &link))
    };
    processes.iter().find_map(|(id, process)| holds(*process).then_some(*id))
}

/// The inode of a line of the table, if that is the socket.
fn socket(line: &str, from: u16, to: u16) -> Option<&str> {
    let mut words = line.split_whitespace().skip(1);
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let ends = (port(words.next()?)?, port(words.next()?)?);
    (ends == (from, to)).then(|| words.nth(6)).flatten()
}

fn is_link_to(path: &Path, name: &str) -> bool {
    fs::read_link(path).is_ok_and(|link| link.as_os_str() == name)
}
