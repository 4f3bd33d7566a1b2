//! URLs of repositories (RFC 3986): parsed once, credentials kept apart and never shown, the query kept when a path is appended.
//!
//! Locations in metadata are file names, as createrepo_c and dpkg-scanpackages write them, and not URL references: each of their segments is
//! percent-encoded but for the unreserved characters, so that `+` goes as `%2B` (object stores read a plain one as a space).

use model::{Error, Result};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// An http, https or file URL without a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Without user name and password.
    plain: url::Url,
    credentials: Option<Credentials>,
}

/// A user name and a password, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// `None` if the URL names neither.
    pub(super) fn of(url: &url::Url) -> Option<Self> {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let (user, password) = (decode(url.username()), decode(url.password().unwrap_or("")));
        (!user.is_empty() || !password.is_empty()).then_some(Credentials { user, password })
    }

    /// The value of the header Authorization (RFC 7617).
    pub(super) fn basic(&self) -> String {
        use base64::Engine as _;
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode([&self.user, b":".as_slice(), &self.password].concat()))
    }
}

impl Url {
    /// Parses what a recipe, a list of mirrors or a lockfile says; an absolute path is a file.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::recipe(format!("expected an http, https or file URL, found {:?}{why}", hidden(text)));
        // The parser would drop tabs and line feeds, and take a backslash for a slash.
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(wrong(", which has a control character or a backslash in it"));
        }
        if text.starts_with('/') {
            let plain = url::Url::from_file_path(text).map_err(|()| wrong(""))?;
            return Ok(Url { plain, credentials: None });
        }
        if text.starts_with("file:") && !text.starts_with("file:///") {
            return Err(wrong(": a file URL has three slashes and an absolute path"));
        }
        let mut plain = url::Url::parse(text.trim()).map_err(|e| wrong(&format!(": {e}")))?;
        if !["http", "https", "file"].contains(&plain.scheme()) {
            return Err(wrong(""));
        }
        let credentials = Credentials::of(&plain);
        let credentials = credentials.filter(|_| plain.scheme() != "file");
        strip(&mut plain);
        let path = encode(plain.path(), true);
        plain.set_path(&path);
        Ok(Url { plain, credentials })
    }

    /// Whether it names a file of this machine.
    pub fn is_file(&self) -> bool {
        self.plain.scheme() == "file"
    }

    /// The file that a `file:` URL names.
    pub(super) fn file_path(&self) -> Option<PathBuf> {
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(self.plain.path()).collect();
        self.is_file().then(|| PathBuf::from(std::ffi::OsStr::from_bytes(&decoded)))
    }

    /// The URL of a file below this one; `location` is a relative path of plain names. It never leads out.
    pub fn below(&self, location: &str) -> Result<Self> {
        if !is_below(location) {
            let found = location.get(..80).unwrap_or(location);
            return Err(Error::integrity(format!("{self}: expected a location below this, found {found:?}")));
        }
        let mut path = self.plain.path().trim_end_matches('/').to_owned();
        for segment in location.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
            path.push('/');
            path.push_str(&encode(segment, false));
        }
        let mut below = self.clone();
        below.plain.set_path(&path);
        Ok(below)
    }

    /// The URL of a file beside this one whose name has `suffix` added, as a detached signature's has.
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let mut other = self.clone();
        other.plain.set_path(&format!("{}{suffix}", self.plain.path()));
        other
    }

    /// Removes `suffix` from the path; `None` where the path has another end. The rest ends with a slash.
    pub fn without_suffix(&self, suffix: &str) -> Option<Self> {
        let mut other = self.clone();
        other.plain.set_path(self.plain.path().strip_suffix(suffix)?);
        Some(other)
    }

    /// The URL that a redirect leads to (RFC 3986 section 5). Credentials go only where they came from.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, String> {
        if location.chars().any(|c| c.is_control() || c == '\\') {
            return Err("a location with a control character or a backslash in it".into());
        }
        let mut plain = self.plain.join(location).map_err(|e| format!("a location that is no URL: {e}"))?;
        strip(&mut plain);
        match (self.plain.scheme(), plain.scheme()) {
            ("https", "http") => return Err("from https to http, where anybody could change the answer".into()),
            (_, "http" | "https") => {}
            (_, other) => return Err(format!("to a URL of the scheme {other:?}")),
        }
        let next = Url { plain, credentials: None };
        let credentials = self.credentials.clone().filter(|_| self.same_host(&next));
        Ok(Url { credentials, ..next })
    }

    /// Whether both have one scheme, host and port; of a file, whether the other is below it.
    pub fn same_host(&self, other: &Url) -> bool {
        if self.is_file() {
            return other.is_file() && other.plain.path().starts_with(&self.with_slash());
        }
        self.plain.origin() == other.plain.origin()
    }

    /// The same URL, asked for as `other` is, which is on the same host.
    pub(super) fn with_credentials_of(&self, other: &Url) -> Self {
        Url { plain: self.plain.clone(), credentials: other.credentials.clone() }
    }

    fn with_slash(&self) -> String {
        format!("{}/", self.plain.path().trim_end_matches('/'))
    }

    pub(super) fn is_https(&self) -> bool {
        self.plain.scheme() == "https"
    }

    /// The host as it stands in the URL (an IPv6 address in brackets), and the port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.plain.host_str().unwrap_or(""), self.plain.port_or_known_default().unwrap_or(0))
    }

    /// What goes to the HTTP library: everything but the credentials.
    pub(super) fn request_target(&self) -> &str {
        self.plain.as_str()
    }

    /// The value of the header Authorization, if the URL has credentials.
    pub(super) fn authorization(&self) -> Option<String> {
        self.credentials.as_ref().map(Credentials::basic)
    }

    /// The whole of it, percent-encoded, without credentials and with one slash at the end: equal for equal repositories.
    pub fn canonical(&self) -> String {
        let query = self.plain.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut whole = self.plain.clone();
        whole.set_query(None);
        format!("{}/{query}", whole.as_str().trim_end_matches('/'))
    }

    /// The text that [`parse`](Self::parse) reads back, without credentials.
    pub fn text(&self) -> &str {
        self.plain.as_str()
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.plain.path().rsplit('/').next().unwrap_or("")
    }
}

