//! The only place that prints, reads the environment and the wall clock, and knows clap. One short file per command.

mod apt_sources;
mod args;
mod boot;
mod build;
mod environment;
mod inspect;
mod lock;
mod render;
mod rpm;
mod seed;

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
        Command::Lock(arguments) => lock::lock(&arguments),
        Command::Fetch(arguments) => lock::fetch(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Rpm(command) => rpm::run(&command),
        Command::Boot(arguments) => boot::run(&arguments),
        Command::Seed(arguments) => seed::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
