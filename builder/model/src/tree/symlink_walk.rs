//! The walk from a path to a file that follows symlinks as path_resolution(7) says, for a process whose root is the root of the walk.
//!
//! Absolute targets begin at that root, and `..` stops there. The walk knows no directory itself: a function looks names up, so the same rule and the
//! same limit serve trees in memory and filesystems that are read.

use crate::{Error, ImagePath, Result};

/// Symlinks followed on the way to one file at most, as in the kernel (MAXSYMLINKS, include/linux/namei.h).
pub const SYMLINKS_MAX: u32 = 40;

/// What becomes of a symlink in the last place of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSymlink {
    /// It is followed, as by stat(2).
    Follow,
    /// The path leads to the symlink itself, as by lstat(2).
    Keep,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<N> {
    /// A symlink, and its target as written.
    Symlink(N, Box<[u8]>),
    /// Anything else. Whether a name may be absent is decided by the function that looks it up.
    Other(N),
}

/// The error of a path with more symlinks than [`SYMLINKS_MAX`], most often a loop, where it is one for the user (ELOOP).
pub fn too_many_symlinks(path: &ImagePath) -> Error {
    Error::integrity(format!("{path}: more than {SYMLINKS_MAX} links on the way to it"))
        .hint("the symlinks may form a loop: correct one of them")
}

/// Where a walk ended: the names below the root, each with what the function that looked it up made of it.
#[derive(Debug, Clone)]
pub struct RealPath<N> {
    names: Vec<(Box<[u8]>, N)>,
}

impl<N> RealPath<N> {
    /// Returns the path, which is free of symlinks but for a last one that was kept; an error if it is longer than a path may be.
    pub fn path(&self) -> Result<ImagePath> {
        ImagePath::parse(self.names.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(&b'/'))
    }

    /// Returns what the last name stands for; `None` for the root.
    pub fn into_last(mut self) -> Option<N> {
        self.names.pop().map(|(_, found)| found)
    }
}

/// Walks from the root along `path`, which need not be normalised.
///
/// `look_up` is given what the directory stands for (`None` for the root) and one name in it, which is never empty, `.` or
/// `..`. `too_many` makes the error of a path with more than [`SYMLINKS_MAX`] symlinks.
pub fn follow_symlinks<N, E>(
    path: &[u8],
    last: LastSymlink,
    mut look_up: impl FnMut(Option<&N>, &[u8]) -> Result<Found<N>, E>,
    too_many: impl FnOnce() -> E,
) -> Result<RealPath<N>, E> {
    let reversed = |path: &[u8]| path.split(|&byte| byte == b'/').rev().map(Box::from).collect::<Vec<Box<[u8]>>>();
    let mut pending = reversed(path);
    let mut names: Vec<(Box<[u8]>, N)> = Vec::new();
    let mut followed = 0;
    while let Some(name) = pending.pop() {
        match &*name {
            b"" | b"." => continue,
            b".." => {
                names.pop();
                continue;
            }
            _ => {}
        }
        match look_up(names.last().map(|(_, found)| found), &name)? {
            Found::Symlink(_, target) if last == LastSymlink::Follow || pending.iter().any(|rest| !rest.is_empty()) => {
                followed += 1;
                if followed > SYMLINKS_MAX {
                    return Err(too_many());
                }
                if target.first() == Some(&b'/') {
                    names.clear();
                }
                pending.extend(reversed(&target));
            }
            Found::Symlink(found, _) | Found::Other(found) => names.push((name, found)),
        }
    }
    Ok(RealPath { names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Attributes, Edit, FileTree, Inode};

    /// A tree with `/usr/lib/x`, a chain of `chain` symlinks `/1` → `2` → … → `/usr`, and the symlinks of `links`.
    fn tree(chain: u32, links: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        let mut insert = |path: &str, inode: Inode| {
            tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
        };
        insert("/usr", Inode::directory(Attributes::root(0o755)));
        insert("/usr/lib", Inode::directory(Attributes::root(0o755)));
        insert("/usr/lib/x", Inode::file(b"x".to_vec(), Attributes::root(0o644)));
        for number in 1..=chain {
            let target = if number == chain { "usr".to_owned() } else { (number + 1).to_string() };
            insert(&format!("/{number}"), Inode::symlink(target));
        }
        for (path, target) in links {
            insert(path, Inode::symlink(target));
        }
        tree
    }

    fn check(tree: &FileTree, path: &str, last: LastSymlink, expected: Option<&str>) {
        let found = tree.resolve_with(path.as_bytes(), last).map(|(path, _)| path.to_string());
        assert_eq!(found.as_deref(), expected, "{path:?}, {last:?}");
    }

    #[test]
    fn symlinks_lead_where_a_process_in_the_root_would_come() {
        use LastSymlink::{Follow, Keep};
        let links = [
            ("/absolute", "/usr/lib"),
            ("/relative", "usr/./lib//"),
            ("/usr/up", "../usr/lib"),
            ("/usr/out", "../../../../usr"),
            ("/usr/lib/root", "/"),
            ("/twice", "absolute/x"),
            ("/dangling", "nothing"),
            ("/self", "self"),
            ("/a", "b/x"),
            ("/b", "/a"),
            ("/empty", ""),
        ];
        let tree = tree(0, &links);
        for (path, last, expected) in [
            ("/", Follow, Some("/")),
            ("", Keep, Some("/")),
            ("usr/./lib//x", Follow, Some("/usr/lib/x")),
            ("/absolute/x", Follow, Some("/usr/lib/x")),
            ("/relative/x", Keep, Some("/usr/lib/x")),
            ("/usr/up/x", Follow, Some("/usr/lib/x")),
            ("/usr/out/lib", Follow, Some("/usr/lib")),
            ("/../../usr/../usr/lib", Follow, Some("/usr/lib")),
            // `..` is taken from where the symlink leads, not from its name.
            ("/absolute/../lib", Follow, Some("/usr/lib")),
            ("/usr/lib/root", Follow, Some("/")),
            ("/usr/lib/root/usr", Keep, Some("/usr")),
            ("/twice", Follow, Some("/usr/lib/x")),
            ("/twice", Keep, Some("/twice")),
            ("/absolute", Keep, Some("/absolute")),
            ("/absolute/", Keep, Some("/absolute")),
            ("/absolute/.", Keep, Some("/usr/lib")),
            ("/dangling", Follow, None),
            ("/dangling", Keep, Some("/dangling")),
            ("/dangling/x", Keep, None),
            ("/self", Follow, None),
            ("/self", Keep, Some("/self")),
            ("/self/x", Keep, None),
            ("/a", Follow, None),
            ("/b", Keep, Some("/b")),
            ("/empty", Follow, Some("/")),
            ("/nothing", Follow, None),
            ("/usr/lib/x/y", Follow, None),
        ] {
            check(&tree, path, last, expected);
        }
    }

    #[test]
    fn forty_symlinks_are_followed_and_no_more() {
        use LastSymlink::{Follow, Keep};
        for (chain, path, last, expected) in [
            (40, "/1", Follow, Some("/usr")),
            (40, "/1/lib/x", Keep, Some("/usr/lib/x")),
            (41, "/1", Follow, None),
            (41, "/1/lib/x", Keep, None),
            (41, "/1", Keep, Some("/1")),
            (41, "/2/lib", Follow, Some("/usr/lib")),
            // The limit is one for the whole path, not for each name.
            (20, "/1/../1/lib", Follow, Some("/usr/lib")),
            (20, "/1/../1/../20/lib", Follow, None),
        ] {
            check(&tree(chain, &[]), path, last, expected);
        }
    }
}
