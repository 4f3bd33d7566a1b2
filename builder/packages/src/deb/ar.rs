//! The `ar` archive that a .deb is (deb(5), ar(5)): a magic line, then members of a 60-byte header and data, padded to even length.
//!
//! ```text
//! 0 name 16 · 16 mtime 12 · 28 uid 6 · 34 gid 6 · 40 mode 8 · 48 size 10 (decimal) · 58 "`\n"
//! ```

use model::{Error, Result};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// One member: its name without padding (and GNU ar's final `/`), and its bytes.
pub struct Member<'a> {
    pub name: &'a str,
    pub data: &'a [u8],
}

/// All members in order; nothing is copied.
pub fn members(bytes: &[u8]) -> Result<Vec<Member<'_>>> {
    let bad = |offset: usize, why: &str| Error::integrity(format!("ar archive at offset {offset}: {why}"));
    if !bytes.starts_with(MAGIC) {
        return Err(bad(0, "expected `!<arch>`"));
    }
    let mut members = Vec::new();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let header = bytes.get(at..at + HEADER).ok_or_else(|| bad(at, "cut in a member's header"))?;
        if header[58..] != *b"`\n" {
            return Err(bad(at + 58, "expected the end of a member's header"));
        }
        let text = |range: std::ops::Range<usize>| {
            std::str::from_utf8(&header[range]).map(str::trim_end).map_err(|_| bad(at, "a header that is not text"))
        };
        let name = text(0..16)?;
        let size: usize = text(48..58)?.parse().map_err(|_| bad(at + 48, "a size that is no number"))?;
        let data = bytes.get(at + HEADER..).and_then(|rest| rest.get(..size)).ok_or_else(|| bad(at, "cut in a member's data"))?;
        members.push(Member { name: name.strip_suffix('/').unwrap_or(name), data });
        at = at + HEADER + size + size % 2;
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_a_cut_archive_is_refused() {
        let mut archive = b"!<arch>\n".to_vec();
        for (name, data) in [("debian-binary", "2.0\n"), ("odd", "abc")] {
            archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{data}", 0, 0, 0, 100644, data.len()).bytes());
            if data.len() % 2 == 1 {
                archive.push(b'\n');
            }
        }
        let found = members(&archive).unwrap();
        assert_eq!(found.iter().map(|m| (m.name, m.data)).collect::<Vec<_>>(), [("debian-binary", &b"2.0\n"[..]), ("odd", b"abc")]);
        // A final padding byte may be missing; anything less is a cut.
        for cut in (9..archive.len() - 1).filter(|cut| *cut != 72) {
            assert!(members(&archive[..cut]).is_err(), "{cut}");
        }
        assert!(members(b"not an archive").is_err());
    }
}
