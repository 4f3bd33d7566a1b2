//! Runs the program, and compares what it says with committed text.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs it in `folder`, which is its home, too, with these further variables.
pub fn run(folder: &Path, line: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomic-image"));
    command.args(line).current_dir(folder).stdin(Stdio::null());
    command.env("HOME", folder).env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME").env_remove("COLUMNS");
    command.envs(environment.iter().copied()).output().unwrap()
}

/// Compares with a file of tests/snapshots; ATOMIC_IMAGE_REWRITE=1 writes it.
pub fn snapshot(name: &str, text: &str) {
    fixtures::golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name), text);
}

/// What a line says, below the line; the folder, which has another name each time, as FOLDER.
fn said(folder: &Path, line: &str, out: &Output) -> String {
    let mut text = format!("$ atomic-image {line}\n");
    text += &String::from_utf8_lossy(&out.stdout);
    text += &String::from_utf8_lossy(&out.stderr);
    if let Some(code) = out.status.code().filter(|&code| code != 0) {
        _ = writeln!(text, "[exit code {code}]");
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n\n", lines.join("\n").trim_end()).replace(&folder.display().to_string(), "FOLDER")
}

/// Runs a line, and returns what it says.
pub fn answer(folder: &Path, line: &str) -> String {
    answer_with(folder, line, &[])
}

/// The same with these further variables.
pub fn answer_with(folder: &Path, line: &str, environment: &[(&str, &str)]) -> String {
    said(folder, line, &run(folder, &line.split(' ').collect::<Vec<_>>(), environment))
}
