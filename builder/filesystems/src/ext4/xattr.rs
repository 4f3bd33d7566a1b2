//! Extended attributes (Documentation/filesystems/ext4/attributes.rst): small ones behind the inode's fields, the others in one block,
//! which inodes with equal attributes share, and values that are too large for it in inodes of their own. Entries grow from the
//! front, values from the end.

use super::BLOCK;
use super::checksum::Checksum;
use super::inode::XATTR_SIZE;
use super::large_value::LargeValues;
use super::little_endian::{get_u8, get_u16, get_u32, put_u16, put_u32};
use model::{Error, Result};
use std::collections::BTreeMap;

const MAGIC: u32 = 0xea02_0000;
/// Bytes of an entry before its name.
const ENTRY: usize = 16;
/// Bytes before the entries: the magic alone in an inode, ext4_xattr_header in a block.
const INODE_HEADER: usize = 4;
const BLOCK_HEADER: usize = 32;
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
        ENTRY + self.name.len().next_multiple_of(4) + self.value_room()
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

/// What one inode carries itself and what it wants of a block (the whole block, but for reference count and checksum).
pub(super) struct Placed {
    pub(super) in_inode: [u8; XATTR_SIZE],
    pub(super) block: Option<Vec<u8>>,
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
        put_u32(&mut placed.in_inode, 0, MAGIC);
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
        let mut block = vec![0; BLOCK];
        put_u32(&mut block, 0, MAGIC);
        put_u32(&mut block, 8, 1); // h_blocks
        encode_entries(&outside, &mut block[BLOCK_HEADER..], BLOCK_HEADER);
        let hash = outside.iter().fold(0u32, |h, a| h.rotate_left(16) ^ a.hash());
        // A zero entry hash means "do not share" (kernel: ext4_xattr_rehash).
        put_u32(&mut block, 12, if outside.iter().any(|a| a.hash() == 0) { 0 } else { hash });
        placed.block = Some(block);
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
        area[at] = a.name.len() as u8;
        area[at + 1] = a.index;
        put_u16(area, at + 2, if a.value_room() == 0 { 0 } else { (base + end) as u16 });
        put_u32(area, at + 4, a.elsewhere.map_or(0, |(inode, _)| inode));
        put_u32(area, at + 8, a.value.len() as u32);
        put_u32(area, at + 12, a.hash());
        area[at + ENTRY..at + ENTRY + a.name.len()].copy_from_slice(&a.name);
        if a.elsewhere.is_none() {
            area[end..end + a.value.len()].copy_from_slice(&a.value);
        }
        at += ENTRY + a.name.len().next_multiple_of(4);
    }
}

/// Fills in what is known last: how many inodes share the block, and its checksum, which depends on where it lies.
pub(super) fn finish_block(block: &mut [u8], references: u32, number: u64, seed: Checksum) {
    put_u32(block, 4, references);
    // h_checksum at 16 counts as zero.
    seed.with(&number.to_le_bytes()).with(block).put(block, 16);
}

/// From the form of getxattr (version 2, entries of 8 bytes) to ext4's (version 1, ids only where they mean something; acl.h).
fn acl_to_disk(value: &[u8]) -> Result<Vec<u8>> {
    let (version, entries) = (get_u32(value, 0), value.get(4..).unwrap_or(&[]));
    if version != 2 || entries.len() % 8 != 0 {
        return Err(Error::integrity(format!(
            "expected an ACL of version 2 with entries of 8 bytes, found version {version}, {} bytes",
            value.len()
        )));
    }
    let mut out = 1u32.to_le_bytes().to_vec();
    for entry in entries.chunks(8) {
        let has_id = matches!(get_u16(entry, 0), ACL_USER | ACL_GROUP);
        out.extend_from_slice(&entry[..if has_id { 8 } else { 4 }]);
    }
    Ok(out)
}

/// Adds the attributes of an inode's rest or of a block, under their full names and in the form of getxattr; no magic, no attributes.
/// `large` reads a value of so many bytes from an inode.
pub(super) fn decode(
    bytes: &[u8],
    is_block: bool,
    large: &dyn Fn(u32, usize) -> Result<Vec<u8>>,
    into: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<()> {
    if get_u32(bytes, 0) != MAGIC {
        return Ok(());
    }
    let (mut at, base) = if is_block { (BLOCK_HEADER, 0) } else { (INODE_HEADER, INODE_HEADER) };
    // Four zero bytes, or the end, end the entries.
    while get_u32(bytes, at) != 0 {
        let bad = || Error::integrity(format!("extended attribute at byte {at} does not fit, or is of a kind that is not read"));
        let (name_length, index) = (usize::from(get_u8(bytes, at)), get_u8(bytes, at + 1));
        let prefix = PREFIXES.iter().find(|(_, i)| *i == index).map(|(prefix, _)| *prefix).ok_or_else(bad)?;
        let name = bytes.get(at + ENTRY..at + ENTRY + name_length).ok_or_else(bad)?;
        let length = get_u32(bytes, at + 8) as usize;
        let start = if length == 0 { 0 } else { base + usize::from(get_u16(bytes, at + 2)) };
        let value = match get_u32(bytes, at + 4) {
            0 => bytes.get(start..start.saturating_add(length)).ok_or_else(bad)?.to_vec(),
            _ if length > VALUE_MAX => return Err(bad()),
            inode => large(inode, length)?,
        };
        let value = if index == 2 || index == 3 { acl_from_disk(&value) } else { value };
        into.insert([prefix, name].concat(), value);
        at += ENTRY + name_length.next_multiple_of(4);
    }
    Ok(())
}

fn acl_from_disk(value: &[u8]) -> Vec<u8> {
    let mut out = 2u32.to_le_bytes().to_vec();
    let mut rest = value.get(4..).unwrap_or(&[]);
    while rest.len() >= 4 {
        let has_id = matches!(get_u16(rest, 0), ACL_USER | ACL_GROUP) && rest.len() >= 8;
        out.extend_from_slice(&rest[..4]);
        out.extend_from_slice(&if has_id { get_u32(rest, 4) } else { u32::MAX }.to_le_bytes());
        rest = &rest[if has_id { 8 } else { 4 }..];
    }
    out
}

/// e_tag of entries that name somebody.
const ACL_USER: u16 = 2;
const ACL_GROUP: u16 = 8;
