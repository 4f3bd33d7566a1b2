//! Reads the disk inside a qcow2 file, trusting nothing.

use super::extensions;
use super::header::{LENGTH, LENGTH_2, Layout};
use super::tables::{COMPRESSED, SECTOR, sector_shift};
use super::{Backing, Compression, Header};
use crate::block_table::read_by_blocks;
use model::{Error, Result};
use std::io::Read;
use std::sync::{Mutex, PoisonError};

/// L2: bit 0, the cluster reads as zeros.
const ZERO: u64 = 1;
/// L1 and uncompressed L2 entries: the host offset, bits 9 to 55.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// L1 entries accepted: QEMU's own limit of 32 MiB.
const L1_MAX: u32 = 4 << 20;
/// Subclusters of a cluster, with extended L2 entries.
const SUBCLUSTERS: u64 = 32;

/// Fills a buffer from a byte offset of the backing disk, of any offset: zeros past its end.
pub type BackingSource = Box<dyn Fn(u64, &mut [u8]) -> Result<()> + Send + Sync>;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// Of the file, in bytes.
    length: u64,
    header: Header,
    layout: Layout,
    backing: Option<Backing>,
    below: Option<BackingSource>,
    l1: Vec<u64>,
    /// The L2 table and the cluster used last: reads come in small sequential pieces.
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    l2: Option<(u64, Vec<u8>)>,
    cluster: Option<(u64, Vec<u8>)>,
}

/// An L2 entry, and its bitmap of subclusters.
#[derive(Clone, Copy, Default)]
struct Entry {
    word: u64,
    bitmap: u64,
}

