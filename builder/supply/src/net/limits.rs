//! How long a server may take: to connect, to answer, and to send. The speed limit is curl's and librepo's: a transfer that stays under so many
//! bytes a second for so long ends, and another mirror is asked.

use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The time limits of every request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// To resolve a name, and to connect.
    pub connect: Duration,
    /// From the request until the headers are there.
    pub response: Duration,
    /// Bytes a second, as a mean over `speed_window`.
    pub slowest: u64,
    /// Also the longest silence between two reads.
    pub speed_window: Duration,
    /// For one body in all.
    pub body: Duration,
    /// Pause before the first retry; doubles with each.
    pub backoff: Duration,
    /// A server that asks for a longer pause is left alone.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(20),
            response: Duration::from_secs(60),
            // librepo's defaults.
            slowest: 1000,
            speed_window: Duration::from_secs(30),
            body: Duration::from_secs(2 * 60 * 60),
            backoff: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// A body that ends with an error as soon as it comes too slowly.
pub(super) struct SpeedLimited<R> {
    body: R,
    slowest: u64,
    window: Duration,
    started: Instant,
    received: u64,
}

/// The error of a transfer below the speed limit.
#[derive(Debug)]
pub(super) struct TooSlow {
    received: u64,
    window: Duration,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server is too slow: {} bytes in {:.1} seconds", self.received, self.window.as_secs_f64())
    }
}

impl std::error::Error for TooSlow {}

impl<R: Read> SpeedLimited<R> {
    pub(super) fn new(body: R, limits: &Limits) -> Self {
        SpeedLimited { body, slowest: limits.slowest, window: limits.speed_window, started: Instant::now(), received: 0 }
    }
}

impl<R: Read> Read for SpeedLimited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.received = self.received.saturating_add(read as u64);
        let elapsed = self.started.elapsed();
        if read > 0 && elapsed >= self.window {
            if u128::from(self.received) * 1000 < u128::from(self.slowest) * elapsed.as_millis() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow { received: self.received, window: elapsed }));
            }
            (self.started, self.received) = (Instant::now(), 0);
        }
        Ok(read)
    }
}
