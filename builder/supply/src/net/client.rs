//! Blocking HTTP with time limits, retries and size limits; `file:` URLs answer the same way.
//!
//! Only what the caller can check comes out: [`Client::get`] is bounded, [`Client::download`] publishes a file only when its digest holds.

use crate::net::Url;
use crate::net::agents::Agents;
use crate::net::exchange::{self, Answer, Question, broken};
use crate::net::limits::Limits;
use crate::net::partial::{LOOKS_MAX, Partial};
use crate::net::proxy::ProxyEnvironment;
use crate::net::retry::{Failure, Patience, retry};
use model::{Digest, Error, Progress, Result, ResultExt, read_input};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes. The bundle of a distribution has 230 KB.
const MAX_CERTIFICATES: u64 = 16 << 20;

/// Cheap to share: all threads use one pool of connections.
#[derive(Clone)]
pub struct Client {
    agents: Arc<Agents>,
    limits: Limits,
    offline: bool,
    patience: Patience,
}

/// What the machine and the command line say of the network.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions<'a> {
    /// Every URL but a file's is an error before anything is opened.
    pub offline: bool,
    /// A PEM file: servers are also believed whose certificates go back to one in it, besides the machine's own authorities.
    pub ca: Option<&'a Path>,
    pub proxies: ProxyEnvironment,
    pub limits: Limits,
}

/// A file to download whose bytes are known beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'a> {
    /// Where it is written to.
    pub to: &'a Path,
    /// In bytes.
    pub size: u64,
    pub digest: &'a Digest,
}

impl Client {
    /// Reads the certificates and parses the proxies' URLs.
    pub fn new(options: &ClientOptions<'_>) -> Result<Self> {
        let roots = match options.ca {
            Some(ca) => authorities(ca)?,
            None => ureq::tls::RootCerts::PlatformVerifier,
        };
        let agents = Arc::new(Agents::new(roots, &options.limits, &options.proxies)?);
        Ok(Client { agents, limits: options.limits.clone(), offline: options.offline, patience: Patience::Only })
    }

    /// The same connections; gives up sooner, since there are other mirrors.
    pub(super) fn impatient(&self) -> Self {
        Client { patience: Patience::OneOfSeveral, ..self.clone() }
    }

    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The whole body, at most `max_bytes` of it.
    pub fn get(&self, url: &Url, max_bytes: u64) -> Result<Vec<u8>> {
        retry(self.patience, &self.limits, || {
            let answer = self.open(&Question { url, offset: 0, size: None })?;
            let too_large =
                |found: String| Failure::Final(Error::integrity(format!("{url}: expected at most {max_bytes} bytes, found {found}")));
            if let Some(length) = answer.length.filter(|&l| l > max_bytes) {
                return Err(too_large(length.to_string()));
            }
            let mut bytes = Vec::new();
            answer.body.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| broken(url, e))?;
            if bytes.len() as u64 > max_bytes {
                return Err(too_large("more".into()));
            }
            if let Some(length) = answer.length.filter(|&l| l != bytes.len() as u64) {
                return Err(Failure::Passing(cut(url, length, bytes.len() as u64), None));
            }
            Ok(bytes)
        })
    }

    /// Brings `url` to `file.to`, which exists afterwards exactly if it has the size and the digest.
    ///
    /// An interrupted download goes on from its `.part` file. A whole file with another digest is kept as `.rejected`. `progress` is told
    /// of bytes, in the stage that the caller began.
    pub fn download(&self, url: &Url, file: &Pinned<'_>, progress: &dyn Progress) -> Result<()> {
        for _ in 0..LOOKS_MAX {
            if self.download_once(url, file, progress)? {
                return Ok(());
            }
        }
        Err(Error::internal(format!("{url}: another program keeps taking away {} while it is written", file.to.display())))
    }

    /// Returns false if another writer has taken the file away, which may be because that one has it whole.
    fn download_once(&self, url: &Url, file: &Pinned<'_>, progress: &dyn Progress) -> Result<bool> {
        let Pinned { to, size, digest } = *file;
        let Some(mut partial) = Partial::open(to, size)? else {
            progress.advance(size);
            return Ok(true);
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
                let open = |offset| self.open(&Question { url, offset, size: Some(size) });
                retry(self.patience, &self.limits, || partial.fill(url, open, &mut report))?;
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
            let Some(aside) = partial.reject()? else { return Ok(false) };
            return Err(Error::integrity(format!("{url}: expected sha256 {digest}, found {found}; kept as {}", aside.display()))
                .hint("the mirror is out of date or damaged: try again later, lock again, or name another mirror"));
        }
    }

    fn open(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        exchange::open(&self.agents, &self.limits, self.offline, question)
    }
}

/// The machine's authorities and those of a PEM file.
fn authorities(ca: &Path) -> Result<ureq::tls::RootCerts> {
    let wrong = |found: &str| Error::recipe(format!("{}: expected certificates in PEM form{found}", ca.display()));
    let text = read_input(ca, MAX_CERTIFICATES).context(|| "the certificates of --ca")?;
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|e| wrong("").source(e))? {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        return Err(wrong(", found none"));
    }
    let machine = rustls_native_certs::load_native_certs().certs;
    roots.extend(machine.iter().map(|certificate| ureq::tls::Certificate::from_der(certificate).to_owned()));
    Ok(ureq::tls::RootCerts::new_with_certs(&roots))
}

pub(super) fn cut(url: &Url, expected: u64, found: u64) -> Error {
    Error::network(format!("{url}: expected {expected} bytes, found {found} before the connection closed"))
}
