//! Lists and reads a FAT16 or FAT32 volume of any writer, trusting nothing.

use super::boot_record::{BootSector16, BootSector32, EXTENDED, Geometry, Width};
use super::directory::{self, ATTR_DIRECTORY, ENTRY};
use model::{Error, Result};
use std::collections::BTreeSet;
use zerocopy::transmute_ref;

/// Bytes that a directory may have (§6: 65536 entries).
const DIRECTORY_MAX: u64 = 65_536 * ENTRY as u64;
/// Names listed at most: far more than any ESP has, few enough for memory.
const NAMES_MAX: usize = 1 << 20;

/// A name on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// With a leading slash.
    pub path: String,
    pub is_directory: bool,
    /// In bytes; 0 for a directory.
    pub size: u32,
    cluster: u32,
}

/// Over a function that fills a buffer from a byte offset of the volume.
pub struct Reader<'a> {
    source: &'a dyn Fn(u64, &mut [u8]) -> Result<()>,
    geometry: Geometry,
    volume_id: u32,
    label: String,
}

impl<'a> Reader<'a> {
    pub fn open(source: &'a dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<Self> {
        let mut sector = [0; 512];
        source(0, &mut sector)?;
        let geometry = Geometry::decode(&sector)?;
        let (wide, narrow): (&BootSector32, &BootSector16) = (transmute_ref!(&sector), transmute_ref!(&sector));
        let identity = if geometry.width == Width::Fat32 { &wide.identity } else { &narrow.identity };
        let (volume_id, label) = match identity.bs_boot_sig {
            EXTENDED => (identity.bs_vol_id.get(), String::from_utf8_lossy(&identity.bs_vol_lab)),
            _ => (0, "".into()),
        };
        Ok(Reader { source, geometry, volume_id, label: label.trim_end().to_owned() })
    }

