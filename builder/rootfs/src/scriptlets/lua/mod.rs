//! Scriptlets for `<lua>`: rpm's embedded Lua with its `posix` and `rpm` tables, over the tree instead of a disk.
//!
//! A script sees the tree and nothing else: no file, clock, process or variable of the machine that builds. It may take a bounded number of
//! instructions and a bounded amount of memory. Programs are not run: one whose work a native stage does counts as done, any other fails.
//!
//! `posix.fork` is answered twice. In the first run the script is the child, over a copy of the tree that is thrown away, up to its `posix.exec`;
//! in the second it is the parent. So what the child would execute is known, and what the parent does is kept.

mod attributes;
mod files;
mod posix;
mod rpm;
mod state;

use crate::accounts::Accounts;
use crate::scriptlets::Script;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, Value, VmState};
use model::tree::FileTree;
use model::{Error, ImagePath, Result, SourceDateEpoch};
use state::State;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// In bytes; the biggest real script needs about one hundredth.
const MEMORY: usize = 64 << 20;
/// Counted at every `STEP`th.
const INSTRUCTIONS: u64 = 20_000_000;
const STEP: u32 = 10_000;
const STOPPED: &str = "stopped after 20 million instructions";
/// Of `print` and `io.write`, in bytes; the rest is dropped.
const OUTPUT: usize = 64 << 10;

/// What one script did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub output: String,
    /// Sorted.
    pub changed: Vec<ImagePath>,
    /// Native stages that do what the script asked programs to do.
    pub mechanisms: BTreeSet<&'static str>,
    /// Why it failed, as Lua says it.
    pub failure: Option<String>,
}

/// Runs one script over the tree. Changes stay even if it fails half way, as on a disk.
pub fn run(tree: &mut FileTree, accounts: &Accounts, script: &Script, epoch: SourceDateEpoch) -> Result<Outcome> {
    if script.text.contains("fork") {
        let mut copy = tree.clone();
        let child = once(&mut copy, accounts, script, epoch, true)?;
        if child.forked {
            let mut outcome = once(tree, accounts, script, epoch, false)?.outcome;
            outcome.mechanisms.extend(child.outcome.mechanisms);
            outcome.failure = outcome.failure.or(child.outcome.failure);
            return Ok(outcome);
        }
    }
    Ok(once(tree, accounts, script, epoch, false)?.outcome)
}

struct Run {
    outcome: Outcome,
    forked: bool,
}

fn once(tree: &mut FileTree, accounts: &Accounts, script: &Script, epoch: SourceDateEpoch, is_child: bool) -> Result<Run> {
    let state = Rc::new(RefCell::new(State::new(std::mem::take(tree), accounts, epoch, is_child)));
    state.borrow_mut().input = script.input.lines().map(str::to_owned).collect();
    let failure = interpret(&state, script);
    let mut state = state.borrow_mut();
    *tree = std::mem::take(&mut state.tree);
    let stopped = state.executed;
    let outcome = Outcome {
        output: std::mem::take(&mut state.output),
        changed: state.changed.iter().cloned().collect(),
        mechanisms: std::mem::take(&mut state.mechanisms),
        failure: failure.map_err(|e| Error::internal(format!("start the Lua interpreter: {e}")))?.filter(|_| !stopped),
    };
    Ok(Run { outcome, forked: state.forked })
}

/// The failure of the script, if it failed; an error is one of the interpreter itself.
fn interpret(state: &Rc<RefCell<State>>, script: &Script) -> std::result::Result<Option<String>, mlua::Error> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(MEMORY)?;
    let taken = Cell::new(0u64);
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(STEP), move |lua, _| {
        taken.set(taken.get() + u64::from(STEP));
        if taken.get() > INSTRUCTIONS {
            // From now on every instruction fails, also those around a `pcall` that catches this error.
            lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), |_, _| Err(mlua::Error::runtime(STOPPED)))?;
            return Err(mlua::Error::runtime(STOPPED));
        }
        Ok(VmState::Continue)
    })?;
    posix::install(&lua, state)?;
    attributes::install(&lua, state)?;
    rpm::install(&lua, state)?;
    files::install(&lua, state)?;
    // What would read the machine's files, and precompiled code, which can break the interpreter.
    lua.load(
        "dofile, loadfile, require, package, warn = nil, nil, nil, nil, nil
         local plain = load
         load = function(chunk, name, _, ...) return plain(chunk, name, 't', ...) end
         string.dump = nil",
    )
    .exec()?;
    let arguments = lua.create_table()?;
    arguments.set(1, "<lua>")?;
    for (place, argument) in script.arguments.iter().enumerate() {
        arguments.set(place + 2, argument.parse::<u32>().unwrap_or(0))?;
    }
    lua.globals().set("arg", &arguments)?;
    let done =
        lua.load(&script.text).set_name("=scriptlet").set_mode(mlua::ChunkMode::Text).call::<Value>((lua.create_table()?, arguments));
    let closed = files::close_all(state);
    Ok(done.err().or(closed.err()).map(|e| message(&e)))
}

/// Lua's own words, without the traceback.
fn message(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::CallbackError { cause, .. } => return message(cause),
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    text.split("\nstack traceback:").next().unwrap_or("").trim().to_owned()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
