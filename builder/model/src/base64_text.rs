//! Base64 (RFC 4648 §4) as systemd and rpm read it: white space and padding are passed over.

use super::judged::ResultJudged;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// Returns `None` for a character that is not of the alphabet.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|c| !c.is_ascii_whitespace() && *c != b'=').collect();
    LENIENT.decode(digits).none_because("the callers' sentences say where it stands")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_padding_are_passed_over_and_other_characters_refused() {
        let check = |text: &[u8], expected: Option<&[u8]>| assert_eq!(decode_base64(text).as_deref(), expected, "{text:?}");
        check(b"", Some(b""));
        check(b"aGk=", Some(b"hi"));
        check(b"aGk", Some(b"hi"));
        check(b"aG\nk = ", Some(b"hi"));
        check(b"aGkh", Some(b"hi!"));
        check(b"aGk-", None);
        check(b"aG\0k", None);
    }
}
