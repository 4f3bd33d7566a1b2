//! Which package has which path, and what becomes of a path that two of them name.

use model::{Arch, Error, ImagePath, Result, glob_matches};
use packages::rpm::FileKind;
use recipe::ConflictRule;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use supply::fetch::{Pack, PackEntry};

/// Conflicts that a message shows.
const SHOWN_MAX: usize = 20;
/// Of two ELF files of different colours rpm prefers the 64-bit one (`%_prefer_color`).
const PREFERRED: u8 = 2;

/// Whose a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours,
    /// Another package has placed the same.
    Shared,
    /// Another package's stays.
    Theirs,
}

/// The transaction colour that rpm would give to these packages' machine; without a package of an architecture, 0.
pub(super) fn rpm_color(packs: &[Pack]) -> u8 {
    packs.iter().find_map(|pack| Arch::from_rpm(&pack.metadata().nevra.arch)).map_or(0, Arch::rpm_color)
}

pub(super) struct FileConflicts<'a> {
    packs: &'a [Pack],
    rules: &'a [ConflictRule],
    /// Package and number of its entry.
    by_path: BTreeMap<ImagePath, (usize, usize)>,
    conflicts: Vec<(ImagePath, usize, usize, String)>,
    /// The colours of ELF files that the packages' architecture tells apart.
    colors: u8,
}

impl<'a> FileConflicts<'a> {
    pub fn new(packs: &'a [Pack], rules: &'a [ConflictRule]) -> Self {
        let colors = rpm_color(packs);
        FileConflicts { packs, rules, by_path: BTreeMap::new(), conflicts: Vec::new(), colors }
    }

    /// The user of what stands at `path`, if a package placed it.
    pub fn user_of(&self, path: &ImagePath) -> Option<&str> {
        self.by_path.get(path).and_then(|&claim| self.entry(claim)).map(|entry| entry.user.as_str())
    }

    fn entry(&self, (pack, number): (usize, usize)) -> Option<&PackEntry> {
        self.packs.get(pack)?.entries().get(number)
    }

    fn name(&self, pack: usize) -> &str {
        self.packs.get(pack).map_or("", |pack| pack.metadata().nevra.name.as_str())
    }

    pub fn claim(&mut self, path: &ImagePath, pack: usize, number: usize) -> Verdict {
        let ours = (pack, number);
        let Some(&theirs) = self.by_path.get(path) else {
            self.by_path.insert(path.clone(), ours);
            return Verdict::Ours;
        };
        let (Some(mine), Some(other)) = (self.entry(ours), self.entry(theirs)) else { return Verdict::Theirs };
        let Some(difference) = difference(mine, other) else { return Verdict::Shared };
        let winner = self.winner(path, (pack, mine), (theirs.0, other));
        match winner {
            Some(winner) if winner == pack => {
                self.by_path.insert(path.clone(), ours);
                Verdict::Ours
            }
            Some(_) => Verdict::Theirs,
            None => {
                self.conflicts.push((path.clone(), theirs.0, pack, difference));
                Verdict::Theirs
            }
        }
    }

    /// The recipe's word first, then rpm's preference for 64 bits.
    fn winner(&self, path: &ImagePath, mine: (usize, &PackEntry), other: (usize, &PackEntry)) -> Option<usize> {
        let text = path.to_string();
        let applies = |rule: &&ConflictRule| glob_matches(&rule.path, &text);
        let is_directory = |entry: &PackEntry| entry.kind == FileKind::Directory;
        // A directory has other packages' files in it: it cannot give way to something else.
        if is_directory(mine.1) == is_directory(other.1)
            && let Some(rule) =
                self.rules.iter().filter(applies).find(|r| r.package == self.name(mine.0) || r.package == self.name(other.0))
        {
            return Some(if rule.package == self.name(mine.0) { mine.0 } else { other.0 });
        }
        let (color, other_color) = (mine.1.color & self.colors, other.1.color & self.colors);
        if color == 0 || other_color == 0 || color == other_color {
            return None;
        }
        if color & PREFERRED != 0 {
            Some(mine.0)
        } else if other_color & PREFERRED != 0 {
            Some(other.0)
        } else {
            None
        }
    }

    /// All conflicts at once.
    pub fn finish(self) -> Result<()> {
        let Some((first, _, winner, _)) = self.conflicts.first() else { return Ok(()) };
        let mut message = format!("{} file conflicts between packages", self.conflicts.len());
        for (path, a, b, difference) in self.conflicts.iter().take(SHOWN_MAX) {
            let full = |index: usize| self.packs.get(index).map_or_else(String::new, |pack| pack.metadata().nevra.to_string());
            let _ = write!(message, "\n  {path}: {} and {} ({difference})", full(*a), full(*b));
        }
        if self.conflicts.len() > SHOWN_MAX {
            let _ = write!(message, "\n  … {} more", self.conflicts.len() - SHOWN_MAX);
        }
        Err(Error::recipe(message).hint(format!(
            "leave one of the packages out, or say in the recipe whose file it is to be:\n[[conflict]]\npath = \"{first}\"\npackage = \"{}\"\nreason = \"\"",
            self.name(*winner)
        )))
    }
}

/// What keeps two packages from sharing a path; `None`: nothing (rpm, `rpmfilesCompare`).
fn difference(a: &PackEntry, b: &PackEntry) -> Option<String> {
    let kind = |entry: &PackEntry| match entry.kind {
        FileKind::File => "a file",
        FileKind::Directory => "a directory",
        FileKind::Symlink { .. } => "a link",
        _ => "a special file",
    };
    if a.kind.type_bits() != b.kind.type_bits() {
        return Some(format!("{} and {}", kind(b), kind(a)));
    }
    if a.mode != b.mode {
        return Some(format!("modes {:04o} and {:04o}", b.mode, a.mode));
    }
    if (&a.user, &a.group) != (&b.user, &b.group) {
        return Some(format!("owners {}:{} and {}:{}", b.user, b.group, a.user, a.group));
    }
    match (&a.kind, &b.kind) {
        (FileKind::Symlink { target }, FileKind::Symlink { target: other }) if target != other => {
            Some(format!("targets {:?} and {:?}", String::from_utf8_lossy(other), String::from_utf8_lossy(target)))
        }
        (FileKind::File, FileKind::File) if a.size != b.size || a.digest != b.digest => Some("different contents".into()),
        (a, b) if a != b => Some("different devices".into()),
        _ => None,
    }
}
