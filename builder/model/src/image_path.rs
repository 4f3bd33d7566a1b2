//! A path inside the image, which cannot be joined to a host path by accident.

use crate::{Error, Result};
use std::fmt;

/// Absolute, without empty, `.` or `..` components, without NUL and without a trailing slash; `/` is the root. Bytes, since names need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Vec<u8>);

impl ImagePath {
    /// Longest path accepted, in bytes (Linux PATH_MAX less its NUL).
    pub const MAX: usize = 4095;
    /// Longest name accepted, in bytes (Linux NAME_MAX).
    pub const NAME_MAX: usize = 255;

    pub fn root() -> Self {
        ImagePath(b"/".to_vec())
    }

    /// Accepts a leading `/`, `./` or nothing; collapses repeated slashes and `.`; refuses `..`, NUL and names that are too long.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        let bad = |why: &str| Error::integrity(format!("{why} in path {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(256)])));
        if bytes.len() > Self::MAX {
            return Err(bad("more than 4095 bytes"));
        }
        let mut out = Vec::with_capacity(bytes.len() + 1);
        for name in bytes.split(|&b| b == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(bad("a .. component")),
                _ if name.len() > Self::NAME_MAX => return Err(bad("a name of more than 255 bytes")),
                _ if name.contains(&0) => return Err(bad("a NUL byte")),
                _ => {}
            }
            out.push(b'/');
            out.extend_from_slice(name);
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Ok(ImagePath(out))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names from the root down; empty for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for `/`.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// `None` for `/`.
    pub fn parent(&self) -> Option<ImagePath> {
        let cut = self.0.iter().rposition(|&b| b == b'/')?;
        match (cut, self.0.len()) {
            (0, 1) => None,
            (0, _) => Some(Self::root()),
            _ => Some(ImagePath(self.0[..cut].to_vec())),
        }
    }

    /// This path with one name below it; `None` if that is none, or the path becomes too long.
    pub fn child(&self, name: &[u8]) -> Option<ImagePath> {
        let own = if self.0.len() == 1 { 0 } else { self.0.len() };
        let bad = matches!(name, b"" | b"." | b"..") || name.iter().any(|b| matches!(b, 0 | b'/'));
        if bad || name.len() > Self::NAME_MAX || own + 1 + name.len() > Self::MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(own + 1 + name.len());
        bytes.extend_from_slice(&self.0[..own]);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Some(ImagePath(bytes))
    }

    /// This path with a relative path below it.
    pub fn join(&self, below: impl AsRef<[u8]>) -> Result<ImagePath> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(below.as_ref());
        Self::parse(bytes)
    }

    /// True for the path itself and everything below it.
    pub fn starts_with(&self, ancestor: &ImagePath) -> bool {
        ancestor.0 == b"/" || self.0.strip_prefix(ancestor.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_what_joining_its_name_gives() {
        for parent in ["/", "/a", "/a/b"].map(|text| ImagePath::parse(text).unwrap()) {
            for name in [&b"x"[..], b"\xff..", b"...", &[b'n'; 255]] {
                assert_eq!(parent.child(name).unwrap(), parent.join(name).unwrap());
            }
            for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'n'; 256]] {
                assert_eq!(parent.child(name), None);
            }
        }
        let long = ImagePath::parse([b'/'; 1].iter().chain(&[b'd'; 200]).copied().collect::<Vec<u8>>().repeat(20)).unwrap();
        assert!(long.child(&[b'n'; 75]).is_none() && long.child(&[b'n'; 74]).is_some());
    }

    #[test]
    fn a_path_is_normalised_or_refused() {
        for (input, expected) in [
            ("", Some("/")),
            ("./usr//bin/.", Some("/usr/bin")),
            ("/a/../b", None),
            ("../x", None),
            ("a\0b", None),
            ("/etc/", Some("/etc")),
        ] {
            assert_eq!(ImagePath::parse(input).ok().map(|p| p.to_string()).as_deref(), expected, "{input:?}");
        }
        assert_eq!(ImagePath::parse("/a").unwrap().parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::root().parent(), None);
        assert!(!ImagePath::parse("/usrx").unwrap().starts_with(&ImagePath::parse("/usr").unwrap()));
    }
}