/// Where bytes of a cluster are.
enum Stored {
    /// From this offset of the file.
    At(u64),
    Compressed,
    Zeros,
    Below,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        if length < u64::from(LENGTH_2) {
            return Err(Error::integrity(format!("qcow2: a file of {length} bytes has no header")));
        }
        let mut bytes = [0; LENGTH as usize];
        file(0, &mut bytes[..length.min(LENGTH.into()) as usize])?;
        let header = Header::decode(&bytes)?;
        let layout = Layout::decode(&bytes);
        let backing = extensions::read(&layout, 1 << header.cluster_bits, length, &file)?;
        let l1_bytes = u64::from(header.l1_entries) * 8;
        if header.l1_entries > L1_MAX || header.l1_offset.checked_add(l1_bytes).is_none_or(|end| end > length) {
            return Err(Error::integrity(format!(
                "qcow2: L1 table of {} entries at offset {} leaves a file of {length} bytes",
                header.l1_entries, header.l1_offset
            )));
        }
        let mut reader = Reader { file, length, header, layout, backing, below: None, l1: Vec::new(), recent: Mutex::default() };
        let (entries, size) = (reader.header.l1_entries, reader.header.size);
        let per_table = reader.clusters_per_table() << reader.header.cluster_bits;
        if u64::from(entries) < size.div_ceil(per_table) {
            return Err(Error::integrity(format!("qcow2 header: {entries} L1 entries do not cover {size} bytes")));
        }
        let mut table = vec![0; l1_bytes as usize];
        (reader.file)(reader.header.l1_offset, &mut table)?;
        reader.l1 = table.as_chunks::<8>().0.iter().map(|b| u64::from_be_bytes(*b)).collect();
        reader.check_extents()?;
        Ok(reader)
    }

    /// The file that has what this one does not; reading that is an error until [`set_backing`](Self::set_backing).
    pub fn backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }

    pub fn set_backing(&mut self, below: BackingSource) {
        self.below = Some(below);
    }

    /// Bytes of an L2 entry.
    fn entry_size(&self) -> usize {
        if self.layout.has_subclusters { 16 } else { 8 }
    }

    fn clusters_per_table(&self) -> u64 {
        (1 << self.header.cluster_bits) / self.entry_size() as u64
    }

    /// Every table and cluster that is named is in the file. Our tables come last, so a file that was cut short is found out here, whatever is read of it.
    fn check_extents(&self) -> Result<()> {
        let cluster = 1u64 << self.header.cluster_bits;
        let inside = |what: &str, at: u64, bytes: u64| {
            if at.checked_add(bytes).is_some_and(|end| end <= self.length) {
                return Ok(());
            }
            let message = format!("qcow2: {what} of {bytes} bytes at offset {at} leaves a file of {} bytes", self.length);
            Err(Error::integrity(message).hint("the file was cut short: copy or download it again"))
        };
        let refcounts = u64::from(self.header.refcount_clusters).saturating_mul(cluster);
        inside("the refcount table", self.header.refcount_offset, refcounts)?;
        let tables = self.l1.iter().filter(|&entry| entry & OFFSET != 0).count();
        // Each has a cluster of its own, so their number is bounded by the file.
        if tables as u64 > self.length / cluster {
            return Err(Error::integrity(format!("qcow2: {tables} L2 tables in a file of {} bytes", self.length)));
        }
        let mut table = vec![0; cluster as usize];
        for (number, at) in self.l1.iter().map(|entry| entry & OFFSET).enumerate().filter(|&(_, at)| at != 0) {
            inside("an L2 table", at, cluster)?;
            (self.file)(at, &mut table)?;
            for (index, bytes) in table.chunks_exact(self.entry_size()).enumerate() {
                let entry = decode_entry(bytes);
                if entry.word & COMPRESSED != 0 {
                    // At least the first byte of the last sector is there.
                    let (at, sectors) = self.compressed_extent(entry.word);
                    inside("a compressed cluster", at, ((at / SECTOR + sectors) * SECTOR + 1).saturating_sub(at).max(1))?;
                } else if entry.word & OFFSET != 0 && !self.is_zero(entry) {
                    // Of the last cluster only what is on the disk need be there.
                    let guest = (number as u64 * self.clusters_per_table() + index as u64).saturating_mul(cluster);
                    let on_disk = self.header.size.saturating_sub(guest).min(cluster);
                    inside("a cluster", entry.word & OFFSET, self.used(entry).min(on_disk))?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of a cluster up to the end of what the entry says is stored.
    fn used(&self, entry: Entry) -> u64 {
        let cluster = 1u64 << self.header.cluster_bits;
        if !self.layout.has_subclusters {
            return cluster;
        }
        let subclusters = u64::from(u32::BITS - (entry.bitmap as u32).leading_zeros());
        subclusters * (cluster / SUBCLUSTERS)
    }

    /// The entry's bit says that the whole cluster reads as zeros.
    fn is_zero(&self, entry: Entry) -> bool {
        self.layout.has_zero_flag && !self.layout.has_subclusters && entry.word & ZERO != 0
    }

    /// Byte offset, and how many sectors follow the one that it is in.
    fn compressed_extent(&self, entry: u64) -> (u64, u64) {
        let shift = sector_shift(self.header.cluster_bits);
        (entry & ((1 << shift) - 1), (entry & (COMPRESSED - 1)) >> shift)
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.header.size
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let cluster = 1u64 << self.header.cluster_bits;
        // What has one answer: a cluster, or one of its 32 subclusters.
        let unit = if self.layout.has_subclusters { cluster / SUBCLUSTERS } else { cluster };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        read_by_blocks(self.size(), unit, offset, buffer, |number, within, piece| {
            self.read_unit(&mut recent, number * unit + within, piece)
        })
    }

    fn read_unit(&self, recent: &mut Recent, at: u64, out: &mut [u8]) -> Result<()> {
        let cluster = 1u64 << self.header.cluster_bits;
        let (guest, within) = (at / cluster, at % cluster);
        let entry = self.entry(recent, guest)?;
        match self.stored(entry, guest, within)? {
            Stored::At(host) => self.fill(host, out),
            Stored::Zeros => {
                out.fill(0);
                Ok(())
            }
            Stored::Below => match (&self.backing, &self.below) {
                (_, Some(below)) => below(at, out),
                (None, None) => {
                    out.fill(0);
                    Ok(())
                }
                (Some(backing), None) => Err(Error::integrity(format!("qcow2: byte {at} is in the backing file {:?}", backing.name))),
            },
            Stored::Compressed => {
                if recent.cluster.as_ref().is_none_or(|(n, _)| *n != guest) {
                    recent.cluster = Some((guest, self.decompress(guest, entry.word)?));
                }
                if let Some(part) = recent.cluster.as_ref().and_then(|(_, bytes)| bytes.get(within as usize..within as usize + out.len())) {
                    out.copy_from_slice(part);
                }
                Ok(())
            }
        }
    }

    /// Where the byte `within` a guest cluster is.
    fn stored(&self, entry: Entry, guest: u64, within: u64) -> Result<Stored> {
        let host = entry.word & OFFSET;
        if entry.word & COMPRESSED != 0 {
            return Ok(Stored::Compressed);
        }
        if self.layout.has_subclusters {
            let bit = within / ((1 << self.header.cluster_bits) / SUBCLUSTERS);
            let (is_allocated, is_zero) = (entry.bitmap >> bit & 1 != 0, entry.bitmap >> (SUBCLUSTERS + bit) & 1 != 0);
            return match (is_allocated, is_zero) {
                (true, false) if host != 0 => Ok(Stored::At(host + within)),
                (false, true) => Ok(Stored::Zeros),
                (false, false) => Ok(Stored::Below),
                _ => Err(Error::integrity(format!("qcow2: cluster {guest}: its bitmap {:#x} contradicts itself", entry.bitmap))),
            };
        }
        Ok(match () {
            () if self.is_zero(entry) => Stored::Zeros,
            () if host == 0 => Stored::Below,
            () => Stored::At(host + within),
        })
    }

    fn entry(&self, recent: &mut Recent, guest: u64) -> Result<Entry> {
        let per_table = self.clusters_per_table();
        let at = self.l1.get((guest / per_table) as usize).copied().unwrap_or(0) & OFFSET;
        if at == 0 {
            return Ok(Entry::default());
        }
        if recent.l2.as_ref().is_none_or(|(have, _)| *have != at) {
            let mut table = vec![0; 1 << self.header.cluster_bits];
            self.fill(at, &mut table)?;
            recent.l2 = Some((at, table));
        }
        let index = (guest % per_table) as usize;
        let size = self.entry_size();
        let bytes = recent.l2.as_ref().and_then(|(_, table)| table.get(index * size..(index + 1) * size));
        Ok(bytes.map_or(Entry::default(), decode_entry))
    }

    fn fill(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.length) {
            return Err(Error::integrity(format!("qcow2: {} bytes at {offset} leave a file of {} bytes", out.len(), self.length)));
        }
        (self.file)(offset, out)
    }

    fn decompress(&self, guest: u64, entry: u64) -> Result<Vec<u8>> {
        let (at, sectors) = self.compressed_extent(entry);
        // To the end of the last sector, which may be cut off by the end of the file; what follows the compressed data is ignored.
        let end = ((at / SECTOR + sectors + 1) * SECTOR).min(self.length);
        let mut bytes = vec![0; end.saturating_sub(at) as usize];
        self.fill(at, &mut bytes)?;
        let mut out = vec![0; 1 << self.header.cluster_bits];
        match self.header.compression {
            Compression::Zlib => flate2::read::DeflateDecoder::new(bytes.as_slice()).read_exact(&mut out),
            Compression::Zstd => {
                zstd::stream::read::Decoder::with_buffer(bytes.as_slice()).and_then(|d| d.single_frame().read_exact(&mut out))
            }
        }
        .map_err(|e| Error::integrity(format!("qcow2: compressed cluster {guest} at offset {at} does not decompress")).source(e))?;
        Ok(out)
    }
}

/// Of 8 bytes, or of 16 with the bitmap.
fn decode_entry(bytes: &[u8]) -> Entry {
    let word = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_be_bytes(*b));
    Entry { word: word(0), bitmap: word(8) }
}
