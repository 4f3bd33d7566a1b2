//! `io`: files of the tree, read whole when opened and written back when flushed, closed, or when the script ends.

use super::posix::{bytes, outcome};
use super::state::{Errno, State};
use mlua::{AnyUserData, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value, Variadic};
use model::tree::NodeKind;
use model::{ImagePath, OptionJudged, ResultJudged};
use std::cell::RefCell;
use std::rc::Rc;

/// Largest file that a script may open or write, in bytes.
const LARGEST: u64 = 16 << 20;

/// Files that a script may have open.
const OPEN_MAX: usize = 64;

pub(super) struct OpenFile {
    /// `None`: the script's output.
    path: Option<ImagePath>,
    data: Vec<u8>,
    position: usize,
    readable: bool,
    writable: bool,
    append: bool,
    dirty: bool,
    closed: bool,
}

struct Handle {
    file: Rc<RefCell<OpenFile>>,
    state: Rc<RefCell<State>>,
}

pub(super) fn install(lua: &Lua, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let io = lua.create_table()?;
    let shared = state.clone();
    io.set(
        "open",
        lua.create_function(move |lua, (path, mode): (mlua::String, Option<String>)| {
            let opened = open(&shared, &path.as_bytes(), mode.as_deref().unwrap_or("r"));
            match opened {
                Ok(handle) => Ok(MultiValue::from_vec(vec![Value::UserData(lua.create_userdata(handle)?)])),
                Err(errno) => outcome(lua, &mut shared.borrow_mut(), &path, Err(errno)),
            }
        })?,
    )?;
    let shared = state.clone();
    io.set(
        "lines",
        lua.create_function(move |lua, path: mlua::String| {
            let handle = open(&shared, &path.as_bytes(), "r")
                .map_err(|errno| mlua::Error::runtime(format!("{}: {}", path.to_string_lossy(), errno.text())))?;
            lines(lua, handle.file)
        })?,
    )?;
    let shared = state.clone();
    io.set(
        "write",
        lua.create_function(move |_, words: Variadic<mlua::String>| {
            words.iter().for_each(|word| shared.borrow_mut().print(&word.to_string_lossy()));
            Ok(true)
        })?,
    )?;
    io.set("read", lua.create_function(|_, _: MultiValue| Ok(Value::Nil))?)?;
    io.set("close", lua.create_function(|_, file: Option<AnyUserData>| file.map_or(Ok(true), |file| file.borrow::<Handle>()?.close()))?)?;
    io.set(
        "type",
        lua.create_function(|_, value: Value| {
            let Value::UserData(data) = value else { return Ok(None) };
            Ok(data
                .borrow::<Handle>()
                .none_because("what is not a handle has no state")
                .map(|handle| if handle.file.borrow().closed { "closed file" } else { "file" }))
        })?,
    )?;
    let shared = state.clone();
    io.set(
        "popen",
        lua.create_function(move |_, command: String| -> mlua::Result<()> {
            shared.borrow_mut().execute(&command).map_err(mlua::Error::runtime)?;
            Err(mlua::Error::runtime(format!("the output of {command:?} is not known")))
        })?,
    )?;
    for name in ["stdout", "stderr"] {
        let output = OpenFile {
            path: None,
            data: Vec::new(),
            position: 0,
            readable: false,
            writable: true,
            append: true,
            dirty: false,
            closed: false,
        };
        io.set(name, Handle { file: Rc::new(RefCell::new(output)), state: state.clone() })?;
    }
    lua.globals().set("io", io)
}

fn open(shared: &Rc<RefCell<State>>, text: &[u8], mode: &str) -> Result<Handle, Errno> {
    let mut state = shared.borrow_mut();
    let held: usize = state.open.iter().map(|file| file.borrow().data.len()).sum();
    if state.open.len() >= OPEN_MAX || held > 4 * LARGEST as usize {
        return Err(Errno::TooMany);
    }
    let place = state.place(text, true)?;
    let plus = mode.contains('+');
    let first = mode.chars().next().unwrap_or('r');
    let data = match place.id {
        Some(_) if first == 'w' && !matches!(state.tree.get(&place.path).map(|id| &state.tree.inode(id).kind), Some(NodeKind::File(_))) => {
            return Err(Errno::IsDirectory);
        }
        Some(_) if first == 'w' => Vec::new(),
        Some(id) => match &state.tree.inode(id).kind {
            NodeKind::File(content) if content.len() > LARGEST => return Err(Errno::TooLarge),
            NodeKind::File(content) => content.to_vec().map_err(|_| Errno::Invalid)?,
            NodeKind::Directory(_) => return Err(Errno::IsDirectory),
            _ => return Err(Errno::Invalid),
        },
        None if first == 'r' => return Err(Errno::NotFound),
        None => Vec::new(),
    };
    // Opened for writing, the file is there at once, and empty if so asked.
    if first == 'w' || place.id.is_none() {
        state.write_file(&place.path, Vec::new())?;
    }
    let file = OpenFile {
        path: Some(place.path),
        data,
        position: 0,
        readable: first == 'r' || plus,
        writable: first != 'r' || plus,
        append: first == 'a',
        dirty: false,
        closed: false,
    };
    let file = Rc::new(RefCell::new(file));
    state.open.push(file.clone());
    Ok(Handle { file, state: shared.clone() })
}

