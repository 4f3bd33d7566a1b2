//! The merge of `/bin`, `/sbin` and the `/lib` directories into `/usr` (file-hierarchy(7)): `/bin/sh` and `/usr/bin/sh` are one file, whichever of
//! the two a package names.

use std::borrow::Cow;

/// Directories of the root that are symlinks into `/usr` on a merged system.
const MERGED: [&[u8]; 5] = [b"/bin/", b"/sbin/", b"/lib/", b"/lib32/", b"/lib64/"];

/// Returns the path of the file below `/usr`; a path that the merge does not move stays as it is.
pub fn usr_merged(path: &[u8]) -> Cow<'_, [u8]> {
    if is_moved(path) { Cow::Owned([b"/usr", path].concat()) } else { Cow::Borrowed(path) }
}

/// Returns the path that a file had before the merge; `None` if it is at no place that the merge fills.
pub fn before_usr_merge(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(b"/usr").filter(|rest| is_moved(rest))
}

fn is_moved(path: &[u8]) -> bool {
    MERGED.iter().any(|directory| path.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_moved_below_usr_and_back() {
        for (before, after) in [
            ("/bin/sh", Some("/usr/bin/sh")),
            ("/sbin/init", Some("/usr/sbin/init")),
            ("/lib/modules/1/x", Some("/usr/lib/modules/1/x")),
            ("/lib32/x", Some("/usr/lib32/x")),
            ("/lib64/ld.so", Some("/usr/lib64/ld.so")),
            // The directories themselves are symlinks.
            ("/bin", None),
            ("/library/x", None),
            ("/etc/passwd", None),
            ("/", None),
            ("", None),
        ] {
            let merged = after.unwrap_or(before);
            assert_eq!(usr_merged(before.as_bytes()), merged.as_bytes(), "{before}");
            assert_eq!(usr_merged(merged.as_bytes()), merged.as_bytes(), "a merged path stays: {merged}");
            assert_eq!(before_usr_merge(merged.as_bytes()), after.map(|_| before.as_bytes()), "{merged}");
        }
    }
}
