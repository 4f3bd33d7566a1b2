//! What of the packages' files a recipe leaves out: translations, manuals, programs that nobody runs there.

use model::tree::FileTree;
use model::{ImagePath, glob_matches};
use recipe::Trim;

/// Removes what a pattern of `paths` matches and none of `keep` does, with everything below it; a folder stays if something in it does. Returns the paths, sorted.
pub(crate) fn apply(tree: &mut FileTree, trim: &Trim) -> Vec<ImagePath> {
    let matches = |patterns: &[String], path: &str| patterns.iter().any(|pattern| glob_matches(pattern, path));
    let is_named = |path: &str| {
        let ancestors = path.match_indices('/').skip(1).filter_map(|(end, _)| path.get(..end));
        ancestors.chain([path]).any(|path| matches(&trim.paths, path))
    };
    let mut removed = Vec::new();
    // From the leaves up, so that a folder is judged after what was in it.
    for entry in tree.walk().into_iter().rev() {
        let path = entry.path.to_string();
        let is_full = tree.inode(entry.id).is_directory() && tree.children(entry.id).len() > 0;
        if !is_full && is_named(&path) && !matches(&trim.keep, &path) && tree.remove(&entry.path).is_some() {
            removed.push(entry.path);
        }
    }
    removed.sort();
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::tree::{Attributes, Edit, Inode};

    #[test]
    fn what_is_named_goes_with_all_below_it_and_what_is_kept_keeps_its_folders() {
        let mut tree = FileTree::new();
        for path in [
            "/usr/bin/a",
            "/usr/bin/b",
            "/usr/share/doc/a/README",
            "/usr/share/doc/a/copyright",
            "/usr/share/doc/b/NEWS",
            "/usr/share/man/man1/a.1",
        ] {
            let path = ImagePath::parse(path).unwrap();
            tree.ensure_directory(&path.parent().unwrap(), Attributes::root(0o755)).unwrap();
            tree.insert(&path, Inode::file("x".as_bytes(), Attributes::root(0o644)), Edit::Create).unwrap();
        }
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let trim =
            Trim { paths: texts(&["/usr/share/doc/*", "/usr/share/man", "/usr/bin/[b-z]"]), keep: texts(&["/usr/share/doc/*/copyright"]) };
        let removed: Vec<String> = apply(&mut tree, &trim).iter().map(ToString::to_string).collect();
        let expected = [
            "/usr/bin/b",
            "/usr/share/doc/a/README",
            "/usr/share/doc/b",
            "/usr/share/doc/b/NEWS",
            "/usr/share/man",
            "/usr/share/man/man1",
            "/usr/share/man/man1/a.1",
        ];
        assert_eq!(removed, expected);
        let left: Vec<String> =
            tree.walk().iter().map(|entry| entry.path.to_string()).filter(|path| path.matches('/').count() > 2).collect();
        assert_eq!(left, ["/usr/bin/a", "/usr/share/doc", "/usr/share/doc/a", "/usr/share/doc/a/copyright"]);
        assert!(apply(&mut tree, &Trim::default()).is_empty());
    }
}