/// Without user name, password and query, which may hold a token: as it may appear in a message.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.plain.as_str();
        match text.split_once('?') {
            Some((before, _)) => write!(f, "{before}?…"),
            None => f.write_str(text),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether this is a relative path that does not lead out of its folder.
pub fn is_below(location: &str) -> bool {
    !location.is_empty()
        && !location.starts_with('/')
        && !location.contains("://")
        && !location.chars().any(char::is_control)
        && location.split('/').all(|part| part != "..")
}

fn strip(url: &mut url::Url) {
    // They only fail for URLs without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
}

/// A URL that cannot be parsed, without what stands between `://` and the last `@` before the path.
fn hidden(text: &str) -> String {
    let shown: String = match text.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            // A password with a slash in it ends the authority early: then nothing before an `@` is shown either.
            let after = if authority.contains('@') || rest.contains('@') { rest.rsplit('@').next().unwrap_or(rest) } else { rest };
            format!("{scheme}://{after}")
        }
        None => text.to_owned(),
    };
    shown.split('?').next().unwrap_or(&shown).chars().take(200).collect()
}

/// Percent-encodes all but the unreserved characters of RFC 3986; with `is_encoded`, of a path: slashes, what is encoded already, and what
/// servers never confuse stay, too.
fn encode(text: &str, is_encoded: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escape = || bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            b'/' | b':' | b'@' | b'=' | b',' | b';' | b'!' | b'$' | b'&' | b'(' | b')' | b'*' if is_encoded => out.push(char::from(*byte)),
            b'%' if is_encoded && escape() => out.push('%'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_url_is_parsed_once_and_sent_as_every_server_reads_it() {
        for (text, expected) in [
            ("http://host/a b/c+d", "http://host/a%20b/c%2Bd/x"),
            ("http://host/a%2Fb%20c/", "http://host/a%2Fb%20c/x"),
            ("http://host/100%/", "http://host/100%25/x"),
            ("http://host/r?tok=a%2Fb", "http://host/r/x?tok=a%2Fb"),
            ("http://host", "http://host/x"),
            ("https://us er:p@ss%@host:444/r#f", "https://host:444/r/x"),
            ("http://[::1]:8080/r//", "http://[::1]:8080/r/x"),
            ("HTTP://HOST:80/r", "http://host/r/x"),
            ("file:///a%20b", "file:///a%20b/x"),
            ("/a b+c", "file:///a%20b+c/x"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.below("x").unwrap().request_target(), expected, "{text}");
            assert_eq!(url.below("./x").unwrap().canonical(), url.below("x").unwrap().canonical());
        }
        for text in [
            "",
            "host/x",
            "ftp://host/",
            "file://host/x",
            "file:x",
            "http://",
            "http://h\tost/",
            "http://host/\n",
            "http:\\\\host",
            "http://h:99999/",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert_eq!(error.kind(), model::Kind::Recipe, "{text}");
        }
    }

    #[test]
    fn a_location_is_a_path_of_file_names_and_never_leads_out() {
        let base = Url::parse("https://u:p@host/base/?t=1").unwrap();
        for (location, expected) in [
            ("Packages/libstdc++-1.rpm", Some("https://host/base/Packages/libstdc%2B%2B-1.rpm?t=1")),
            (
                "libfoo++-1.0~rc1^20240101git-1+b2.noarch.rpm",
                Some("https://host/base/libfoo%2B%2B-1.0~rc1%5E20240101git-1%2Bb2.noarch.rpm?t=1"),
            ),
            ("a^b~c d%e%41#f?g.rpm", Some("https://host/base/a%5Eb~c%20d%25e%2541%23f%3Fg.rpm?t=1")),
            ("./a//b", Some("https://host/base/a/b?t=1")),
            ("é", Some("https://host/base/%C3%A9?t=1")),
            ("%2e%2e/x", Some("https://host/base/%252e%252e/x?t=1")),
            ("", None),
            ("/x", None),
            ("../x", None),
            ("a/../../x", None),
            ("http://other/x", None),
            ("a\nb", None),
        ] {
            let found = base.below(location);
            assert_eq!(found.as_ref().ok().map(|url| url.request_target()), expected, "{location}");
            assert!(found.is_err() || found.unwrap().authorization().is_some());
        }
        let signature = base.below("repodata/repomd.xml").unwrap().with_suffix(".asc");
        assert_eq!(signature.request_target(), "https://host/base/repodata/repomd.xml.asc?t=1");
        assert_eq!(Url::parse("/x y").unwrap().below("a+%41").unwrap().file_path().unwrap(), Path::new("/x y/a+%41"));
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        use base64::Engine as _;
        for (text, pair) in [
            ("http://us%20er:p%40ss%25@host/", Some("us er:p@ss%")),
            ("http://us er:p@ss%@host/", Some("us er:p@ss%")),
            ("http://token@host/", Some("token:")),
            ("http://host/a@b", None),
        ] {
            let url = Url::parse(text).unwrap();
            let expected = pair.map(|pair| format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair)));
            assert_eq!(url.authorization(), expected, "{text}");
            for shown in [url.to_string(), format!("{url:?}"), url.text().to_owned(), url.canonical()] {
                assert!(!shown.contains("er:") && !shown.contains("ss%") && !shown.contains("token"), "{shown}");
            }
        }
        assert_eq!(Url::parse("http://host/x?secret=1").unwrap().to_string(), "http://host/x?…");
        for broken in ["ftp://u:secret@host/", "http://u:secret@h\nost/", "http://u:a/secret@host:x/", "gopher://host/?secret"] {
            let error = Url::parse(broken).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_redirect_is_relative_to_where_it_was_met_and_keeps_credentials_on_their_host() {
        let check = |from: &str, location: &str, expected: Result<(&str, bool), &str>| {
            let found = Url::parse(from).unwrap().redirected(location);
            match (found, expected) {
                (Ok(url), Ok((text, known))) => {
                    assert_eq!((url.request_target(), url.authorization().is_some()), (text, known), "{from} {location}");
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (found, expected) => panic!("{from} {location}: {found:?}, expected {expected:?}"),
            }
        };
        check("http://u:p@h/a/b/c", "../x", Ok(("http://h/a/x", true)));
        check("http://u:p@h/a/b", "/x?y=1", Ok(("http://h/x?y=1", true)));
        check("http://u:p@h/a", "//[::1]:88/x", Ok(("http://[::1]:88/x", false)));
        check("http://u:p@h/a", "http://h:8080/x", Ok(("http://h:8080/x", false)));
        check("http://u:p@h/a", "https://h/x", Ok(("https://h/x", false)));
        check("http://h/a", "http://v:w@other/x", Ok(("http://other/x", false)));
        check("https://h/a", "http://h/x", Err("from https to http"));
        check("http://h/a", "file:///etc/passwd", Err("scheme \"file\""));
        check("http://h/a", "http://h/\u{1}", Err("control character"));
        check("http://h/a", "http://", Err("no URL"));
    }
}
