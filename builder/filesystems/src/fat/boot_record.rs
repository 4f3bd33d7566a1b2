//! The boot sector (BIOS parameter block) and FSInfo: §3 and §5 of the specification.

use super::directory::ENTRY;
use super::names::ShortName;
use super::{SECTOR, SECTOR_LARGE};
use model::{Error, Result};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

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

/// The root directory of a FAT32 volume that we write and read.
const ROOT_CLUSTER: u32 = 2;
/// BS_BootSig: the three fields behind it are present.
pub(super) const EXTENDED: u8 = 0x29;
/// The end of each boot sector.
pub(super) const SIGNATURE: [u8; 2] = [0x55, 0xaa];

pub(super) const FS_INFO_SECTOR: u64 = 1;
pub(super) const BACKUP_SECTOR: u64 = 6;

/// §3.1, and the jump and the name before it: the start of both boot sectors.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ParameterBlock {
    bs_jmp_boot: [u8; 3],
    bs_oem_name: [u8; 8],
    bpb_byts_per_sec: U16,
    bpb_sec_per_clus: u8,
    bpb_rsvd_sec_cnt: U16,
    bpb_num_fats: u8,
    bpb_root_ent_cnt: U16,
    bpb_tot_sec16: U16,
    bpb_media: u8,
    bpb_fat_sz16: U16,
    bpb_sec_per_trk: U16,
    bpb_num_heads: U16,
    bpb_hidd_sec: U32,
    bpb_tot_sec32: U32,
}
const _: () = assert!(size_of::<ParameterBlock>() == 36);

/// §3.3: what FAT32 adds to it.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ParameterBlock32 {
    bpb_fat_sz32: U32,
    bpb_ext_flags: U16,
    bpb_fs_ver: U16,
    bpb_root_clus: U32,
    bpb_fs_info: U16,
    bpb_bk_boot_sec: U16,
    bpb_reserved: [u8; 12],
}
const _: () = assert!(size_of::<ParameterBlock32>() == 28);

/// §3.2: what follows the parameters.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Identity {
    bs_drv_num: u8,
    bs_reserved1: u8,
    pub bs_boot_sig: u8,
    pub bs_vol_id: U32,
    pub bs_vol_lab: ShortName,
    bs_fil_sys_type: [u8; 8],
}
const _: () = assert!(size_of::<Identity>() == 26);

/// The boot sector of FAT16.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootSector16 {
    pub parameters: ParameterBlock,
    pub identity: Identity,
    code: [u8; 448],
    signature: [u8; 2],
}
const _: () = assert!(size_of::<BootSector16>() == 512);

/// The boot sector of FAT32.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootSector32 {
    pub parameters: ParameterBlock,
    pub parameters32: ParameterBlock32,
    pub identity: Identity,
    code: [u8; 420],
    signature: [u8; 2],
}
const _: () = assert!(size_of::<BootSector32>() == 512);

