//! Reads a clean ext4 filesystem, ours or mke2fs's: names, stat fields, contents, link targets. Every length that comes from the
//! image is checked against what is there; block-mapped files, inline data and a journal to be replayed are refused.

use super::dirent::DirEntryHead;
use super::extent::{self, Node};
use super::group::GroupDescriptor;
use super::inode::{self, Decoded, MAP_SIZE};
use super::superblock::{self, Superblock};
use super::xattr;
use model::{Digest, Error, Hasher, ImagePath, Result};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Longest file or directory read into memory, in bytes.
const MAX_READ: u64 = 256 << 20;

/// Fills the buffer from a byte offset of the filesystem, or fails.
pub type Source<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<()>;

pub struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) superblock: superblock::Decoded,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    pub name: Vec<u8>,
    pub inode: u32,
}

/// The fields of an inode as `stat` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub inode: u32,
    /// Kind and permissions, as `st_mode`.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// Seconds since 1970 UTC.
    pub mtime: i64,
    pub mtime_nanoseconds: u32,
    pub links: u16,
    /// chattr +i.
    pub immutable: bool,
}

impl Stat {
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    pub fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

impl<'a> Reader<'a> {
    pub fn open(source: Source<'a>) -> Result<Self> {
        let mut superblock = Superblock::new_zeroed();
        source(superblock::OFFSET as u64, superblock.as_mut_bytes())?;
        Ok(Reader { source, superblock: superblock.decode()? })
    }

    pub fn label(&self) -> String {
        String::from_utf8_lossy(&self.superblock.label).into_owned()
    }

    pub fn uuid(&self) -> [u8; 16] {
        self.superblock.uuid
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.superblock.blocks.saturating_mul(self.superblock.block_size)
    }

    pub fn block_size(&self) -> u64 {
        self.superblock.block_size
    }

    /// Bytes of an inode's record.
    pub fn inode_size(&self) -> u64 {
        self.superblock.inode_size
    }

    /// In bytes, as the superblock says.
    pub fn free(&self) -> u64 {
        self.superblock.free_blocks.saturating_mul(self.superblock.block_size)
    }

    /// The stat fields at `path`; symlinks are not followed, not even in the middle. `None` if there is no such name.
    pub fn stat(&self, path: &ImagePath) -> Result<Option<Stat>> {
        Ok(self.find(path)?.map(|(number, inode)| stat_of(number, &inode)))
    }

    /// The names in a directory but `.` and `..`, in byte order.
    pub fn read_dir(&self, path: &ImagePath) -> Result<Vec<DirEntry>> {
        let (number, inode) = self.expect(path, 0o040_000, "a directory")?;
        self.names(number, &inode)
    }

    /// Every path with its stat fields, parents first, siblings in byte order.
    pub fn entries(&self) -> Result<Vec<(ImagePath, Stat)>> {
        self.walk(&ImagePath::root())
    }

    /// The same for `from` and what is below it.
    pub fn walk(&self, from: &ImagePath) -> Result<Vec<(ImagePath, Stat)>> {
        let (first, _) = self.find(from)?.ok_or_else(|| Error::integrity(format!("ext4: {from}: no such file")))?;
        let mut out = Vec::new();
        let mut seen = BTreeSet::new();
        let mut stack = vec![(from.clone(), first)];
        while let Some((path, number)) = stack.pop() {
            let inode = self.inode(number)?;
            let stat = stat_of(number, &inode);
            if stat.is_directory() {
                if !seen.insert(number) {
                    return Err(Error::integrity(format!("ext4: directory inode {number} has two names, the second is {path}")));
                }
                for name in self.names(number, &inode)?.into_iter().rev() {
                    stack.push((path.join(&name.name)?, name.inode));
                }
            }
            out.push((path, stat));
        }
        Ok(out)
    }

