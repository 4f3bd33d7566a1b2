//! An inode: 256 bytes, of which 160 are fields and 96 hold small extended attributes (ext4.h `struct ext4_inode`).

use super::INODE_SIZE;
use super::checksum::Checksum;
use model::{Error, Result};
use std::mem::offset_of;
use std::rc::Rc;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// i_block: an extent tree's root, a short symlink's target, device numbers, or block numbers.
pub(super) type Map = [U32; 15];
pub(super) const MAP_SIZE: usize = size_of::<Map>();

/// The fields. An inode of 128 bytes ends before i_extra_isize.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Inode {
    i_mode: U16,
    i_uid: U16,
    i_size_lo: U32,
    i_atime: U32,
    i_ctime: U32,
    i_mtime: U32,
    i_dtime: U32,
    i_gid: U16,
    i_links_count: U16,
    i_blocks_lo: U32,
    i_flags: U32,
    i_version: U32,
    i_block: Map,
    i_generation: U32,
    i_file_acl_lo: U32,
    i_size_high: U32,
    i_obso_faddr: U32,
    i_blocks_high: U16,
    i_file_acl_high: U16,
    i_uid_high: U16,
    i_gid_high: U16,
    i_checksum_lo: U16,
    i_reserved: U16,
    i_extra_isize: U16,
    i_checksum_hi: U16,
    i_ctime_extra: U32,
    i_mtime_extra: U32,
    i_atime_extra: U32,
    i_crtime: U32,
    i_crtime_extra: U32,
    i_version_hi: U32,
    i_projid: U32,
}
const _: () = assert!(size_of::<Inode>() == 160);
/// Bytes of an inode without the fields that i_extra_isize counts (EXT4_GOOD_OLD_INODE_SIZE).
const OLD_SIZE: usize = offset_of!(Inode, i_extra_isize);
const _: () = assert!(OLD_SIZE == 128);

/// An inode with the extended attributes behind its fields, as the inode table holds it.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct InodeWithXattrs {
    inode: Inode,
    xattrs: [u8; XATTR_SIZE],
}
const _: () = assert!(size_of::<InodeWithXattrs>() == INODE_SIZE);

/// i_extra_isize as we write it: up to and with i_projid.
pub(super) const EXTRA_SIZE: u16 = (size_of::<Inode>() - OLD_SIZE) as u16;
/// Bytes of in-inode extended attributes.
pub(super) const XATTR_SIZE: usize = INODE_SIZE - size_of::<Inode>();
/// EXT4_LINK_MAX.
pub(super) const LINK_MAX: u32 = 65_000;

/// i_flags.
pub(super) mod flags {
    pub(in super::super) const IMMUTABLE: u32 = 0x10;
    /// The directory has a hash tree.
    pub(in super::super) const INDEX: u32 = 0x1000;
    pub(in super::super) const EXTENTS: u32 = 0x8_0000;
    /// The contents are the value of an extended attribute.
    pub(in super::super) const EA_INODE: u32 = 0x20_0000;
    pub(in super::super) const INLINE_DATA: u32 = 0x1000_0000;
}

/// A time as ext4 keeps it: the low 32 bits, signed; two bits that carry on to 2446, below 30 bits of nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    seconds: U32,
    extra: U32,
}

