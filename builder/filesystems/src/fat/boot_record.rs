//! The boot sector (BIOS parameter block) and FSInfo: §3 and §5 of the specification.

use super::{SECTOR, SECTOR_LARGE};
use model::{Error, Result};

/// At least this many clusters make a volume FAT16, and FAT32 (§3.5).
const MIN_CLUSTERS_16: u64 = 4_085;
const MIN_CLUSTERS_32: u64 = 65_525;
/// §3.5 advises to stay this far from the borders, since many readers are off by some.
const MARGIN: u64 = 16;
/// FAT32 entries have 28 bits; the last values are reserved.
const MAX_CLUSTERS_32: u64 = 0x0fff_fff5;
/// Directory entries of a FAT16 root: the specification's 512, 32 sectors.
const ROOT_ENTRIES_16: u64 = 512;
/// FAT32: as the specification's examples; FSInfo and the backup need 8.
const RESERVED_32: u64 = 32;
/// A fixed disk (§3.1, BPB_Media).
const MEDIA: u8 = 0xf8;

pub(super) const FS_INFO_SECTOR: u64 = 1;
pub(super) const BACKUP_SECTOR: u64 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Fat16,
    Fat32,
}

/// Where everything is. All positions and lengths in sectors unless named otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes in a sector.
    pub sector: u64,
    pub width: Width,
    pub sectors: u64,
    pub per_cluster: u64,
    pub reserved: u64,
    pub fat: u64,
    /// FAT16's fixed root directory; 0 for FAT32.
    pub root: u64,
    /// Number of data clusters; they are numbered from 2.
    pub clusters: u64,
}

impl Geometry {
    /// Chooses the type and the cluster size for a volume of `size` bytes on a disk with sectors of `sector` bytes.
    pub fn choose(size: u64, sector: u64) -> Result<Self> {
        let sectors = size / sector;
        if !size.is_multiple_of(sector) || sectors > u64::from(u32::MAX) {
            return Err(Error::recipe(format!("a FAT volume is a multiple of {sector} bytes below 2 TiB, not {size} bytes")));
        }
        // Clusters of up to 4 KiB while that leaves enough of them for FAT32, bigger ones only where the 28-bit limit wants it.
        let wide = [4096, 2048, 1024, 512]
            .into_iter()
            .filter(|cluster| *cluster >= sector)
            .filter_map(|cluster| Self::with(Width::Fat32, sector, sectors, cluster / sector))
            .find(|g| g.clusters >= MIN_CLUSTERS_32 + MARGIN && g.clusters <= MAX_CLUSTERS_32);
        let narrow = || {
            [1, 2, 4, 8, 16, 32, 64]
                .into_iter()
                .map(|n| n * 512)
                .filter(|cluster| *cluster >= sector)
                .filter_map(|cluster| Self::with(Width::Fat16, sector, sectors, cluster / sector))
                .find(|g| g.clusters >= MIN_CLUSTERS_16 + MARGIN && g.clusters + MARGIN < MIN_CLUSTERS_32)
        };
        wide.or_else(narrow).ok_or_else(|| {
            Error::recipe(format!("{size} bytes are too few or too many for a FAT16 or FAT32 volume"))
                .hint("an ESP of 64 MiB suits every firmware")
        })
    }

    fn with(width: Width, sector: u64, sectors: u64, per_cluster: u64) -> Option<Self> {
        let (reserved, root, entry) = match width {
            Width::Fat16 => (1, ROOT_ENTRIES_16 * 32 / sector, 2),
            Width::Fat32 => (RESERVED_32, 0, 4),
        };
        let usable = sectors.checked_sub(reserved + root)?;
        // The FAT that would cover all usable sectors covers what remains of them all the more.
        let fat = ((usable / per_cluster + 2) * entry).div_ceil(sector);
        let clusters = usable.checked_sub(2 * fat)? / per_cluster;
        Some(Geometry { sector, width, sectors, per_cluster, reserved, fat, root, clusters })
    }

    pub fn cluster_bytes(&self) -> u64 {
        self.per_cluster * self.sector
    }

    /// Byte offset of FAT `copy` (0 or 1).
    pub fn fat_offset(&self, copy: u64) -> u64 {
        (self.reserved + copy * self.fat) * self.sector
    }

    /// Byte offset of FAT16's root directory, and of cluster 2 for FAT32.
    pub fn root_offset(&self) -> u64 {
        (self.reserved + 2 * self.fat) * self.sector
    }

    pub fn cluster_offset(&self, cluster: u32) -> u64 {
        self.root_offset() + self.root * self.sector + (u64::from(cluster) - 2) * self.cluster_bytes()
    }

    pub fn is_cluster(&self, number: u32) -> bool {
        number >= 2 && u64::from(number) - 2 < self.clusters
    }

