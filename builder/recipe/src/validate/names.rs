//! What single names may be made of, as functions from a text to a verdict: names reach file names, command lines and lines of configuration.

/// A name of ours: of the image, a repository or a stateroot.
pub(super) fn own_name(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good || text.starts_with('-') || text.ends_with('-') {
        return Err("a name is made of a-z, 0-9 and -");
    }
    // It gets further parts in file names, which have at most 255 bytes.
    if text.len() > 64 { Err("a name has at most 64 letters") } else { Ok(text.to_owned()) }
}

/// A ref as libostree takes it, and as a file system and a web server can hold it: a name of 64 hex digits would be taken for a commit's, and
/// `NAME.lock` for a lock.
pub(super) fn reference(text: &str) -> Result<String, &'static str> {
    let word = |word: &str| {
        let good = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        good && !word.is_empty() && !word.starts_with(['-', '.']) && !word.ends_with('.') && word.len() <= 200
    };
    if !text.split('/').all(word) || text.len() > 1000 {
        return Err("it must be words of letters, digits, `-`, `.` and `_` joined by /");
    }
    if text.contains("..") || text.split('/').any(|word| word.ends_with(".lock")) {
        return Err("it must not hold `..` or a word that ends with .lock");
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Err("it looks like a commit's checksum")
    } else {
        Ok(text.to_owned())
    }
}

/// A version of an image, which stands in a commit and a menu.
pub(super) fn version(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~^+:-".contains(&b));
    if !good || text.len() > 128 { Err("a version is made of letters, digits and . _ ~ ^ + : -, 128 at most") } else { Ok(text.to_owned()) }
}

pub(super) fn title(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > 200 { Err("a menu title has at most 200 letters") } else { Ok(text.to_owned()) }
}

/// A package's name.
pub(super) fn package(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b)) && !text.starts_with(['-', '.']);
    if !good || text.len() > 255 { Err("a package's name is made of letters, digits and . _ + -") } else { Ok(text.to_owned()) }
}

/// A pattern over names, `name.arch` or full names of packages.
pub(super) fn package_pattern(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\`$;&|<>,#".contains(&b));
    if !good || text.len() > 512 { Err("a pattern is made of the letters of package names, *, ? and [ ]") } else { Ok(text.to_owned()) }
}

/// A pattern over absolute paths of the image.
pub(super) fn path_pattern(text: &str) -> Result<String, &'static str> {
    let good = text.starts_with('/') && !text.split('/').any(|name| name == "..");
    if good { Ok(text.to_owned()) } else { Err("it must be an absolute path without .., or a pattern of such") }
}

/// What dracut takes in a list of modules or drivers, which is separated by blanks.
pub(super) fn dracut_word(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+=/*-".contains(&b)) && !text.starts_with('-');
    if !good || text.len() > 255 { Err("it is made of letters, digits and . _ + = / * -") } else { Ok(text.to_owned()) }
}

/// A name of one path component, such as that of an SELinux policy.
pub(super) fn component(text: &str) -> Result<String, &'static str> {
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !text.starts_with(['-', '.']);
    if !good || text.len() > 64 { Err("it is made of letters, digits and . _ -") } else { Ok(text.to_owned()) }
}

/// A Debian suite or component, which is a part of a URL.
pub(super) fn archive_word(text: &str) -> Result<String, &'static str> {
    if text.split('/').all(|word| component(word).is_ok()) {
        Ok(text.to_owned())
    } else {
        Err("it is made of letters, digits and . _ -, joined by /")
    }
}

/// A module stream, `name:stream`.
pub(super) fn module(text: &str) -> Option<(&str, &str)> {
    let word =
        |word: &str| !word.is_empty() && word.len() <= 255 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
    text.split_once(':').filter(|(name, stream)| word(name) && word(stream))
}

/// A sysctl name, in sysctl.d(5)'s form.
pub(super) fn sysctl(text: &str) -> Result<(), &'static str> {
    let name = text.strip_prefix('-').unwrap_or(text);
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/*:@".contains(&b));
    if !good || text.len() > 255 || name.split(['.', '/']).any(str::is_empty) {
        Err("a sysctl name is made of words joined by . or /")
    } else {
        Ok(())
    }
}

/// systemd.unit(5).
const UNIT_SUFFIXES: [&str; 11] =
    [".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device"];

/// A unit's name as systemd's unit_name_is_valid has it, also of a template or an instance.
pub(super) fn is_unit(text: &str) -> bool {
    let stem = UNIT_SUFFIXES.iter().find_map(|suffix| text.strip_suffix(suffix));
    let good = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('@') && stem.bytes().all(good)) && text.len() <= 255
}
