//! GUIDs, in memory and on disk.

use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID in network byte order, as it is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// `21686148-6449-6e6f-744e-656564454649` as a number.
    pub const fn from_u128(value: u128) -> Self {
        Guid(value.to_be_bytes())
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = hex::encode(self.0);
        write!(f, "{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A GUID on disk, EFI_GUID of the UEFI specification 2.10, appendix A: the first three fields are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(crate) struct EfiGuid([u8; 16]);
const _: () = assert!(size_of::<EfiGuid>() == 16);

impl EfiGuid {
    pub const ZERO: Self = EfiGuid([0; 16]);

    pub fn get(self) -> Guid {
        Guid(swapped(self.0))
    }
}

impl From<Guid> for EfiGuid {
    fn from(guid: Guid) -> Self {
        EfiGuid(swapped(guid.0))
    }
}

/// Reverses the bytes of the first three fields; the same function in both directions.
fn swapped(g: [u8; 16]) -> [u8; 16] {
    [g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_fields_are_little_endian_on_disk() {
        let guid = Guid::from_u128(0x21686148_6449_6e6f_744e_656564454649);
        assert_eq!(EfiGuid::from(guid).as_bytes(), b"Hah!IdontNeedEFI");
        assert_eq!(EfiGuid::from(guid).get(), guid);
        assert_eq!(guid.to_string(), "21686148-6449-6e6f-744e-656564454649");
    }
}