    /// The contents of a regular file of at most 256 MiB.
    pub fn read_file(&self, path: &ImagePath) -> Result<Vec<u8>> {
        let (number, inode) = self.expect(path, 0o100_000, "a file")?;
        self.contents(number, &inode)
    }

    /// The target of a symlink.
    pub fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>> {
        let (number, inode) = self.expect(path, 0o120_000, "a symlink")?;
        self.target(number, &inode)
    }

    fn target(&self, number: u32, inode: &Decoded) -> Result<Vec<u8>> {
        let is_fast = inode.size < MAP_SIZE as u64 && inode.flags & inode::flags::EXTENTS == 0;
        if is_fast {
            return Ok(inode.map.as_bytes().get(..inode.size as usize).unwrap_or(&[]).to_vec());
        }
        self.contents(number, inode)
    }

    /// A digest of a file's contents or a symlink's target that does not depend on where holes are: equal contents, equal digest.
    pub fn content_digest(&self, stat: &Stat) -> Result<Digest> {
        let inode = self.inode(stat.inode)?;
        let mut hasher = Hasher::new();
        if stat.is_symlink() {
            hasher.update(&self.target(stat.inode, &inode)?);
            return Ok(hasher.finish());
        }
        hasher.update(&inode.size.to_le_bytes());
        let block_size = self.superblock.block_size;
        for (logical, start, length) in self.runs(stat.inode, &inode, &mut Vec::new())? {
            let (mut at, end) = (logical.saturating_mul(block_size), (logical + length).saturating_mul(block_size).min(inode.size));
            let from = self.block_offset(start)?.wrapping_sub(at);
            let mut window = vec![0; (1 << 20).min(end.saturating_sub(at)) as usize];
            while at < end {
                let part = &mut window[..(end - at).min(1 << 20) as usize];
                (self.source)(from.wrapping_add(at), part)?;
                for (block, n) in part.chunks(4096).zip(0..) {
                    if block.iter().any(|&byte| byte != 0) {
                        hasher.update(&(at + n * 4096).to_le_bytes());
                        hasher.update(block);
                    }
                }
                at += part.len() as u64;
            }
        }
        Ok(hasher.finish())
    }

    /// The extended attributes at `path` by full name, as getxattr gives them.
    pub fn xattrs(&self, path: &ImagePath) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let (number, inode) = self.find(path)?.ok_or_else(|| Error::integrity(format!("ext4: {path}: no such file")))?;
        self.attributes(number, &inode)
    }

