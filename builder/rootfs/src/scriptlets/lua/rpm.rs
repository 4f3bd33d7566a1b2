//! `rpm`, `os` and `print`: what of them makes sense without rpm's macros, clock and processes.

use super::posix::bytes;
use super::state::State;
use mlua::{Lua, MultiValue, Value, Variadic};
use model::tree::FileTree;
use model::{Arch, glob_matches};
use packages::evr::Evr;
use std::cell::RefCell;
use std::rc::Rc;

/// The macros that scriptlets of distributions use and that name no build host.
const MACROS: [(&str, &str); 10] = [
    ("_prefix", "/usr"),
    ("_bindir", "/usr/bin"),
    ("_sbindir", "/usr/sbin"),
    ("_libdir", Arch::TARGET.rpm_libdir()),
    ("_libexecdir", "/usr/libexec"),
    ("_datadir", "/usr/share"),
    ("_sysconfdir", "/etc"),
    ("_localstatedir", "/var"),
    ("_sharedstatedir", "/var/lib"),
    ("_unitdir", "/usr/lib/systemd/system"),
];

pub(super) fn install(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let globals = lua.globals();
    let shared = state.clone();
    globals.set(
        "print",
        lua.create_function(move |lua, values: MultiValue| {
            let mut line = Vec::new();
            for value in values {
                let text = lua.globals().get::<mlua::Function>("tostring")?.call::<mlua::String>(value)?;
                line.push(text.to_string_lossy());
            }
            shared.borrow_mut().print(&(line.join("\t") + "\n"));
            Ok(())
        })?,
    )?;
    rpm(lua, state)?;
    os(lua, state)
}

fn rpm(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let rpm = lua.create_table()?;
    rpm.set(
        "vercmp",
        lua.create_function(|_, (a, b): (String, String)| {
            let parse = |text: &str| Evr::parse(text).map_err(mlua::Error::external);
            Ok(parse(&a)?.cmp(&parse(&b)?) as i64)
        })?,
    )?;
    rpm.set("expand", lua.create_function(|_, text: String| Ok(expand(&text)))?)?;
    rpm.set("define", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    rpm.set("undefine", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    rpm.set("isdefined", lua.create_function(|_, name: String| Ok((MACROS.iter().any(|(known, _)| *known == name), false)))?)?;
    for name in ["execute", "spawn"] {
        let shared = state.clone();
        rpm.set(
            name,
            lua.create_function(move |_, words: Variadic<Value>| {
                // `spawn` takes a table of words.
                let mut command = Vec::new();
                for word in words.iter() {
                    match word {
                        Value::String(text) => command.push(text.to_string_lossy()),
                        Value::Integer(number) => command.push(number.to_string()),
                        Value::Table(table) if command.is_empty() => {
                            for text in table.sequence_values::<String>() {
                                command.push(text?);
                            }
                        }
                        _ => {}
                    }
                }
                shared.borrow_mut().execute(&command.join(" ")).map(|()| 0).map_err(mlua::Error::runtime)
            })?,
        )?;
    }
    let shared = state.clone();
    rpm.set("next_file", lua.create_function(move |_, ()| Ok(shared.borrow_mut().input.pop_front()))?)?;
    let shared = state.clone();
    rpm.set(
        "glob",
        lua.create_function(move |lua, (pattern, flags): (String, Option<String>)| {
            let mut found = glob(&shared.borrow(), &pattern);
            // `c`: the pattern itself where nothing matches.
            if found.is_empty() && flags.is_some_and(|flags| flags.contains('c')) {
                found.push(pattern.into_bytes());
            }
            let found = found.iter().map(|path| bytes(lua, path)).collect::<mlua::Result<Vec<_>>>()?;
            lua.create_sequence_from(found)
        })?,
    )?;
    lua.globals().set("rpm", rpm)
}

/// Unknown macros stay as they are, as in rpm.
fn expand(text: &str) -> String {
    let known = MACROS.iter().flat_map(|(name, value)| [(format!("%{{{name}}}"), value), (format!("%{{?{name}}}"), value)]);
    known.fold(text.to_owned(), |text, (key, value)| text.replace(&key, value)).replace("%%", "%")
}

/// Every path of the tree that an absolute pattern matches, name by name, in byte order.
fn glob(state: &State, pattern: &str) -> Vec<Vec<u8>> {
    let mut found = vec![(Vec::new(), FileTree::ROOT)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for (path, _) in found {
            let Ok((_, id)) = state.existing(if path.is_empty() { b"/" } else { &path }, true) else { continue };
            for (name, child) in state.tree.children(id) {
                if glob_matches(part, name) && (part.starts_with('.') || !name.starts_with(b".")) {
                    next.push(([path.as_slice(), b"/", name].concat(), child));
                }
            }
        }
        found = next;
    }
    found.into_iter().map(|(path, _)| path).collect()
}

fn os(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let os = lua.create_table()?;
    let shared = state.clone();
    os.set("time", lua.create_function(move |_, _: MultiValue| Ok(shared.borrow().epoch.0))?)?;
    os.set("clock", lua.create_function(|_, ()| Ok(0.0))?)?;
    let shared = state.clone();
    os.set("date", lua.create_function(move |_, _: MultiValue| Ok(shared.borrow().epoch.to_string()))?)?;
    let shared = state.clone();
    os.set("getenv", lua.create_function(move |_, name: String| Ok(shared.borrow().environment.get(&name).cloned()))?)?;
    let shared = state.clone();
    os.set(
        "remove",
        lua.create_function(move |lua, path: mlua::String| {
            let mut state = shared.borrow_mut();
            let is_directory = state.existing(&path.as_bytes(), false).is_ok_and(|(_, id)| state.tree.inode(id).is_directory());
            let done = state.remove(&path.as_bytes(), is_directory);
            answer(lua, &mut state, &path, done)
        })?,
    )?;
    let shared = state.clone();
    os.set(
        "rename",
        lua.create_function(move |lua, (from, to): (mlua::String, mlua::String)| {
            let mut state = shared.borrow_mut();
            let done = state.rename(&from.as_bytes(), &to.as_bytes());
            answer(lua, &mut state, &from, done)
        })?,
    )?;
    let shared = state.clone();
    os.set(
        "execute",
        lua.create_function(move |_, command: Option<String>| {
            // Without a command: is there a shell?
            let Some(command) = command else { return Ok((false, None, None)) };
            shared.borrow_mut().execute(&command).map_err(mlua::Error::runtime)?;
            Ok((true, Some("exit"), Some(0)))
        })?,
    )?;
    os.set(
        "exit",
        lua.create_function(|_, _: MultiValue| -> mlua::Result<()> { Err(mlua::Error::runtime("exit is not permitted in a scriptlet")) })?,
    )?;
    lua.globals().set("os", os)
}

/// As Lua's own library answers: true, or nil with a message and the error's number.
fn answer(lua: &Lua, state: &mut State, path: &mlua::String, done: Result<(), super::state::Errno>) -> mlua::Result<MultiValue> {
    match done {
        Ok(()) => Ok(MultiValue::from_vec(vec![Value::Boolean(true)])),
        Err(_) => super::posix::outcome(lua, state, path, done),
    }
}
