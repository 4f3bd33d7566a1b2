//! Blocking HTTP with time limits, retries and size limits; `file:` URLs answer the same way.
//!
//! Only what the caller can check comes out: [`Client::get`] is bounded, [`Client::download`] publishes a file only when its digest holds.

use crate::base::{Digest, Error, Progress, Result, ResultExt, read_input};
use crate::net::partial::Partial;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tries of one request in all, counting the first.
const TRIES: u32 = 4;
/// Where another mirror can be asked instead.
const IMPATIENT_TRIES: u32 = 2;
const CONNECT: Duration = Duration::from_secs(20);
/// Until the headers are there, and between two reads of the body.
const SILENCE: Duration = Duration::from_secs(60);

/// Cheap to share: all threads use one pool of connections.
pub struct Client {
    agent: ureq::Agent,
    offline: bool,
    /// Pause before the first retry; doubles with each.
    backoff: Duration,
    tries: u32,
}

/// What one try came to.
pub(super) enum Failure {
    /// The same request may succeed later.
    Passing(Error),
    Final(Error),
    /// The server has nothing at this offset: what is there already is not the beginning of it.
    BadRange,
}

/// A body and where in the file it begins.
pub(super) struct Answer {
    pub body: Box<dyn Read>,
    pub offset: u64,
    /// Bytes of this body, when the server says so.
    pub length: Option<u64>,
}

/// Of a file of certificates, in bytes; all public authorities together are 250 KB.
const MAX_CA: u64 = 16 << 20;

impl Client {
    /// With `offline`, every URL but `file:` is an error before anything is opened.
    pub fn new(offline: bool) -> Self {
        Self::with_backoff(offline, Duration::from_millis(500))
    }

    /// Also believes servers whose certificates go back to one in the PEM file `ca`, besides the machine's own authorities.
    pub fn trusting(offline: bool, ca: &Path) -> Result<Self> {
        let text = read_input(ca, MAX_CA).context(|| "the certificates of --ca")?;
        let mut roots = Vec::new();
        for item in ureq::tls::parse_pem(&text) {
            let wrong = || Error::recipe(format!("{}: expected certificates in PEM form", ca.display()));
            if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|e| wrong().source(e))? {
                roots.push(certificate);
            }
        }
        if roots.is_empty() {
            return Err(Error::recipe(format!("{}: expected certificates in PEM form, found none", ca.display())));
        }
        let machine = rustls_native_certs::load_native_certs().certs;
        roots.extend(machine.iter().map(|certificate| ureq::tls::Certificate::from_der(certificate).to_owned()));
        Ok(Self::with_roots(offline, Duration::from_millis(500), ureq::tls::RootCerts::new_with_certs(&roots)))
    }

    pub(crate) fn with_backoff(offline: bool, backoff: Duration) -> Self {
        Self::with_roots(offline, backoff, ureq::tls::RootCerts::PlatformVerifier)
    }

    fn with_roots(offline: bool, backoff: Duration, roots: ureq::tls::RootCerts) -> Self {
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .user_agent(concat!("atomic-image/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Client { agent: config.into(), offline, backoff, tries: TRIES }
    }

    /// The same connections; gives up sooner.
    pub(super) fn impatient(&self) -> Self {
        Client { agent: self.agent.clone(), offline: self.offline, backoff: self.backoff, tries: IMPATIENT_TRIES }
    }

    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The whole body, at most `max_bytes` of it.
    pub fn get(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>> {
        self.retry(|| {
            let answer = self.open(url, 0)?;
            let too_large = |found: String| {
                Failure::Final(Error::integrity(format!("{}: expected at most {max_bytes} bytes, found {found}", shown(url))))
            };
            if let Some(length) = answer.length.filter(|&l| l > max_bytes) {
                return Err(too_large(length.to_string()));
            }
            let mut bytes = Vec::new();
            answer.body.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| broken(url, e))?;
            if bytes.len() as u64 > max_bytes {
                return Err(too_large("more".into()));
            }
            if let Some(length) = answer.length.filter(|&l| l != bytes.len() as u64) {
                return Err(Failure::Passing(cut(url, length, bytes.len() as u64)));
            }
            Ok(bytes)
        })
    }

    /// Brings `url` to `to`, which exists afterwards exactly if it has this size and digest.
    ///
    /// An interrupted download goes on from its `.part` file. A whole file with another digest is kept as `.rejected`. `progress` is told
    /// of bytes, in the stage that the caller began.
    pub fn download(&self, url: &str, to: &Path, size: u64, digest: &Digest, progress: &dyn Progress) -> Result<()> {
        let Some(mut partial) = Partial::open(to, size)? else {
            progress.advance(size);
            return Ok(());
        };
        let mut reported = 0;
        let mut report = |present: u64| {
            // A restart counts the same bytes again: tell only what is new.
            progress.advance(present.saturating_sub(reported));
            reported = reported.max(present);
        };
        loop {
            let resumed = partial.present() > 0;
            if partial.present() < size {
                self.retry(|| partial.fill(url, |offset| self.open(url, offset), &mut report))?;
            }
            report(partial.present());
            let found = partial.digest();
            if found == *digest {
                return partial.publish();
            }
            if resumed {
                // The beginning may be of another file that had this name: once more, from zero.
                partial.restart()?;
                continue;
            }
            let aside = partial.reject()?;
            return Err(Error::integrity(format!("{}: expected sha256 {digest}, found {found}; kept as {}", shown(url), aside.display()))
                .hint("the mirror is out of date or damaged: try again later, lock again, or name another mirror"));
        }
    }

    fn retry<T>(&self, mut once: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        let mut pause = self.backoff;
        for left in (0..self.tries).rev() {
            match once() {
                Ok(value) => return Ok(value),
                Err(Failure::Passing(_)) if left > 0 => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(Failure::BadRange) if left > 0 => {}
                Err(Failure::Passing(error)) => return Err(error.context(format_args!("after {} tries", self.tries))),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::BadRange) => break,
            }
        }
        Err(Error::network("the server keeps refusing the range that it was asked for"))
    }

    fn open(&self, url: &str, offset: u64) -> Result<Answer, Failure> {
        if let Some(path) = file_path(url) {
            return open_file(&path?, offset).map_err(Failure::Final);
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Failure::Final(Error::recipe(format!("expected an http, https or file URL, found {:?}", shown(url)))));
        }
        if self.offline {
            return Err(Failure::Final(
                Error::network(format!("{} is not in the cache, and this run is offline", shown(url)))
                    .hint("run once without --offline, or point the repository at a file:// URL"),
            ));
        }
        let mut request = self.agent.get(url);
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|e| failed(url, e))?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let length = header("content-length").and_then(|v| v.trim().parse().ok());
        let offset = match status.as_u16() {
            200 => 0,
            206 if offset > 0 => {
                let starts = header("content-range").and_then(|v| v.trim().strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                if starts != Some(offset) {
                    return Err(Failure::BadRange);
                }
                offset
            }
            416 => return Err(Failure::BadRange),
            code => {
                let error = Error::network(format!("{}: expected status 200, found {status}", shown(url)));
                return Err(match code {
                    408 | 425 | 429 | 500..=599 => Failure::Passing(error),
                    404 | 410 => Failure::Final(
                        error.hint("the repository changed or its URL is wrong: run `atomic-image lock RECIPE`, or correct the URL"),
                    ),
                    _ => Failure::Final(error),
                });
            }
        };
        Ok(Answer { body: Box::new(response.into_body().into_reader()), offset, length })
    }
}

