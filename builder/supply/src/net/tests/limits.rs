//! Servers that are slow, silent or busy.

use super::*;
use crate::net::{Mirrors, Pinned};
use std::time::Instant;

/// Sends a byte every 20 ms.
struct Dripping(TcpStream);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dripping {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(20));
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Seconds are tenths.
fn hurried() -> Client {
    client_with(|options| {
        options.limits.response = Duration::from_secs(4);
        options.limits.speed_window = Duration::from_millis(600);
    })
}

#[test]
fn a_server_that_sends_a_byte_at_a_time_is_left_for_the_next_mirror() {
    let whole = body();
    let sent = whole.clone();
    let slow = Server::start_over(move |_, _, range| ok(&sent, range), |stream| Some(Box::new(Dripping(stream))));
    let sent = whole.clone();
    let good = Server::start(move |_, _, range| ok(&sent, range));
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let began = Instant::now();
    let mirrors = Mirrors::new([slow.at("slow"), good.at("good")]).unwrap();
    mirrors.download(&hurried(), "file", &Pinned { to: &to, size: whole.len() as u64, digest: &Digest::of(&whole) }, &Silent).unwrap();
    assert!(std::fs::read(&to).unwrap() == whole);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(slow.heads().len(), 1, "a slow mirror is not asked again");
    let error = format!("{:#}", hurried().impatient().get(&slow.at("slow"), 1 << 20).unwrap_err());
    assert!(error.contains("too slow") && error.contains(&slow.url("slow")), "{error}");
}

#[test]
fn a_server_that_says_nothing_has_a_time_limit() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
    let client = client_with(|options| options.limits.response = Duration::from_millis(200));
    let began = Instant::now();
    let error = client.impatient().get(&url, 10).unwrap_err();
    assert!(error.kind() == Kind::Network && format!("{error:#}").contains("timeout"), "{error:#}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it_unless_it_is_long() {
    let busy = |header: &'static str| {
        Server::start(move |number, _, range| match number {
            0 => format!("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n{header}content-length: 0\r\n\r\n").into_bytes(),
            _ => ok(b"here", range),
        })
    };
    for (header, longest, expected) in [
        ("retry-after: 1\r\n", 60, Some(1000)),
        ("date: Thu, 26 Nov 2026 10:00:00 GMT\r\nretry-after: Thu, 26 Nov 2026 10:00:01 GMT\r\n", 60, Some(1000)),
        ("retry-after: 0\r\n", 60, Some(0)),
        ("retry-after: soon\r\n", 60, Some(0)),
        ("retry-after: 3600\r\n", 60, None),
        ("retry-after: 2\r\n", 1, None),
    ] {
        let server = busy(header);
        let client = client_with(|options| options.limits.longest_pause = Duration::from_secs(longest));
        let began = Instant::now();
        let found = client.get(&server.at("x"), 10);
        assert_eq!(found.is_ok(), expected.is_some(), "{header}: {found:?}");
        match (found, expected) {
            (Ok(_), Some(pause)) => assert!(began.elapsed() >= Duration::from_millis(pause), "{header}"),
            (Err(error), _) => {
                assert!(error.hint_text().is_some_and(|hint| hint.contains("left alone")), "{error:?}");
                assert_eq!(server.heads().len(), 1, "{header}");
            }
            (Ok(_), None) => unreachable!(),
        }
    }
}
