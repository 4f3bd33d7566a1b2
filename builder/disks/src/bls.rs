//! A Boot Loader Specification type 1 entry (UAPI.1), as libostree writes it: one key and value a line, in libostree's order of keys.
//! No value may hold a line break; paths are relative to the filesystem that holds the entries.

use model::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub title: String,
    /// Menus sort by it; libostree counts deployments upwards, the newest highest.
    pub version: u32,
    /// The kernel's command line.
    pub options: String,
    pub linux: String,
    pub initrd: Option<String>,
}

impl Entry {
    pub fn to_text(&self) -> Result<String> {
        let version = self.version.to_string();
        let mut fields = vec![("title", &self.title), ("version", &version), ("options", &self.options), ("linux", &self.linux)];
        fields.extend(self.initrd.as_ref().map(|initrd| ("initrd", initrd)));
        let mut out = String::new();
        for (key, value) in fields {
            if value.contains(char::is_control) {
                return Err(Error::recipe(format!("a boot entry's {key} cannot hold a line break or control character: {value:?}")));
            }
            // What follows would be a part of the quoted argument, `ostree=` among it.
            if key == "options" && !value.matches('"').count().is_multiple_of(2) {
                return Err(Error::recipe(format!("a boot entry's options have a double quote that stays open: {value:?}")));
            }
            out.push_str(&format!("{key} {value}\n"));
        }
        Ok(out)
    }

    /// Reads an entry of any writer: keys in any order, unknown ones and comments skipped. Without a number as version it sorts last.
    pub fn parse(text: &str) -> Result<Entry> {
        let mut entry = Entry { title: String::new(), version: 0, options: String::new(), linux: String::new(), initrd: None };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let value = value.trim();
            match key {
                "title" => entry.title = value.to_owned(),
                "version" => entry.version = value.parse().unwrap_or(0),
                // The specification lets options stand more than once; they add up.
                "options" if entry.options.is_empty() => entry.options = value.to_owned(),
                "options" => entry.options = format!("{} {value}", entry.options),
                "linux" => entry.linux = value.to_owned(),
                "initrd" => entry.initrd = Some(value.to_owned()),
                _ => {}
            }
        }
        if entry.linux.is_empty() {
            return Err(Error::integrity("a boot entry without a linux line"));
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_five_lines_and_no_value_can_add_a_sixth() {
        let mut entry = Entry { title: "T".into(), version: 2, options: "rw quiet".into(), linux: "/k".into(), initrd: Some("/i".into()) };
        assert_eq!(entry.to_text().unwrap(), "title T\nversion 2\noptions rw quiet\nlinux /k\ninitrd /i\n");
        for title in ["T\nlinux /evil", "T\r", "T\0", "T\x1b[2J"] {
            entry.title = title.into();
            assert!(entry.to_text().is_err());
        }
        let options = Entry { title: "T".into(), options: "a=\"b c\" bad=\"open ostree=/x".into(), ..entry };
        assert!(options.to_text().unwrap_err().to_string().contains("stays open"));
    }

    #[test]
    fn an_entry_is_read_back_whatever_the_order_and_the_additions() {
        let entry = Entry { title: "T 1".into(), version: 2, options: "rw quiet".into(), linux: "/k".into(), initrd: Some("/i".into()) };
        assert_eq!(Entry::parse(&entry.to_text().unwrap()).unwrap(), entry);
        let other = "# a comment\nlinux\t/k\noptions rw\naboot x\n\ninitrd  /i\noptions  quiet\nversion 2\ntitle T 1";
        assert_eq!(Entry::parse(other).unwrap(), entry);
        assert!(Entry::parse("title T\n").is_err());
    }
}
