//! Extended attributes (Documentation/filesystems/ext4/attributes.rst): small ones behind the inode's fields, the others in one block,
//! which inodes with equal attributes share, and values that are too large for it in inodes of their own. Entries grow from the
//! front, values from the end.

use super::BLOCK;
use super::checksum::Checksum;
use super::inode::XATTR_SIZE;
use super::large_value::LargeValues;
use model::{Error, Result};
use std::collections::BTreeMap;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct ext4_xattr_header`: starts a block. An inode has h_magic alone (`struct ext4_xattr_ibody_header`).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    h_magic: U32,
    h_refcount: U32,
    h_blocks: U32,
    h_hash: U32,
    h_checksum: U32,
    h_reserved: [U32; 3],
}
const _: () = assert!(size_of::<Header>() == 32);

/// `struct ext4_xattr_entry`, before its name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    e_name_len: u8,
    e_name_index: u8,
    e_value_offs: U16,
    e_value_inum: U32,
    e_value_size: U32,
    e_hash: U32,
}
const _: () = assert!(size_of::<Entry>() == 16);

const MAGIC: U32 = U32::new(0xea02_0000);
/// Bytes before the entries.
const INODE_HEADER: usize = size_of::<U32>();
const BLOCK_HEADER: usize = size_of::<Header>();
/// EXT4_XATTR_REFCOUNT_MAX.
pub(super) const MAX_REFERENCES: u32 = 1024;
/// Bytes of the largest value that Linux can set or get (XATTR_SIZE_MAX).
const VALUE_MAX: usize = 65_536;
/// e_name_index, longest prefix first (xattr.h).
const PREFIXES: [(&[u8], u8); 5] =
    [(b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3), (b"security.", 6), (b"trusted.", 4), (b"user.", 1)];

/// In the order that a block needs: by index, then length, then bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    index: u8,
    length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Number and hash of the inode that holds the value.
    elsewhere: Option<(u32, u32)>,
}

impl Attribute {
    fn parse(full: &[u8], value: &[u8]) -> Result<Self> {
        let shown = String::from_utf8_lossy(full);
        let found = PREFIXES.iter().find_map(|(prefix, index)| full.strip_prefix(*prefix).map(|rest| (*index, rest)));
        let Some((index, name)) = found else {
            return Err(Error::integrity(format!("ext4 cannot keep the extended attribute {shown:?}"))
                .hint("known are user.*, trusted.*, security.* and the POSIX ACLs"));
        };
        let is_acl = index == 2 || index == 3;
        if is_acl != name.is_empty() || name.len() > 255 {
            return Err(Error::integrity(format!("extended attribute {shown:?}: expected a name of 1 to 255 bytes after the prefix")));
        }
        let value = if is_acl { acl_to_disk(value).map_err(|e| e.context(&shown))? } else { value.to_vec() };
        if value.len() > VALUE_MAX {
            return Err(Error::integrity(format!(
                "extended attribute {shown:?} of {} bytes: expected at most {VALUE_MAX}, more cannot be read on Linux",
                value.len()
            )));
        }
        Ok(Attribute { index, length: name.len(), name: name.to_vec(), value, elsewhere: None })
    }

    /// Bytes of the value that lie beside the entries.
    fn value_room(&self) -> usize {
        if self.elsewhere.is_some() { 0 } else { self.value.len().next_multiple_of(4) }
    }

    fn size(&self) -> usize {
        size_of::<Entry>() + self.name.len().next_multiple_of(4) + self.value_room()
    }

    /// e_hash: over the name's bytes and the padded value's words, or the hash of the value's inode (kernel: ext4_xattr_hash_entry).
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |h, &c| h << 5 ^ h >> 27 ^ u32::from(c));
        let inode_hash = self.elsewhere.map(|(_, hash)| hash.to_le_bytes());
        let words = inode_hash.as_ref().map_or(self.value.as_slice(), |bytes| bytes);
        words.chunks(4).fold(name, |h, word| {
            let padded: [u8; 4] = std::array::from_fn(|i| word.get(i).copied().unwrap_or(0));
            h.rotate_left(16) ^ u32::from_le_bytes(padded)
        })
    }
}

/// A block of attributes without what is known last: how many inodes share it, and where it lies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AttributeBlock {
    hash: u32,
    /// What follows the header.
    entries: Vec<u8>,
}

impl AttributeBlock {
    pub(super) fn encode(&self, references: u32, number: u64, seed: Checksum) -> Vec<u8> {
        let (h_refcount, h_hash) = (references.into(), self.hash.into());
        let mut header = Header { h_magic: MAGIC, h_refcount, h_blocks: 1.into(), h_hash, ..Header::new_zeroed() };
        // h_checksum counts as zero.
        header.h_checksum = seed.with(&number.to_le_bytes()).with(header.as_bytes()).with(&self.entries).0.into();
        [header.as_bytes(), &self.entries].concat()
    }
}

/// What one inode carries itself and what it wants of a block.
pub(super) struct Placed {
    pub(super) in_inode: [u8; XATTR_SIZE],
    pub(super) block: Option<AttributeBlock>,
    /// Numbers of the inodes that hold values of the block's entries.
    pub(super) large: Vec<u32>,
    /// Blocks of those inodes: they count as the owner's too, whoever shares them.
    pub(super) large_blocks: u64,
}

/// Fills the inode first, in order, and puts what does not fit into a block; if that is too small, the largest values into inodes.
/// Without `values` there may be none of those.
pub(super) fn place(attributes: &BTreeMap<Box<[u8]>, Box<[u8]>>, values: Option<&mut LargeValues>) -> Result<Placed> {
    let mut placed = Placed { in_inode: [0; XATTR_SIZE], block: None, large: Vec::new(), large_blocks: 0 };
    if attributes.is_empty() {
        return Ok(placed);
    }
    let mut sorted = attributes.iter().map(|(name, value)| Attribute::parse(name, value)).collect::<Result<Vec<_>>>()?;
    sorted.sort();
    // Four zero bytes end the entries.
    let mut room = XATTR_SIZE - INODE_HEADER - 4;
    let (inside, mut outside): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|a| {
        let fits = a.size() <= room;
        room -= if fits { a.size() } else { 0 };
        fits
    });
    if !inside.is_empty() {
        placed.in_inode[..INODE_HEADER].copy_from_slice(MAGIC.as_bytes());
        encode_entries(&inside, &mut placed.in_inode[INODE_HEADER..], 0);
    }
    if !outside.is_empty() {
        if let Some(values) = values {
            move_large(&mut outside, values, &mut placed);
        }
        let size = block_size(&outside);
        if size > BLOCK {
            return Err(Error::integrity(format!("extended attributes of {size} bytes: expected at most {BLOCK}, one ext4 block")));
        }
        let hash = outside.iter().fold(0u32, |h, a| h.rotate_left(16) ^ a.hash());
        // A zero entry hash means "do not share" (kernel: ext4_xattr_rehash).
        let hash = if outside.iter().any(|a| a.hash() == 0) { 0 } else { hash };
        let mut entries = vec![0; BLOCK - BLOCK_HEADER];
        encode_entries(&outside, &mut entries, BLOCK_HEADER);
        placed.block = Some(AttributeBlock { hash, entries });
    }
    Ok(placed)
}

fn block_size(attributes: &[Attribute]) -> usize {
    BLOCK_HEADER + 4 + attributes.iter().map(Attribute::size).sum::<usize>()
}

/// Gives the largest values inodes until the rest fits into a block; among equals the first in order.
fn move_large(attributes: &mut [Attribute], values: &mut LargeValues, placed: &mut Placed) {
    while block_size(attributes) > BLOCK {
        let largest = attributes.iter_mut().rev().filter(|a| a.value_room() > 0).max_by_key(|a| a.value.len());
        // Names alone are too much.
        let Some(largest) = largest else { return };
        let (number, hash) = values.inode_of(&largest.value);
        largest.elsewhere = Some((number, hash));
        placed.large.push(number);
        placed.large_blocks += largest.value.len().div_ceil(BLOCK) as u64;
    }
}

/// `area` begins at the first entry; value offsets count from `base` bytes before it.
fn encode_entries(attributes: &[Attribute], area: &mut [u8], base: usize) {
    let (mut at, mut end) = (0, area.len());
    for a in attributes {
        end -= a.value_room();
        let entry = Entry {
            e_name_len: a.name.len() as u8,
            e_name_index: a.index,
            e_value_offs: if a.value_room() == 0 { 0 } else { (base + end) as u16 }.into(),
            e_value_inum: a.elsewhere.map_or(0, |(inode, _)| inode).into(),
            e_value_size: (a.value.len() as u32).into(),
            e_hash: a.hash().into(),
        };
        let (head, name) = area[at..].split_at_mut(size_of::<Entry>());
        head.copy_from_slice(entry.as_bytes());
        name[..a.name.len()].copy_from_slice(&a.name);
        if a.elsewhere.is_none() {
            area[end..end + a.value.len()].copy_from_slice(&a.value);
        }
        at += size_of::<Entry>() + a.name.len().next_multiple_of(4);
    }
}

/// Adds the attributes of an inode's rest or of a block, under their full names and in the form of getxattr; no magic, no attributes.
/// `large` reads a value of so many bytes from an inode.
pub(super) fn decode(
    bytes: &[u8],
    is_block: bool,
    large: &dyn Fn(u32, usize) -> Result<Vec<u8>>,
    into: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<()> {
    if !bytes.starts_with(MAGIC.as_bytes()) {
        return Ok(());
    }
    let (mut at, base) = if is_block { (BLOCK_HEADER, 0) } else { (INODE_HEADER, INODE_HEADER) };
    // Four zero bytes, or the end, end the entries.
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty() && !rest.starts_with(&[0; 4])) {
        let bad = || Error::integrity(format!("extended attribute at byte {at} does not fit, or is of a kind that is not read"));
        let (entry, rest) = Entry::ref_from_prefix(rest).map_err(|_| bad())?;
        let index = entry.e_name_index;
        let prefix = PREFIXES.iter().find(|(_, i)| *i == index).map(|(prefix, _)| *prefix).ok_or_else(bad)?;
        let name = rest.get(..usize::from(entry.e_name_len)).ok_or_else(bad)?;
        let length = entry.e_value_size.get() as usize;
        let start = if length == 0 { 0 } else { base + usize::from(entry.e_value_offs) };
        let value = match entry.e_value_inum.get() {
            0 => bytes.get(start..start.saturating_add(length)).ok_or_else(bad)?.to_vec(),
            _ if length > VALUE_MAX => return Err(bad()),
            inode => large(inode, length)?,
        };
        let value = if index == 2 || index == 3 { acl_from_disk(&value) } else { value };
        into.insert([prefix, name].concat(), value);
        at += size_of::<Entry>() + name.len().next_multiple_of(4);
    }
    Ok(())
}

/// Entries of an ACL as ext4 keeps those that name nobody (acl.h `ext4_acl_entry_short`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AclEntryShort {
    e_tag: U16,
    e_perm: U16,
}
const _: () = assert!(size_of::<AclEntryShort>() == 4);

/// Entries of an ACL as getxattr gives all, and as ext4 keeps those that name somebody (posix_acl_xattr.h `struct posix_acl_xattr_entry`,
/// acl.h `ext4_acl_entry`).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AclEntry {
    short: AclEntryShort,
    e_id: U32,
}
const _: () = assert!(size_of::<AclEntry>() == 8);

impl AclEntryShort {
    /// ACL_USER or ACL_GROUP.
    fn names_somebody(self) -> bool {
        matches!(self.e_tag.get(), 2 | 8)
    }
}

/// a_version, which comes first: POSIX_ACL_XATTR_VERSION and EXT4_ACL_VERSION.
const ACL_VERSION: U32 = U32::new(2);
const ACL_DISK_VERSION: U32 = U32::new(1);

/// From the form of getxattr to ext4's.
fn acl_to_disk(value: &[u8]) -> Result<Vec<u8>> {
    let bad = |found: String| Error::integrity(format!("expected an ACL of version 2 with entries of 8 bytes, found {found}"));
    let (version, entries) = U32::ref_from_prefix(value).map_err(|_| bad(format!("{} bytes", value.len())))?;
    let entries = <[AclEntry]>::ref_from_bytes(entries).map_err(|_| bad(format!("version {version}, {} bytes", value.len())))?;
    if *version != ACL_VERSION {
        return Err(bad(format!("version {version}")));
    }
    let mut out = ACL_DISK_VERSION.as_bytes().to_vec();
    for entry in entries {
        out.extend_from_slice(if entry.short.names_somebody() { entry.as_bytes() } else { entry.short.as_bytes() });
    }
    Ok(out)
}

fn acl_from_disk(value: &[u8]) -> Vec<u8> {
    let mut out = ACL_VERSION.as_bytes().to_vec();
    let mut rest = value.get(size_of::<U32>()..).unwrap_or(&[]);
    while let Ok((short, behind)) = AclEntryShort::read_from_prefix(rest) {
        rest = behind;
        let mut e_id = U32::MAX_VALUE;
        if short.names_somebody()
            && let Ok((id, behind)) = U32::read_from_prefix(rest)
        {
            (e_id, rest) = (id, behind);
        }
        out.extend_from_slice(AclEntry { short, e_id }.as_bytes());
    }
    out
}
