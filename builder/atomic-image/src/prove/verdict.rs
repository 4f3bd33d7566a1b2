//! What a proof says: a row for each scenario, as a table and as signed JSON.

use super::power::CutRow;
use super::target::Target;
use super::{Plan, SCENARIOS};
use crate::tree::SignedJson;
use model::{AtomicFile, Digest, Error, Result};
use ostree::CommitId;
use serde::Serialize;
use std::time::Instant;

/// The payload of `verdict.json`. README.md documents it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub schema: u32,
    /// The release of this program.
    pub program: &'static str,
    /// Seconds since 1970 UTC.
    pub time: u64,
    /// SHA-256 of the image's file.
    pub image_sha256: Digest,
    #[serde(rename = "ref")]
    pub reference: String,
    /// The image's version.
    pub installed: String,
    pub version: String,
    pub commit: CommitId,
    pub from: Vec<String>,
    /// Whether every scenario that was run passed.
    pub passed: bool,
    pub first_boot_seconds: f64,
    pub scenarios: Vec<ScenarioRow>,
    /// One row for each loss of power.
    pub cuts: Vec<CutRow>,
}

#[derive(Debug, Serialize)]
pub struct ScenarioRow {
    pub name: &'static str,
    /// The older version; empty for the first boot.
    pub from: String,
    pub passed: bool,
    pub seconds: f64,
    /// Bytes that the guest fetched from the store.
    pub fetched_bytes: u64,
    /// What was seen, or what was wrong.
    pub detail: String,
}

impl Verdict {
    pub(super) fn new(plan: &Plan, target: &Target, image_sha256: Digest) -> Verdict {
        Verdict {
            schema: 1,
            program: env!("CARGO_PKG_VERSION"),
            time: u64::from(plan.time.0),
            image_sha256,
            reference: target.reference.clone(),
            installed: target.installed.clone(),
            version: target.newest_version.clone(),
            commit: target.newest,
            from: target.from.clone(),
            passed: true,
            first_boot_seconds: 0.0,
            scenarios: Vec::new(),
            cuts: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'static str, from: &str, began: Instant, result: Result<String>, fetched_bytes: u64) {
        self.passed &= result.is_ok();
        let (passed, detail) = match result {
            Ok(detail) => (true, detail),
            Err(error) => (false, format!("{error:#}")),
        };
        let seconds = began.elapsed().as_secs_f64();
        self.scenarios.push(ScenarioRow { name, from: from.to_owned(), passed, seconds, fetched_bytes, detail });
    }

    /// The last scenario in one line.
    pub(super) fn last_line(&self) -> String {
        self.scenarios.last().map_or(String::new(), |row| {
            let promise = SCENARIOS.iter().find(|scenario| scenario.name == row.name).map_or(row.name, |scenario| scenario.promise);
            format!("{} {} ({:.0} s): {promise}", if row.passed { "ok  " } else { "FAIL" }, row.name, row.seconds)
        })
    }

    /// Writes `verdict.json`, signed by the plan's keys.
    pub(super) fn write(self, plan: &Plan) -> Result<Verdict> {
        let payload = serde_json::to_vec_pretty(&self).map_err(|e| Error::internal("encode the verdict").source(e))?;
        AtomicFile::write(&plan.out.join("verdict.json"), &SignedJson::sign(payload, &plan.keys).encode()?)?;
        Ok(self)
    }
}
