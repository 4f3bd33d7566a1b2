//! One request, until there is a body: redirects, status codes, encodings, and pages that are no files of a repository.

use crate::net::Url;
use crate::net::agents::{Agents, Route};
use crate::net::limits::{Limits, SpeedLimited, TooSlow};
use crate::net::missing::MissingFile;
use crate::net::retry::{Failure, pause_of};
use model::{Error, ResultExt, ResultJudged};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use ureq::http::{Response, StatusCode};

/// As many as curl's users usually allow; Fedora's redirector needs one.
const MAX_REDIRECTS: usize = 10;
/// Bytes that tell an HTML page.
const SNIFFED: u64 = 256;

/// A body and where in the file it begins.
pub(super) struct Answer {
    pub body: Box<dyn Read>,
    pub offset: u64,
    /// Bytes of this body, when the server says so.
    pub length: Option<u64>,
}

/// What is asked for.
pub(super) struct Question<'a> {
    pub url: &'a Url,
    /// The body's first byte in the file.
    pub offset: u64,
    /// Of the whole file, if it is known.
    pub size: Option<u64>,
}

/// Asks until there is a body. Every URL but a file's fails when `offline`.
pub(super) fn open(agents: &Agents, limits: &Limits, offline: bool, question: &Question<'_>) -> Result<Answer, Failure> {
    let url = question.url;
    if let Some(path) = url.file_path() {
        return open_file(&path, question.offset).map_err(Failure::Final);
    }
    if offline {
        return Err(Failure::Final(
            Error::network(format!("{url} is not in the cache, and this run is offline"))
                .hint("run once without --offline, or point the repository at a file:// URL"),
        ));
    }
    let mut passed: Vec<Url> = vec![url.clone()];
    loop {
        let at = passed.last().unwrap_or(url);
        let name = if passed.len() == 1 { url.to_string() } else { format!("{url} (redirected to {at})") };
        let route = agents.route(at);
        let span = tracing::debug_span!("request", url = %at, offset = question.offset, status = tracing::field::Empty).entered();
        let response = request(&route, at, question.offset).map_err(|e| failed(&name, at, &route, e))?;
        span.record("status", response.status().as_u16());
        drop(span);
        let Some(location) = redirect_of(&response) else { return answer(response, &name, limits, question) };
        let refuse = |why: String| Failure::Final(Error::network(format!("{name}: the server redirects {why}")));
        let next = at.redirected(&location).map_err(refuse)?;
        if passed.contains(&next) {
            return Err(refuse(format!("in a loop, to {next} again")));
        }
        if passed.len() > MAX_REDIRECTS {
            return Err(refuse(format!("more than {MAX_REDIRECTS} times")));
        }
        passed.push(next);
    }
}

type Body = ureq::Body;

fn request(route: &Route<'_>, url: &Url, offset: u64) -> Result<Response<Body>, ureq::Error> {
    let mut request = route.agent.get(url.request_target());
    if let Some(value) = url.authorization() {
        request = request.header("authorization", value);
    }
    if let Some(value) = route.proxy.filter(|_| route.is_absolute).and_then(|proxy| proxy.authorization.as_ref()) {
        request = request.header("proxy-authorization", value);
    }
    if offset > 0 {
        request = request.header("range", format!("bytes={offset}-"));
    }
    request.call()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().none_because("a header that is not ASCII is as good as absent"))
        .map(str::trim)
}

/// Where the answer sends us; bytes that are no ASCII stand for themselves.
fn redirect_of(response: &Response<Body>) -> Option<String> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get("location").filter(|_| moved)?;
    Some(String::from_utf8_lossy(location.as_bytes()).trim().to_owned())
}

fn answer(response: Response<Body>, name: &str, limits: &Limits, question: &Question<'_>) -> Result<Answer, Failure> {
    let mut offset = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if question.offset > 0 => {
            let range = header(&response, "content-range").and_then(|range| range.strip_prefix("bytes "));
            let starts = range.and_then(|range| {
                range.split('-').next()?.parse().none_because("what is not as announced is compared with what was asked")
            });
            if starts != Some(question.offset) {
                return Err(Failure::BadRange);
            }
            question.offset
        }
        StatusCode::RANGE_NOT_SATISFIABLE => return Err(Failure::BadRange),
        status => return Err(refused(&response, name, status)),
    };
    let mut length: Option<u64> =
        header(&response, "content-length").and_then(|length| length.parse().none_because("a length that is no number is none"));
    let encoding = header(&response, "content-encoding").unwrap_or("identity").to_ascii_lowercase();
    let is_packed = is_packed(&encoding, name, question, length)?;
    let received = SpeedLimited::new(response.into_body().into_reader(), limits);
    let mut body: Box<dyn Read> = Box::new(received);
    if is_packed {
        // An offset in the packed bytes is none in the file.
        if offset > 0 {
            return Err(Failure::BadRange);
        }
        (body, length, offset) = (Box::new(flate2::read::MultiGzDecoder::new(body)), None, 0);
    }
    if offset > 0 {
        return Ok(Answer { body, offset, length });
    }
    let mut start = Vec::new();
    body.by_ref().take(SNIFFED).read_to_end(&mut start).map_err(|e| broken(&name, e))?;
    if is_html(&start) {
        return Err(Failure::Final(
            Error::network(format!("{name}: expected a file of a repository, found an HTML page (of a captive portal or proxy?)"))
                .hint("open the URL in a browser: a network that asks for a login answers everything with its own page"),
        ));
    }
    Ok(Answer { body: Box::new(Cursor::new(start).chain(body)), offset, length })
}

