//! Redirects, encodings, refusals, and pages that are no files.

use super::*;

/// A redirect to `to`.
fn moved(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn with_header(header: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{header}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn redirects_are_followed_to_an_end_and_credentials_stay_on_their_host() {
    let other = Server::start(|_, _, range| ok(b"there", range));
    let elsewhere = other.url("file");
    let server = Server::start(move |number, path, range| match path {
        "a/relative" => moved("../b/x?y=1"),
        "scheme" => moved(&elsewhere.replacen("http:", "", 1)),
        "loop" => moved("loop"),
        "endless" => moved(&format!("endless{number}")),
        path if path.starts_with("endless") => moved(&format!("endless{number}")),
        "file" => moved("file:///etc/passwd"),
        "nowhere" => status("302 Found"),
        _ => ok(b"here", range),
    });
    let with_user = |path: &str| Url::parse(&server.url(path).replace("http://", "http://us%20er:p%40ss@")).unwrap();
    assert_eq!(client().get(&with_user("a/relative"), 10).unwrap(), b"here");
    assert_eq!(server.seen.lock().unwrap().last().unwrap().0, "b/x?y=1");
    assert!(server.heads().iter().all(|head| head.contains("authorization: Basic dXMgZXI6cEBzcw==")), "{:?}", server.heads());
    assert_eq!(client().get(&with_user("scheme"), 10).unwrap(), b"there");
    assert!(!other.heads().concat().to_ascii_lowercase().contains("authorization"), "{:?}", other.heads());
    for (path, expected) in [
        ("loop", "redirects in a loop"),
        ("endless", "redirects more than 10 times"),
        ("file", "redirects to a URL of the scheme \"file\""),
        ("nowhere", "found 302"),
    ] {
        let before = server.heads().len();
        let error = client().get(&with_user(path), 10).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&server.url(path)) && !error.contains("p%40ss"), "{error}");
        assert!(server.heads().len() - before <= 11, "each redirect is followed once");
    }
}

#[test]
fn a_file_that_was_packed_on_the_way_is_unpacked_and_one_that_is_gzip_itself_is_not() {
    let whole = body();
    let (plain, packed) = (whole.clone(), gzip(&whole));
    let server = Server::start(move |_, path, _| match path {
        "packed" => with_header("content-encoding: gzip", &gzip(&plain)),
        "packed.gz" => with_header("content-encoding: gzip", &gzip(&gzip(&plain))),
        "file.gz" => with_header("content-encoding: x-gzip", &gzip(&plain)),
        "bomb" => with_header("content-encoding: gzip", &gzip(&vec![0; 5_000_000])),
        "identity" => with_header("content-encoding: identity", &plain),
        _ => with_header("content-encoding: br", &plain),
    });
    for (path, expected) in [("packed", &whole), ("packed.gz", &packed), ("file.gz", &packed), ("identity", &whole)] {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        client()
            .download(&server.at(path), &Pinned { to: &to, size: expected.len() as u64, digest: &Digest::of(expected) }, &Silent)
            .unwrap();
        assert!(std::fs::read(&to).unwrap() == *expected, "{path}");
    }
    assert!(client().get(&server.at("packed"), 1 << 20).unwrap() == whole);
    assert!(client().get(&server.at("file.gz"), 1 << 20).unwrap() == packed);
    assert!(server.heads().iter().all(|head| head.contains("accept-encoding: identity")));
    let error = client().get(&server.at("bomb"), 1000).unwrap_err();
    assert!(error.kind() == Kind::Integrity && error.to_string().contains("at most 1000 bytes"), "{error}");
    let error = client().get(&server.at("br"), 1 << 20).unwrap_err().to_string();
    assert!(error.contains("Content-Encoding \"br\"") && error.contains(&server.url("br")), "{error}");
}

#[test]
fn the_page_of_a_captive_portal_is_told_as_such() {
    for page in ["<html>login</html>", "\u{feff}\n <!DOCTYPE HTML PUBLIC>..."] {
        let server = Server::start(move |_, _, _| ok(page.as_bytes(), None));
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        let download = client().download(&server.at("x"), &Pinned { to: &to, size: page.len() as u64, digest: &Digest::of(b"x") }, &Silent);
        for error in [client().get(&server.at("x"), 100).unwrap_err(), download.unwrap_err()] {
            assert_eq!(error.kind(), Kind::Network);
            assert!(error.to_string().contains("captive portal") && error.to_string().contains(&server.url("x")), "{error}");
        }
        assert!(!to.exists());
        assert_eq!(server.heads().len(), 2, "asked once each");
    }
}

#[test]
fn a_refusal_is_told_once_with_what_to_do() {
    for (line, expected, hint) in [
        ("401 Unauthorized", "found 401", "USER:PASSWORD"),
        ("403 Forbidden", "found 403", "token"),
        ("404 Not Found", "found 404", "lock"),
        ("407 Proxy Authentication Required", "found 407", "http_proxy"),
        ("511 Network Authentication Required", "found 511", "captive portal"),
    ] {
        let server = Server::start(move |_, _, _| status(line));
        let url = Url::parse(&server.url("x?token=secret")).unwrap();
        let error = client().get(&url, 10).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && error.hint_text().is_some_and(|text| text.contains(hint)), "{text}: {error:?}");
        assert_eq!(text.matches("http://").count(), 1, "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(server.heads().len(), 1, "{line} is final");
    }
}

#[test]
fn bodies_are_whole_whatever_way_their_end_is_told() {
    let server = Server::start(|_, path, _| match path {
        "chunked" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n".to_vec(),
        "closed" => b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwhole".to_vec(),
        "short" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nwhole".to_vec(),
        "short-chunk" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n9\r\nwhole".to_vec(),
        "no-length" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: -1\r\n\r\nwhole".to_vec(),
        _ => b"not HTTP at all\r\n\r\n".to_vec(),
    });
    for (path, whole) in
        [("chunked", true), ("closed", true), ("short", false), ("short-chunk", false), ("no-length", false), ("noise", false)]
    {
        let found = client().get(&server.at(path), 100);
        assert_eq!(found.as_ref().ok().map(Vec::as_slice), whole.then_some(b"whole".as_slice()), "{path}: {found:?}");
        if let Err(error) = found {
            let text = error.to_string();
            assert!(error.kind() == Kind::Network && text.matches("http://").count() == 1, "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        let fetched = client().download(&server.at(path), &Pinned { to: &to, size: 5, digest: &Digest::of(b"whole") }, &Silent);
        assert_eq!(to.exists(), fetched.is_ok(), "{path}: {fetched:?}");
        assert!(!whole || fetched.is_ok(), "{path}: {fetched:?}");
    }
}
