//! A Boot Loader Specification type 1 entry (UAPI.1), as libostree writes it: one key and value a line, in libostree's order of keys.
//! No value may hold a line break; paths are relative to the filesystem that holds the entries.

use crate::base::{Error, Result};

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
            if value.contains(['\n', '\r', '\0']) {
                return Err(Error::recipe(format!("a boot entry's {key} cannot hold a line break: {value:?}")));
            }
            out.push_str(&format!("{key} {value}\n"));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_five_lines_and_no_value_can_add_a_sixth() {
        let mut entry = Entry { title: "T".into(), version: 2, options: "rw quiet".into(), linux: "/k".into(), initrd: Some("/i".into()) };
        assert_eq!(entry.to_text().unwrap(), "title T\nversion 2\noptions rw quiet\nlinux /k\ninitrd /i\n");
        entry.title = "T\nlinux /evil".into();
        assert!(entry.to_text().is_err());
    }
}
