//! Which failures are worth another try, and when: those that may pass, after a pause that the server may name (Retry-After, RFC 9110 section
//! 10.2.3). Wrong certificates, refusals and missing files are final.

use crate::net::limits::Limits;
use model::{Error, Result};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// What one try came to.
pub(super) enum Failure {
    /// The same request may succeed later; at the earliest after this pause, if the server says one.
    Passing(Error, Option<Duration>),
    /// Too slow: another mirror may be faster.
    Slow(Error),
    Final(Error),
    /// The server has nothing at this offset: what is there already is not the beginning of it.
    BadRange,
}

/// How often one server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// There is no other: four times.
    Only,
    /// Another mirror can be asked instead: twice, without long pauses, and a slow one is left at once.
    OneOfSeveral,
}

impl Patience {
    fn tries(self) -> u32 {
        match self {
            Patience::Only => 4,
            Patience::OneOfSeveral => 2,
        }
    }

    fn longest_pause(self, limits: &Limits) -> Duration {
        match self {
            Patience::Only => limits.longest_pause,
            Patience::OneOfSeveral => limits.longest_pause.min(Duration::from_secs(2)),
        }
    }
}

/// Tries until it succeeds, fails for good, or has failed too often.
pub(super) fn retry<T>(patience: Patience, limits: &Limits, mut once: impl FnMut() -> Result<T, Failure>) -> Result<T> {
    let mut pause = limits.backoff;
    for left in (0..patience.tries()).rev() {
        let (error, asked) = match once() {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::BadRange) => continue,
            Err(Failure::Slow(error)) if patience == Patience::OneOfSeveral => return Err(error),
            Err(Failure::Slow(error)) => (error, None),
            Err(Failure::Passing(error, asked)) => (error, asked),
        };
        if left == 0 {
            return Err(error.context(format_args!("after {} tries", patience.tries())));
        }
        if let Some(asked) = asked.filter(|&asked| asked > patience.longest_pause(limits)) {
            return Err(error.hint(format!("the server asks to be left alone for {} seconds: try again then", asked.as_secs())));
        }
        std::thread::sleep(asked.unwrap_or_else(|| with_jitter(pause)));
        pause *= 2;
    }
    Err(Error::network("the server keeps refusing the range that it was asked for"))
}

/// From half to the whole of a pause, by chance: machines that failed together do not come back together. Never in an artifact.
fn with_jitter(pause: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0u8);
    let share = u32::try_from(chance >> 48).unwrap_or(0);
    pause / 2 + (pause / 2).mul_f64(f64::from(share) / 65536.0)
}

/// The pause that Retry-After names: seconds, or an HTTP date, counted from the server's own `date`, since our clocks may differ.
pub(super) fn pause_of(retry_after: &str, date: Option<&str>) -> Option<Duration> {
    let text = retry_after.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(text);
    let now = date.map(|date| httpdate::parse_http_date(date.trim()));
    match (then, now) {
        (Ok(then), Some(Ok(now))) => Some(then.duration_since(now).unwrap_or(Duration::ZERO)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date_after_the_servers_own() {
        let date = Some("Thu, 26 Nov 2026 10:00:00 GMT");
        for (text, date, expected) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("Thu, 26 Nov 2026 10:00:30 GMT", date, Some(30)),
            ("Thu, 26 Nov 2026 09:00:00 GMT", date, Some(0)),
            ("Thu, 26 Nov 2026 10:00:30 GMT", None, None),
            ("-1", date, None),
            ("soon", date, None),
            ("99999999999999999999", None, None),
        ] {
            assert_eq!(pause_of(text, date).map(|pause| pause.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn jitter_keeps_between_half_and_the_whole() {
        let pauses: Vec<Duration> = (0..50).map(|_| with_jitter(Duration::from_secs(2))).collect();
        assert!(pauses.iter().all(|p| (Duration::from_secs(1)..=Duration::from_secs(2)).contains(p)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| pause != &pauses[0]), "{pauses:?}");
    }
}
