//! The only place that prints, reads the environment and the wall clock, and knows clap. One short file per command.

mod apt_sources;
mod args;
mod boot;
mod build;
mod cache;
mod cat;
mod completions;
mod console;
mod diff;
mod environment;
mod explain;
mod inspect;
mod keygen;
mod lock;
mod log;
mod man;
mod prove;
mod render;
mod rpm;
mod seed;
mod trace;
mod tree;
mod tree_args;
mod verify;

use args::{Arguments, Command};
use clap::Parser;
use model::{Kind, Result, ResultJudged};
use std::process::ExitCode;

/// Parses the arguments, runs one command, and turns its result into an exit code: 0, 2 for usage, else the error's kind's. Under `--json` every error is one
/// JSON object, a line of stderr.
pub fn main() -> ExitCode {
    let manner = render::Manner::of(std::env::args_os().skip(1));
    std::panic::set_hook(Box::new(move |panic| render::defect(&panic.to_string(), manner)));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => return usage(&e, manner),
    };
    // The hook has said what was wrong. The trace is finished on every way out.
    let outcome = std::panic::catch_unwind(|| {
        let trace = log::start(&arguments.log)?;
        let done = run(&arguments.command);
        let traced = trace.map_or(Ok(()), trace::Trace::finish);
        done.and(traced)
    });
    let Ok(result) = outcome else { return ExitCode::from(Kind::Internal.exit_code()) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error, manner);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Build(arguments) => build::run(arguments),
        Command::Cache(command) => cache::run(command),
        Command::Lock(arguments) => lock::lock(arguments),
        Command::Fetch(arguments) => lock::fetch(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Rpm(command) => rpm::run(command),
        Command::Cat(arguments) => cat::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Boot(arguments) => boot::run(arguments),
        Command::Tree(command) => tree::run(command),
        Command::Prove(arguments) => prove::run(arguments),
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Seed(arguments) => seed::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
    }
}

/// Help and version are no errors: they go to stdout as they are.
fn usage(error: &clap::Error, manner: render::Manner) -> ExitCode {
    let code = error.exit_code() as u8;
    if code != 0 && manner == render::Manner::Json {
        render::usage(&error.render().to_string(), code);
    } else {
        error.print().ignore_because("nothing is left to tell a closed stderr");
    }
    ExitCode::from(code)
}
