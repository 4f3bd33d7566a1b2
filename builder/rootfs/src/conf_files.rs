//! The files of a `.d` directory set, in systemd's order: by file name, an earlier directory hides the same name in a later one.

use model::tree::{FileTree, NodeKind};
use model::{Error, ImagePath, Result};
use std::collections::BTreeMap;

/// (path in the tree, text) of every `*<suffix>` file in `directories`, highest priority first. A link to /dev/null or an empty file hides a name.
pub fn read_all(tree: &FileTree, directories: &[&str], suffix: &str) -> Result<Vec<(String, String)>> {
    let mut found: BTreeMap<String, Option<(String, String)>> = BTreeMap::new();
    for directory in directories {
        let Some((real, id)) = tree.resolve(&ImagePath::parse(directory)?) else { continue };
        for (name, child) in tree.children(id) {
            let name = String::from_utf8_lossy(name).into_owned();
            if !name.ends_with(suffix) || name.starts_with('.') || found.contains_key(&name) {
                continue;
            }
            let text = match &tree.inode(child).kind {
                NodeKind::Symlink(target) if is_null(target) => None,
                NodeKind::Directory(_) => continue,
                _ => {
                    let path = format!("{real}/{name}");
                    let Some(bytes) = tree.read(&path)? else { continue };
                    let text = String::from_utf8(bytes).map_err(|_| Error::integrity(format!("{path} is not UTF-8")))?;
                    Some((path, text))
                }
            };
            found.insert(name, text);
        }
    }
    Ok(found.into_values().flatten().collect())
}

/// True for /dev/null, absolute or by way of `..`.
fn is_null(target: &[u8]) -> bool {
    let names: Vec<&[u8]> = target.split(|&b| b == b'/').filter(|name| !matches!(*name, b"" | b"." | b"..")).collect();
    names == [&b"dev"[..], b"null"] && (target.starts_with(b"/") || target.starts_with(b"../"))
}
