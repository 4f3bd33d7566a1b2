//! The half of `posix` about names, processes and the system.

use super::state::{Errno, State};
use mlua::{FromLuaMulti, Lua, MultiValue, Table, Value, Variadic};
use model::Arch;
use model::tree::NodeKind;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A running system's kernel, for scripts that refuse old ones.
const KERNEL: &str = "6.12.0";
const CHILD: i64 = 2;

pub(super) fn bytes(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    lua.create_string(text).map(Value::String)
}

/// As rpm's functions answer: 0, or nil with a message and the error's number.
pub(super) fn outcome(lua: &Lua, state: &mut State, path: &mlua::String, done: Result<(), Errno>) -> mlua::Result<MultiValue> {
    match done {
        Ok(()) => Ok(MultiValue::from_vec(vec![Value::Integer(0)])),
        Err(errno) => {
            state.errno = Some(errno);
            let text = format!("{}: {}", path.to_string_lossy(), errno.text());
            Ok(MultiValue::from_vec(vec![Value::Nil, bytes(lua, text.as_bytes())?, Value::Integer(errno as i64)]))
        }
    }
}

/// Defines `posix.NAME(path, …)`, which answers as [`outcome`] says. `Rest` is what stands behind the path.
pub(super) fn define<Rest: FromLuaMulti>(
    lua: &Lua,
    state: &Rc<RefCell<State>>,
    posix: &Table,
    name: &str,
    act: impl Fn(&mut State, &[u8], Rest) -> Result<(), Errno> + 'static,
) -> mlua::Result<()> {
    let state = state.clone();
    let function = lua.create_function(move |lua, (path, rest): (mlua::String, Rest)| {
        let mut state = state.borrow_mut();
        let done = act(&mut state, &path.as_bytes(), rest);
        outcome(lua, &mut state, &path, done)
    })?;
    posix.set(name, function)
}

pub(super) fn install(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let posix = lua.create_table()?;
    names(lua, state, &posix)?;
    processes(lua, state, &posix)?;
    system(lua, state, &posix)?;
    lua.globals().set("posix", posix)
}