/// What a script left open, in the order of opening.
pub(super) fn close_all(state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let open = std::mem::take(&mut state.borrow_mut().open);
    for file in &open {
        flush(file, state)?;
    }
    Ok(())
}

fn flush(file: &Rc<RefCell<OpenFile>>, state: &Rc<RefCell<State>>) -> mlua::Result<()> {
    let mut file = file.borrow_mut();
    if let (true, Some(path)) = (file.dirty, file.path.clone()) {
        file.dirty = false;
        let data = file.data.clone();
        state.borrow_mut().write_file(&path, data).map_err(|errno| mlua::Error::runtime(format!("{path}: {}", errno.text())))?;
    }
    Ok(())
}

impl Handle {
    fn close(&self) -> mlua::Result<bool> {
        flush(&self.file, &self.state)?;
        self.file.borrow_mut().closed = true;
        self.state.borrow_mut().open.retain(|open| !Rc::ptr_eq(open, &self.file));
        Ok(true)
    }
}

impl OpenFile {
    fn line(&mut self, keep_end: bool) -> Option<Vec<u8>> {
        let rest = self.data.get(self.position..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|&b| b == b'\n');
        let line = rest[..end.map_or(rest.len(), |end| end + usize::from(keep_end))].to_vec();
        self.position += end.map_or(rest.len(), |end| end + 1);
        Some(line)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.data.get(self.position..).unwrap_or(&[]);
        let taken = rest[..count.min(rest.len())].to_vec();
        self.position += taken.len();
        taken
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Errno> {
        if !self.writable || self.closed {
            return Err(Errno::Invalid);
        }
        let at = if self.append { self.data.len() } else { self.position };
        let end = at + text.len();
        if end as u64 > LARGEST {
            return Err(Errno::TooLarge);
        }
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[at..end].copy_from_slice(text);
        (self.position, self.dirty) = (end, true);
        Ok(())
    }
}

fn read(lua: &Lua, file: &mut OpenFile, format: &Value) -> mlua::Result<Value> {
    if !file.readable || file.closed {
        return Ok(Value::Nil);
    }
    let some = |line: Option<Vec<u8>>| line.map_or(Ok(Value::Nil), |line| bytes(lua, &line));
    match format {
        Value::Integer(count) => {
            let taken = file.take(usize::try_from(*count).unwrap_or(0));
            some((!taken.is_empty() || *count == 0).then_some(taken))
        }
        Value::String(format) => match format.to_string_lossy().trim_start_matches('*').chars().next() {
            Some('a') => bytes(lua, &file.take(usize::MAX)),
            Some('l') => some(file.line(false)),
            Some('L') => some(file.line(true)),
            Some('n') => {
                let line = file.line(false).default_because("the end of the file is an empty line");
                let number = String::from_utf8_lossy(&line).trim().parse::<f64>();
                Ok(number.map_or(Value::Nil, Value::Number))
            }
            _ => Err(mlua::Error::runtime("bad argument to 'read' (invalid format)")),
        },
        _ => Err(mlua::Error::runtime("bad argument to 'read' (invalid format)")),
    }
}

fn lines(lua: &Lua, file: Rc<RefCell<OpenFile>>) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, ()| file.borrow_mut().line(false).map(|line| bytes(lua, &line)).transpose())
}

impl UserData for Handle {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("read", |lua, this, formats: Variadic<Value>| {
            let mut file = this.file.borrow_mut();
            if formats.is_empty() {
                return Ok(Variadic::from_iter([read(lua, &mut file, &bytes(lua, b"l")?)?]));
            }
            formats.iter().map(|format| read(lua, &mut file, format)).collect::<mlua::Result<Variadic<Value>>>()
        });
        methods.add_function("write", |_, (this, words): (AnyUserData, Variadic<Value>)| {
            {
                let handle = this.borrow::<Handle>()?;
                let mut file = handle.file.borrow_mut();
                for word in words.iter() {
                    let text = match word {
                        Value::String(text) => text.as_bytes().to_vec(),
                        Value::Integer(number) => number.to_string().into_bytes(),
                        Value::Number(number) => number.to_string().into_bytes(),
                        _ => return Err(mlua::Error::runtime("bad argument to 'write' (string expected)")),
                    };
                    match &file.path {
                        None => handle.state.borrow_mut().print(&String::from_utf8_lossy(&text)),
                        Some(_) => file.write(&text).map_err(|errno| mlua::Error::runtime(errno.text()))?,
                    }
                }
            }
            Ok(this)
        });
        methods.add_method("lines", |lua, this, ()| lines(lua, this.file.clone()));
        methods.add_method("close", |_, this, ()| this.close());
        methods.add_method("flush", |_, this, ()| flush(&this.file, &this.state).map(|()| true));
        methods.add_method("setvbuf", |_, _, _: MultiValue| Ok(true));
        methods.add_method("seek", |_, this, (whence, offset): (Option<String>, Option<i64>)| {
            let mut file = this.file.borrow_mut();
            let base = match whence.as_deref().unwrap_or("cur") {
                "set" => 0,
                "end" => file.data.len() as i64,
                _ => file.position as i64,
            };
            file.position = usize::try_from(base.saturating_add(offset.unwrap_or(0))).unwrap_or(0).min(LARGEST as usize);
            Ok(file.position as i64)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("file"));
    }
}
