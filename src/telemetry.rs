//! Logs and the metric registry.
//!
//! Invariants: logs go to standard error; handles of metrics are registered once, with the recorder of this process
//! and not with a global one, so that tests do not share counters. Histograms have buckets, never quantiles.
//!
//! Not here: the metrics themselves, which stand beside the code that counts.

use std::io::IsTerminal;
use std::time::Duration;

use metrics::{describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Log, LogFormat};

/// Bounds of the histogram buckets, in seconds: from a call inside the pod (tens of microseconds) to the longest
/// timeouts.
const SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0,
];

/// How often samples of histograms are moved into their buckets.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Lines that may wait to be written. Further ones are lost.
const LINES: usize = 4096;

/// Starts to log. Logging goes on until the returned guard is dropped.
///
/// A thread of its own writes, because whoever reads standard error may stop reading; what cannot be written is lost,
/// and no call waits for it.
///
/// # Errors
/// `log.level` is not a filter.
pub fn start_logs(log: &Log) -> Result<WorkerGuard, ParseError> {
    let filter: EnvFilter = log.level.parse()?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // By default the failure to write a line is printed, which panics where nobody reads.
        .log_internal_errors(false)
        .with_writer(writer);
    // Fails only where a test has started logs before, which then stay.
    let _ = if json {
        logs.json().flatten_event(true).try_init().is_ok()
    } else {
        logs.with_ansi(terminal).try_init().is_ok()
    };
    Ok(guard)
}

/// The metric registry of this process.
pub struct Registry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: Collector,
}

impl Registry {
    /// An empty registry, but for what describes the process itself.
    ///
    /// # Errors
    /// The bucket bounds are unusable, which is a defect.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let registry = Self {
            handle: recorder.handle(),
            recorder,
            process: Collector::default(),
        };
        registry.register(|| {
            registry.process.describe();
            describe_gauge!("vedetta_build_info", "What runs; always 1");
            gauge!("vedetta_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        Ok(registry)
    }

    /// Runs code that registers metrics, so that they land here.
    pub fn register<T>(&self, code: impl FnOnce() -> T) -> T {
        with_local_recorder(&self.recorder, code)
    }

    /// Everything, in the Prometheus text format.
    pub fn render(&self) -> String {
        self.register(|| self.process.collect());
        self.handle.render()
    }

    /// To be called every [`UPKEEP_INTERVAL`].
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}
