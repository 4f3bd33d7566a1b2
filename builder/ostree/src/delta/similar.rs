//! Which file of the old tree a new file probably came of: the one of the same path; else of the same path but for its numbers, as in libraries and
//! kernel modules of another version; else of the same name, or of the same name but for its numbers, elsewhere. Of several the one of the closest size.

use super::Reachable;
use crate::Store;
use crate::format::ArchiveHeader;
use model::{Digest, ImagePath, Result};
use std::collections::BTreeMap;

/// A file this many times larger or smaller has hardly anything in common.
const SIZE_RATIO_MAX: u64 = 4;
/// Others may read it. A host may apply a delta as a user who can read nothing else of an older repository (libostree skips the same files).
const READABLE_BY_OTHERS: u32 = 0o004;

/// A file that a patch can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldFile {
    pub digest: Digest,
    pub size: u64,
}

pub struct OldFiles<'a> {
    store: &'a Store,
    files: &'a BTreeMap<ImagePath, Digest>,
    by_numberless_path: BTreeMap<Vec<u8>, Vec<Digest>>,
    by_name: BTreeMap<&'a [u8], Vec<Digest>>,
    by_numberless_name: BTreeMap<Vec<u8>, Vec<Digest>>,
    /// Read when they are first asked for.
    headers: BTreeMap<Digest, ArchiveHeader>,
    largest: u64,
}

impl<'a> OldFiles<'a> {
    /// Files of more than `largest` bytes are nothing to start from.
    pub fn of(store: &'a Store, old: &'a Reachable, largest: u64) -> OldFiles<'a> {
        let empty = BTreeMap::new;
        let mut out = OldFiles {
            store,
            files: &old.files,
            by_numberless_path: empty(),
            by_name: BTreeMap::new(),
            by_numberless_name: empty(),
            headers: BTreeMap::new(),
            largest,
        };
        for (path, &digest) in &old.files {
            let name = name_of(path);
            out.by_numberless_path.entry(numberless(path.as_bytes())).or_default().push(digest);
            out.by_name.entry(name).or_default().push(digest);
            out.by_numberless_name.entry(numberless(name)).or_default().push(digest);
        }
        out
    }

    /// Returns `None` for a new file that resembles no old one.
    pub fn similar(&mut self, path: &ImagePath, size: u64) -> Result<Option<OldFile>> {
        let name = name_of(path);
        let same: Vec<Digest> = self.files.get(path).copied().into_iter().collect();
        let keys = [
            same,
            self.by_numberless_path.get(&numberless(path.as_bytes())).cloned().unwrap_or_else(Vec::new),
            self.by_name.get(name).cloned().unwrap_or_else(Vec::new),
            self.by_numberless_name.get(&numberless(name)).cloned().unwrap_or_else(Vec::new),
        ];
        for candidates in keys {
            let mut best: Option<OldFile> = None;
            for digest in candidates {
                if let Some(old) = self.usable(digest, size)?
                    && best.is_none_or(|best| old.size.abs_diff(size) < best.size.abs_diff(size))
                {
                    best = Some(old);
                }
            }
            if best.is_some() {
                return Ok(best);
            }
        }
        Ok(None)
    }

    fn usable(&mut self, digest: Digest, size: u64) -> Result<Option<OldFile>> {
        if !self.headers.contains_key(&digest) {
            self.headers.insert(digest, self.store.content_header(digest)?);
        }
        let Some(header) = self.headers.get(&digest) else { return Ok(None) };
        let is_near = |a: u64, b: u64| a <= b.saturating_mul(SIZE_RATIO_MAX);
        let fits = (1..=self.largest).contains(&header.size) && is_near(header.size, size) && is_near(size, header.size);
        let is_usable = fits && !header.file.is_symlink() && header.file.mode & READABLE_BY_OTHERS != 0;
        Ok(is_usable.then_some(OldFile { digest, size: header.size }))
    }
}

fn name_of(path: &ImagePath) -> &[u8] {
    path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or(&[])
}

/// The text with one `0` for each run of digits.
fn numberless(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        let byte = if byte.is_ascii_digit() { b'0' } else { byte };
        if byte != b'0' || out.last() != Some(&b'0') {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_another_version_is_the_same_but_for_its_numbers() {
        let same = |a: &str, b: &str| numberless(a.as_bytes()) == numberless(b.as_bytes());
        assert!(same("/usr/lib/modules/6.12.9-1/kernel/fs/ext4.ko", "/usr/lib/modules/6.12.10-11/kernel/fs/ext4.ko"));
        assert!(same("/usr/lib64/libz.so.1.3.1", "/usr/lib64/libz.so.1.20.0"));
        assert!(!same("/usr/lib64/libz.so.1.3", "/usr/lib64/libz.so.1.3.1"));
        assert!(!same("/usr/bin/a", "/usr/bin/b"));
    }
}
