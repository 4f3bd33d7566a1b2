//! An inode record: 256 bytes, of which 160 are fields and 96 hold small extended attributes (ext4.h `struct ext4_inode`).

use super::INODE_SIZE;
use super::checksum::Checksum;
use super::little_endian::{get_u16, get_u32, put_u16, put_u32};
use model::{Error, Result};
use std::rc::Rc;

/// i_extra_isize: fields after the first 128 bytes, up to and with i_projid.
pub(super) const EXTRA_SIZE: u16 = 32;
/// Where in-inode extended attributes start, and how many bytes they have.
const XATTR_OFFSET: usize = 128 + EXTRA_SIZE as usize;
pub(super) const XATTR_SIZE: usize = INODE_SIZE - XATTR_OFFSET;
/// Bytes of i_block: an extent tree's root, a short symlink's target or device numbers.
pub(super) const MAP_SIZE: usize = 60;
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
    seconds: u32,
    extra: u32,
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
        Ok(Time { seconds: seconds as u32, extra: nanoseconds << 2 | epoch })
    }
}

#[derive(Debug, Clone)]
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
    pub(super) map: [u8; MAP_SIZE],
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

impl Default for InodeRecord {
    fn default() -> Self {
        InodeRecord {
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            time: Time::default(),
            links: 0,
            blocks: 0,
            flags: 0,
            map: [0; MAP_SIZE],
            xattr_block: 0,
            xattrs: None,
            value: None,
        }
    }
}

impl InodeRecord {
    pub(super) fn encode(&self, number: u32, seed: Checksum) -> [u8; INODE_SIZE] {
        let mut b = [0; INODE_SIZE];
        // i_blocks counts 512-byte sectors; with huge_file it has 48 bits.
        let sectors = self.blocks * (super::BLOCK as u64 / 512);
        put_u16(&mut b, 0x00, self.mode);
        put_u16(&mut b, 0x02, self.uid as u16);
        put_u32(&mut b, 0x04, self.size as u32);
        for at in [0x08, 0x0c, 0x10, 0x90] {
            put_u32(&mut b, at, self.time.seconds); // i_atime, i_ctime, i_mtime, i_crtime
        }
        put_u16(&mut b, 0x18, self.gid as u16);
        put_u16(&mut b, 0x1a, self.links);
        put_u32(&mut b, 0x1c, sectors as u32);
        put_u32(&mut b, 0x20, self.flags);
        b[0x28..0x64].copy_from_slice(&self.map);
        // 0x64 i_generation: 0, nothing exports the filesystem before it is first mounted.
        put_u32(&mut b, 0x68, self.xattr_block as u32);
        put_u32(&mut b, 0x6c, (self.size >> 32) as u32);
        put_u16(&mut b, 0x74, (sectors >> 32) as u16);
        put_u16(&mut b, 0x76, (self.xattr_block >> 32) as u16);
        put_u16(&mut b, 0x78, (self.uid >> 16) as u16);
        put_u16(&mut b, 0x7a, (self.gid >> 16) as u16);
        put_u16(&mut b, 0x80, EXTRA_SIZE);
        for at in [0x84, 0x88, 0x8c, 0x94] {
            put_u32(&mut b, at, self.time.extra); // ctime, mtime, atime, crtime
        }
        if let Some(value) = self.value {
            for (at, field) in [(0x08, value.hash), (0x8c, 0), (0x0c, 0), (0x84, 0), (0x24, value.references)] {
                put_u32(&mut b, at, field);
            }
        }
        if let Some(xattrs) = &self.xattrs {
            b[XATTR_OFFSET..].copy_from_slice(&xattrs[..]);
        }
        // i_checksum_lo and _hi count as zero.
        seed.of_inode(number).with(&b).put_halves(&mut b, 0x7c, 0x82);
        b
    }
}

/// i_block of a device file: the old 16-bit form where it fits, else the 32-bit form in the second word (kernel: ext4_iget, new_encode_dev).
pub(super) fn device_map(major: u32, minor: u32) -> Result<[u8; MAP_SIZE]> {
    if major > 0xfff || minor > 0xf_ffff {
        return Err(Error::integrity(format!("device numbers {major}:{minor}: expected at most 4095:1048575")));
    }
    let mut map = [0; MAP_SIZE];
    if major < 256 && minor < 256 {
        put_u32(&mut map, 0, major << 8 | minor);
    } else {
        put_u32(&mut map, 4, (minor & 0xff) | major << 8 | (minor & !0xff) << 12);
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
    pub(super) map: [u8; MAP_SIZE],
    /// The block of extended attributes, or 0.
    pub(super) xattr_block: u64,
    /// What follows the fields: in-inode extended attributes.
    pub(super) xattrs: Vec<u8>,
}

pub(super) fn decode(b: &[u8]) -> Decoded {
    let half = |lo: usize, hi: usize| u32::from(get_u16(b, lo)) | u32::from(get_u16(b, hi)) << 16;
    // i_mtime_extra is there if i_extra_isize reaches past it.
    let extra = if b.len() > 128 && get_u16(b, 0x80) >= 12 { get_u32(b, 0x88) } else { 0 };
    Decoded {
        mode: get_u16(b, 0x00),
        uid: half(0x02, 0x78),
        gid: half(0x18, 0x7a),
        size: u64::from(get_u32(b, 0x04)) | u64::from(get_u32(b, 0x6c)) << 32,
        mtime: i64::from(get_u32(b, 0x10) as i32) + (i64::from(extra & 3) << 32),
        mtime_nanoseconds: extra >> 2,
        links: get_u16(b, 0x1a),
        flags: get_u32(b, 0x20),
        map: std::array::from_fn(|i| b.get(0x28 + i).copied().unwrap_or(0)),
        xattr_block: u64::from(get_u32(b, 0x68)) | u64::from(get_u16(b, 0x76)) << 32,
        xattrs: b.get(128 + usize::from(get_u16(b, 0x80))..).filter(|_| b.len() > 128).unwrap_or(&[]).to_vec(),
    }
}