/// The URL without a user name or password, as it may appear in a message.
pub fn shown(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://") {
        let end = rest.find('/').unwrap_or(rest.len());
        if let Some(at) = rest.get(..end).and_then(|authority| authority.rfind('@')) {
            return format!("{scheme}://{}", rest.get(at + 1..).unwrap_or_default());
        }
    }
    url.to_owned()
}

/// `Some` if this is a `file:` URL.
fn file_path(url: &str) -> Option<Result<PathBuf, Failure>> {
    use std::os::unix::ffi::OsStringExt;
    let path = url.strip_prefix("file://")?;
    let bad = || Failure::Final(Error::recipe(format!("expected file:///absolute/path, found {url:?}")));
    if !path.starts_with('/') {
        return Some(Err(bad()));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let mut byte = [0];
                if hex::decode_to_slice([*high, *low], &mut byte).is_err() {
                    return Some(Err(bad()));
                }
                rest = after;
                byte[0]
            }
            (b'%', _) => return Some(Err(bad())),
            (byte, _) => *byte,
        };
        bytes.push(byte);
    }
    Some(Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes))))
}

fn open_file(path: &Path, offset: u64) -> Result<Answer> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path).map_err(|e| Error::network(format!("open {}", path.display())).source(e))?;
    let length = file.metadata().context(|| format!("open {}", path.display()))?.len();
    let offset = offset.min(length);
    file.seek(SeekFrom::Start(offset)).context(|| format!("read {}", path.display()))?;
    Ok(Answer { body: Box::new(file), offset, length: Some(length - offset) })
}

fn failed(url: &str, error: ureq::Error) -> Failure {
    use ureq::Error as E;
    let passing = matches!(error, E::Io(_) | E::Timeout(_) | E::HostNotFound | E::ConnectionFailed | E::Protocol(_));
    let error = Error::network(format!("get {}", shown(url))).source(error);
    if passing { Failure::Passing(error) } else { Failure::Final(error) }
}

pub(super) fn broken(url: &str, error: std::io::Error) -> Failure {
    Failure::Passing(Error::network(format!("read {}", shown(url))).source(error))
}

pub(super) fn cut(url: &str, expected: u64, found: u64) -> Error {
    Error::network(format!("{}: expected {expected} bytes, found {found} before the connection closed", shown(url)))
}
