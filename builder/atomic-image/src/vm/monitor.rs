//! QEMU's machine protocol (QMP, QEMU's docs/interop/qmp-spec.rst) on a Unix socket: the running machine is saved, loaded, reset and asked.
//!
//! Lines of JSON both ways. QEMU greets, we ask for its capabilities, then every command has one answer (`return` or `error`), between which events
//! may come; these are passed over.

use model::{Error, Kind, Result, ResultExt, ResultJudged};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// One answer's length. QEMU's longest for what is asked here has some kilobytes.
const MAX_LINE: u64 = 1 << 20;
/// Saving the memory of a machine writes a gigabyte or so.
const COMMAND: Duration = Duration::from_secs(300);
/// Lines of events that may stand before an answer.
const MAX_EVENTS: usize = 10_000;

/// A connection to the monitor of one machine.
pub struct Monitor {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

impl Monitor {
    /// Connects to the socket that QEMU makes when it starts, and waits for it at most `timeout`.
    pub fn connect(socket: &Path, timeout: Duration) -> Result<Monitor> {
        let deadline = Instant::now() + timeout;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(Error::tool(format!("no monitor of the machine at {}", socket.display())).source(error)),
            }
        };
        stream.set_read_timeout(Some(COMMAND)).context(|| "set the monitor's time limit")?;
        let output = stream.try_clone().context(|| "open the monitor")?;
        let mut monitor = Monitor { input: BufReader::new(stream), output };
        let greeting = monitor.line()?;
        if greeting.get("QMP").is_none() {
            return Err(unexpected("a greeting with \"QMP\"", &greeting));
        }
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs one command and returns its answer. QEMU's own refusal is an error.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string();
        self.output.write_all(format!("{line}\n").as_bytes()).context(|| format!("ask the monitor for {command}"))?;
        for _ in 0..MAX_EVENTS {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let text = error.get("desc").and_then(Value::as_str).unwrap_or("no description");
                return Err(Error::new(Kind::Tool, format!("QEMU refuses {command}: {text}")));
            }
            if answer.get("event").is_none() {
                return Err(unexpected("\"return\", \"error\" or \"event\"", &answer));
            }
        }
        Err(Error::tool(format!("the monitor did not answer {command} within {MAX_EVENTS} events")))
    }

    /// Saves memory and disk of the running machine under `name`, into its qcow2 image. Every writable disk must be one.
    pub fn save(&mut self, name: &str) -> Result<()> {
        self.human(&format!("savevm {name}"))
    }

    /// Takes memory and disk back to what was saved under `name`.
    pub fn load(&mut self, name: &str) -> Result<()> {
        self.human(&format!("loadvm {name}"))
    }

    /// Holds the keys down for `milliseconds`, as a person would: `shift`, `esc`, `down`, as QEMU names them.
    pub fn press(&mut self, keys: &[&str], milliseconds: u32) -> Result<()> {
        let keys: Vec<Value> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.execute("send-key", json!({ "keys": keys, "hold-time": milliseconds })).map(drop)
    }

    /// Presses the reset button.
    pub fn reset(&mut self) -> Result<()> {
        self.execute("system_reset", json!({})).map(drop)
    }

    /// Stops the processor, as a machine that hangs for good.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Goes on.
    pub fn resume(&mut self) -> Result<()> {
        self.execute("cont", json!({})).map(drop)
    }

    /// Returns the port of this machine that leads to the TCP port `guest` of the guest. A machine that forwards port 0 gets one that is free.
    pub fn forwarded_port(&mut self, guest: u16) -> Result<u16> {
        let said = self.execute("human-monitor-command", json!({ "command-line": "info usernet" }))?;
        let text = said.as_str().unwrap_or("");
        forwarded(text, guest).ok_or_else(|| Error::tool(format!("QEMU forwards no port to port {guest} of the guest: {text}")))
    }

    /// Commands for people say what went wrong as text, and nothing if all is well.
    fn human(&mut self, line: &str) -> Result<()> {
        let said = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        match said.as_str().map(str::trim) {
            Some("") => Ok(()),
            said => Err(Error::new(Kind::Tool, format!("QEMU refuses {line:?}: {}", said.unwrap_or("no text")))),
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut line).context(|| "read the monitor")?;
        if line.last() != Some(&b'\n') {
            return Err(Error::tool(format!("the monitor ended after {} bytes of a line", line.len())));
        }
        serde_json::from_slice(&line).map_err(|e| Error::tool("the monitor's answer is not JSON").source(e))
    }
}

/// A line of QEMU's `info usernet`: protocol[state], descriptor, source address and port, destination address and port, and two queues.
fn forwarded(text: &str, guest: u16) -> Option<u16> {
    let guest = guest.to_string();
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["TCP[HOST_FORWARD]", _, _, from, _, to, ..] if *to == guest => from.parse().none_because("what is no port leads nowhere"),
            _ => None,
        }
    })
}

fn unexpected(expected: &str, found: &Value) -> Error {
    let found: String = found.to_string().chars().take(200).collect();
    Error::tool(format!("expected {expected} of the monitor, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A monitor that says `answers`, a line for each line that it is told, and what it was told.
    fn against(answers: &'static [&'static str], ask: impl FnOnce(&mut Monitor) -> Result<()>) -> (Result<()>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("monitor");
        let listener = UnixListener::bind(&socket).unwrap();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut input = BufReader::new(stream.try_clone().unwrap());
            let mut told = Vec::new();
            for answer in [&["{\"return\": {}}"], answers].concat() {
                let mut line = String::new();
                input.read_line(&mut line).unwrap();
                told.push(line);
                stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            told
        });
        let result = Monitor::connect(&socket, Duration::from_secs(5)).and_then(|mut monitor| ask(&mut monitor));
        (result, peer.join().unwrap())
    }

    #[test]
    fn the_port_of_a_forward_is_read_from_what_qemu_says() {
        let said = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                    TCP[ESTABLISHED]   20  10.0.2.15 22  127.0.0.1 22 0 0\r\n  TCP[HOST_FORWARD]  12  127.0.0.1 40405  10.0.2.15 22 0 0\r\n";
        assert_eq!((forwarded(said, 22), forwarded(said, 9090)), (Some(40_405), None));
    }

    #[test]
    fn events_are_passed_over_and_refusals_are_errors() {
        let (result, told) = against(&["{\"event\": \"STOP\"}\n{\"return\": \"\"}"], |monitor| monitor.save("booted"));
        result.unwrap();
        assert!(told[1].contains("savevm booted"), "{told:?}");
        let (result, _) = against(&["{\"return\": \"Error: no disk\\r\\n\"}"], |monitor| monitor.load("booted"));
        assert!(result.unwrap_err().to_string().contains("\"loadvm booted\": Error: no disk"));
        let (result, _) = against(&["{\"error\": {\"desc\": \"not now\"}}"], Monitor::reset);
        assert!(result.unwrap_err().to_string().contains("QEMU refuses system_reset: not now"));
        let (result, _) = against(&["[]"], Monitor::stop);
        assert!(result.unwrap_err().to_string().contains("found []"));
    }
}
