//! The lead: 96 bytes at the front of every package that nothing has read since rpm 3, except to recognise the file. Big-endian.
//! (rpm, `lib/rpmlead.c`, `struct rpmlead_s`)

use model::{Error, Result};
use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Lead {
    magic: [u8; 4],
    major: u8,
    minor: u8,
    /// 0 binary, 1 source.
    package_type: U16,
    archnum: U16,
    name: [u8; 66],
    osnum: U16,
    signature_type: U16,
    reserved: [u8; 16],
}
const _: () = assert!(size_of::<Lead>() == 96);

const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// The only signature type that anyone has written since rpm 3: a header.
const HEADER_STYLE_SIGNATURE: u16 = 5;

impl Lead {
    /// Fails unless it opens a package with a header-style signature. What else it says is repeated, better, in the header.
    pub(super) fn check(&self) -> Result<()> {
        if self.magic != MAGIC {
            return Err(Error::integrity(format!("expected an rpm package (magic edabeedb), found {}", hex::encode(self.magic))));
        }
        if !matches!(self.major, 3 | 4) {
            return Err(Error::integrity(format!("expected an rpm lead of version 3 or 4, found {}", self.major)));
        }
        if self.signature_type != HEADER_STYLE_SIGNATURE {
            return Err(Error::integrity(format!("expected signature type 5 in the rpm lead, found {}", self.signature_type)));
        }
        Ok(())
    }
}