    /// The same by inode.
    pub fn xattrs_of(&self, stat: &Stat) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.attributes(stat.inode, &self.inode(stat.inode)?)
    }

    fn attributes(&self, number: u32, inode: &Decoded) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut out = BTreeMap::new();
        let large = |number: u32, length: usize| {
            let value = self.inode(number)?;
            if value.flags & inode::flags::EA_INODE == 0 || value.size != length as u64 {
                return Err(Error::integrity(format!("ext4 inode {number}: expected the value of an attribute, {length} bytes")));
            }
            self.contents(number, &value)
        };
        xattr::decode(&inode.xattrs, false, &large, &mut out).map_err(|e| e.context(format!("ext4 inode {number}")))?;
        if inode.xattr_block != 0 {
            let mut block = vec![0; self.superblock.block_size as usize];
            (self.source)(self.block_offset(inode.xattr_block)?, &mut block)?;
            xattr::decode(&block, true, &large, &mut out).map_err(|e| e.context(format!("ext4 block {}", inode.xattr_block)))?;
        }
        Ok(out)
    }

    fn find(&self, path: &ImagePath) -> Result<Option<(u32, Decoded)>> {
        let mut number = super::ROOT_INODE;
        let mut inode = self.inode(number)?;
        for component in path.components() {
            if inode.mode & 0o170_000 != 0o040_000 {
                return Ok(None);
            }
            let Some(next) = self.names(number, &inode)?.into_iter().find(|n| n.name == component) else { return Ok(None) };
            number = next.inode;
            inode = self.inode(number)?;
        }
        Ok(Some((number, inode)))
    }

    fn expect(&self, path: &ImagePath, kind: u16, name: &str) -> Result<(u32, Decoded)> {
        match self.find(path)? {
            Some((number, inode)) if inode.mode & 0o170_000 == kind => Ok((number, inode)),
            Some((_, inode)) => Err(Error::integrity(format!("ext4: {path}: expected {name}, found mode {:o}", inode.mode))),
            None => Err(Error::integrity(format!("ext4: {path}: no such file"))),
        }
    }

    pub(super) fn inode(&self, number: u32) -> Result<Decoded> {
        let s = &self.superblock;
        if number == 0 || number > s.inodes {
            return Err(Error::integrity(format!("ext4 inode {number}: expected 1 to {}", s.inodes)));
        }
        let (group, index) = ((number - 1) / s.inodes_per_group, (number - 1) % s.inodes_per_group);
        let table = self.block_offset(self.descriptor(group)?.inode_table())?;
        let mut record = vec![0; s.inode_size as usize];
        (self.source)(table + u64::from(index) * s.inode_size, &mut record)?;
        Ok(inode::decode(&record))
    }

    /// Where a group's metadata lies.
    pub(super) fn descriptor(&self, group: u32) -> Result<GroupDescriptor> {
        let s = &self.superblock;
        // The descriptors follow the block that holds the superblock.
        let at = (s.first_data_block + 1) * s.block_size + u64::from(group) * s.descriptor_size;
        let mut descriptor = GroupDescriptor::new_zeroed();
        let length = size_of::<GroupDescriptor>().min(s.descriptor_size as usize);
        (self.source)(at, &mut descriptor.as_mut_bytes()[..length])?;
        Ok(descriptor)
    }

    pub(super) fn block_offset(&self, block: u64) -> Result<u64> {
        if block == 0 || block >= self.superblock.blocks {
            return Err(Error::integrity(format!("ext4 block {block}: expected 1 to {}", self.superblock.blocks.saturating_sub(1))));
        }
        block.checked_mul(self.superblock.block_size).ok_or_else(|| Error::integrity(format!("ext4 block {block}: past 2^64 bytes")))
    }

    /// Runs in logical order: (logical block, block on disk, length); what reads as zeros is left out. The blocks of the tree go to `nodes`.
    pub(super) fn runs(&self, number: u32, inode: &Decoded, nodes: &mut Vec<u64>) -> Result<Vec<(u64, u64, u64)>> {
        if inode.flags & inode::flags::INLINE_DATA != 0 || inode.flags & inode::flags::EXTENTS == 0 {
            return Err(Error::integrity(format!("ext4 inode {number}: expected extents, found flags {:#x}", inode.flags)));
        }
        let (root, depth) = extent::decode(inode.map.as_bytes(), None).map_err(|e| e.context(format!("ext4 inode {number}")))?;
        let mut out = Vec::new();
        let (mut next_logical, mut total) = (0, 0u64);
        // Terminates: depth falls with every step down, empty nodes are refused, and logical blocks must rise, so that no leaf counts twice.
        let mut stack = vec![(root, depth)];
        while let Some((node, depth)) = stack.pop() {
            match node {
                Node::Index(blocks) => {
                    // One child at a time: the rest goes back, so that nothing is read before it is due.
                    let Some((&first, rest)) = blocks.split_first() else { continue };
                    stack.push((Node::Index(rest.to_vec()), depth));
                    let offset = self.block_offset(first)?;
                    nodes.push(first);
                    let mut bytes = vec![0; self.superblock.block_size as usize];
                    (self.source)(offset, &mut bytes)?;
                    let (child, depth) =
                        extent::decode(&bytes, depth.checked_sub(1)).map_err(|e| e.context(format!("ext4 block {first}")))?;
                    if matches!(&child, Node::Index(c) if c.is_empty()) || matches!(&child, Node::Leaf(c) if c.is_empty()) {
                        return Err(Error::integrity(format!("ext4 inode {number}: empty extent node in block {first}")));
                    }
                    stack.push((child, depth));
                }
                Node::Leaf(extents) => {
                    for (logical, start, length, unwritten) in extents {
                        if logical < next_logical || length == 0 {
                            return Err(Error::integrity(format!("ext4 inode {number}: extents out of order at logical block {logical}")));
                        }
                        next_logical = logical + length;
                        total += length;
                        if total > self.superblock.blocks {
                            return Err(Error::integrity(format!("ext4 inode {number}: more blocks than the filesystem has")));
                        }
                        self.block_offset(start)?;
                        self.block_offset(start.saturating_add(length - 1))?;
                        if !unwritten {
                            out.push((logical, start, length));
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    fn contents(&self, number: u32, inode: &Decoded) -> Result<Vec<u8>> {
        if inode.size > MAX_READ.min(self.size()) {
            return Err(Error::integrity(format!(
                "ext4 inode {number}: {} bytes: expected at most {}",
                inode.size,
                MAX_READ.min(self.size())
            )));
        }
        let mut out = Vec::new();
        let block_size = self.superblock.block_size;
        for (logical, start, length) in self.runs(number, inode, &mut Vec::new())? {
            let from = logical.saturating_mul(block_size).min(inode.size);
            let to = (logical + length).saturating_mul(block_size).min(inode.size);
            grow(&mut out, from as usize, inode.size as usize);
            // Grows by what could be read, not by what is claimed.
            let mut at = self.block_offset(start)?;
            while (out.len() as u64) < to {
                let step = (to - out.len() as u64).min(1 << 20);
                let end = out.len();
                grow(&mut out, end + step as usize, inode.size as usize);
                (self.source)(at, &mut out[end..])?;
                at += step;
            }
        }
        grow(&mut out, inode.size as usize, inode.size as usize);
        Ok(out)
    }

    fn names(&self, number: u32, inode: &Decoded) -> Result<Vec<DirEntry>> {
        let bytes = self.contents(number, inode)?;
        let mut out = Vec::new();
        for (index, block) in bytes.chunks(self.superblock.block_size as usize).enumerate() {
            let mut at = 0;
            while at < block.len() {
                let rest = &block[at..];
                let bad = |length: usize| {
                    Error::integrity(format!(
                        "ext4 directory inode {number}, block {index}, byte {at}: entry of {length} bytes does not fit"
                    ))
                };
                let (head, behind) = DirEntryHead::ref_from_prefix(rest).map_err(|_| bad(rest.len()))?;
                // 64 KiB blocks cannot say their own length in 16 bits.
                let length = match head.rec_len.get() {
                    0 | 0xffff if block.len() == 65_536 => block.len(),
                    n => usize::from(n),
                };
                let name = behind.get(..usize::from(head.name_len)).ok_or_else(|| bad(length))?;
                if length < size_of::<DirEntryHead>() || !length.is_multiple_of(4) || length > rest.len() {
                    return Err(bad(length));
                }
                if head.inode != 0 && name != b"." && name != b".." {
                    out.push(DirEntry { name: name.to_vec(), inode: head.inode.get() });
                }
                at += length;
            }
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }
}

/// Zeros up to `to`, with room for twice as much at most, and never for more than `end`, which is not below.
fn grow(out: &mut Vec<u8>, to: usize, end: usize) {
    let missing = to.saturating_sub(out.len());
    if out.capacity() < to {
        out.reserve_exact(missing.max(out.len().min(end - out.len())));
    }
    out.resize(out.len() + missing, 0);
}

fn stat_of(number: u32, inode: &Decoded) -> Stat {
    Stat {
        inode: number,
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        size: inode.size,
        mtime: inode.mtime,
        mtime_nanoseconds: inode.mtime_nanoseconds,
        links: inode.links,
        immutable: inode.flags & inode::flags::IMMUTABLE != 0,
    }
}