impl Time {
    pub(super) fn new(seconds: i64, nanoseconds: u32) -> Result<Self> {
        let (first, last) = (i64::from(i32::MIN), (3i64 << 32) + i64::from(i32::MAX));
        if !(first..=last).contains(&seconds) {
            return Err(Error::integrity(format!("ext4 cannot keep the time {seconds} s: expected {first} to {last}")));
        }
        if nanoseconds > 999_999_999 {
            return Err(Error::integrity(format!("a time with {nanoseconds} nanoseconds: expected at most 999999999")));
        }
        // ext4_encode_extra_time: what is left when the sign-extended low half is taken away.
        let epoch = ((seconds - i64::from(seconds as i32)) >> 32) as u32 & 3;
        Ok(Time { seconds: (seconds as u32).into(), extra: (nanoseconds << 2 | epoch).into() })
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct InodeRecord {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In bytes.
    pub(super) size: u64,
    pub(super) time: Time,
    pub(super) links: u16,
    /// Blocks of 4 KiB: contents, tree and extended attributes.
    pub(super) blocks: u64,
    pub(super) flags: u32,
    pub(super) map: Map,
    /// The block of extended attributes, or 0.
    pub(super) xattr_block: u64,
    /// Many inodes have the same.
    pub(super) xattrs: Option<Rc<[u8; XATTR_SIZE]>>,
    pub(super) value: Option<Value>,
}

/// What an inode that holds the value of an extended attribute keeps in fields that it has no other use for (xattr.c:
/// ext4_xattr_inode_set_ref, ext4_xattr_inode_set_hash).
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// In i_version, its high half in i_ctime.
    pub(super) references: u32,
    /// In i_atime.
    pub(super) hash: u32,
}

impl InodeRecord {
    pub(super) fn encode(&self, number: u32, seed: Checksum) -> [u8; INODE_SIZE] {
        // i_blocks counts 512-byte sectors; with huge_file it has 48 bits.
        let sectors = self.blocks * (super::BLOCK as u64 / 512);
        let Time { seconds, extra } = self.time;
        // What is not named is 0. i_generation: nothing exports the filesystem before it is first mounted.
        let mut inode = Inode {
            i_mode: self.mode.into(),
            i_uid: (self.uid as u16).into(),
            i_size_lo: (self.size as u32).into(),
            i_atime: seconds,
            i_ctime: seconds,
            i_mtime: seconds,
            i_gid: (self.gid as u16).into(),
            i_links_count: self.links.into(),
            i_blocks_lo: (sectors as u32).into(),
            i_flags: self.flags.into(),
            i_block: self.map,
            i_file_acl_lo: (self.xattr_block as u32).into(),
            i_size_high: ((self.size >> 32) as u32).into(),
            i_blocks_high: ((sectors >> 32) as u16).into(),
            i_file_acl_high: ((self.xattr_block >> 32) as u16).into(),
            i_uid_high: ((self.uid >> 16) as u16).into(),
            i_gid_high: ((self.gid >> 16) as u16).into(),
            i_extra_isize: EXTRA_SIZE.into(),
            i_ctime_extra: extra,
            i_mtime_extra: extra,
            i_atime_extra: extra,
            i_crtime: seconds,
            i_crtime_extra: extra,
            ..Inode::new_zeroed()
        };
        if let Some(value) = self.value {
            inode.i_atime = value.hash.into();
            inode.i_version = value.references.into();
            (inode.i_ctime, inode.i_ctime_extra, inode.i_atime_extra) = (U32::ZERO, U32::ZERO, U32::ZERO);
        }
        let xattrs = self.xattrs.as_deref().copied().unwrap_or([0; XATTR_SIZE]);
        let mut whole = InodeWithXattrs { inode, xattrs };
        // i_checksum_lo and _hi count as zero.
        let checksum = seed.of_inode(number).with(whole.as_bytes()).0;
        whole.inode.i_checksum_lo = (checksum as u16).into();
        whole.inode.i_checksum_hi = ((checksum >> 16) as u16).into();
        transmute!(whole)
    }
}

/// i_block of a device file: the old 16-bit form where it fits, else the 32-bit form in the second word (kernel: ext4_iget, new_encode_dev).
pub(super) fn device_map(major: u32, minor: u32) -> Result<Map> {
    if major > 0xfff || minor > 0xf_ffff {
        return Err(Error::integrity(format!("device numbers {major}:{minor}: expected at most 4095:1048575")));
    }
    let mut map = Map::default();
    if major < 256 && minor < 256 {
        map[0] = (major << 8 | minor).into();
    } else {
        map[1] = ((minor & 0xff) | major << 8 | (minor & !0xff) << 12).into();
    }
    Ok(map)
}

/// The fields that the reader uses of a record of any size from 128 bytes.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) mtime_nanoseconds: u32,
    pub(super) links: u16,
    pub(super) flags: u32,
    pub(super) map: Map,
    /// The block of extended attributes, or 0.
    pub(super) xattr_block: u64,
    /// What follows the fields: in-inode extended attributes.
    pub(super) xattrs: Vec<u8>,
}

pub(super) fn decode(b: &[u8]) -> Decoded {
    let mut inode = Inode::new_zeroed();
    let length = b.len().min(size_of::<Inode>());
    inode.as_mut_bytes()[..length].copy_from_slice(&b[..length]);
    let extra_size = usize::from(inode.i_extra_isize);
    let has_mtime_extra = OLD_SIZE + extra_size >= offset_of!(Inode, i_atime_extra);
    let extra = if has_mtime_extra { inode.i_mtime_extra.get() } else { 0 };
    Decoded {
        mode: inode.i_mode.get(),
        uid: u32::from(inode.i_uid) | u32::from(inode.i_uid_high) << 16,
        gid: u32::from(inode.i_gid) | u32::from(inode.i_gid_high) << 16,
        size: u64::from(inode.i_size_lo) | u64::from(inode.i_size_high) << 32,
        mtime: i64::from(inode.i_mtime.get() as i32) + (i64::from(extra & 3) << 32),
        mtime_nanoseconds: extra >> 2,
        links: inode.i_links_count.get(),
        flags: inode.i_flags.get(),
        map: inode.i_block,
        xattr_block: u64::from(inode.i_file_acl_lo) | u64::from(inode.i_file_acl_high) << 32,
        xattrs: b.get(OLD_SIZE + extra_size..).unwrap_or(&[]).to_vec(),
    }
}