fn names(lua: &Lua, state: &Rc<RefCell<State>>, posix: &Table) -> mlua::Result<()> {
    define(lua, state, posix, "mkdir", |state, path, ()| state.create(path, NodeKind::Directory(BTreeMap::new()), 0o777))?;
    define(lua, state, posix, "mkfifo", |state, path, ()| state.create(path, NodeKind::Fifo, 0o777))?;
    define(lua, state, posix, "rmdir", |state, path, ()| state.remove(path, true))?;
    define(lua, state, posix, "unlink", |state, path, ()| state.remove(path, false))?;
    let shared = state.clone();
    posix.set(
        "symlink",
        lua.create_function(move |lua, (target, path): (mlua::String, mlua::String)| {
            let mut state = shared.borrow_mut();
            let done = state.create(&path.as_bytes(), NodeKind::Symlink((*target.as_bytes()).into()), 0o777);
            outcome(lua, &mut state, &path, done)
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "link",
        lua.create_function(move |lua, (old, path): (mlua::String, mlua::String)| {
            let mut state = shared.borrow_mut();
            let done = state.existing(&old.as_bytes(), false).and_then(|(_, id)| {
                let place = state.place(&path.as_bytes(), false)?;
                if place.id.is_some() {
                    return Err(Errno::Exists);
                }
                state.tree.link(&place.path, id).map_err(|_| Errno::IsDirectory)?;
                state.changed.insert(place.path);
                Ok(())
            });
            outcome(lua, &mut state, &path, done)
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "readlink",
        lua.create_function(move |lua, path: mlua::String| {
            let mut state = shared.borrow_mut();
            let found = state.existing(&path.as_bytes(), false).and_then(|(_, id)| match &state.tree.inode(id).kind {
                NodeKind::Symlink(target) => Ok(target.to_vec()),
                _ => Err(Errno::Invalid),
            });
            match found {
                Ok(target) => Ok(MultiValue::from_vec(vec![bytes(lua, &target)?])),
                Err(errno) => outcome(lua, &mut state, &path, Err(errno)),
            }
        })?,
    )?;
    let shared = state.clone();
    let list = move |path: &[u8]| -> Result<Vec<Vec<u8>>, Errno> {
        let state = shared.borrow();
        let (_, id) = state.existing(path, true)?;
        if !state.tree.inode(id).is_directory() {
            return Err(Errno::NotDirectory);
        }
        Ok([b".".to_vec(), b"..".to_vec()].into_iter().chain(state.tree.children(id).map(|(name, _)| name.to_vec())).collect())
    };
    let shared = state.clone();
    let listed = list.clone();
    posix.set(
        "dir",
        lua.create_function(move |lua, path: Option<mlua::String>| {
            let path = path.map_or_else(|| lua.create_string("."), Ok)?;
            match listed(&path.as_bytes()) {
                Ok(names) => {
                    let names = names.iter().map(|name| bytes(lua, name)).collect::<mlua::Result<Vec<_>>>()?;
                    Ok(MultiValue::from_vec(vec![Value::Table(lua.create_sequence_from(names)?)]))
                }
                Err(errno) => outcome(lua, &mut shared.borrow_mut(), &path, Err(errno)),
            }
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "files",
        lua.create_function(move |lua, path: Option<mlua::String>| {
            let path = path.map_or_else(|| lua.create_string("."), Ok)?;
            match list(&path.as_bytes()) {
                Ok(names) => {
                    let rest = RefCell::new(names.into_iter());
                    let next = lua.create_function(move |lua, ()| rest.borrow_mut().next().map(|name| bytes(lua, &name)).transpose())?;
                    Ok(MultiValue::from_vec(vec![Value::Function(next)]))
                }
                Err(errno) => outcome(lua, &mut shared.borrow_mut(), &path, Err(errno)),
            }
        })?,
    )?;
    define(lua, state, posix, "chdir", |state, path, ()| {
        let (real, id) = state.existing(path, true)?;
        if !state.tree.inode(id).is_directory() {
            return Err(Errno::NotDirectory);
        }
        state.working = real.as_bytes().to_vec();
        Ok(())
    })?;
    let shared = state.clone();
    posix.set("getcwd", lua.create_function(move |lua, ()| bytes(lua, &shared.borrow().working))?)
}

fn processes(lua: &Lua, state: &Rc<RefCell<State>>, posix: &Table) -> mlua::Result<()> {
    let shared = state.clone();
    posix.set(
        "fork",
        lua.create_function(move |_, ()| {
            let mut state = shared.borrow_mut();
            state.forked = true;
            Ok(if state.is_child { 0 } else { CHILD })
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "exec",
        lua.create_function(move |_, words: Variadic<String>| -> mlua::Result<()> {
            let mut state = shared.borrow_mut();
            state.execute(&words.join(" ")).map_err(mlua::Error::runtime)?;
            state.executed = true;
            Err(mlua::Error::runtime("the process became another program"))
        })?,
    )?;
    posix.set("wait", lua.create_function(|_, _: Option<i64>| Ok((CHILD, "exited", 0)))?)?;
    posix.set("kill", lua.create_function(|_, _: MultiValue| Ok(0))?)?;
    posix.set("sleep", lua.create_function(|_, _: MultiValue| Ok(0))?)?;
    posix.set("redirect2null", lua.create_function(|_, _: MultiValue| Ok(0))?)?;
    for name in ["setuid", "setgid"] {
        posix.set(name, lua.create_function(|_, _: MultiValue| Ok(0))?)?;
    }
    let shared = state.clone();
    posix.set(
        "umask",
        lua.create_function(move |_, mode: Option<String>| {
            let mut state = shared.borrow_mut();
            // As chmod's text: the permissions that remain.
            if let Some(allowed) = mode.and_then(|mode| super::attributes::changed_mode(0o777 & !state.umask, &mode)) {
                state.umask = 0o777 & !allowed;
            }
            Ok(super::attributes::mode_text(0o777 & !state.umask))
        })?,
    )
}

fn system(lua: &Lua, state: &Rc<RefCell<State>>, posix: &Table) -> mlua::Result<()> {
    posix.set(
        "uname",
        lua.create_function(|_, format: Option<String>| {
            let format = format.unwrap_or_else(|| "%s %n %r %v %m".into());
            let known = [("%s", "Linux"), ("%n", "localhost"), ("%r", KERNEL), ("%v", "#1"), ("%m", Arch::TARGET.uname())];
            Ok(known.iter().fold(format, |text, (key, value)| text.replace(key, value)))
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "errno",
        lua.create_function(move |_, ()| {
            let errno = shared.borrow().errno;
            Ok((errno.map_or("Success", Errno::text), errno.map_or(0, |errno| errno as i64)))
        })?,
    )?;
    let shared = state.clone();
    posix.set("getenv", lua.create_function(move |_, name: String| Ok(shared.borrow().environment.get(&name).cloned()))?)?;
    let shared = state.clone();
    posix.set(
        "setenv",
        lua.create_function(move |_, (name, value): (String, String)| {
            shared.borrow_mut().environment.insert(name, value);
            Ok(0)
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "putenv",
        lua.create_function(move |_, text: String| {
            if let Some((name, value)) = text.split_once('=') {
                shared.borrow_mut().environment.insert(name.to_owned(), value.to_owned());
            }
            Ok(0)
        })?,
    )?;
    let shared = state.clone();
    posix.set(
        "unsetenv",
        lua.create_function(move |_, name: String| {
            shared.borrow_mut().environment.remove(&name);
            Ok(0)
        })?,
    )?;
    for (name, users) in [("getpasswd", true), ("getgroup", false)] {
        let shared = state.clone();
        posix.set(
            name,
            lua.create_function(move |lua, (who, field): (Value, Option<String>)| {
                let state = shared.borrow();
                let names = if users { &state.users } else { &state.groups };
                let found = match &who {
                    Value::Integer(id) => names.iter().find(|(_, known)| i64::from(**known) == *id),
                    Value::String(name) => names.get_key_value(name.to_string_lossy().as_str()),
                    _ => names.get_key_value("root"),
                };
                let Some((name, id)) = found else { return Ok(Value::Nil) };
                let table = lua.create_table()?;
                table.set("name", name.as_str())?;
                table.set(if users { "uid" } else { "gid" }, *id)?;
                field.map_or(Ok(Value::Table(table.clone())), |field| table.get(field))
            })?,
        )?;
    }
    let process = lua.create_table()?;
    for (name, value) in [("pid", 1), ("ppid", 0), ("uid", 0), ("gid", 0), ("euid", 0), ("egid", 0), ("pgrp", 1)] {
        process.set(name, value)?;
    }
    posix.set(
        "getprocessid",
        lua.create_function(move |_, field: Option<String>| field.map_or(Ok(Value::Table(process.clone())), |field| process.get(field)))?,
    )
}
