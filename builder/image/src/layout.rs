//! Four partitions, 1 MiB-aligned, in the order that lets the last one grow: BIOS boot, ESP, boot, root.

use disks::gpt::{Guid, Partition, Table};
use model::{Arch, ByteSize, Error, ImageSeed, Lba, Result};

/// Partitions begin and end at multiples of it, in bytes.
const ALIGNMENT: u64 = 1 << 20;
/// Where GRUB's core image stands on every disk; boot code is made before the disk is laid out.
pub const BIOS_BOOT: Lba = Lba(ALIGNMENT / Lba::SECTOR);
/// Room for GRUB's core image (211 KB measured).
pub const BIOS_BOOT_SIZE: ByteSize = ByteSize::mib(1);

/// Partition types: GRUB's manual, the UEFI specification §5.3.3, and the Discoverable Partitions Specification.
const TYPE_BIOS_BOOT: Guid = Guid::from_u128(0x21686148_6449_6e6f_744e_656564454649);
const TYPE_ESP: Guid = Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Not XBOOTLDR: systemd's generator would mount that one a second time, and as vfat's peer it may not be ext4 for other loaders.
const TYPE_LINUX: Guid = Guid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4);
const TYPE_ROOT: Guid = Guid::from_u128(Arch::TARGET.root_partition());

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSizes {
    pub esp: u64,
    pub boot: u64,
    pub root: u64,
    /// Of a sector of the disk.
    pub sector: u64,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLayout {
    pub table: Table,
    /// Of the whole disk, in bytes; a multiple of 1 MiB.
    pub size: u64,
}

impl DiskLayout {
    pub fn bios_boot(&self) -> &Partition {
        &self.table.partitions[0]
    }

    pub fn esp(&self) -> &Partition {
        &self.table.partitions[1]
    }

    pub fn boot(&self) -> &Partition {
        &self.table.partitions[2]
    }

    pub fn root(&self) -> &Partition {
        &self.table.partitions[3]
    }
}

/// Plans the partitions. GUIDs come from the seed by label.
pub fn layout(sizes: &PartSizes, seed: &ImageSeed) -> Result<DiskLayout> {
    let wanted = [
        ("bios-boot", TYPE_BIOS_BOOT, BIOS_BOOT_SIZE.0),
        ("EFI-SYSTEM", TYPE_ESP, sizes.esp),
        ("boot", TYPE_LINUX, sizes.boot),
        ("root", TYPE_ROOT, sizes.root),
    ];
    let mut at = BIOS_BOOT;
    let mut partitions = Vec::new();
    for (name, kind, size) in wanted {
        if size == 0 || size % Lba::SECTOR != 0 || size > 1 << 60 {
            return Err(Error::internal(format!("partition {name}: expected a size in sectors of 512 bytes, found {size} bytes")));
        }
        let sectors = ByteSize(size).round_up(ALIGNMENT).0 / Lba::SECTOR;
        let id = Guid(seed.uuid(&format!("partition-{name}")));
        partitions.push(Partition { kind, id, first: at, last: Lba(at.0 + sectors - 1), attributes: 0, name: name.to_owned() });
        at = Lba(at.0 + sectors);
    }
    let size = ByteSize(at.byte_offset() + Table::backup_size(sizes.sector)).round_up(ALIGNMENT).0;
    Ok(DiskLayout { table: Table { disk: Guid(seed.uuid("disk")), sector: sizes.sector, size, partitions }, size })
}