/// §5: a hint that readers verify.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FsInfo {
    fsi_lead_sig: [u8; 4],
    fsi_reserved1: [u8; 480],
    fsi_struc_sig: [u8; 4],
    fsi_free_count: U32,
    fsi_nxt_free: U32,
    fsi_reserved2: [u8; 12],
    fsi_trail_sig: [u8; 4],
}
const _: () = assert!(size_of::<FsInfo>() == 512);

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
    pub fn encode(&self, volume_id: u32, label: &ShortName) -> [u8; 512] {
        let wide = self.width == Width::Fat32;
        let is_short = !wide && self.sectors < 0x1_0000;
        let parameters = ParameterBlock {
            // A jump over the parameters, to code that halts: firmware that boots this sector must not run into zeros.
            bs_jmp_boot: [0xeb, if wide { 0x58 } else { 0x3c }, 0x90],
            bs_oem_name: *b"MSWIN4.1",
            bpb_byts_per_sec: (self.sector as u16).into(),
            bpb_sec_per_clus: self.per_cluster as u8,
            bpb_rsvd_sec_cnt: (self.reserved as u16).into(),
            bpb_num_fats: 2,
            bpb_root_ent_cnt: if wide { 0 } else { ROOT_ENTRIES_16 as u16 }.into(),
            bpb_tot_sec16: if is_short { self.sectors as u16 } else { 0 }.into(),
            bpb_media: MEDIA,
            bpb_fat_sz16: if wide { 0 } else { self.fat as u16 }.into(),
            // Geometry of no meaning since LBA, with the customary values.
            bpb_sec_per_trk: 63.into(),
            bpb_num_heads: 255.into(),
            // Only boot code reads it, and there is none.
            bpb_hidd_sec: U32::ZERO,
            bpb_tot_sec32: if is_short { 0 } else { self.sectors as u32 }.into(),
        };
        let identity = Identity {
            bs_drv_num: 0x80, // the first fixed disk
            bs_reserved1: 0,
            bs_boot_sig: EXTENDED,
            bs_vol_id: volume_id.into(),
            bs_vol_lab: *label,
            bs_fil_sys_type: if wide { *b"FAT32   " } else { *b"FAT16   " },
        };
        if !wide {
            return transmute!(BootSector16 { parameters, identity, code: halt(), signature: SIGNATURE });
        }
        let parameters32 = ParameterBlock32 {
            bpb_fat_sz32: (self.fat as u32).into(),
            bpb_root_clus: ROOT_CLUSTER.into(),
            bpb_fs_info: (FS_INFO_SECTOR as u16).into(),
            bpb_bk_boot_sec: (BACKUP_SECTOR as u16).into(),
            ..ParameterBlock32::new_zeroed()
        };
        transmute!(BootSector32 { parameters, parameters32, identity, code: halt(), signature: SIGNATURE })
    }

    /// Reads a boot sector of any writer. Refuses what no volume can be, FAT12, and sectors other than 512 or 4096 bytes.
    pub fn decode(sector: &[u8; 512]) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("FAT boot sector: {what}"));
        // FAT16 has no parameters32: its fields there belong to something else.
        let BootSector32 { parameters: p, parameters32: p32, signature, .. } = transmute_ref!(sector);
        if *signature != SIGNATURE {
            return Err(bad(format!("expected the signature 55aa at offset 510, found {}", hex::encode(signature))));
        }
        let sector = u64::from(p.bpb_byts_per_sec);
        if ![SECTOR, SECTOR_LARGE].contains(&sector) {
            return Err(bad(format!("expected 512 or 4096 bytes a sector, found {sector}")));
        }
        let per_cluster = u64::from(p.bpb_sec_per_clus);
        if !per_cluster.is_power_of_two() {
            return Err(bad(format!("expected a power of two sectors a cluster, found {per_cluster}")));
        }
        if p.bpb_num_fats != 2 {
            return Err(bad(format!("expected 2 FATs, found {}", p.bpb_num_fats)));
        }
        let reserved = u64::from(p.bpb_rsvd_sec_cnt);
        let root = (u64::from(p.bpb_root_ent_cnt) * ENTRY as u64).div_ceil(sector);
        let either = |short: U16, long: U32| if short != 0 { u64::from(short) } else { u64::from(long) };
        let sectors = either(p.bpb_tot_sec16, p.bpb_tot_sec32);
        let fat = either(p.bpb_fat_sz16, p32.bpb_fat_sz32);
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
        if width == Width::Fat32 && (root != 0 || p32.bpb_root_clus != ROOT_CLUSTER) {
            return Err(bad(format!("expected the root directory at cluster {ROOT_CLUSTER}, found {}", p32.bpb_root_clus)));
        }
        Ok(Geometry { sector, width, sectors, per_cluster, reserved, fat, root, clusters })
    }
}

/// Boot code that halts the machine: hlt; jmp back to it.
fn halt<const SIZE: usize>() -> [u8; SIZE] {
    let mut code = [0; SIZE];
    code[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
    code
}

/// The sector of FSInfo.
pub(super) fn fs_info(free: u32, next_free: u32) -> [u8; 512] {
    transmute!(FsInfo {
        fsi_lead_sig: *b"RRaA",
        fsi_struc_sig: *b"rrAa",
        fsi_free_count: free.into(),
        fsi_nxt_free: next_free.into(),
        fsi_trail_sig: [0, 0, SIGNATURE[0], SIGNATURE[1]],
        ..FsInfo::new_zeroed()
    })
}
