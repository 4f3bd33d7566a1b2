//! Short (8.3) and long (UTF-16) names: §6.1 and §7 of the specification.

use model::{Error, Result, ResultJudged};
use std::collections::BTreeSet;

/// UTF-16 units that a long name may have.
pub(super) const LONG_MAX: usize = 255;

/// An 8.3 name, padded with spaces, without the dot.
pub(super) type ShortName = [u8; 11];

fn is_short_byte(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&b)
}

/// The name as UTF-16, refused if no FAT volume can hold it.
pub(super) fn long_name(name: &[u8]) -> Result<Vec<u16>> {
    let bad = |why: &str| Error::integrity(format!("the name {:?} cannot be on a FAT volume: {why}", String::from_utf8_lossy(name)));
    let text = std::str::from_utf8(name).map_err(|_| bad("it is not UTF-8"))?;
    if let Some(c) = text.chars().find(|c| c.is_control() || "\"*/:<>?\\|".contains(*c)) {
        return Err(bad(&format!("it contains {c:?}")));
    }
    if text.is_empty() || text.ends_with(['.', ' ']) || text.starts_with(' ') {
        return Err(bad("it begins with a space, or ends with a space or a dot"));
    }
    let units: Vec<u16> = text.encode_utf16().collect();
    if units.len() > LONG_MAX { Err(bad("it has more than 255 UTF-16 units")) } else { Ok(units) }
}

/// The volume label as a directory entry and the boot sector hold it.
pub(super) fn volume_label(label: &str) -> Result<ShortName> {
    let mut out = [b' '; 11];
    let upper = label.to_ascii_uppercase();
    if upper.is_empty() || upper.len() > 11 || upper.starts_with(' ') || !upper.bytes().all(|b| b == b' ' || is_short_byte(b)) {
        return Err(Error::recipe(format!("expected a volume label of 1 to 11 letters, digits and $%'-_@~`!(){{}}^#&, found {label:?}")));
    }
    out[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok(out)
}

/// The short name that says all of `name` but its case; `None` if there is no such.
fn exact(name: &str) -> Option<ShortName> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&stem.len()) && extension.len() <= 3 && !(extension.is_empty() && name.contains('.'));
    let upper = name.to_ascii_uppercase();
    let (stem, extension) = (upper.get(..stem.len())?, upper.get(upper.len() - extension.len()..)?);
    (fits && stem.bytes().chain(extension.bytes()).all(is_short_byte)).then(|| padded(stem.as_bytes(), extension.as_bytes()))
}

fn padded(stem: &[u8], extension: &[u8]) -> ShortName {
    let mut out = [b' '; 11];
    out[..stem.len()].copy_from_slice(stem);
    out[8..8 + extension.len()].copy_from_slice(extension);
    out
}

/// A short name for each name of one directory, in order, and whether a long name must stand before it. Depends on the set of names alone.
pub(super) fn short_names(names: &[&str]) -> Result<Vec<(ShortName, bool)>> {
    let mut folded = BTreeSet::new();
    if let Some(twice) = names.iter().find(|n| !folded.insert(n.to_lowercase())) {
        return Err(Error::integrity(format!("two names differ from {twice:?} by case only, which FAT cannot hold")));
    }
    // Names that are their own short names come first, so that no invented one takes theirs.
    let mut taken: BTreeSet<ShortName> = names.iter().filter_map(|n| exact(n)).collect();
    names
        .iter()
        .map(|name| {
            if let Some(short) = exact(name) {
                return Ok((short, short_text(&short) != *name));
            }
            let short = numbered(name, &taken)?;
            taken.insert(short);
            Ok((short, true))
        })
        .collect()
}

/// §7.4's basis name with the first free numeric tail.
fn numbered(name: &str, taken: &BTreeSet<ShortName>) -> Result<ShortName> {
    let clean = |text: &str| -> Vec<u8> {
        let kept = text.chars().filter(|c| !matches!(c, ' ' | '.'));
        kept.map(|c| {
            u8::try_from(c.to_ascii_uppercase())
                .none_because("a character beyond one byte has no place in a short name")
                .filter(|&b| is_short_byte(b))
                .unwrap_or(b'_')
        })
        .collect()
    };
    let (stem, extension) = name.trim_start_matches('.').rsplit_once('.').unwrap_or((name, ""));
    let (stem, mut extension) = (clean(stem), clean(extension));
    extension.truncate(3);
    for n in 1..1_000_000 {
        let tail = format!("~{n}");
        let mut short = stem.clone();
        short.truncate(8 - tail.len());
        short.extend_from_slice(tail.as_bytes());
        let short = padded(&short, &extension);
        if !taken.contains(&short) {
            return Ok(short);
        }
    }
    Err(Error::integrity(format!("no short name left for {name:?}")))
}

/// As it is written: `NAME.EXT`.
pub(super) fn short_text(short: &ShortName) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(' ').to_owned();
    let (stem, extension) = (part(&short[..8]), part(&short[8..]));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

/// §7.2: binds long entries to their short one.
pub(super) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0u8, |sum, &b| sum.rotate_right(1).wrapping_add(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_follow_from_the_set_of_names() {
        let names = ["BOOTX64.EFI", "LONGFI~1.TXT", "grub.cfg", "longfilename.txt", "longfilenames.txt", ".hidden", "a.b.c", "ü.txt"];
        let shorts: Vec<String> =
            short_names(&names).unwrap().iter().map(|(s, long)| format!("{}{}", short_text(s), if *long { " long" } else { "" })).collect();
        let expected = [
            "BOOTX64.EFI",
            "LONGFI~1.TXT",
            "GRUB.CFG long",
            "LONGFI~2.TXT long",
            "LONGFI~3.TXT long",
            "HIDDEN~1 long",
            "AB~1.C long",
            "_~1.TXT long",
        ];
        assert_eq!(shorts, expected);
        assert!(short_names(&["A", "a"]).is_err());
        for bad in [&b"a:b"[..], b"x.", b"\xff", b"", &[b'x'; 256]] {
            assert!(long_name(bad).is_err());
        }
        assert!(volume_label("EFI-SYSTEM").is_ok());
        assert!(volume_label("a.b").is_err());
    }
}
