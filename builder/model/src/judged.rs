//! An error or an absence that becomes a plain value says why that is right. Clippy forbids the silent forms: `Result::ok` and both
//! `unwrap_or_default`. The reason is for who reads the code; nothing prints it.

/// For results whose error is not needed.
pub trait ResultJudged<T> {
    /// Returns `None` for any error.
    fn none_because(self, why: &'static str) -> Option<T>;

    /// Goes on whatever came of it.
    fn ignore_because(self, why: &'static str);
}

impl<T, E> ResultJudged<T> for Result<T, E> {
    #[expect(clippy::disallowed_methods, reason = "the one place that says so for all")]
    fn none_because(self, _why: &'static str) -> Option<T> {
        self.ok()
    }

    fn ignore_because(self, _why: &'static str) {}
}

/// For values whose absence means the empty one.
pub trait OptionJudged<T> {
    /// Returns the type's default in place of `None`.
    fn default_because(self, why: &'static str) -> T;
}

impl<T: Default> OptionJudged<T> for Option<T> {
    #[expect(clippy::disallowed_methods, reason = "the one place that says so for all")]
    fn default_because(self, _why: &'static str) -> T {
        self.unwrap_or_default()
    }
}
