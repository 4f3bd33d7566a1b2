//! Values with a type of their own: ids, paths of the image, modes, sizes.

use super::{At, Reader};
use crate::raw::{Entry, Node, Value};
use conf::account::AccountId;
use model::{ByteSize, ImagePath, ResultJudged};

impl Reader<'_> {
    /// A uid or gid.
    pub fn account_id(&mut self, key: &'static str) -> Option<At<AccountId>> {
        let number = self.number(key)?;
        match AccountId::new(number.value) {
            Ok(value) => Some(At { at: number.at, value }),
            Err(why) => {
                self.faults.add(&number.at, format!("bad `{key}`: {why}, found {}", number.value), None);
                None
            }
        }
    }

    pub fn required_account_id(&mut self, key: &'static str) -> Option<At<AccountId>> {
        if !self.has(key) {
            self.missing(key, None);
        }
        self.account_id(key)
    }

    /// A text that `what` names in messages, or `false`, which is `None` like an absent key.
    pub fn text_or_false(&mut self, key: &'static str, what: &str) -> Option<At<String>> {
        match self.table.get(key).map(|entry| &entry.node) {
            Some(Node { value: Value::Bool(false), .. }) => {
                self.take(key);
                None
            }
            Some(Node { at, value: Value::Bool(true) }) => {
                self.faults.add(at, format!("`{key}` must be {what} or false, found true"), None);
                self.take(key);
                None
            }
            _ => self.text(key),
        }
    }

    /// Bytes in a sector of a disk.
    pub fn sector(&mut self, key: &'static str) -> Option<At<u64>> {
        let node = self.take(key)?;
        match node.value {
            Value::Integer(value @ (512 | 4096)) => Some(At { at: node.at, value: value.unsigned_abs() }),
            Value::Integer(value) => {
                self.faults.add(&node.at, format!("`{key}` must be 512 or 4096, found {value}"), None);
                None
            }
            other => {
                self.wrong(&node.at, key, "512 or 4096", &other);
                None
            }
        }
    }

    /// A path inside the image.
    pub fn image_path(&mut self, key: &'static str) -> Option<At<ImagePath>> {
        let text = self.required_text(key)?;
        if !text.value.starts_with('/') {
            self.faults.add(&text.at, format!("`{key}` must start with /, found {:?}", text.value), None);
            return None;
        }
        match ImagePath::parse(&text.value) {
            Ok(path) if path == ImagePath::root() => {
                self.faults.add(&text.at, format!("`{key}` must be below /"), None);
                None
            }
            Ok(path) => Some(At { at: text.at, value: path }),
            Err(e) => {
                self.faults.add(&text.at, format!("`{key}`: {e}"), None);
                None
            }
        }
    }

    /// Permission bits in octal, as a string.
    pub fn mode(&mut self, key: &'static str) -> Option<u16> {
        let text = self.text(key)?;
        match u16::from_str_radix(&text.value, 8) {
            Ok(mode) if mode <= 0o7777 && !text.value.starts_with('+') => Some(mode),
            _ => {
                self.faults.add(
                    &text.at,
                    format!("`{key}` must be up to four octal digits, found {:?}", text.value),
                    Some("such as \"0644\"".into()),
                );
                None
            }
        }
    }

    /// A size such as `64MiB`, in whole MiB and not zero.
    pub fn size(&mut self, key: &'static str) -> Option<At<ByteSize>> {
        let text = self.text(key)?;
        let parsed = parse_size(&text.value);
        if parsed.is_none() {
            let hint = Some("a whole number of MiB, GiB or TiB, such as \"512MiB\"".to_owned());
            self.faults.add(&text.at, format!("`{key}` must be a size, found {:?}", text.value), hint);
        }
        Some(At { at: text.at, value: parsed? })
    }

    /// A size of at least `low` and less than `high`.
    pub fn size_within(&mut self, key: &'static str, low: ByteSize, high: ByteSize) -> Option<ByteSize> {
        let size = self.size(key)?;
        if size.value < low || size.value >= high {
            self.faults.add(&size.at, format!("`{key}` must be at least {low} and less than {high}, found {}", size.value), None);
            return None;
        }
        Some(size.value)
    }

    /// A size, or `auto`, which is `None`.
    pub fn size_or_auto(&mut self, key: &'static str) -> Option<At<ByteSize>> {
        match self.table.get(key) {
            Some(Entry { node: Node { value: Value::Text(text), .. }, .. }) if text == "auto" => {
                self.take(key);
                None
            }
            _ => self.size(key),
        }
    }
}

fn parse_size(text: &str) -> Option<ByteSize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let mib: u64 = match unit.trim() {
        "MiB" => 1,
        "GiB" => 1 << 10,
        "TiB" => 1 << 20,
        _ => return None,
    };
    let mib = number.parse::<u64>().none_because("the caller's sentence says what a size is")?.checked_mul(mib)?;
    // 1 PiB bounds later arithmetic far below 64 bits.
    (mib > 0 && mib <= 1 << 30).then(|| ByteSize::mib(mib))
}
