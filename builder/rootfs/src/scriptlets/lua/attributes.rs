//! The half of `posix` about what an inode is: stat, access, modes, owners, times.

use super::posix::{bytes, define, outcome};
use super::state::{Errno, State};
use mlua::{Lua, MultiValue, Table, Value};
use model::ResultJudged;
use model::tree::{InodeId, NodeKind};
use std::cell::RefCell;
use std::rc::Rc;

pub(super) fn install(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let posix: Table = lua.globals().get("posix")?;
    let shared = state.clone();
    posix.set(
        "stat",
        lua.create_function(move |lua, (path, field): (mlua::String, Option<String>)| {
            let mut state = shared.borrow_mut();
            match state.existing(&path.as_bytes(), false) {
                Ok((_, id)) => {
                    let table = stat(lua, &state, id)?;
                    field.map_or(Ok(Value::Table(table.clone())), |field| table.get::<Value>(field)).map(|v| MultiValue::from_vec(vec![v]))
                }
                Err(errno) => outcome(lua, &mut state, &path, Err(errno)),
            }
        })?,
    )?;
    define(lua, state, &posix, "access", |state, path, wanted: Option<String>| {
        let (_, id) = state.existing(path, true)?;
        let inode = state.tree.inode(id);
        // Root may read and write everything, and execute what anybody may.
        let executable = inode.is_directory() || inode.attributes.mode & 0o111 != 0;
        if wanted.as_deref().unwrap_or("f").contains('x') && !executable { Err(Errno::Invalid) } else { Ok(()) }
    })?;
    define(lua, state, &posix, "chmod", |state, path, mode: mlua::String| {
        let (real, id) = state.existing(path, true)?;
        let attributes = &mut state.tree.inode_mut(id).attributes;
        attributes.mode = changed_mode(attributes.mode, &mode.to_string_lossy()).ok_or(Errno::Invalid)?;
        state.changed.insert(real);
        Ok(())
    })?;
    define(lua, state, &posix, "chown", |state, path, (user, group): (Value, Value)| {
        let (real, id) = state.existing(path, true)?;
        let (uid, gid) = (owner(&user, &state.users)?, owner(&group, &state.groups)?);
        let attributes = &mut state.tree.inode_mut(id).attributes;
        attributes.uid = uid.unwrap_or(attributes.uid);
        attributes.gid = gid.unwrap_or(attributes.gid);
        state.changed.insert(real);
        Ok(())
    })?;
    define(lua, state, &posix, "utime", |state, path, ()| {
        let (_, id) = state.existing(path, true)?;
        state.tree.inode_mut(id).attributes.mtime = i64::from(state.epoch.0);
        Ok(())
    })
}

fn stat(lua: &Lua, state: &State, id: InodeId) -> mlua::Result<Table> {
    let inode = state.tree.inode(id);
    let name = |id: u32, names: &std::collections::BTreeMap<String, u32>| match names.iter().find(|(_, known)| **known == id) {
        Some((name, _)) => bytes(lua, name.as_bytes()),
        None => Ok(Value::Integer(i64::from(id))),
    };
    let size = match &inode.kind {
        NodeKind::File(content) => content.len(),
        NodeKind::Symlink(target) => target.len() as u64,
        _ => 0,
    };
    let kind = match &inode.kind {
        NodeKind::File(_) => "regular",
        NodeKind::Symlink(_) => "link",
        other => other.name(),
    };
    let table = lua.create_table()?;
    table.set("mode", mode_text(inode.attributes.mode))?;
    table.set("_mode", inode.st_mode())?;
    table.set("type", kind)?;
    table.set("ino", id.index() as i64 + 1)?;
    table.set("dev", 1)?;
    table.set("nlink", state.tree.link_counts().get(id.index()).copied().unwrap_or(1))?;
    table.set("uid", name(inode.attributes.uid, &state.users)?)?;
    table.set("gid", name(inode.attributes.gid, &state.groups)?)?;
    table.set("size", size as i64)?;
    for time in ["atime", "mtime", "ctime"] {
        table.set(time, inode.attributes.mtime)?;
    }
    Ok(table)
}

/// `rwxr-sr-t`, as ls shows it.
pub(super) fn mode_text(mode: u16) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Octal digits, nine letters, or clauses such as `u+x,go-w`.
pub(super) fn changed_mode(old: u16, text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return u16::from_str_radix(text, 8).none_because("the caller answers EINVAL").filter(|mode| *mode <= 0o7777);
    }
    if text.len() == 9 && text.bytes().all(|b| b"rwxst-ST".contains(&b)) {
        return (0..=0o7777).find(|&mode| mode_text(mode) == text);
    }
    text.split(',').try_fold(old, |mode, clause| {
        let at = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(at);
        let who: u16 = if who.is_empty() || who.contains('a') {
            0o777
        } else {
            who.chars().try_fold(0, |mask, c| {
                Some(
                    mask | match c {
                        'u' => 0o700,
                        'g' => 0o070,
                        'o' => 0o007,
                        _ => return None,
                    },
                )
            })?
        };
        let bits: u16 = rest[1..].chars().try_fold(0, |bits, c| {
            Some(
                bits | match c {
                    'r' => 0o444 & who,
                    'w' => 0o222 & who,
                    'x' => 0o111 & who,
                    's' => (who & 0o100) << 5 | (who & 0o010) << 7,
                    _ => return None,
                },
            )
        })?;
        Some(match &rest[..1] {
            "+" => mode | bits,
            "-" => mode & !bits,
            _ => mode & !who | bits,
        })
    })
}

/// A name or a number; nil and -1 leave the owner as it is.
fn owner(value: &Value, names: &std::collections::BTreeMap<String, u32>) -> Result<Option<u32>, Errno> {
    match value {
        Value::Nil | Value::Integer(-1) => Ok(None),
        Value::Integer(id) => u32::try_from(*id).map(Some).map_err(|_| Errno::Invalid),
        Value::String(name) => {
            let name = name.to_string_lossy();
            names
                .get(name.as_str())
                .copied()
                .or_else(|| name.parse().none_because("the caller answers EINVAL"))
                .map(Some)
                .ok_or(Errno::Invalid)
        }
        _ => Err(Errno::Invalid),
    }
}
