//! A loopback server that misbehaves on purpose.

use super::{Client, ClientOptions, Limits, Pinned, Url};
use model::{Digest, Kind, Progress, Silent};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod exchange;
mod https;
mod limits;
mod mirrors;
mod proxies;

/// Paths asked for, with the start of the range.
pub(crate) type Seen = Arc<Mutex<Vec<(String, Option<u64>)>>>;

/// Answers each request by `answer(number, path, offset of Range)` with raw bytes; ends when dropped.
pub(crate) struct Server {
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    pub(crate) seen: Seen,
    /// Each request's line and headers.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(usize, &str, Option<u64>) -> Vec<u8> + Send + 'static) -> Self {
        Self::start_over(answer, |stream| Some(Box::new(stream)))
    }

    fn start_over(
        answer: impl Fn(usize, &str, Option<u64>) -> Vec<u8> + Send + 'static,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Connection>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Seen = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stopped, log, all) = (stop.clone(), seen.clone(), heads.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Some(mut stream) = stream.ok().and_then(&wrap) else { continue };
                let Some((path, range, head)) = request(&mut stream) else { continue };
                all.lock().unwrap().push(head);
                let number = log.lock().unwrap().len();
                log.lock().unwrap().push((path.clone(), range));
                stream.write_all(&answer(number, &path, range)).and_then(|()| stream.flush()).ok();
            }
        });
        Server { address, stop, thread: Some(thread), seen, heads }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        Url::parse(&self.url(path)).unwrap()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().map(|t| t.join().ok());
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

fn request(stream: &mut dyn Connection) -> Option<(String, Option<u64>, String)> {
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next()?.ok()?;
    let path = line.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let mut head = format!("{line}\n");
    let mut range = None;
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse().ok();
        }
    }
    Some((path, range, head))
}

/// A whole answer, or the part of `body` from `range` on.
pub(crate) fn ok(body: &[u8], range: Option<u64>) -> Vec<u8> {
    let (status, extra, part) = match range {
        Some(at) if at < body.len() as u64 => {
            ("206 Partial Content", format!("content-range: bytes {at}-{}/{}\r\n", body.len() - 1, body.len()), &body[at as usize..])
        }
        Some(_) => return status("416 Range Not Satisfiable"),
        None => ("200 OK", String::new(), body),
    };
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{extra}content-length: {}\r\n\r\n", part.len()).into_bytes();
    answer.extend_from_slice(part);
    answer
}

pub(crate) fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// With the limits of `change`, and pauses of a millisecond.
fn client_with(change: impl FnOnce(&mut ClientOptions<'_>)) -> Client {
    let limits = Limits { backoff: Duration::from_millis(1), ..Limits::default() };
    let mut options = ClientOptions { limits, ..ClientOptions::default() };
    change(&mut options);
    Client::new(&options).unwrap()
}

/// Does not wait between tries.
pub(crate) fn quick(offline: bool) -> Client {
    client_with(|options| options.offline = offline)
}

fn client() -> Client {
    quick(false)
}

fn body() -> Vec<u8> {
    (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect()
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Progress for Counted {
    fn begin(&self, _: &'static str, _: u64, _: &'static str) {}
    fn advance(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::SeqCst);
    }
    fn note(&self, _: &str) {}
}

#[test]
fn a_connection_that_breaks_is_resumed_where_it_broke() {
    let whole = body();
    let sent = whole.clone();
    let server = Server::start(move |number, _, range| {
        let mut answer = ok(&sent, range);
        if number == 0 {
            answer.truncate(answer.len() - 100_000);
        }
        answer
    });
    let folder = tempfile::tempdir().unwrap();
    let (to, counted) = (folder.path().join("a/file"), Counted::default());
    client().download(&server.at("file"), &Pinned { to: &to, size: whole.len() as u64, digest: &Digest::of(&whole) }, &counted).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), whole);
    assert_eq!(counted.0.load(Ordering::SeqCst), whole.len() as u64);
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].1.is_some_and(|at| at > 0 && at <= 200_000), "{seen:?}");
    assert!(!folder.path().join("a/file.part").exists());
}

