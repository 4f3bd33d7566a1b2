//! A guest's serial console in a test's hand: wait for a pattern, type, keep everything that was said.

use super::qemu::Variables;
use model::{Error, Result, ResultExt, ResultJudged};
use regex::bytes::Regex;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Bytes of the transcript that an error shows.
const TAIL: usize = 3000;
/// GRUB's hidden menu listens for a second.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);

/// Owns the process: dropping it ends the guest.
pub struct Console {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    transcript: Vec<u8>,
    /// What `expect` has already matched.
    consumed: usize,
    _variables: Option<Variables>,
}

impl Console {
    pub(super) fn attach(mut child: Child, variables: Option<Variables>, mut log: Option<File>) -> Result<Self> {
        let (Some(input), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("the machine was started without pipes"));
        };
        let (sender, output) = channel();
        // A thread of its own, so that waiting can end without anything being said. It ends with the pipe.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                let said = buffer.get(..length).unwrap_or(&[]);
                if let Some(file) = &mut log {
                    file.write_all(said).ignore_because("the test goes on without its log");
                }
                if sender.send(said.to_vec()).is_err() && log.is_none() {
                    break;
                }
            }
        });
        Ok(Console { child, input, output, transcript: Vec::new(), consumed: 0, _variables: variables })
    }

    /// Waits until `pattern` (a regular expression, `(?m)` where lines matter) shows up behind the last match; returns what it matched.
    /// The error shows the end of the transcript.
    pub fn expect(&mut self, pattern: &str, timeout: Duration) -> Result<String> {
        let regex = Regex::new(pattern).map_err(|e| Error::internal(format!("pattern {pattern:?}")).source(e))?;
        let deadline = Instant::now() + timeout;
        loop {
            let fresh = self.transcript.get(self.consumed..).unwrap_or(&[]);
            if let Some(found) = regex.find(fresh) {
                let text = String::from_utf8_lossy(found.as_bytes()).into_owned();
                self.consumed += found.end();
                return Ok(text);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.transcript.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.verdict(format!("the console did not show {pattern:?} within {} s", timeout.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.verdict(format!("the machine ended before the console showed {pattern:?}")));
                }
            }
        }
    }

    /// Types `key` again and again until `pattern` shows up: for what listens for a moment only, such as a hidden boot menu.
    pub fn press_until(&mut self, key: &str, pattern: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        loop {
            self.send(key)?;
            let shown = self.expect(pattern, BETWEEN_KEYS);
            if shown.is_ok() || Instant::now() > deadline {
                return shown;
            }
        }
    }

    /// Waits until the machine has ended by itself.
    pub fn wait_for_end(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.transcript.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(self.verdict(format!("the machine still runs after {} s", timeout.as_secs()))),
            }
        }
        self.child.wait().map(drop).context(|| "wait for the machine")
    }

    fn verdict(&self, what: String) -> Error {
        let tail = self.transcript.get(self.transcript.len().saturating_sub(TAIL)..).unwrap_or(&[]);
        Error::new(model::Kind::Verification, format!("{what}; it ended with:\n{}", String::from_utf8_lossy(tail)))
    }

    /// Types `text` as it is; end a line with `\n`.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.input.write_all(text.as_bytes()).and_then(|()| self.input.flush()).context(|| "type on the guest's console")
    }

    /// Everything said so far, as far as it was waited for.
    pub fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.transcript).into_owned()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end();
    }
}

impl Console {
    /// Ends the machine.
    pub fn end(&mut self) {
        self.child.kill().ignore_because("a machine that has ended cannot be ended");
        self.child.wait().ignore_because("a machine that has ended cannot be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn shell(script: &str) -> Console {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Console::attach(child, None, None).unwrap()
    }

    #[test]
    fn a_pattern_is_found_once_and_only_behind_the_last_match() {
        let mut console = shell("printf 'login: '; read name; echo \"hello $name\"; sleep 60");
        assert_eq!(console.expect("log[a-z]+: ", Duration::from_secs(10)).unwrap(), "login: ");
        console.send("centos\n").unwrap();
        assert_eq!(console.expect("hello \\w+", Duration::from_secs(10)).unwrap(), "hello centos");
        let error = console.expect("login", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("within 0 s"), "{error}");
        assert_eq!(console.transcript(), "login: hello centos\n");
    }

    #[test]
    fn a_machine_that_ends_is_told_from_one_that_is_silent() {
        let error = shell("echo panic").expect("login", Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("ended before") && error.to_string().contains("panic"), "{error}");
    }
}
