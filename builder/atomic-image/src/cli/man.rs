//! `man`: manual pages, one for the program and one for each command, from the definition that parses them.

use super::args::{Arguments, ManArguments};
use clap::CommandFactory;
use model::{InputExt, Result, ResultExt};

pub(super) fn run(arguments: &ManArguments) -> Result<()> {
    std::fs::create_dir_all(&arguments.folder).input(|| format!("create {}", arguments.folder.display()))?;
    let command = Arguments::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &arguments.folder).context(|| format!("write manual pages to {}", arguments.folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_names_its_options() {
        let folder = tempfile::tempdir().unwrap();
        run(&ManArguments { folder: folder.path().to_path_buf() }).unwrap();
        for (page, word) in [("atomic-image", "build"), ("atomic-image-build", "locked"), ("atomic-image-rpm-verify", "relax")] {
            let text = std::fs::read_to_string(folder.path().join(format!("{page}.1"))).unwrap();
            assert!(text.contains(".TH ") && text.contains(word), "{page}: {text}");
        }
    }
}
