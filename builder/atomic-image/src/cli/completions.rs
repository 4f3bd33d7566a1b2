//! `completions`: what a shell needs to complete this program's words, from the definition that parses them.

use super::args::{Arguments, CompletionsArguments};
use super::render;
use clap::CommandFactory;
use model::Result;

pub(super) fn run(arguments: &CompletionsArguments) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "atomic-image", &mut text);
    render::bytes(&text)
}
