//! Where a line's path is in the tree: parents are followed through symlinks, the last name is not, and patterns name what is there.

use conf::tmpfiles::Line;
use model::tree::{FileTree, NodeKind};
use model::{ImagePath, ResultJudged, glob_matches};

/// Alternatives of one pattern's braces; a pattern with more is left to the host.
const MAX_ALTERNATIVES: usize = 256;

/// The paths that the line is for, those of `prefixes` only. Without a pattern it is one, there or not.
pub(super) fn paths(tree: &FileTree, line: &Line, prefixes: &[ImagePath]) -> Vec<ImagePath> {
    let is_below = |path: &ImagePath| prefixes.iter().any(|prefix| path.starts_with(prefix));
    let found = if line.takes_glob() {
        braces(&line.path).iter().flat_map(|pattern| matches(tree, pattern)).collect()
    } else {
        Vec::from_iter(
            ImagePath::parse(&line.path).none_because("a path that is not absolute names nothing").and_then(|path| real(tree, &path)),
        )
    };
    found.into_iter().filter(is_below).collect()
}

/// The path with its parents resolved as far as they are there. `None` if one of them is no directory, or a link to nothing.
fn real(tree: &FileTree, path: &ImagePath) -> Option<ImagePath> {
    let name = path.name()?;
    let mut parent = path.parent()?;
    let mut missing = vec![name.to_vec()];
    let mut at = loop {
        match tree.resolve(&parent) {
            Some((at, id)) if tree.inode(id).is_directory() => break at,
            Some(_) => return None,
            None if tree.get(&parent).is_some() => return None,
            None => {
                missing.push(parent.name()?.to_vec());
                parent = parent.parent()?;
            }
        }
    };
    while let Some(name) = missing.pop() {
        at = at.child(&name)?;
    }
    Some(at)
}

/// The patterns that `{a,b}` stands for, as GLOB_BRACE of glob(3); braces may be nested. Too many: none.
fn braces(pattern: &[u8]) -> Vec<Vec<u8>> {
    let (mut pending, mut done) = (vec![pattern.to_vec()], Vec::new());
    while let Some(text) = pending.pop() {
        let Some((open, close, commas)) = first_brace(&text) else {
            done.push(text);
            continue;
        };
        let mut from = open + 1;
        let first = pending.len();
        for end in commas.into_iter().chain([close]) {
            pending.push([&text[..open], &text[from..end], &text[close + 1..]].concat());
            from = end + 1;
        }
        pending[first..].reverse();
        if pending.len() + done.len() > MAX_ALTERNATIVES {
            return Vec::new();
        }
    }
    done
}

/// The first brace that is closed: where it opens and closes, and its own commas. `{}` stands for itself.
fn first_brace(text: &[u8]) -> Option<(usize, usize, Vec<usize>)> {
    let mut from = 0;
    while let Some(open) = text[from..].iter().position(|&b| b == b'{').map(|at| from + at) {
        from = open + 1;
        let (mut depth, mut commas) = (0, Vec::new());
        for (at, byte) in text.iter().enumerate().skip(open) {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 1 && at > open + 1 => return Some((open, at, commas)),
                b'}' => depth -= 1,
                b',' if depth == 1 => commas.push(at),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    None
}

/// What is in the tree by this pattern, as glob(3): `*` and `?` match no leading dot and no slash.
fn matches(tree: &FileTree, pattern: &[u8]) -> Vec<ImagePath> {
    let names: Vec<&[u8]> = pattern.split(|&b| b == b'/').filter(|name| !name.is_empty()).collect();
    let mut found = vec![ImagePath::root()];
    for (depth, name) in names.iter().enumerate() {
        let is_last = depth + 1 == names.len();
        let is_pattern = name.iter().any(|b| b"*?[".contains(b));
        let mut next = Vec::new();
        for folder in &found {
            let Some((real, id)) = tree.resolve(folder) else { continue };
            let hits = tree.children(id).filter(|(child, _)| match is_pattern {
                true => (child[0] != b'.' || name[0] == b'.') && glob_matches(name, child),
                false => child == name,
            });
            // A file in the middle has no children, and ends there.
            let below = hits.filter(|(_, id)| is_last || !matches!(tree.inode(*id).kind, NodeKind::File(_)));
            next.extend(below.filter_map(|(child, _)| real.child(child)));
        }
        found = next;
    }
    found
}
