//! The release plan: one signed file beside the summary that tells hosts which version is for whom, and when.
//!
//! `release.json` is a [`SignedJson`]. The plan's serial number grows with each writing, so that a host refuses an older plan.

use super::signed_json::SignedJson;
use model::{AtomicFile, Entry, Error, Result};
use ostree::{CommitId, Store};
use serde::{Deserialize, Serialize};
use signing::{PublicKey, SigningKey};
use std::collections::BTreeMap;

/// Its path in the store.
pub const RELEASE_PLAN: &str = "release.json";
/// In bytes; hosts read no more.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePlan {
    pub schema: u32,
    pub serial: u64,
    pub refs: BTreeMap<String, RefPlan>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefPlan {
    /// The newest version of each channel.
    pub channels: BTreeMap<String, String>,
    /// The oldest first.
    pub releases: Vec<Release>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub version: String,
    pub commit: CommitId,
    /// Seconds since 1970 UTC.
    pub published: u64,
    /// Without any, everybody may have it at once.
    pub waves: Vec<Wave>,
    pub paused: bool,
    /// An older host must go through this version.
    pub barrier: bool,
}

/// From so many seconds after the release on, so many percent of the hosts may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    pub percent: u8,
    pub after_seconds: u64,
}

impl ReleasePlan {
    /// Puts `release` into the plan of a ref, in place of one of the same version, and makes it the newest of `channel`.
    pub fn release(&mut self, reference: &str, channel: &str, release: Release) {
        let plan = self.refs.entry(reference.to_owned()).or_default();
        plan.channels.insert(channel.to_owned(), release.version.clone());
        match plan.releases.iter_mut().find(|known| known.version == release.version) {
            Some(known) => *known = release,
            None => plan.releases.push(release),
        }
    }

    /// The channel's newest release.
    pub fn newest(&self, reference: &str, channel: &str) -> Option<&Release> {
        let plan = self.refs.get(reference)?;
        let version = plan.channels.get(channel)?;
        plan.releases.iter().find(|release| release.version == *version)
    }

    /// The bytes of `release.json`.
    pub fn sign(&self, keys: &[SigningKey]) -> Result<Vec<u8>> {
        let payload = serde_json::to_vec(self).map_err(|e| Error::internal("encode the release plan").source(e))?;
        let bytes = SignedJson::sign(payload, keys).encode()?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::recipe(format!("the release plan has {} bytes, and hosts read {LARGEST} at most", bytes.len())));
        }
        Ok(bytes)
    }
}

/// The store's plan, or an empty one. With `keys` one of them must have signed it.
pub fn read_plan(store: &Store, keys: &[PublicKey]) -> Result<ReleasePlan> {
    let path = store.path().join(RELEASE_PLAN);
    if let Entry::Absent = Entry::open(&path)? {
        return Ok(ReleasePlan { schema: 1, serial: 0, refs: BTreeMap::new() });
    }
    let broken = || Error::integrity(format!("{} is no release plan", path.display()));
    let bytes = Entry::read(&path, LARGEST)?.ok_or_else(broken)?;
    let signed = SignedJson::decode(&bytes).map_err(|e| e.context(path.display()))?;
    if !keys.is_empty() && !signed.is_signed_by(keys) {
        return Err(Error::integrity(format!("{}: none of the keys has signed it", path.display())));
    }
    serde_json::from_slice(signed.payload()).map_err(|e| broken().source(e))
}

/// Writes the plan with the next serial number, signed by `keys`.
pub fn write_plan(store: &Store, mut plan: ReleasePlan, keys: &[SigningKey]) -> Result<ReleasePlan> {
    plan.serial = plan.serial.checked_add(1).ok_or_else(|| Error::recipe("the release plan's serial number cannot grow any more"))?;
    let bytes = plan.sign(keys)?;
    AtomicFile::write(&store.path().join(RELEASE_PLAN), &bytes)?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Digest, Kind};

    #[test]
    fn a_plan_comes_back_with_a_larger_serial_and_is_refused_when_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let (key, stranger) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let release = |version: &str, paused| Release {
            version: version.into(),
            commit: CommitId::new(Digest::of(version.as_bytes())),
            published: 1_700_000_000,
            waves: vec![Wave { percent: 10, after_seconds: 0 }, Wave { percent: 100, after_seconds: 21_600 }],
            paused,
            barrier: false,
        };
        let mut plan = read_plan(&store, &[key.public()]).unwrap();
        plan.release("a/b", "stable", release("1.0", false));
        let written = write_plan(&store, plan, std::slice::from_ref(&key)).unwrap();
        let mut plan = read_plan(&store, &[stranger.public(), key.public()]).unwrap();
        assert_eq!((plan.serial, &plan), (1, &written));
        plan.release("a/b", "stable", release("1.1", false));
        plan.release("a/b", "stable", release("1.0", true));
        let plan = write_plan(&store, plan, std::slice::from_ref(&key)).unwrap();
        let versions: Vec<(&str, bool)> = plan.refs["a/b"].releases.iter().map(|r| (r.version.as_str(), r.paused)).collect();
        assert_eq!((plan.serial, versions), (2, vec![("1.0", true), ("1.1", false)]));

        assert_eq!(read_plan(&store, &[stranger.public()]).unwrap_err().kind(), Kind::Integrity);
        let path = folder.path().join(RELEASE_PLAN);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.replacen("\"payload\": \"ey", "\"payload\": \"eX", 1);
        assert_ne!(text, changed);
        std::fs::write(&path, changed).unwrap();
        assert_eq!(read_plan(&store, &[key.public()]).unwrap_err().kind(), Kind::Integrity);
    }
}
