//! CPU time, memory and the state of the machine, from `/proc`; and which processor runs what.
//!
//! Invariants: CPU time is that of the scheduler, in nanoseconds (`/proc/<pid>/task/*/schedstat`); the ticks of
//! `/proc/<pid>/stat` are too coarse for slices of less than a second.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

/// The two processors of a run: the first is the servers', the second the client's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    servers: usize,
    client: usize,
}

impl Processors {
    /// The first two that this process may use.
    ///
    /// # Errors
    /// There is only one.
    pub(crate) fn find() -> Result<Self, String> {
        let allowed = sched_getaffinity(None).map_err(|error| format!("affinity: {error}"))?;
        let mut found = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        match (found.next(), found.next()) {
            (Some(servers), Some(client)) => Ok(Self { servers, client }),
            _ => Err(
                "needs two processors, one for the servers and one for the client; allow it a second one"
                    .to_owned(),
            ),
        }
    }

    /// From now on this thread, and what it starts, runs where the servers do.
    pub(crate) fn as_server(self) -> Result<(), String> {
        pin(self.servers)
    }

    /// From now on this thread, and what it starts, runs where the client does.
    pub(crate) fn as_client(self) -> Result<(), String> {
        pin(self.client)
    }
}

fn pin(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| format!("pin to processor {cpu}: {error}"))
}

/// CPU time of a process so far, in nanoseconds.
///
/// # Errors
/// It has ended, or the kernel does not count.
pub(crate) fn cpu(pid: u32) -> Result<u64, String> {
    let tasks = format!("/proc/{pid}/task");
    let listed = fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
    let mut total = 0;
    for task in listed.flatten() {
        // A thread may end between the listing and the reading.
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += text
            .split_whitespace()
            .next()
            .and_then(|nanoseconds| nanoseconds.parse::<u64>().ok())
            .unwrap_or(0);
    }
    if total == 0 {
        return Err(format!("{tasks}/*/schedstat tells no CPU time"));
    }
    Ok(total)
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("{path} has no VmRSS"))
}

/// Ticks of all processors so far: all, and those that other machines took away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    all: u64,
    stolen: u64,
    idle: u64,
}

/// Reads them.
pub(crate) fn ticks() -> Ticks {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ticks {
        all: fields.iter().sum(),
        stolen: fields.get(7).copied().unwrap_or(0),
        idle: fields.get(3).copied().unwrap_or(0),
    }
}

impl Ticks {
    /// Percent of the time since then that was stolen, and that was idle.
    pub(crate) fn since(self, before: Self) -> (f64, f64) {
        let all = (self.all - before.all).max(1) as f64;
        let part = |now: u64, then: u64| 100.0 * (now - then) as f64 / all;
        (
            part(self.stolen, before.stolen),
            part(self.idle, before.idle),
        )
    }
}

/// Load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> Value {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<f64> = text
        .split_whitespace()
        .take(3)
        .filter_map(|average| average.parse().ok())
        .collect();
    json!(averages)
}

/// What kind of machine it is.
pub(crate) fn machine() -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cpu": model,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": kernel.trim(),
    })
}
