//! Bytes between the store and the host that somebody changed, cut, replayed or signed with another key. Each is refused by name, and the host is unchanged.

use super::lab::{COMMAND, Lab, failed, root};
use crate::tree::{self, RELEASE_PLAN, Release};
use crate::vm::Guest;
use model::{Digest, Result, ResultExt, SourceDateEpoch};
use ostree::{CommitId, CommitObject, DeltaName, Detached, MetadataValue, ObjectKind, SummaryRef};
use signing::SigningKey;

/// What must be the same after a refusal.
const HOST: &str = "ostree admin status; ostree refs; ls /sysroot/ostree/deploy/*/deploy /boot/loader/entries";

/// Seconds since 1970 UTC: after every commit that there is.
const FAR_FUTURE: u64 = 4_000_000_000;

/// One thing that is done to what the host fetches.
struct Trick {
    name: &'static str,
    /// Served in place of the store's files.
    files: Vec<(String, Vec<u8>)>,
    /// One of these words is in the refusal.
    words: &'static [&'static str],
}

pub fn tampering(lab: &Lab, guest: &mut Guest, _boot: &str) -> Result<String> {
    let mut tricks = unsigned_tricks(lab)?;
    let trusted = lab.trusted_keys();
    let first = tricks.len();
    if let Some(key) = trusted.first() {
        tricks.extend(signed_tricks(lab, key)?);
    }
    let before = root(guest, HOST)?;
    let mut done = Vec::new();
    for trick in &tricks {
        try_one(lab, guest, trick, &before)?;
        done.push(trick.name);
    }
    if let Some(key) = trusted.first() {
        done.extend(replays(lab, guest, key, &before)?);
    }
    lab.server.as_published()?;
    let note = if tricks.len() == first { "; without the signing key: no replay, no downgrade, no foreign ref" } else { "" };
    Ok(format!("refused: {}{note}", done.join(", ")))
}

fn try_one(lab: &Lab, guest: &Guest, trick: &Trick, before: &str) -> Result<()> {
    lab.server.as_published()?;
    for (path, bytes) in &trick.files {
        lab.server.replace(path, bytes)?;
    }
    refuses(guest, trick.name, trick.words, before)
}

/// The upgrade fails with one of these words, and changes nothing.
fn refuses(guest: &Guest, name: &str, words: &[&str], before: &str) -> Result<()> {
    let answer = guest.ssh.run("sudo atomic host upgrade", b"", COMMAND)?;
    let said = format!("{}{}", answer.stdout, answer.stderr);
    if answer.status == 0 || !words.iter().any(|word| said.contains(word)) {
        return Err(failed(format!("{name}: expected a refusal with one of {words:?}, found exit code {}: {said}", answer.status)));
    }
    let after = root(guest, HOST)?;
    if after != before {
        return Err(failed(format!("{name}: the host was changed; before:\n{before}\nafter:\n{after}")));
    }
    Ok(())
}

fn commit_file(commit: CommitId, extension: &str) -> String {
    ObjectKind::Commit.path(commit.digest()).replace(".commit", &format!(".{extension}"))
}

/// What anybody between the store and the host can do.
fn unsigned_tricks(lab: &Lab) -> Result<Vec<Trick>> {
    let (store, newest) = (&lab.store, lab.target.newest);
    let stranger = SigningKey::from_seed(Digest::of(b"the key of a stranger, for this proof").as_bytes());
    let read = |path: &str| std::fs::read(store.path().join(path)).context(|| format!("read {path} of the store"));
    let time = SourceDateEpoch(0);
    let mut by_stranger = Detached::default();
    by_stranger.sign(&read(&commit_file(newest, "commit"))?, &stranger, time)?;
    let mut summary_by_stranger = Detached::default();
    summary_by_stranger.sign(&read("summary")?, &stranger, time)?;
    let mut tricks = vec![
        Trick {
            name: "commit without signature",
            files: vec![(commit_file(newest, "commitmeta"), Vec::new())],
            words: &["signature of the commit"],
        },
        Trick {
            name: "commit signed by a wrong key",
            files: vec![(commit_file(newest, "commitmeta"), by_stranger.encode())],
            words: &["signature of the commit"],
        },
        Trick { name: "summary without signature", files: vec![("summary.sig".into(), Vec::new())], words: &["signature of the summary"] },
        Trick {
            name: "summary signed by a wrong key",
            files: vec![("summary.sig".into(), summary_by_stranger.encode())],
            words: &["signature of the summary"],
        },
        Trick {
            name: "summary with a flipped byte",
            files: vec![("summary".into(), flipped(read("summary")?))],
            words: &["signature of the summary"],
        },
        Trick {
            name: "commit with a flipped byte",
            files: vec![(commit_file(newest, "commit"), flipped(read(&commit_file(newest, "commit"))?))],
            words: &["signature of the commit", "checksum of the commit"],
        },
    ];
    let payload = fetched_file(lab)?;
    let bytes = read(&payload)?;
    let half = bytes.get(..bytes.len() / 2).unwrap_or(&[]).to_vec();
    let words: &[&str] = &["hecksum", "orrupt", "nvalid", "runcated", "short read", "nexpected end", "early end", "too small"];
    tricks.push(Trick { name: "content with a flipped byte", files: vec![(payload.clone(), flipped(bytes))], words });
    tricks.push(Trick { name: "content cut in half", files: vec![(payload, half)], words });
    Ok(tricks)
}

