//! Where each cluster stands in the file, and the tables that say so.

use super::extensions::ExtensionHeader;
use super::header::Header;
use super::{CLUSTER, CLUSTER_BITS, Compression, L2_ENTRIES};
use model::{Error, Result, Segment};
use std::collections::BTreeMap;
use zerocopy::big_endian::U64;
use zerocopy::{FromZeros, IntoBytes};

/// L1, L2: bit 63, the cluster has exactly one reference.
const COPIED: u64 = 1 << 63;
/// L2: bit 62, a compressed cluster.
pub(super) const COMPRESSED: u64 = 1 << 62;
/// Compressed L2 entries: the host offset takes the low bits, the sector count those from here to 61.
pub(super) const fn sector_shift(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}
/// Unit of a compressed cluster's length, in bytes.
pub(super) const SECTOR: u64 = 512;
/// 16-bit reference counts in a block of one cluster.
const COUNTS_PER_BLOCK: u64 = CLUSTER / 2;

/// How a guest cluster is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Whole, at a host offset.
    Raw(u64),
    /// This many bytes at a host offset.
    Compressed(u64, u32),
}

/// Allocates the file cluster by cluster, in the order of the calls, and encodes the tables at the end.
pub struct Tables {
    size: u64,
    compression: Compression,
    /// Reference count of each host cluster allocated so far; the header is number 0.
    counts: Vec<u16>,
    /// Where the next compressed data may go: the rest of an open host cluster. Equal to the file's end when there is none.
    open: u64,
    /// L2 tables by their index in L1.
    l2: BTreeMap<u64, Vec<U64>>,
}

impl Tables {
    /// For a disk of `size` bytes, a multiple of 512.
    pub fn new(size: u64, compression: Compression) -> Self {
        Tables { size, compression, counts: vec![1], open: CLUSTER, l2: BTreeMap::new() }
    }

    fn end(&self) -> u64 {
        self.counts.len() as u64 * CLUSTER
    }

    /// Allocates a whole host cluster for guest cluster `guest`.
    pub fn place_raw(&mut self, guest: u64) -> Result<Placed> {
        let at = self.end();
        self.counts.push(1);
        self.set(guest, at | COPIED)?;
        Ok(Placed::Raw(at))
    }

    /// Allocates `length` bytes. Compressed data is packed byte by byte, and runs over into the next host cluster where that one follows.
    pub fn place_compressed(&mut self, guest: u64, length: u32) -> Result<Placed> {
        if length == 0 || u64::from(length) >= CLUSTER {
            return Err(Error::internal(format!("qcow2: a compressed cluster of {length} bytes")));
        }
        let room = self.open.next_multiple_of(CLUSTER) - self.open;
        // The open cluster is the last one, or raw clusters were allocated behind it since.
        let followed = self.open.next_multiple_of(CLUSTER) != self.end();
        if followed && room < u64::from(length) {
            self.open = self.end();
        }
        let at = self.open;
        let last = at + u64::from(length) - 1;
        while self.end() <= last {
            self.counts.push(0);
        }
        for host in at / CLUSTER..=last / CLUSTER {
            let count = &mut self.counts[host as usize];
            *count = count.checked_add(1).ok_or_else(|| Error::internal("qcow2: more than 65535 compressed clusters in one cluster"))?;
        }
        self.open = last + 1;
        let sectors = last / SECTOR - at / SECTOR;
        self.set(guest, at | sectors << sector_shift(CLUSTER_BITS) | COMPRESSED)?;
        Ok(Placed::Compressed(at, length))
    }

    fn set(&mut self, guest: u64, entry: u64) -> Result<()> {
        if guest >= self.size.div_ceil(CLUSTER) {
            return Err(Error::internal(format!("qcow2: cluster {guest} is past the end of a disk of {} bytes", self.size)));
        }
        let table = self.l2.entry(guest / L2_ENTRIES).or_insert_with(|| vec![U64::ZERO; L2_ENTRIES as usize]);
        table[(guest % L2_ENTRIES) as usize] = entry.into();
        Ok(())
    }

    /// The header and all tables with their places, and the length of the finished file.
    pub fn finish(mut self) -> (Vec<Segment>, u64) {
        let mut list = Vec::new();
        let mut l1 = vec![U64::ZERO; self.size.div_ceil(L2_ENTRIES * CLUSTER).max(1) as usize];
        for (index, table) in std::mem::take(&mut self.l2) {
            let at = self.end();
            self.counts.push(1);
            l1[index as usize] = (at | COPIED).into();
            list.push(Segment { offset: at, data: table.as_bytes().to_vec().into() });
        }
        let l1_offset = self.end();
        self.counts.resize(self.counts.len() + l1.as_bytes().len().div_ceil(CLUSTER as usize), 1);
        list.push(Segment { offset: l1_offset, data: l1.as_bytes().to_vec().into() });

        // Blocks and table count themselves too: grow until they cover all.
        let used = self.counts.len() as u64;
        let (mut blocks, mut table) = (1, 1);
        while used + blocks + table > blocks * COUNTS_PER_BLOCK || blocks > table * L2_ENTRIES {
            blocks = (used + blocks + table).div_ceil(COUNTS_PER_BLOCK);
            table = blocks.div_ceil(L2_ENTRIES);
        }
        let blocks_offset = self.end();
        self.counts.resize((used + blocks + table) as usize, 1);
        let counts: Vec<u8> = self.counts.iter().flat_map(|c| c.to_be_bytes()).collect();
        list.push(Segment { offset: blocks_offset, data: counts.into() });
        let refcount_offset = blocks_offset + blocks * CLUSTER;
        let entries: Vec<U64> = (0..blocks).map(|n| U64::new(blocks_offset + n * CLUSTER)).collect();
        list.push(Segment { offset: refcount_offset, data: entries.as_bytes().to_vec().into() });

        let mut header = Header::new(self.size, self.compression);
        header.l1_size = (l1.len() as u32).into();
        header.l1_table_offset = l1_offset.into();
        header.refcount_table_offset = refcount_offset.into();
        header.refcount_table_clusters = (table as u32).into();
        let front = [header.as_bytes(), ExtensionHeader::new_zeroed().as_bytes()].concat();
        list.push(Segment { offset: 0, data: front.into() });
        (list, self.end())
    }
}
