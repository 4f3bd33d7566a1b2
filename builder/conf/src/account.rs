//! The fields of passwd(5) and group(5) as types that only hold what a field can hold. Whatever names an account (a recipe, sysusers.d, a
//! scriptlet, a package's own passwd) is parsed into these, so that no field can add a field or a line to the files.

use model::ResultJudged;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// A user's or group's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// A text field: without `:` and control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AccountField(String);

/// A uid or gid. 4294967295 means "no id" to the kernel, and 65535 is the same in 16 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(u32);

impl AccountName {
    /// Of a name that this program makes: what systemd-sysusers takes, `[a-zA-Z_][a-zA-Z0-9_-]*` of at most 31 letters.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let first = text.bytes().next().ok_or("a name must not be empty")?;
        if !first.is_ascii_alphabetic() && first != b'_' {
            return Err("a name must begin with a letter or _");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            return Err("a name must be made of letters, digits, _ and -");
        }
        // UT_NAMESIZE of utmp(5), less its NUL.
        if text.len() > 31 { Err("a name must have at most 31 letters") } else { Ok(AccountName(text.into())) }
    }

    /// Of a name that a distribution gives: also `.`, a last `$` and others that no file takes for a separator.
    pub fn parse_relaxed(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('-') || text == "." || text == ".." {
            return Err("a name must not be empty, a number, or begin with -");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '/')) {
            return Err("a name must not hold blanks, control characters, `:`, `,` or `/`");
        }
        // LOGIN_NAME_MAX of limits.h, less its NUL.
        if text.len() > 255 { Err("a name must have at most 255 bytes") } else { Ok(AccountName(text.into())) }
    }
}

impl AccountField {
    /// Of free text, such as GECOS; it may be empty.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(':') {
            return Err("it must not hold a colon");
        }
        if text.contains(char::is_control) {
            Err("it must not hold a line feed or control character")
        } else {
            Ok(AccountField(text.into()))
        }
    }

    /// Of a home directory or login shell: an absolute path without `.` and `..`; repeated and last slashes go.
    pub fn parse_path(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("it must be an absolute path");
        }
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        if names.iter().any(|name| matches!(*name, "." | "..")) {
            return Err("it must not hold the components . or ..");
        }
        // PATH_MAX of limits.h, less its NUL.
        if text.len() > 4095 { Err("it must have at most 4095 bytes") } else { Self::parse(&format!("/{}", names.join("/"))) }
    }
}

impl AccountId {
    pub const ROOT: AccountId = AccountId(0);

    pub fn new(id: u32) -> Result<Self, &'static str> {
        if matches!(id, 0xffff | u32::MAX) { Err("65535 and 4294967295 mean \"no id\"") } else { Ok(AccountId(id)) }
    }

    /// In decimal, without sign or leading zeros.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let digits = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        let id = text
            .parse()
            .none_because("the caller's sentence says what an id is")
            .filter(|_| digits)
            .ok_or("an id must be a decimal number below 4294967295")?;
        Self::new(id)
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

text_type!(AccountName);
text_type!(AccountField);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_systemd_takes_or_what_a_distribution_has() {
        let long = "n".repeat(32);
        for (name, strict, relaxed) in [
            ("root", true, true),
            ("_apt", true, true),
            ("Debian-exim", true, true),
            ("n23456789012345678901234567890", true, true),
            (long.as_str(), false, true),
            ("a.b", false, true),
            ("host$", false, true),
            ("0day", false, true),
            ("123", false, false),
            ("", false, false),
            ("-x", false, false),
            ("..", false, false),
            ("a:b", false, false),
            ("a,b", false, false),
            ("a b", false, false),
            ("a/b", false, false),
            ("a\nb", false, false),
            ("a\0", false, false),
        ] {
            assert_eq!((AccountName::parse(name).is_ok(), AccountName::parse_relaxed(name).is_ok()), (strict, relaxed), "{name:?}");
        }
    }

    #[test]
    fn a_field_cannot_end_itself_and_a_path_is_normalised() {
        for (text, field, path) in [
            ("", Some(""), None),
            ("Müller, J.", Some("Müller, J."), None),
            ("/a//b/", Some("/a//b/"), Some("/a/b")),
            ("/", Some("/"), Some("/")),
            ("/a/../b", Some("/a/../b"), None),
            ("/a:b", None, None),
            ("/a\nb", None, None),
            ("/a\x7f", None, None),
            ("/a\0", None, None),
        ] {
            assert_eq!(AccountField::parse(text).ok().as_deref(), field, "{text:?}");
            assert_eq!(AccountField::parse_path(text).ok().as_deref(), path, "{text:?}");
        }
    }

    #[test]
    fn an_id_is_a_plain_number_that_is_one() {
        for (text, id) in [
            ("0", Some(0)),
            ("65534", Some(65534)),
            ("4294967294", Some(4_294_967_294)),
            ("65535", None),
            ("4294967295", None),
            ("4294967296", None),
            ("007", None),
            ("+5", None),
            ("-1", None),
            ("", None),
            (" 5", None),
        ] {
            assert_eq!(AccountId::parse(text).ok().map(AccountId::get), id, "{text:?}");
        }
    }
}
