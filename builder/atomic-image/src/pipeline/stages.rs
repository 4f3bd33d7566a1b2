//! Seconds and peak memory of each stage.

use crate::pipeline::StageReport;
use model::{ByteSize, ResultJudged};
use std::time::Instant;

/// Measures stages one after the other. A monotonic clock: it reaches the report, never an artifact.
pub struct Stages {
    /// Of the first stage.
    start: Instant,
    /// Of the current one.
    began: Instant,
    list: Vec<StageReport>,
}

impl Stages {
    pub fn start() -> Self {
        let now = Instant::now();
        Stages { start: now, began: now, list: Vec::new() }
    }

    /// The stage that ran since the last call ends here.
    pub fn done(&mut self, name: &str) {
        self.list.push(StageReport { name: name.to_string(), seconds: self.began.elapsed().as_secs_f64(), peak_memory: peak_memory() });
        self.began = Instant::now();
    }

    /// Adds stages that were measured elsewhere, beside others perhaps.
    pub fn join(&mut self, other: Stages) {
        self.list.extend(other.list);
        self.began = Instant::now();
    }

    /// From the start until now: less than the sum of stages that ran side by side.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    pub fn finish(self) -> Vec<StageReport> {
        self.list
    }
}

/// VmHWM of /proc/self/status; 0 where that is not there.
fn peak_memory() -> ByteSize {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return ByteSize(0) };
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().none_because("a figure that is not there is shown as zero"));
    ByteSize(kib.unwrap_or(0) << 10)
}
