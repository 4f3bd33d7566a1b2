//! Mirrors that fail, each in its own way.

use super::*;
use crate::net::{Mirrors, Pinned};

fn download(mirrors: &Mirrors, client: &Client, name: &str) -> model::Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    mirrors.download(client, name, &Pinned { to: &to, size: 4, digest: &Digest::of(b"good") }, &Silent)?;
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

#[test]
fn snapshots_are_asked_only_for_what_the_mirrors_do_not_have_and_the_digest_decides() {
    type Answers = fn(usize, &str, Option<u64>) -> Vec<u8>;
    let gone: Answers = |_, _, _| status("404 Not Found");
    let removed: Answers = |_, _, _| status("410 Gone");
    let refused: Answers = |_, _, _| status("403 Forbidden");
    let evil: Answers = |_, _, range| ok(b"evil", range);
    let good: Answers = |_, _, range| ok(b"good", range);
    let check = |mirrors: &[Answers], snapshots: &[Answers], asked: &[usize], expected: Result<(), &str>| {
        let start = |answers: &[Answers]| answers.iter().map(|&answer| Server::start(answer)).collect::<Vec<_>>();
        let (mirrors, snapshots) = (start(mirrors), start(snapshots));
        let all = Mirrors::new(mirrors.iter().map(|server| server.at("m"))).unwrap();
        let all = all.with_snapshots(snapshots.iter().map(|server| server.at("s")).collect());
        match (download(&all, &client(), "a"), expected) {
            (Ok(bytes), Ok(())) => assert_eq!(bytes, b"good"),
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part) && text.contains("/m/a"), "{text}");
                assert_eq!(text.contains("/s/a"), asked.iter().any(|&times| times > 0), "{text}");
                assert!(error.hint_text().is_some(), "{text}");
            }
            (found, expected) => panic!("{found:?} {expected:?}"),
        }
        assert_eq!(snapshots.iter().map(|server| server.seen.lock().unwrap().len()).collect::<Vec<_>>(), asked);
    };
    check(&[gone], &[good], &[1], Ok(()));
    check(&[removed, gone], &[gone, good, good], &[1, 1, 0], Ok(()));
    check(&[refused, gone], &[good], &[1], Ok(()));
    check(&[gone], &[evil, good], &[1, 1], Ok(()));
    check(&[good], &[good], &[0], Ok(()));
    check(&[refused], &[good], &[0], Err("403"));
    check(&[evil], &[good], &[0], Err("expected sha256"));
    check(&[gone], &[gone, evil], &[1, 1], Err("then each of 2 snapshots failed, one of them with"));
    check(&[gone], &[gone], &[1], Err("404 Not Found; then each of 1 snapshots failed"));
    check(&[gone], &[], &[], Err("404"));
}