/// Whether the body is the file packed with gzip, though we ask for it as it is. Servers also call a file that is gzip itself so, and then
/// send it as it is: it has the size that is expected, or a name that says it.
fn is_packed(encoding: &str, name: &str, question: &Question<'_>, length: Option<u64>) -> Result<bool, Failure> {
    match encoding {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => {
            let as_it_is = match (question.size, length) {
                (Some(size), Some(length)) => size == question.offset.saturating_add(length),
                _ => [".gz", ".tgz"].iter().any(|end| question.url.name().ends_with(end)),
            };
            Ok(!as_it_is)
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Failure::Final(
                Error::network(format!("{name}: expected the file as it is, found the Content-Encoding {shown:?}"))
                    .hint("the server or a proxy between packs answers that nobody asked to be packed: name another mirror"),
            ))
        }
    }
}

/// Metadata and packages never begin so.
fn is_html(start: &[u8]) -> bool {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    [b"<!doctype html".as_slice(), b"<html"].iter().any(|tag| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag)))
}

fn refused(response: &Response<Body>, name: &str, status: StatusCode) -> Failure {
    let error = Error::network(format!("{name}: expected status 200, found {status}"));
    match status.as_u16() {
        408 | 425 | 429 | 500..=510 | 512..=599 => {
            let pause = header(response, "retry-after").and_then(|text| pause_of(text, header(response, "date")));
            Failure::Passing(error, pause)
        }
        401 => Failure::Final(error.hint("give the user name and password in the URL: https://USER:PASSWORD@HOST/")),
        403 => Failure::Final(error.hint("the server refuses: a token in the URL's query may be wrong or expired")),
        404 | 410 => Failure::Final(
            error
                .source(MissingFile)
                .hint("the repository changed or its URL is wrong: run `atomic-image lock RECIPE`, or correct the URL"),
        ),
        407 => Failure::Final(error.hint("give the user name and password in the proxy's URL: http_proxy=http://USER:PASSWORD@HOST:PORT")),
        511 => Failure::Final(error.hint("the network asks for a login first (a captive portal)")),
        300..=399 => Failure::Final(error.hint("a redirect without a usable Location")),
        _ => Failure::Final(error),
    }
}

/// No answer at all.
fn failed(name: &str, url: &Url, route: &Route<'_>, error: ureq::Error) -> Failure {
    use ureq::{Error as E, Timeout};
    let (host, port) = url.host_and_port();
    let unreachable = match &error {
        E::HostNotFound | E::ConnectionFailed | E::Timeout(Timeout::Connect | Timeout::Resolve) => true,
        // A connection that was there and broke has other kinds.
        E::Io(e) => {
            use std::io::ErrorKind as K;
            let kinds = [K::ConnectionRefused, K::HostUnreachable, K::NetworkUnreachable, K::AddrNotAvailable, K::TimedOut];
            // What std says of a failed getaddrinfo, which has no kind of its own.
            kinds.contains(&e.kind()) || e.to_string().starts_with("failed to lookup address information")
        }
        _ => false,
    };
    // What rustls refuses, a wrong certificate above all, it refuses again.
    let is_final = match &error {
        E::Io(e) => e.kind() == std::io::ErrorKind::InvalidData,
        E::Timeout(_) | E::HostNotFound | E::ConnectionFailed | E::Protocol(_) => false,
        _ => true,
    };
    let message = match route.proxy {
        Some(proxy) if unreachable || matches!(error, E::ConnectProxyFailed(_)) => {
            format!("{name}: proxy {}", proxy.shown)
        }
        _ if unreachable => format!("{name}: connect to {host}:{port}"),
        _ => format!("{name}: no answer"),
    };
    let message = match error {
        E::Io(error) => Error::network(message).source(error),
        error => Error::network(message).source(error),
    };
    let message = if route.proxy.is_some() && unreachable {
        message.hint("correct http_proxy or https_proxy, or except the host with no_proxy")
    } else {
        message
    };
    if is_final { Failure::Final(message) } else { Failure::Passing(message, None) }
}

/// A body that ended too early or came too slowly.
pub(super) fn broken(name: &dyn std::fmt::Display, error: std::io::Error) -> Failure {
    let slow = error
        .get_ref()
        .is_some_and(|inner| inner.is::<TooSlow>() || matches!(inner.downcast_ref::<ureq::Error>(), Some(ureq::Error::Timeout(_))));
    let is_slow = slow || error.kind() == std::io::ErrorKind::TimedOut;
    let error = Error::network(format!("read {name}")).source(error);
    if is_slow { Failure::Slow(error) } else { Failure::Passing(error, None) }
}

fn open_file(path: &Path, offset: u64) -> model::Result<Answer> {
    let doing = || format!("open {}", path.display());
    let mut file = File::open(path).map_err(|e| Error::network(doing()).source(e))?;
    let facts = file.metadata().context(doing)?;
    if !facts.is_file() {
        return Err(Error::network(format!("{}: expected a regular file", doing())));
    }
    let offset = offset.min(facts.len());
    file.seek(SeekFrom::Start(offset)).context(|| format!("read {}", path.display()))?;
    Ok(Answer { body: Box::new(file), offset, length: Some(facts.len() - offset) })
}