#[test]
fn a_part_of_an_older_file_is_thrown_away() {
    let whole = body();
    for ranges in [true, false] {
        let sent = whole.clone();
        let server = Server::start(move |_, _, range| ok(&sent, range.filter(|_| ranges)));
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        std::fs::write(folder.path().join("file.part"), b"of another version").unwrap();
        client().download(&server.at("file"), &Pinned { to: &to, size: whole.len() as u64, digest: &Digest::of(&whole) }, &Silent).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), whole);
    }
}

#[test]
fn a_file_with_another_digest_never_gets_its_name() {
    let server = Server::start(|_, _, range| ok(b"evil", range));
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let error = client().download(&server.at("file"), &Pinned { to: &to, size: 4, digest: &Digest::of(b"good") }, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    for part in [Digest::of(b"good").to_string(), Digest::of(b"evil").to_string()] {
        assert!(error.to_string().contains(&part), "{error}");
    }
    assert!(!to.exists());
    assert_eq!(std::fs::read(folder.path().join("file.rejected")).unwrap(), b"evil");
}

#[test]
fn more_bytes_than_allowed_are_not_read() {
    let server = Server::start(|_, path, _| match path {
        "announced" => ok(&[7; 5000], None),
        _ => [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".as_slice(), &[7; 5000]].concat(),
    });
    let folder = tempfile::tempdir().unwrap();
    for path in ["announced", "silent"] {
        let error = client().get(&server.at(path), 4999).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
        assert!(error.to_string().contains("4999"), "{error}");
        assert_eq!(client().get(&server.at(path), 5000).unwrap().len(), 5000);
        let to = folder.path().join(path);
        let error = client().download(&server.at(path), &Pinned { to: &to, size: 4999, digest: &Digest::of(b"") }, &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
        assert!(!to.exists());
    }
}

#[test]
fn a_busy_server_is_asked_again_and_a_missing_file_is_not() {
    let server = Server::start(|number, path, _| match path {
        "busy" if number < 2 => status("503 Service Unavailable"),
        "busy" => ok(b"here", None),
        _ => status("404 Not Found"),
    });
    assert_eq!(client().get(&server.at("busy"), 10).unwrap(), b"here");
    assert_eq!(server.seen.lock().unwrap().len(), 3);
    let error = client().get(&server.at("gone"), 10).unwrap_err();
    assert_eq!((error.kind(), server.seen.lock().unwrap().len()), (Kind::Network, 4));
    assert!(error.to_string().contains("404") && error.hint_text().is_some(), "{error}");
}

#[test]
fn offline_opens_no_connection_but_reads_files() {
    let server = Server::start(|_, _, _| ok(b"x", None));
    let offline = quick(true);
    let error = offline.get(&server.at("x"), 10).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.hint_text().is_some());
    assert!(server.seen.lock().unwrap().is_empty());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a b"), b"local").unwrap();
    let url = Url::parse(&format!("file://{}/a%20b", folder.path().display())).unwrap();
    assert_eq!(offline.get(&url, 10).unwrap(), b"local");
    let to = folder.path().join("copy");
    offline.download(&url, &Pinned { to: &to, size: 5, digest: &Digest::of(b"local") }, &Silent).unwrap();
    assert_eq!(std::fs::read(to).unwrap(), b"local");
}

/// On a file system without locks that several machines share.
#[test]
fn a_file_that_another_machine_takes_away_while_it_is_written_is_looked_for_again() {
    let whole = body();
    for (finished, requests) in [(true, 1), (false, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let (to, part) = (folder.path().join("file"), folder.path().join("file.part"));
        let (sent, other) = (whole.clone(), to.clone());
        let server = Server::start(move |number, _, range| {
            if number == 0 {
                std::fs::remove_file(&part).unwrap();
                if finished {
                    std::fs::write(&other, &sent).unwrap();
                }
            }
            ok(&sent, range)
        });
        client().download(&server.at("file"), &Pinned { to: &to, size: whole.len() as u64, digest: &Digest::of(&whole) }, &Silent).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), whole);
        assert_eq!(server.seen.lock().unwrap().len(), requests);
    }
}
