//! Reads the disk inside a qcow2 file, trusting nothing.

use super::header::LENGTH;
use super::tables::{COMPRESSED, SECTOR, sector_shift};
use super::{Compression, Header};
use crate::base::{Error, Result};
use std::io::Read;
use std::sync::Mutex;

/// L2: bit 0, the cluster reads as zeros.
const ZERO: u64 = 1;
/// L1 and uncompressed L2 entries: the host offset, bits 9 to 55.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// L1 entries accepted: QEMU's own limit of 32 MiB.
const L1_MAX: u32 = 4 << 20;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<'a> {
    file: &'a (dyn Fn(u64, &mut [u8]) -> Result<()> + Sync),
    /// Of the file, in bytes.
    length: u64,
    header: Header,
    l1: Vec<u64>,
    /// The L2 table and the cluster used last: reads come in small sequential pieces.
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    l2: Option<(u64, Vec<u8>)>,
    cluster: Option<(u64, Vec<u8>)>,
}

impl<'a> Reader<'a> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: &'a (dyn Fn(u64, &mut [u8]) -> Result<()> + Sync)) -> Result<Self> {
        if length < u64::from(LENGTH) {
            return Err(Error::integrity(format!("qcow2: a file of {length} bytes has no header")));
        }
        let mut bytes = [0; LENGTH as usize];
        file(0, &mut bytes)?;
        let header = Header::decode(&bytes)?;
        let l1_bytes = u64::from(header.l1_entries) * 8;
        if header.l1_entries > L1_MAX || header.l1_offset.checked_add(l1_bytes).is_none_or(|end| end > length) {
            return Err(Error::integrity(format!(
                "qcow2: L1 table of {} entries at offset {} leaves a file of {length} bytes",
                header.l1_entries, header.l1_offset
            )));
        }
        let mut table = vec![0; l1_bytes as usize];
        file(header.l1_offset, &mut table)?;
        let l1 = table.as_chunks::<8>().0.iter().map(|b| u64::from_be_bytes(*b)).collect();
        let reader = Reader { file, length, header, l1, recent: Mutex::default() };
        reader.check_extents()?;
        Ok(reader)
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
        let tables: Vec<u64> = self.l1.iter().map(|entry| entry & OFFSET).filter(|&at| at != 0).collect();
        // Each has a cluster of its own, so their number is bounded by the file.
        if tables.len() as u64 > self.length / cluster {
            return Err(Error::integrity(format!("qcow2: {} L2 tables in a file of {} bytes", tables.len(), self.length)));
        }
        let mut table = vec![0; cluster as usize];
        for at in tables {
            inside("an L2 table", at, cluster)?;
            (self.file)(at, &mut table)?;
            for entry in table.as_chunks::<8>().0.iter().map(|b| u64::from_be_bytes(*b)) {
                if entry & COMPRESSED != 0 {
                    // At least the first byte of the last sector is there.
                    let (at, sectors) = self.compressed_extent(entry);
                    inside("a compressed cluster", at, ((at / SECTOR + sectors) * SECTOR + 1).saturating_sub(at).max(1))?;
                } else if entry & OFFSET != 0 && entry & ZERO == 0 {
                    inside("a cluster", entry & OFFSET, cluster)?;
                }
            }
        }
        Ok(())
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
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(Error::integrity(format!(
                "read of {} bytes at {offset} past the end of a disk of {} bytes",
                buffer.len(),
                self.size()
            )));
        }
        let cluster = 1u64 << self.header.cluster_bits;
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let within = at % cluster;
            let n = ((cluster - within) as usize).min(buffer.len() - done);
            self.read_in_cluster(&mut recent, at / cluster, within, &mut buffer[done..done + n])?;
            done += n;
        }
        Ok(())
    }

    fn read_in_cluster(&self, recent: &mut Recent, guest: u64, within: u64, out: &mut [u8]) -> Result<()> {
        let entry = self.entry(recent, guest)?;
        if entry & COMPRESSED == 0 {
            if entry & ZERO != 0 || entry & OFFSET == 0 {
                out.fill(0);
                return Ok(());
            }
            return self.fill((entry & OFFSET) + within, out);
        }
        if recent.cluster.as_ref().is_none_or(|(n, _)| *n != guest) {
            recent.cluster = Some((guest, self.decompress(guest, entry)?));
        }
        if let Some(part) = recent.cluster.as_ref().and_then(|(_, bytes)| bytes.get(within as usize..within as usize + out.len())) {
            out.copy_from_slice(part);
        }
        Ok(())
    }

    fn entry(&self, recent: &mut Recent, guest: u64) -> Result<u64> {
        let per_table = 1u64 << (self.header.cluster_bits - 3);
        let at = self.l1.get((guest / per_table) as usize).copied().unwrap_or(0) & OFFSET;
        if at == 0 {
            return Ok(0);
        }
        if recent.l2.as_ref().is_none_or(|(have, _)| *have != at) {
            let mut table = vec![0; 1 << self.header.cluster_bits];
            self.fill(at, &mut table)?;
            recent.l2 = Some((at, table));
        }
        let index = (guest % per_table) as usize;
        let entry = recent.l2.as_ref().and_then(|(_, table)| table.as_chunks::<8>().0.get(index).copied());
        Ok(entry.map_or(0, u64::from_be_bytes))
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
