//! What the process uses, under the names that dashboards for processes know. It refuses to know
//! where the figures come from.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// What a process uses, as the system tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, in the program and in the system.
    pub cpu: Duration,
    /// Memory in use, bytes.
    pub resident_bytes: u64,
    /// Files and sockets that are open.
    pub open_fds: u64,
    /// How many may be; 0 where that is not known.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
}

/// The gauges of the process.
#[derive(Debug)]
pub struct Process {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge<u64, AtomicU64>,
    open_fds: Gauge<u64, AtomicU64>,
    max_fds: Gauge<u64, AtomicU64>,
    threads: Gauge<u64, AtomicU64>,
    started: Gauge<f64, AtomicU64>,
    registry: Registry,
}

impl Default for Process {
    fn default() -> Self {
        let mut process = Self {
            cpu: Counter::default(),
            resident: Gauge::default(),
            open_fds: Gauge::default(),
            max_fds: Gauge::default(),
            threads: Gauge::default(),
            started: Gauge::default(),
            registry: Registry::with_prefix("process"),
        };
        let r = &mut process.registry;
        r.register_with_unit("cpu", "Time on a processor", Unit::Seconds, process.cpu.clone());
        r.register("resident_memory_bytes", "Memory in use", process.resident.clone());
        r.register("open_fds", "Files and sockets that are open", process.open_fds.clone());
        r.register("max_fds", "How many may be", process.max_fds.clone());
        r.register("threads", "Threads", process.threads.clone());
        let help = "When the server was started, Unix seconds";
        r.register("start_time_seconds", help, process.started.clone());
        process
    }
}

impl Process {
    /// Notes what the process uses now, and when it was started, Unix milliseconds.
    pub fn set(&self, usage: &Usage, started_ms: u64) {
        // A counter of ours only grows; this one is the system's, and is taken over as it stands.
        self.cpu.inner().store(usage.cpu.as_secs_f64().to_bits(), Relaxed);
        self.resident.set(usage.resident_bytes);
        self.open_fds.set(usage.open_fds);
        self.max_fds.set(usage.max_fds);
        self.threads.set(usage.threads);
        self.started.set(Duration::from_millis(started_ms).as_secs_f64());
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}
