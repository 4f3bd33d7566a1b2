//! Reads the disk inside a qcow2 file, trusting nothing.

use super::extensions;
use super::header::{Header, LENGTH_2};
use super::tables::{COMPRESSED, SECTOR, sector_shift};
use super::{Backing, Compression};
use crate::block_table::read_by_blocks;
use crate::record;
use model::{Error, Result};
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use zerocopy::big_endian::U64;
use zerocopy::{FromZeros, IntoBytes};

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
    backing: Option<Backing>,
    below: Option<BackingSource>,
    l1: Vec<U64>,
    /// The L2 table and the cluster used last: reads come in small sequential pieces.
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    l2: Option<(u64, Vec<U64>)>,
    cluster: Option<(u64, Vec<u8>)>,
}

/// An L2 entry, and its bitmap of subclusters.
#[derive(Clone, Copy, Default)]
struct Entry {
    word: u64,
    bitmap: u64,
}

impl Entry {
    /// Of one word, or of two with the bitmap.
    fn new(words: &[U64]) -> Self {
        let word = |index: usize| words.get(index).map_or(0, |word| word.get());
        Entry { word: word(0), bitmap: word(1) }
    }
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
        let mut header = Header::new_zeroed();
        let there = length.min(size_of::<Header>() as u64) as usize;
        file(0, &mut header.as_mut_bytes()[..there])?;
        let header = header.checked()?;
        let backing = extensions::read(&header, length, &file)?;
        let (entries, at) = (header.l1_size.get(), header.l1_table_offset.get());
        if entries > L1_MAX || at.checked_add(u64::from(entries) * 8).is_none_or(|end| end > length) {
            return Err(Error::integrity(format!("qcow2: L1 table of {entries} entries at offset {at} leaves a file of {length} bytes")));
        }
        let mut reader = Reader { file, length, header, backing, below: None, l1: Vec::new(), recent: Mutex::default() };
        if u64::from(entries) < reader.size().div_ceil(reader.clusters_per_table() * header.cluster()) {
            return Err(Error::integrity(format!("qcow2 header: {entries} L1 entries do not cover {} bytes", reader.size())));
        }
        reader.l1 = record::read_table(&reader.file, at, entries as usize)?;
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

    /// 64-bit words of an L2 entry.
    fn entry_words(&self) -> usize {
        if self.header.has_subclusters() { 2 } else { 1 }
    }

    fn clusters_per_table(&self) -> u64 {
        self.header.cluster() / (self.entry_words() * size_of::<U64>()) as u64
    }

    /// The L2 table at a byte offset: one cluster.
    fn l2_table(&self, at: u64) -> Result<Vec<U64>> {
        record::read_table(&self.file, at, self.header.cluster() as usize / size_of::<U64>())
    }

    /// Every table and cluster that is named is in the file. Our tables come last, so a file that was cut short is found out here, whatever is read of it.
    fn check_extents(&self) -> Result<()> {
        let cluster = self.header.cluster();
        let inside = |what: &str, at: u64, bytes: u64| {
            if at.checked_add(bytes).is_some_and(|end| end <= self.length) {
                return Ok(());
            }
            let message = format!("qcow2: {what} of {bytes} bytes at offset {at} leaves a file of {} bytes", self.length);
            Err(Error::integrity(message).hint("the file was cut short: copy or download it again"))
        };
        let refcounts = u64::from(self.header.refcount_table_clusters).saturating_mul(cluster);
        inside("the refcount table", self.header.refcount_table_offset.get(), refcounts)?;
        let tables = self.l1.iter().filter(|entry| entry.get() & OFFSET != 0).count();
        // Each has a cluster of its own, so their number is bounded by the file.
        if tables as u64 > self.length / cluster {
            return Err(Error::integrity(format!("qcow2: {tables} L2 tables in a file of {} bytes", self.length)));
        }
        for (number, at) in self.l1.iter().map(|entry| entry.get() & OFFSET).enumerate().filter(|&(_, at)| at != 0) {
            inside("an L2 table", at, cluster)?;
            for (index, words) in self.l2_table(at)?.chunks_exact(self.entry_words()).enumerate() {
                let entry = Entry::new(words);
                if entry.word & COMPRESSED != 0 {
                    // At least the first byte of the last sector is there.
                    let (at, sectors) = self.compressed_extent(entry.word);
                    inside("a compressed cluster", at, ((at / SECTOR + sectors) * SECTOR + 1).saturating_sub(at).max(1))?;
                } else if entry.word & OFFSET != 0 && !self.is_zero(entry) {
                    // Of the last cluster only what is on the disk need be there.
                    let guest = (number as u64 * self.clusters_per_table() + index as u64).saturating_mul(cluster);
                    let on_disk = self.size().saturating_sub(guest).min(cluster);
                    inside("a cluster", entry.word & OFFSET, self.used(entry).min(on_disk))?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of a cluster up to the end of what the entry says is stored.
    fn used(&self, entry: Entry) -> u64 {
        let cluster = self.header.cluster();
        if !self.header.has_subclusters() {
            return cluster;
        }
        let subclusters = u64::from(u32::BITS - (entry.bitmap as u32).leading_zeros());
        subclusters * (cluster / SUBCLUSTERS)
    }

    /// The entry's bit says that the whole cluster reads as zeros.
    fn is_zero(&self, entry: Entry) -> bool {
        self.header.has_zero_flag() && !self.header.has_subclusters() && entry.word & ZERO != 0
    }

    /// Byte offset, and how many sectors follow the one that it is in.
    fn compressed_extent(&self, entry: u64) -> (u64, u64) {
        let shift = sector_shift(self.header.cluster_bits.get());
        (entry & ((1 << shift) - 1), (entry & (COMPRESSED - 1)) >> shift)
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.header.size.get()
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let cluster = self.header.cluster();
        // What has one answer: a cluster, or one of its 32 subclusters.
        let unit = if self.header.has_subclusters() { cluster / SUBCLUSTERS } else { cluster };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        read_by_blocks(self.size(), unit, offset, buffer, |number, within, piece| {
            self.read_unit(&mut recent, number * unit + within, piece)
        })
    }

    fn read_unit(&self, recent: &mut Recent, at: u64, out: &mut [u8]) -> Result<()> {
        let cluster = self.header.cluster();
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
        if self.header.has_subclusters() {
            let bit = within / (self.header.cluster() / SUBCLUSTERS);
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
        let at = self.l1.get((guest / per_table) as usize).map_or(0, |entry| entry.get() & OFFSET);
        if at == 0 {
            return Ok(Entry::default());
        }
        if recent.l2.as_ref().is_none_or(|(have, _)| *have != at) {
            recent.l2 = Some((at, self.l2_table(at)?));
        }
        let entries = recent.l2.as_ref().map(|(_, table)| table.chunks_exact(self.entry_words()));
        let entry = entries.and_then(|mut entries| entries.nth((guest % per_table) as usize));
        Ok(entry.map_or(Entry::default(), Entry::new))
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
        let mut out = vec![0; self.header.cluster() as usize];
        match self.header.compression() {
            Compression::Zlib => flate2::read::DeflateDecoder::new(bytes.as_slice()).read_exact(&mut out),
            Compression::Zstd => {
                zstd::stream::read::Decoder::with_buffer(bytes.as_slice()).and_then(|d| d.single_frame().read_exact(&mut out))
            }
        }
        .map_err(|e| Error::integrity(format!("qcow2: compressed cluster {guest} at offset {at} does not decompress")).source(e))?;
        Ok(out)
    }
}
