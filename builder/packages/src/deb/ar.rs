//! The `ar` archive that a .deb is (deb(5), ar(5)): a magic line, then members of a 60-byte header and data, padded to even length.

use model::{Error, Result};
use std::mem::offset_of;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// What stands before a member's data: text, padded with blanks (ar.h `struct ar_hdr`).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    ar_name: [u8; 16],
    ar_date: [u8; 12],
    ar_uid: [u8; 6],
    ar_gid: [u8; 6],
    ar_mode: [u8; 8],
    /// Decimal, in bytes.
    ar_size: [u8; 10],
    ar_fmag: [u8; 2],
}
const _: () = assert!(size_of::<Header>() == 60);

const MAGIC: &[u8] = b"!<arch>\n";

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
        let (header, rest) = Header::ref_from_prefix(&bytes[at..]).map_err(|_| bad(at, "cut in a member's header"))?;
        if header.ar_fmag != *b"`\n" {
            return Err(bad(at + offset_of!(Header, ar_fmag), "expected the end of a member's header"));
        }
        let text = |field| std::str::from_utf8(field).map(str::trim_end).map_err(|_| bad(at, "a header that is not text"));
        let name = text(&header.ar_name)?;
        let size: usize = text(&header.ar_size)?.parse().map_err(|_| bad(at + offset_of!(Header, ar_size), "a size that is no number"))?;
        let data = rest.get(..size).ok_or_else(|| bad(at, "cut in a member's data"))?;
        members.push(Member { name: name.strip_suffix('/').unwrap_or(name), data });
        at = at + size_of::<Header>() + size + size % 2;
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
