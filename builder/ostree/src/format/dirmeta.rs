//! A directory's own metadata, `(uuua(ayay))`: uid, gid, st_mode, xattrs.

use super::{Xattrs, decode_xattrs, encode_xattrs};
use crate::gvariant::{Shape, Value, split_tuple, u32_be};
use model::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirMeta {
    pub uid: u32,
    pub gid: u32,
    /// With the S_IFDIR bit.
    pub mode: u32,
    pub xattrs: Xattrs,
}

impl DirMeta {
    pub fn encode(&self) -> Vec<u8> {
        Value::tuple(&[Value::u32_be(self.uid), Value::u32_be(self.gid), Value::u32_be(self.mode), encode_xattrs(&self.xattrs)])
            .into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<DirMeta> {
        let [uid, gid, mode, xattrs] = split_tuple(bytes, [Shape::U32, Shape::U32, Shape::U32, Shape::BYTES])?;
        let mode = u32_be(mode)?;
        if mode & !0o7777 != 0o040_000 {
            return Err(Error::integrity(format!("expected a directory's mode in a dirmeta object, found {mode:o}")));
        }
        Ok(DirMeta { uid: u32_be(uid)?, gid: u32_be(gid)?, mode, xattrs: decode_xattrs(xattrs)? })
    }
}
