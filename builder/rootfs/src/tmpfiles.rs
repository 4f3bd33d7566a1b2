//! tmpfiles.d: what belongs to the immutable tree is made at build time; the contents of /var become lines that make them on the host.
//!
//! The order is that of systemd-tmpfiles: of the lines for one path the first counts, unless they agree or only adjust; lines without a pattern
//! come before those with one, and a path's parent before the path. Lines that the build does not carry out stay as they are for the host, and
//! count all the same in the question whose a path is.

mod apply_line;
mod locate;
#[cfg(test)]
mod tests;
mod var;

pub use var::{empty_var, var_lines};

use crate::accounts::Accounts;
use crate::conf_files;
use conf::tmpfiles::{self, Line};
use model::tree::FileTree;
use model::{ImagePath, Result, ResultExt};
use std::collections::BTreeMap;

const DIRECTORIES: [&str; 4] = ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"];
const FACTORY: &str = "/usr/share/factory";

pub fn lines(tree: &FileTree) -> Result<Vec<Line>> {
    let mut out = Vec::new();
    for (name, text) in conf_files::read_all(tree, &DIRECTORIES, ".conf")? {
        out.extend(tmpfiles::parse(&name, &text)?);
    }
    Ok(out)
}

/// Carries out lines below `prefixes` (such as /usr and /etc). Left to the host are lines for the boot only, those that only it can expand, and
/// types that a commit cannot hold or that clean up. Returns the paths changed.
pub fn apply(tree: &mut FileTree, accounts: &Accounts, prefixes: &[&str]) -> Result<Vec<ImagePath>> {
    let prefixes = prefixes.iter().map(ImagePath::parse).collect::<Result<Vec<_>>>()?;
    let mut changed = Vec::new();
    for line in ordered(lines(tree)?) {
        if line.boot_only() || line.on_host {
            continue;
        }
        for path in locate::paths(tree, &line, &prefixes) {
            match apply_line::apply(tree, accounts, &line, &path) {
                Ok(true) => changed.push(path),
                Ok(false) => {}
                // `-`: failure is foreseen.
                Err(_) if line.has('-') => {}
                Err(error) => return Err(error).context(|| line.at.clone()),
            }
        }
    }
    Ok(changed)
}

/// The lines that count, in the order in which systemd-tmpfiles carries them out.
fn ordered(lines: Vec<Line>) -> Vec<Line> {
    // By whether it is a pattern, then by first appearance.
    let mut groups: [Vec<Vec<Line>>; 2] = [Vec::new(), Vec::new()];
    let mut index: BTreeMap<(bool, Vec<u8>), usize> = BTreeMap::new();
    for line in lines {
        let globs = line.takes_glob();
        let list = &mut groups[usize::from(globs)];
        match index.get(&(globs, line.path.clone())) {
            Some(&at) => {
                if list[at].iter().all(|earlier| agree(earlier, &line)) || (line.kind == 'w' && line.has('+')) {
                    list[at].push(line);
                }
            }
            None => {
                index.insert((globs, line.path.clone()), list.len());
                list.push(vec![line]);
            }
        }
    }
    for group in groups.iter_mut().flatten() {
        // What makes a path comes before what adjusts it.
        group.sort_by_key(|line| (!line.takes_ownership(), line.kind));
    }
    let [plain, globs] = groups;
    let mut pending = [plain, globs].map(|list| list.into_iter().map(Some).collect::<Vec<_>>());
    let mut out = Vec::new();
    for globs in [false, true] {
        for at in 0..pending[usize::from(globs)].len() {
            let Some(path) = pending[usize::from(globs)][at].as_ref().and_then(|group| group.first()).map(|line| line.path.clone()) else {
                continue;
            };
            // Ancestors from the root down.
            for (end, _) in path.iter().enumerate().filter(|(end, byte)| *end > 0 && **byte == b'/') {
                for globs in [false, true] {
                    if let Some(&parent) = index.get(&(globs, path[..end].to_vec())) {
                        out.extend(pending[usize::from(globs)][parent].take().into_iter().flatten());
                    }
                }
            }
            out.extend(pending[usize::from(globs)][at].take().into_iter().flatten());
        }
    }
    out
}

/// Two lines for one path do not contradict each other: only one makes it, or both say the same.
fn agree(a: &Line, b: &Line) -> bool {
    let says = |line: &Line| (line.argument.clone(), line.user.clone(), line.group.clone(), line.mode, line.age.clone(), line.on_host);
    !a.takes_ownership() || !b.takes_ownership() || says(a) == says(b)
}
