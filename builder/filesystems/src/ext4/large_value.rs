//! Inodes that hold one value of an extended attribute each (feature ea_inode): no name leads to them, entries of attributes do. Equal
//! values share one. Their hash, by which kernel and e2fsck know the right inode, is a CRC-32C of the value (xattr.c:
//! ext4_xattr_inode_hash).

use super::checksum::Checksum;
use super::inode::{self, InodeRecord, Time, Value};
use std::collections::BTreeMap;

pub(super) struct LargeValue {
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) hash: u32,
    /// Entries that lead here; those of a shared block count once.
    pub(super) references: u32,
}

pub(super) struct LargeValues {
    first: u32,
    /// Index in `list` by contents.
    known: BTreeMap<Vec<u8>, usize>,
    list: Vec<LargeValue>,
    seed: Checksum,
}

impl LargeValues {
    /// Inodes are numbered from `first` on.
    pub(super) fn new(first: u32, seed: Checksum) -> Self {
        LargeValues { first, known: BTreeMap::new(), list: Vec::new(), seed }
    }

    /// The number and hash of the inode that holds `value`.
    pub(super) fn inode_of(&mut self, value: &[u8]) -> (u32, u32) {
        let index = *self.known.entry(value.to_vec()).or_insert_with(|| {
            let number = self.first.saturating_add(self.list.len() as u32);
            self.list.push(LargeValue { number, bytes: value.to_vec(), hash: self.seed.with(value).0, references: 0 });
            self.list.len() - 1
        });
        (self.list[index].number, self.list[index].hash)
    }

    pub(super) fn refer(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.list[(number - self.first) as usize].references += 1;
        }
    }

    pub(super) fn list(&self) -> &[LargeValue] {
        &self.list
    }
}

impl LargeValue {
    /// Its inode, not mapped yet.
    pub(super) fn record(&self, time: Time) -> InodeRecord {
        InodeRecord {
            mode: 0o100_600,
            links: 1,
            size: self.bytes.len() as u64,
            time,
            flags: inode::flags::EA_INODE,
            value: Some(Value { references: self.references, hash: self.hash }),
            ..InodeRecord::default()
        }
    }
}
