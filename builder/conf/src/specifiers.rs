//! Specifiers of systemd's configuration files: `%` and a letter.
//!
//! A build knows the ones that are the same on every host. The others (host name, machine ID, kernel release and what os-release says) differ
//! from host to host or from deployment to deployment, so that a text with one of them can only be expanded there.

/// What a letter stands for in the system's own instance; (letter, value).
type Known = &'static [(u8, &'static str)];

/// sysusers.d(5).
pub const SYSUSERS: Known = &[(b'T', "/tmp"), (b'V', "/var/tmp")];

/// tmpfiles.d(5).
pub const TMPFILES: Known = &[
    (b'C', "/var/cache"),
    (b'g', "root"),
    (b'G', "0"),
    (b'h', "/root"),
    (b'L', "/var/log"),
    (b'S', "/var/lib"),
    (b't', "/run"),
    (b'T', "/tmp"),
    (b'u', "root"),
    (b'U', "0"),
    (b'V', "/var/tmp"),
];

/// Letters that only a running host can expand, in both formats.
const OF_HOST: &[u8] = b"aAbBHlmMoqvwW";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expanded {
    Known(Vec<u8>),
    /// Holds a specifier that only the host can expand.
    OnHost,
}

/// Expands the specifiers of `text`. A `%` before anything but a letter or digit stands for itself, as in systemd; an unknown letter is an error.
pub fn expand(text: &[u8], known: Known) -> Result<Expanded, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut on_host = false;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'%', Some(b'%')) => out.push(b'%'),
            (b'%', Some(letter)) if letter.is_ascii_alphanumeric() => match known.iter().find(|(known, _)| known == letter) {
                Some((_, value)) => out.extend_from_slice(value.as_bytes()),
                None if OF_HOST.contains(letter) => on_host = true,
                None => return Err(format!("the unknown specifier %{}", char::from(*letter))),
            },
            (byte, _) => {
                out.push(byte);
                continue;
            }
        }
        rest = &rest[1..];
    }
    Ok(if on_host { Expanded::OnHost } else { Expanded::Known(out) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_host_has_is_expanded_and_the_rest_is_left_or_refused() {
        let check = |text: &str, expected: Option<&str>| {
            let expected = expected.map_or(Expanded::OnHost, |text| Expanded::Known(text.into()));
            assert_eq!(expand(text.as_bytes(), TMPFILES), Ok(expected), "{text}");
        };
        check("100%% sure %t/x", Some("100% sure /run/x"));
        check("%%%%H 5% - %-%", Some("%%H 5% - %-%"));
        check("a %H b", None);
        check("%S%m", None);
        assert_eq!(expand(b"%S", SYSUSERS), Err("the unknown specifier %S".into()));
        assert_eq!(expand(b"%T", SYSUSERS), Ok(Expanded::Known(b"/tmp".to_vec())));
    }
}
