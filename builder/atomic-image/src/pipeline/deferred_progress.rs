//! Buffers the progress of a stage that runs beside another one until the terminal is free.

use model::Progress;
use std::sync::Mutex;

/// Passes a stage's progress on, but only after [`DeferredProgress::show`].
pub struct DeferredProgress<'a> {
    screen: &'a dyn Progress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shown: bool,
    stage: Option<(&'static str, u64, &'static str)>,
    done: u64,
}

impl<'a> DeferredProgress<'a> {
    pub fn new(screen: &'a dyn Progress) -> Self {
        DeferredProgress { screen, state: Mutex::new(State::default()) }
    }

    /// Shows what was buffered, and from now on everything at once.
    pub fn show(&self) {
        let mut state = self.state();
        state.shown = true;
        if let Some((name, total, unit)) = state.stage {
            self.screen.begin(name, total, unit);
            self.screen.advance(state.done);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Progress for DeferredProgress<'_> {
    fn begin(&self, stage: &'static str, total: u64, unit: &'static str) {
        let mut state = self.state();
        (state.stage, state.done) = (Some((stage, total, unit)), 0);
        if state.shown {
            self.screen.begin(stage, total, unit);
        }
    }

    fn advance(&self, amount: u64) {
        let mut state = self.state();
        state.done += amount;
        if state.shown {
            self.screen.advance(amount);
        }
    }

    fn note(&self, line: &str) {
        self.screen.note(line);
    }

    fn warn(&self, line: &str) {
        self.screen.warn(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Screen(Mutex<Vec<String>>);

    impl Progress for Screen {
        fn begin(&self, stage: &'static str, total: u64, _unit: &'static str) {
            self.0.lock().unwrap().push(format!("{stage} of {total}"));
        }
        fn advance(&self, amount: u64) {
            self.0.lock().unwrap().push(format!("+{amount}"));
        }
        fn note(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }

    #[test]
    fn what_was_done_in_silence_is_told_at_once_when_the_screen_is_free() {
        let screen = Screen::default();
        let deferred = DeferredProgress::new(&screen);
        deferred.begin("store", 10, "bytes");
        deferred.advance(3);
        deferred.advance(4);
        deferred.note("a note never waits");
        assert_eq!(*screen.0.lock().unwrap(), ["a note never waits"]);
        deferred.show();
        deferred.advance(3);
        assert_eq!(*screen.0.lock().unwrap(), ["a note never waits", "store of 10", "+7", "+3"]);
    }
}