    /// The boot sector. The root of FAT32 is always cluster 2.
    pub fn encode(&self, volume_id: u32, label: &[u8; 11]) -> [u8; 512] {
        let mut b = [0; 512];
        let put = |b: &mut [u8; 512], at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        let wide = self.width == Width::Fat32;
        // A jump over the parameter block, to code that halts: firmware that boots this sector must not run into zeros.
        put(&mut b, 0, &[0xeb, if wide { 0x58 } else { 0x3c }, 0x90]);
        put(&mut b, 3, b"MSWIN4.1");
        put(&mut b, 11, &(self.sector as u16).to_le_bytes());
        b[13] = self.per_cluster as u8;
        put(&mut b, 14, &(self.reserved as u16).to_le_bytes());
        b[16] = 2;
        put(&mut b, 17, &(if wide { 0 } else { ROOT_ENTRIES_16 as u16 }).to_le_bytes());
        let short = if !wide && self.sectors < 0x1_0000 { self.sectors as u16 } else { 0 };
        put(&mut b, 19, &short.to_le_bytes());
        b[21] = MEDIA;
        put(&mut b, 22, &(if wide { 0 } else { self.fat as u16 }).to_le_bytes());
        // Sectors per track and heads: geometry of no meaning since LBA, with the customary values.
        put(&mut b, 24, &63u16.to_le_bytes());
        put(&mut b, 26, &255u16.to_le_bytes());
        // BPB_HiddSec stays 0: only boot code reads it, and there is none.
        put(&mut b, 32, &(if short == 0 { self.sectors as u32 } else { 0 }).to_le_bytes());
        let tail = if wide {
            put(&mut b, 36, &(self.fat as u32).to_le_bytes());
            put(&mut b, 44, &2u32.to_le_bytes());
            put(&mut b, 48, &(FS_INFO_SECTOR as u16).to_le_bytes());
            put(&mut b, 50, &(BACKUP_SECTOR as u16).to_le_bytes());
            64
        } else {
            36
        };
        b[tail] = 0x80; // drive number of the first fixed disk
        b[tail + 2] = 0x29; // the three fields below are present
        put(&mut b, tail + 3, &volume_id.to_le_bytes());
        put(&mut b, tail + 7, label);
        put(&mut b, tail + 18, if wide { b"FAT32   " } else { b"FAT16   " });
        put(&mut b, tail + 26, &[0xf4, 0xeb, 0xfd]); // hlt; jmp back to it
        put(&mut b, 510, &[0x55, 0xaa]);
        b
    }

    /// Reads a boot sector of any writer. Refuses what no volume can be, FAT12, and sectors other than 512 or 4096 bytes.
    pub fn decode(b: &[u8; 512]) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("FAT boot sector: {what}"));
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([b[at], b[at + 1]]));
        let u32_at = |at: usize| u64::from(u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]));
        if b[510..] != [0x55, 0xaa] {
            return Err(bad(format!("expected the signature 55aa at offset 510, found {}", hex::encode(&b[510..]))));
        }
        let sector = u16_at(11);
        if ![SECTOR, SECTOR_LARGE].contains(&sector) {
            return Err(bad(format!("expected 512 or 4096 bytes a sector, found {sector}")));
        }
        let per_cluster = u64::from(b[13]);
        if !per_cluster.is_power_of_two() {
            return Err(bad(format!("expected a power of two sectors a cluster, found {per_cluster}")));
        }
        if b[16] != 2 {
            return Err(bad(format!("expected 2 FATs, found {}", b[16])));
        }
        let (reserved, root) = (u16_at(14), (u16_at(17) * 32).div_ceil(sector));
        let sectors = if u16_at(19) != 0 { u16_at(19) } else { u32_at(32) };
        let fat = if u16_at(22) != 0 { u16_at(22) } else { u32_at(36) };
        let clusters = sectors.checked_sub(reserved + 2 * fat + root).map(|data| data / per_cluster);
        let clusters = clusters.ok_or_else(|| bad(format!("{sectors} sectors do not hold two FATs of {fat} sectors")))?;
        let (width, entry) = match clusters {
            0..MIN_CLUSTERS_16 => {
                return Err(Error::recipe(format!("FAT boot sector: {clusters} clusters make this FAT12, which is not read")));
            }
            MIN_CLUSTERS_16..MIN_CLUSTERS_32 => (Width::Fat16, 2),
            MIN_CLUSTERS_32..=MAX_CLUSTERS_32 => (Width::Fat32, 4),
            _ => return Err(bad(format!("{clusters} clusters are more than FAT32 has"))),
        };
        if fat * sector < (clusters + 2) * entry || reserved == 0 {
            return Err(bad(format!("a FAT of {fat} sectors cannot describe {clusters} clusters")));
        }
        if width == Width::Fat32 && (root != 0 || u32_at(44) != 2) {
            return Err(bad(format!("expected the root directory at cluster 2, found {}", u32_at(44))));
        }
        Ok(Geometry { sector, width, sectors, per_cluster, reserved, fat, root, clusters })
    }
}

/// FSInfo (§5), a hint that readers verify.
pub(super) fn fs_info(free: u32, next_free: u32) -> [u8; 512] {
    let mut b = [0; 512];
    b[..4].copy_from_slice(b"RRaA");
    b[484..488].copy_from_slice(b"rrAa");
    b[488..492].copy_from_slice(&free.to_le_bytes());
    b[492..496].copy_from_slice(&next_free.to_le_bytes());
    b[510..].copy_from_slice(&[0x55, 0xaa]);
    b
}
