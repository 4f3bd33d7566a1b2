//! What a long stage tells whoever watches. Only `cli/` draws; stages only count.

/// Methods may be called from any thread.
pub trait Progress: Sync {
    /// A stage begins; `total` is in units of `unit` ("packages", "bytes"), 0 when unknown. Ends the previous stage.
    fn begin(&self, stage: &'static str, total: u64, unit: &'static str);
    /// So much more of the current stage is done.
    fn advance(&self, amount: u64);
    /// One line for the user that is not an error.
    fn note(&self, line: &str);
    /// One line about what is not as it should be, and was mended or needs to be known.
    fn warn(&self, line: &str) {
        self.note(&format!("warning: {line}"));
    }
}

/// For tests and library callers that do not watch.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &'static str, _total: u64, _unit: &'static str) {}
    fn advance(&self, _amount: u64) {}
    fn note(&self, _line: &str) {}
}