    /// From the boot sector, without the blanks behind it.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn volume_id(&self) -> u32 {
        self.volume_id
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.geometry.sectors * self.geometry.sector
    }

    /// Bytes in clusters that no chain has, counted in the first FAT: FSInfo is only a hint.
    pub fn free(&self) -> Result<u64> {
        let entry = if self.geometry.width == Width::Fat32 { 4 } else { 2 };
        let (mut at, end) = (2 * entry, (self.geometry.clusters + 2) * entry);
        let (mut free, mut window) = (0, vec![0; 64 << 10]);
        while at < end {
            let part = &mut window[..(end - at).min(64 << 10) as usize];
            (self.source)(self.geometry.fat_offset(0) + at, part)?;
            at += part.len() as u64;
            free += part
                .chunks(entry as usize)
                .filter(|e| match **e {
                    // The upper four bits are reserved (§4).
                    [a, b, c, d] => [a, b, c, d & 0x0f] == [0; 4],
                    ref narrow => narrow == [0; 2],
                })
                .count() as u64;
        }
        Ok(free * self.geometry.cluster_bytes())
    }

    /// Every name, parents before children, in the order of the disk.
    pub fn list(&self) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        let mut seen = BTreeSet::new();
        let mut pending = vec![(String::new(), 0)];
        while let Some((path, cluster)) = pending.pop() {
            if !seen.insert(cluster) {
                return Err(Error::integrity(format!("FAT directory {path:?} at cluster {cluster} was reached twice")));
            }
            let mut below = Vec::new();
            for e in directory::decode(&self.directory(cluster)?) {
                let entry = Entry {
                    path: format!("{path}/{}", e.name),
                    is_directory: e.attributes & ATTR_DIRECTORY != 0,
                    size: e.size,
                    cluster: e.cluster,
                };
                if entry.is_directory {
                    below.push((entry.path.clone(), entry.cluster));
                }
                out.push(entry);
            }
            if out.len() > NAMES_MAX {
                return Err(Error::integrity(format!("more than {NAMES_MAX} names on a FAT volume")));
            }
            pending.extend(below.into_iter().rev());
        }
        Ok(out)
    }

    /// The file at `path` (as listed, case ignored), refused above `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let found = self.list()?.into_iter().find(|e| e.path.eq_ignore_ascii_case(path) && !e.is_directory);
        self.read_entry(&found.ok_or_else(|| Error::integrity(format!("no file {path} on the FAT volume")))?, limit)
    }

    pub fn read_entry(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
        let size = u64::from(entry.size);
        if size > limit || entry.is_directory {
            return Err(Error::integrity(format!("{} is a directory or has {size} bytes, more than {limit}", entry.path)));
        }
        let mut bytes = if size == 0 { vec![] } else { self.chain(entry.cluster, size)? };
        if (bytes.len() as u64) < size {
            return Err(Error::integrity(format!("{}: expected {size} bytes, its cluster chain has {}", entry.path, bytes.len())));
        }
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// What the byte at `offset` of the volume is for, in words, and the path if it is a name's.
    pub fn owner(&self, offset: u64) -> Result<(&'static str, Option<String>)> {
        let g = &self.geometry;
        if offset < g.fat_offset(0) {
            return Ok((if offset < g.sector { "boot sector" } else { "reserved sectors" }, None));
        }
        if offset < g.root_offset() {
            return Ok(("file allocation table", None));
        }
        if offset < g.cluster_offset(2) {
            return Ok(("root directory", Some("/".to_owned())));
        }
        let wanted = u32::try_from((offset - g.cluster_offset(2)) / g.cluster_bytes() + 2).unwrap_or(u32::MAX);
        let root = (g.width == Width::Fat32).then(|| Entry { path: "/".into(), is_directory: true, size: 0, cluster: 2 });
        for entry in root.into_iter().chain(self.list()?) {
            let mut at = entry.cluster;
            // As many steps as there are clusters: a loop ends.
            for _ in 0..g.clusters {
                if at == wanted {
                    return Ok((if entry.is_directory { "directory" } else { "contents" }, Some(entry.path)));
                }
                match if g.is_cluster(at) { self.next(at)? } else { None } {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
        Ok(("free", None))
    }

    fn directory(&self, cluster: u32) -> Result<Vec<u8>> {
        match (cluster, self.geometry.width) {
            (0, Width::Fat16) => {
                let mut bytes = vec![0; (self.geometry.root * self.geometry.sector) as usize];
                (self.source)(self.geometry.root_offset(), &mut bytes)?;
                Ok(bytes)
            }
            (0, Width::Fat32) => self.chain(2, DIRECTORY_MAX),
            _ => self.chain(cluster, DIRECTORY_MAX),
        }
    }

    /// The clusters from `first` on, until the chain ends or `limit` bytes are there. The limit also ends a loop.
    fn chain(&self, first: u32, limit: u64) -> Result<Vec<u8>> {
        let (mut at, mut out) = (first, Vec::new());
        while (out.len() as u64) < limit {
            if !self.geometry.is_cluster(at) {
                return Err(Error::integrity(format!(
                    "FAT cluster chain from {first}: expected a cluster below {}, found {at}",
                    self.geometry.clusters + 2
                )));
            }
            let done = out.len();
            out.resize(done + self.geometry.cluster_bytes() as usize, 0);
            (self.source)(self.geometry.cluster_offset(at), &mut out[done..])?;
            match self.next(at)? {
                Some(next) => at = next,
                None => break,
            }
        }
        Ok(out)
    }

    /// `None` at the end of a chain.
    fn next(&self, cluster: u32) -> Result<Option<u32>> {
        let base = self.geometry.fat_offset(0);
        let mut bytes = [0; 4];
        let (value, end) = match self.geometry.width {
            Width::Fat16 => {
                (self.source)(base + u64::from(cluster) * 2, &mut bytes[..2])?;
                (u32::from_le_bytes(bytes), 0xfff8)
            }
            Width::Fat32 => {
                (self.source)(base + u64::from(cluster) * 4, &mut bytes)?;
                // The upper four bits are reserved (§4).
                (u32::from_le_bytes(bytes) & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        Ok((value < end).then_some(value))
    }
}