/// A file that holds contents which this upgrade fetches: a part of its delta, or else an object that the older commit lacks.
fn fetched_file(lab: &Lab) -> Result<String> {
    let store = &lab.store;
    let older = tree::named(store, &format!("{}@{}", lab.target.reference, lab.from))?;
    let name = DeltaName { from: Some(older), to: lab.target.newest };
    if store.deltas()?.iter().any(|delta| delta.name == name) {
        return Ok(format!("{}/0", name.path()));
    }
    let (old, new) = (store.objects_of(older)?, store.objects_of(lab.target.newest)?);
    let mut paths = new.difference(&old).map(|digest| ObjectKind::ArchiveFile.path(*digest));
    let there = |path: &String| store.path().join(path).is_file();
    paths.find(there).ok_or_else(|| failed("the two versions have the same contents: nothing is fetched that could be changed"))
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes
}

/// What only the owner of a key can do, by mistake or on purpose.
fn signed_tricks(lab: &Lab, key: &SigningKey) -> Result<Vec<Trick>> {
    let mut tricks = Vec::new();
    let older = tree::named(&lab.store, &format!("{}@{}", lab.target.reference, lab.from))?;
    // Something that is older than the running tree: the commit before it, if the store still has it.
    if let Some(entry) = lab.store.log(older)?.get(1) {
        let files = offering(lab, key, entry.id, &entry.commit)?;
        tricks.push(Trick { name: "downgrade", files, words: &["age of the commit"] });
    }
    let mut foreign = lab.store.read_commit(lab.target.newest)?;
    let other = format!("{}-of-somebody-else", lab.target.reference);
    foreign.metadata.insert("ostree.ref-binding".to_owned(), MetadataValue::TextList(vec![other]));
    foreign.timestamp += 1;
    let bytes = foreign.encode();
    let id = CommitId::new(Digest::of(&bytes));
    let mut files = offering(lab, key, id, &foreign)?;
    let mut signatures = Detached::default();
    signatures.sign(&bytes, key, SourceDateEpoch(0))?;
    files.push((commit_file(id, "commit"), bytes));
    files.push((commit_file(id, "commitmeta"), signatures.encode()));
    tricks.push(Trick { name: "commit of a foreign ref", files, words: &["ref of the commit"] });
    Ok(tricks)
}

/// A signed summary whose newest commit of the ref is `id`, and, if the store has a release plan, a signed plan that offers it to everybody.
fn offering(lab: &Lab, key: &SigningKey, id: CommitId, commit: &CommitObject) -> Result<Vec<(String, Vec<u8>)>> {
    let Some((mut summary, _, _)) = lab.store.summary()? else { return Err(failed("the store has no summary")) };
    let version = commit.version().map(str::to_owned);
    let row = SummaryRef { commit: id, size: commit.encode().len() as u64, timestamp: commit.timestamp, version: version.clone() };
    summary.refs.insert(lab.target.reference.clone(), row);
    summary.last_modified += 1;
    let bytes = summary.encode();
    let mut signatures = Detached::default();
    signatures.sign(&bytes, key, SourceDateEpoch(0))?;
    let mut files = vec![("summary".to_owned(), bytes), ("summary.sig".to_owned(), signatures.encode())];
    if lab.offered.serial > 0 {
        files.push((RELEASE_PLAN.to_owned(), plan_file(lab, key, 1, id, false)?));
    }
    Ok(files)
}

/// The plan of the proof with a serial number that is larger by `later`, and with `id` as the only release of the ref, published after everything else.
fn plan_file(lab: &Lab, key: &SigningKey, later: u64, id: CommitId, paused: bool) -> Result<Vec<u8>> {
    let mut plan = lab.offered.clone();
    let version = lab.store.read_commit(id).map_or_else(|_| lab.target.newest_version.clone(), |c| c.version().unwrap_or("").to_owned());
    let release = Release { version, commit: id, published: FAR_FUTURE, waves: Vec::new(), paused, barrier: false };
    plan.refs.remove(&lab.target.reference);
    plan.release(&lab.target.reference, &lab.target.channel, release);
    plan.serial += later;
    plan.sign(std::slice::from_ref(key))
}

/// The host sees a newer summary and a newer plan, and then the older ones again.
fn replays(lab: &Lab, guest: &Guest, key: &SigningKey, before: &str) -> Result<Vec<&'static str>> {
    let newest = lab.target.newest;
    let older_plan = plan_file(lab, key, 2, newest, true)?;
    let newer_plan = plan_file(lab, key, 3, newest, true)?;
    lab.server.as_published()?;
    for (path, bytes) in offering(lab, key, newest, &lab.store.read_commit(newest)?)? {
        lab.server.replace(&path, &bytes)?;
    }
    lab.server.replace(RELEASE_PLAN, &newer_plan)?;
    // The version is paused, so that nothing is staged while the host notes what it has seen.
    let seen = guest.ssh.run("sudo atomic host upgrade", b"", COMMAND)?;
    if !seen.stdout.contains("is paused") {
        return Err(failed(format!("expected an upgrade that waits for a paused version, found {}{}", seen.stdout, seen.stderr)));
    }
    lab.server.replace(RELEASE_PLAN, &older_plan)?;
    refuses(guest, "replayed release plan", &["check of the release plan: its serial"], before)?;
    lab.server.as_published()?;
    lab.server.replace(RELEASE_PLAN, &newer_plan)?;
    refuses(guest, "replayed summary", &["age of the summary"], before)?;
    Ok(vec!["replayed release plan", "replayed summary"])
}
