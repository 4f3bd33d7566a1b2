//! Mirrors that fail, each in its own way.

use super::*;
use crate::net::Mirrors;

fn download(mirrors: &Mirrors, client: &Client, name: &str) -> model::Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    mirrors.download(client, name, &to, 4, &Digest::of(b"good"), &Silent)?;
    Ok(std::fs::read(to).unwrap())
}

#[test]
fn the_next_mirror_is_asked_and_stays_the_first() {
    let gone = Server::start(|_, _, _| status("404 Not Found"));
    let busy = Server::start(|_, _, _| status("503 Service Unavailable"));
    let evil = Server::start(|_, _, range| ok(b"evil", range));
    let short = Server::start(|_, _, range| ok(b"goo", range));
    let good = Server::start(|_, _, range| ok(b"good", range));
    let closed = {
        let server = Server::start(|_, _, _| Vec::new());
        server.url("m")
    };
    let bases = [closed, gone.url("m"), busy.url("m/"), evil.url("m"), short.url("m"), good.url("m"), good.url("m/")];
    let mirrors = Mirrors::new(bases.iter().map(|base| Url::parse(base).unwrap())).unwrap();
    assert_eq!(download(&mirrors, &client(), "a").unwrap(), b"good");
    assert_eq!(download(&mirrors.clone(), &client(), "b").unwrap(), b"good");
    let paths: Vec<String> = good.seen.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(paths, ["m/a", "m/b"]);
    assert_eq!(gone.seen.lock().unwrap().len(), 1, "a mirror that failed is not asked for the next file");
    assert_eq!(busy.seen.lock().unwrap().len(), 2, "a busy mirror is asked twice, not four times");
}

#[test]
fn when_all_fail_the_first_fault_is_told_with_their_number() {
    let gone = Server::start(|_, _, _| status("404 Not Found"));
    let mirrors = Mirrors::new([gone.at("first"), gone.at("second")]).unwrap();
    let error = download(&mirrors, &client(), "a").unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    let text = error.to_string();
    assert!(text.contains("each of 2 mirrors failed") && text.contains("first/a") && text.contains("404"), "{text}");
    let offline = download(&mirrors, &quick(true), "a").unwrap_err().to_string();
    assert!(offline.contains("this run is offline") && !offline.contains("mirrors failed"), "{offline}");
    assert!(Mirrors::new([]).is_none());
}
