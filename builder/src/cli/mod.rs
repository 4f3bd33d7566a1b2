//! The only place that prints, reads the environment and the wall clock, and knows clap. One short file per command.

mod apt_sources;
mod args;
mod boot;
mod build;
mod cache;
mod cat;
mod completions;
mod diff;
mod environment;
mod explain;
mod inspect;
mod lock;
mod man;
mod render;
mod rpm;
mod seed;
mod verify;

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

/// Parses the arguments, runs one command, and turns its result into an exit code: 0, 2 for usage, else the error's kind's.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            e.print().ok();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    let result = match arguments.command {
        Command::Build(arguments) => build::run(&arguments),
        Command::Cache(command) => cache::run(&command),
        Command::Lock(arguments) => lock::lock(&arguments),
        Command::Fetch(arguments) => lock::fetch(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Rpm(command) => rpm::run(&command),
        Command::Cat(arguments) => cat::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Boot(arguments) => boot::run(&arguments),
        Command::Seed(arguments) => seed::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
