//! A web server for a store: what any static server does, for trying things out and for networks without one.
//!
//! Objects and deltas never change under their names, so they may be kept for ever; the summary, refs and the release plan are asked for anew each time.

use super::release::RELEASE_PLAN;
use model::{Error, Result, ResultExt, ResultJudged, open_regular};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

/// Answers at the same time: a host that reads slowly, or not at all, keeps one of them.
const WORKERS: usize = 16;
/// Files that may be asked for; anything else of the folder is nobody's business.
const SERVED: [&str; 8] = ["config", "summary", "summary.sig", RELEASE_PLAN, "objects", "deltas", "delta-indexes", "refs"];

/// One answered request.
pub struct Answered {
    /// Method and URL.
    pub request: String,
    /// The status that was sent, or why nothing could be sent.
    pub outcome: Result<u16>,
    /// Bytes of the body.
    pub sent: u64,
}

/// Serves the store at `root` on `listen` until the process ends. A file of `before`, if that is given, takes the place of the store's of the same path.
/// `ready` gets the address, `told` each request.
pub fn serve(root: &Path, before: Option<&Path>, listen: &str, ready: impl FnOnce(String), told: impl Fn(&Answered) + Sync) -> Result<()> {
    let server = Server::http(listen)
        .map_err(|e| Error::recipe(format!("--listen {listen}: {e}")).hint("name a free port, such as 127.0.0.1:8080"))?;
    ready(server.server_addr().to_string());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    let line = format!("{} {}", request.method(), request.url());
                    let (outcome, sent) = match answer(root, before, request) {
                        Ok((code, sent)) => (Ok(code), sent),
                        Err(error) => (Err(error), 0),
                    };
                    told(&Answered { request: line, outcome, sent });
                }
            });
        }
    });
    Ok(())
}

/// Answers one request, and returns the status that was sent and the length of the body.
fn answer(root: &Path, before: Option<&Path>, request: Request) -> Result<(u16, u64)> {
    let refuse = |request: Request, code: u16| {
        request.respond(Response::empty(code)).context(|| "answer a request")?;
        Ok((code, 0))
    };
    if !matches!(request.method(), Method::Get | Method::Head) {
        return refuse(request, 405);
    }
    let Some(path) = asked(request.url()) else { return refuse(request, 404) };
    let opened = before.and_then(|before| open_regular(&before.join(&path)).none_because("the store's file is served then"));
    let Some(mut file) = opened.or_else(|| open_regular(&root.join(&path)).none_because("what cannot be opened is not served")) else {
        return refuse(request, 404);
    };
    let size = file.metadata().context(|| format!("look at {path}"))?.len();
    let asked = request.headers().iter().find(|header| header.field.equiv("Range")).map(|header| header.value.as_str().to_owned());
    let (code, start, length) = match asked.as_deref().map(|text| range(text, size)) {
        None | Some(Range::Whole) => (200, 0, size),
        Some(Range::Part(start, length)) => (206, start, length),
        Some(Range::Outside) => {
            let response = Response::empty(416).with_header(header("Content-Range", &format!("bytes */{size}"))?);
            request.respond(response).context(|| "answer a request")?;
            return Ok((416, 0));
        }
    };
    file.seek(SeekFrom::Start(start)).context(|| format!("read {path}"))?;
    let kept = if path.starts_with("objects/") && !path.ends_with(".commitmeta")
        || path.starts_with("deltas/") && !path.ends_with("/superblock")
    {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut headers =
        vec![header("Content-Type", "application/octet-stream")?, header("Accept-Ranges", "bytes")?, header("Cache-Control", kept)?];
    if code == 206 {
        headers.push(header("Content-Range", &format!("bytes {start}-{}/{size}", start + length - 1))?);
    }
    let sent = if *request.method() == Method::Head { 0 } else { length };
    let length = usize::try_from(length).map_err(|_| Error::recipe(format!("{path} has {length} bytes, more than can be sent")))?;
    let response = Response::new(StatusCode(code), headers, file.take(length as u64), Some(length), None);
    request.respond(response).context(|| "answer a request")?;
    Ok((code, sent))
}

/// The file that a URL asks for, relative to the store; names with dots at their beginning and paths upwards are none.
fn asked(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or("").trim_start_matches('/');
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-=".contains(&b));
    let first = path.split('/').next().unwrap_or("");
    let good = plain && SERVED.contains(&first) && !path.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    good.then(|| path.to_owned())
}

enum Range {
    Whole,
    /// First byte and number of bytes.
    Part(u64, u64),
    Outside,
}

/// One range of RFC 9110 §14; several at once may be answered with the whole.
fn range(text: &str, size: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return Range::Whole };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), _) if first >= size => Range::Outside,
        (Ok(first), Ok(last)) if last >= first => Range::Part(first, last.min(size - 1) - first + 1),
        (Ok(first), Err(_)) if last.trim().is_empty() => Range::Part(first, size - first),
        (Err(_), Ok(0)) => Range::Outside,
        (Err(_), Ok(count)) if first.trim().is_empty() && size > 0 => Range::Part(size - count.min(size), count.min(size)),
        _ => Range::Whole,
    }
}

fn header(name: &str, value: &str) -> Result<Header> {
    Header::from_bytes(name, value).map_err(|()| Error::internal(format!("a header {name} cannot hold {value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_a_store_can_be_asked_for() {
        for (url, expected) in [
            ("/summary", Some("summary")),
            ("/objects/ab/cd.filez?x=1", Some("objects/ab/cd.filez")),
            ("/deltas/ab/c+d-e_f/superblock", Some("deltas/ab/c+d-e_f/superblock")),
            ("/refs/heads/a/b", Some("refs/heads/a/b")),
            ("/", None),
            ("/.lock", None),
            ("/objects/../config", None),
            ("/objects/%2e%2e/config", None),
            ("/tmp/x", None),
            ("/objects//x", None),
        ] {
            assert_eq!(asked(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        let shown = |text: &str| match range(text, 10) {
            Range::Whole => "whole".to_owned(),
            Range::Part(start, length) => format!("{start}+{length}"),
            Range::Outside => "outside".to_owned(),
        };
        for (text, expected) in [
            ("bytes=0-3", "0+4"),
            ("bytes=4-", "4+6"),
            ("bytes=-3", "7+3"),
            ("bytes=-30", "0+10"),
            ("bytes=5-100", "5+5"),
            ("bytes=10-", "outside"),
            ("bytes=-0", "outside"),
            ("bytes=3-1", "whole"),
            ("bytes=0-1,4-5", "whole"),
            ("lines=1-2", "whole"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
