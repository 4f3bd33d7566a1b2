//! `diff`: what two disk images do not have in common.

use super::args::DiffArguments;
use super::render;
use crate::inspect::{self, Diff};
use model::{ByteSize, Result};

pub(super) fn run(arguments: &DiffArguments) -> Result<()> {
    let diff = inspect::diff(&arguments.before, &arguments.after)?;
    if arguments.json {
        return render::json(&diff);
    }
    if diff.is_empty() { render::print("no difference\n") } else { render::print(&text(&diff)) }
}

fn text(diff: &Diff) -> String {
    let dash = || "-".to_owned();
    let head = |names: [&str; 3]| vec![names.map(str::to_owned).to_vec()];
    let mut parts = Vec::new();
    if !diff.packages.is_empty() {
        let mut rows = head(["package", "before", "after"]);
        rows.extend(
            diff.packages.iter().map(|p| vec![p.name.clone(), p.before.clone().unwrap_or_else(dash), p.after.clone().unwrap_or_else(dash)]),
        );
        parts.push(render::table(&rows));
    }
    let removed = diff.arguments_removed.iter().map(|a| vec![a.clone(), "removed".to_owned()]);
    let added = diff.arguments_added.iter().map(|a| vec![a.clone(), "added".to_owned()]);
    let arguments: Vec<_> = removed.chain(added).collect();
    if !arguments.is_empty() {
        let head = vec![["kernel argument", "change"].map(str::to_owned).to_vec()];
        parts.push(render::table(&[head, arguments].concat()));
    }
    if !diff.sizes.is_empty() {
        let mut rows = head(["size", "before", "after"]);
        rows.extend(diff.sizes.iter().map(|s| {
            let shown = |n: Option<u64>| match n {
                None => dash(),
                Some(n) if s.what == "packages" => n.to_string(),
                Some(n) => ByteSize(n).to_string(),
            };
            vec![s.what.clone(), shown(s.before), shown(s.after)]
        }));
        parts.push(render::table(&rows));
    }
    if !diff.files.is_empty() {
        let size = |n: Option<u64>| n.map_or_else(dash, |n| n.to_string());
        let mut rows = vec![["file", "change", "bytes before", "bytes after"].map(str::to_owned).to_vec()];
        rows.extend(diff.files.iter().map(|f| vec![f.path.clone(), f.what.join(", "), size(f.before), size(f.after)]));
        parts.push(render::table(&rows));
    }
    parts.join("\n")
}
