//! OSTree's objects as bytes (libostree `ostree-core.h`, "OSTree repository" manual): every object is one GVariant, numbers in network
//! order, and its name is the SHA-256 of those bytes; a content object's name is that of its framed header and the bytes that follow.

mod commit;
mod dirmeta;
mod dirtree;
mod file;
mod summary;

pub use commit::{CommitObject, MetadataValue};
pub use dirmeta::DirMeta;
pub use dirtree::DirTree;
pub use file::{ArchiveHeader, FileHeader};
pub use summary::{Summary, SummaryRef};

use crate::gvariant::{self, Shape, Value};
use model::{Digest, Error, Result};
use std::collections::BTreeMap;

/// Full names and values, in byte order of the names.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// `a(ayay)`, names with a NUL.
pub(crate) fn encode_xattrs(xattrs: &Xattrs) -> Value {
    let pairs: Vec<Value> = xattrs.iter().map(|(name, value)| Value::tuple(&[Value::byte_string(name), Value::bytes(value)])).collect();
    Value::array(Shape::BYTES, &pairs)
}

fn decode_xattrs(bytes: &[u8]) -> Result<Xattrs> {
    let mut xattrs = Xattrs::new();
    for pair in gvariant::split_array(bytes, Shape::BYTES)? {
        let [name, value] = gvariant::split_tuple(pair, [Shape::BYTES, Shape::BYTES])?;
        let name = name.strip_suffix(&[0]).filter(|n| !n.is_empty() && !n.contains(&0));
        let name = name.ok_or_else(|| Error::integrity("expected an extended attribute's name that ends in NUL"))?;
        xattrs.insert(name.into(), value.into());
    }
    Ok(xattrs)
}

pub(crate) fn decode_digest(bytes: &[u8]) -> Result<Digest> {
    let array = bytes.try_into().map_err(|_| Error::integrity(format!("expected a digest of 32 bytes, found {}", bytes.len())))?;
    Ok(Digest::from_bytes(array))
}
