//! `inspect`: what is in a disk image.

use super::args::InspectArguments;
use super::render;
use crate::inspect::{self, FilesystemState};
use model::Result;

pub(super) fn run(arguments: &InspectArguments) -> Result<()> {
    let report = inspect::image(&arguments.image)?;
    if arguments.json {
        render::json(&report)?;
        return report.check(&arguments.image);
    }
    let head = |names: &[&str]| vec![names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    let mut partitions = head(&["partition", "name", "start", "size", "guid"]);
    for row in &report.partitions {
        partitions.push(vec![row.number.to_string(), row.name.clone(), row.start.to_string(), row.size.to_string(), row.guid.clone()]);
    }
    let mut filesystems = head(&["partition", "filesystem", "label", "size", "free", "uuid"]);
    for row in &report.filesystems {
        let (size, free) = (row.size.to_string(), row.free.map_or_else(|| "-".to_owned(), |free| free.to_string()));
        filesystems.push(vec![row.partition.to_string(), row.kind.clone(), row.label.clone(), size, free, row.uuid.clone()]);
    }
    let mut text = format!("{}\n{}", render::table(&partitions), render::table(&filesystems));
    for row in &report.filesystems {
        if let Some(problem) = &row.problem {
            let is = if row.state == FilesystemState::Damaged { "is damaged" } else { "was not read" };
            let place = if row.partition == 0 { "the filesystem".to_owned() } else { format!("partition {}", row.partition) };
            text.push_str(&format!("\n{place} ({}) {is}: {problem}\n", row.kind));
        }
    }
    for row in &report.deployments {
        let facts = [
            vec!["deployment".to_owned(), row.os.clone()],
            vec!["ref".to_owned(), row.reference.clone()],
            vec!["commit".to_owned(), row.commit.clone()],
            vec!["version".to_owned(), row.version.clone().unwrap_or_else(|| "-".to_owned())],
            vec!["arguments".to_owned(), row.kernel_arguments.join(" ")],
        ];
        text.push('\n');
        text.push_str(&render::table(&facts));
    }
    text.push_str(&format!("\n{} packages\n", report.packages.len()));
    render::print(&text)?;
    report.check(&arguments.image)
}
