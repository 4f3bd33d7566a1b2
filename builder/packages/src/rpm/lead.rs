//! The lead: 96 bytes at the front of every package that nothing has read since rpm 3, except to recognise the file.
//!
//! `0` magic ed ab ee db · `4` major, minor · `6` u16 type (0 binary, 1 source) · `8` u16 arch · `10` name, 66 bytes · `76` u16 os ·
//! `78` u16 signature type (5: header style) · `80` 16 reserved. Big-endian. (rpm, `lib/rpmlead.c`)

use model::{Error, Result};

pub const LEAD_SIZE: usize = 96;
const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// The only signature type that anyone has written since rpm 3: a header.
const HEADER_STYLE_SIGNATURE: u16 = 5;

/// Fails unless `lead` opens a package with a header-style signature. What else it says is repeated, better, in the header.
pub(super) fn check(lead: &[u8; LEAD_SIZE]) -> Result<()> {
    if lead[..4] != MAGIC {
        return Err(Error::integrity(format!("expected an rpm package (magic edabeedb), found {}", hex::encode(&lead[..4]))));
    }
    if !matches!(lead[4], 3 | 4) {
        return Err(Error::integrity(format!("expected an rpm lead of version 3 or 4, found {}", lead[4])));
    }
    let signature_type = u16::from_be_bytes([lead[78], lead[79]]);
    if signature_type != HEADER_STYLE_SIGNATURE {
        return Err(Error::integrity(format!("expected signature type 5 in the rpm lead, found {signature_type}")));
    }
    Ok(())
}
