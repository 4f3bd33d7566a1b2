//! update-alternatives without its database: the highest priority wins, ties go to the first path.

use model::tree::{Edit, FileTree, Inode, NodeKind};
use model::{Error, ImagePath, Result, ResultJudged};
use std::collections::BTreeMap;

/// A link that follows its master, such as a manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slave {
    pub link: String,
    pub name: String,
    pub path: String,
}

/// One `--install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    pub link: String,
    pub name: String,
    pub path: String,
    pub priority: i32,
    pub slaves: Vec<Slave>,
}

impl Alternative {
    /// The arguments of update-alternatives; `None` for anything but one clean `--install`.
    pub fn parse(arguments: &[&str]) -> Option<Alternative> {
        let mut rest = arguments;
        while let [option, after @ ..] = rest
            && matches!(*option, "--quiet" | "--force" | "--skip-auto")
        {
            rest = after;
        }
        let ["--install", link, name, path, priority, slaves @ ..] = rest else { return None };
        let absolute = |path: &str| path.starts_with('/') && !path.contains(['$', '`', '*']);
        let plain = |name: &str| !name.is_empty() && !name.contains(['/', '$', '`']);
        let slaves = slaves
            .chunks(4)
            .map(|chunk| match chunk {
                ["--slave", link, name, path] if absolute(link) && plain(name) && absolute(path) => {
                    Some(Slave { link: (*link).into(), name: (*name).into(), path: (*path).into() })
                }
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        (absolute(link) && plain(name) && absolute(path)).then_some(())?;
        Some(Alternative {
            link: (*link).into(),
            name: (*name).into(),
            path: (*path).into(),
            priority: priority.parse().none_because("a line of another form is no alternative")?,
            slaves,
        })
    }
}

/// Writes /etc/alternatives/NAME and the links to it. A candidate or slave whose path is not in the tree is passed over, as
/// update-alternatives does with slaves. Returns the paths written, sorted.
pub fn install(tree: &mut FileTree, alternatives: &[Alternative]) -> Result<Vec<ImagePath>> {
    let mut groups: BTreeMap<&str, Vec<&Alternative>> = BTreeMap::new();
    for alternative in alternatives {
        groups.entry(&alternative.name).or_default().push(alternative);
    }
    let mut written = Vec::new();
    for candidates in groups.values_mut() {
        candidates.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.path.cmp(&b.path)));
        let present = |path: &str| ImagePath::parse(path).is_ok_and(|path| tree.resolve(&path).is_some());
        let Some(best) = candidates.iter().find(|a| present(&a.path)) else { continue };
        let slaves: Vec<&Slave> = best.slaves.iter().filter(|slave| present(&slave.path)).collect();
        select(tree, &best.link, &best.name, &best.path, &mut written)?;
        for slave in slaves {
            select(tree, &slave.link, &slave.name, &slave.path, &mut written)?;
        }
    }
    written.sort();
    written.dedup();
    Ok(written)
}

fn select(tree: &mut FileTree, link: &str, name: &str, path: &str, written: &mut Vec<ImagePath>) -> Result<()> {
    let link = ImagePath::parse(link)?;
    let (Some(parent), Some(file)) = (link.parent(), link.name()) else {
        return Err(Error::integrity(format!("alternative {name} has no link")));
    };
    // /bin/nc is placed in /usr/bin, where /bin points to.
    let link = tree.resolve(&parent).map_or(parent, |(real, _)| real).join(file)?;
    if link.as_bytes() == path.as_bytes() {
        return Err(Error::integrity(format!("alternative {name} links {link} to itself")));
    }
    let middle = ImagePath::parse("/etc/alternatives")?.join(name)?;
    for (at, target) in [(&link, middle.to_string()), (&middle, path.to_owned())] {
        if let Some(id) = tree.get(at)
            && !matches!(tree.inode(id).kind, NodeKind::Symlink(_))
        {
            return Err(Error::integrity(format!("alternative {name} would replace the {} {at}", tree.inode(id).kind.name()))
                .hint("a package ships the link itself: exclude one of the two"));
        }
        tree.insert(at, Inode::symlink(target), Edit::Replace)?;
        written.push(at.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::tree::Attributes;

    fn file(tree: &mut FileTree, path: &str) {
        tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(vec![], Attributes::root(0o755)), Edit::Create).unwrap();
    }

    fn alternative(text: &str) -> Alternative {
        Alternative::parse(&text.split_whitespace().collect::<Vec<_>>()).unwrap()
    }

    fn target(tree: &FileTree, path: &str) -> String {
        match &tree.at(path).unwrap().kind {
            NodeKind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
            other => other.name().into(),
        }
    }

    #[test]
    fn the_highest_priority_wins_and_a_tie_goes_to_the_first_path() {
        let mut tree = FileTree::new();
        for path in ["/usr/bin/b", "/usr/bin/a", "/usr/bin/low", "/usr/share/man/b.1"] {
            file(&mut tree, path);
        }
        tree.insert(&ImagePath::parse("/bin").unwrap(), Inode::symlink("usr/bin"), Edit::Create).unwrap();
        let all = [
            alternative(
                "--install /bin/x x /usr/bin/b 5 --slave /usr/share/man/x.1 x.1 /usr/share/man/b.1 --slave /usr/share/man/y.1 y.1 /none",
            ),
            alternative("--quiet --install /bin/x x /usr/bin/low 1"),
            alternative("--install /bin/x x /usr/bin/gone 9"),
        ];
        let written = install(&mut tree, &all).unwrap();
        assert_eq!(target(&tree, "/usr/bin/x"), "/etc/alternatives/x");
        assert_eq!(target(&tree, "/etc/alternatives/x"), "/usr/bin/b");
        assert_eq!(written.len(), 4);
        install(&mut tree, &[all[0].clone(), alternative("--install /bin/x x /usr/bin/a 5")]).unwrap();
        assert_eq!(target(&tree, "/etc/alternatives/x"), "/usr/bin/a");
    }

    #[test]
    fn a_real_file_is_never_replaced() {
        let mut tree = FileTree::new();
        file(&mut tree, "/usr/bin/vi");
        file(&mut tree, "/usr/bin/nano");
        assert!(install(&mut tree, &[alternative("--install /usr/bin/vi vi /usr/bin/nano 1")]).is_err());
        assert!(Alternative::parse(&["--install", "/a", "a", "/b$x", "1"]).is_none());
        assert!(Alternative::parse(&["--remove", "a", "/b"]).is_none());
    }
}
