//! The process as operators see it: connections, tasks, what it uses of the machine. It reads what
//! the system says of the process, and refuses to know who asks.

use std::{fs, time::Duration};

use super::{disk::Disk, tasks::Tasks};
use crate::{
    http::{Host, Room},
    metrics::Usage,
};

/// The process of a server.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started_ms: u64,
    pub(super) tasks: Tasks,
    pub(super) disk: Disk,
}

impl Host for Process {
    fn started_ms(&self) -> u64 {
        self.started_ms
    }

    fn connections(&self) -> usize {
        self.tasks.connections()
    }

    fn tasks(&self) -> Vec<&'static str> {
        self.tasks.names()
    }

    fn usage(&self) -> Usage {
        usage()
    }

    fn room(&self) -> Option<Room> {
        self.disk.room()
    }
}

/// What the process uses now; nothing where the system does not say it.
fn usage() -> Usage {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let (stat, status, limits) = (read("stat"), read("status"), read("limits"));
    let ticks = rustix::param::clock_ticks_per_second();
    let open_fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Usage {
        cpu: cpu(&stat, ticks).unwrap_or_default(),
        resident_bytes: field(&status, "VmRSS:").unwrap_or(0).saturating_mul(1024),
        open_fds: open_fds as u64,
        max_fds: field(&limits, "Max open files").unwrap_or(0),
        threads: field(&status, "Threads:").unwrap_or(0),
    }
}

/// The time on a processor of a line of `/proc/self/stat`, in the program and in the system.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    // The name of the program is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ms = (user + system).checked_mul(1_000)?.checked_div(ticks_per_second)?;
    Some(Duration::from_millis(ms))
}

/// The first number of the line that begins with a name.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1 1 1";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu(stat, 0), None);
        assert_eq!(cpu("7 (a", 100), None);
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (Some(2_048), Some(4)));
        let limits = "Max open files            1024                 4096                 files";
        assert_eq!(field(limits, "Max open files"), Some(1_024));
        assert_eq!(field("Max open files   unlimited", "Max open files"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.resident_bytes > 1_000_000, "{usage:?}");
        assert!(usage.open_fds > 2 && usage.threads > 0, "{usage:?}");
    }
}
