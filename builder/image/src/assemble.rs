//! Puts the planned volumes into one planned disk.

use super::layout::{DiskLayout, PartSizes, layout};
use disks::mbr;
use model::{Error, ImageSeed, Result, Segments};

/// Everything that stands on the disk, each planned on its own.
#[derive(Debug, Clone)]
pub struct DiskParts {
    /// Bytes in a sector of the disk: 512 or 4096.
    pub sector: u64,
    /// GRUB's core image, patched for `layout::BIOS_BOOT`; empty without BIOS support.
    pub bios_boot: Segments,
    /// Zeros without BIOS support.
    pub boot_sector: [u8; mbr::CODE],
    pub esp: Segments,
    pub boot: Segments,
    pub root: Segments,
}

#[derive(Debug, Clone)]
pub struct DiskImage {
    pub segments: Segments,
    pub layout: DiskLayout,
}

pub fn assemble(parts: &DiskParts, seed: &ImageSeed) -> Result<DiskImage> {
    let layout =
        layout(&PartSizes { esp: parts.esp.size(), boot: parts.boot.size(), root: parts.root.size(), sector: parts.sector }, seed)?;
    let mut list = layout.table.encode(&parts.boot_sector)?;
    let placed =
        [(&parts.bios_boot, layout.bios_boot()), (&parts.esp, layout.esp()), (&parts.boot, layout.boot()), (&parts.root, layout.root())];
    for (volume, partition) in placed {
        if volume.size() > partition.size() {
            return Err(Error::internal(format!(
                "{} bytes do not fit into partition {} of {} bytes",
                volume.size(),
                partition.name,
                partition.size()
            )));
        }
        list.extend(volume.shifted(partition.offset()));
    }
    Ok(DiskImage { segments: Segments::new(layout.size, list)?, layout })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BIOS_BOOT, EspFiles, esp};
    use disks::gpt::Table;
    use filesystems::fat;
    use model::{Blob, ByteSize, Digest, Segment, SourceDateEpoch};

    #[test]
    fn the_table_leads_to_every_volume_and_the_seed_decides_the_guids() {
        let seed = ImageSeed::new(Digest::of(b"seed"));
        let volume = |size: u64, text: &str| Segments::new(size, vec![Segment { offset: 512, data: text.as_bytes().into() }]).unwrap();
        let files = EspFiles { loader: Blob::from(vec![0x4d; 100_000]), others: vec![] };
        let parts = DiskParts {
            sector: 512,
            bios_boot: volume(1024, "core"),
            boot_sector: [0x90; 440],
            esp: esp(files, ByteSize::mib(64), 512, &seed, SourceDateEpoch(1_700_000_000)).unwrap(),
            boot: volume(32 << 20, "boot"),
            root: volume((100 << 20) + 4096, "root"),
        };
        let disk = assemble(&parts, &seed).unwrap();
        assert_eq!(disk.segments.size(), (1 + 1 + 64 + 32 + 101 + 1) << 20);
        let source = |offset: u64, buffer: &mut [u8]| disk.segments.read_at(buffer, offset).map(drop);
        let table = Table::read(disk.segments.size(), &source).unwrap();
        assert_eq!(table, disk.layout.table);
        assert_eq!(table.partitions[0].first, BIOS_BOOT);
        for (n, text) in [(0, "core"), (2, "boot"), (3, "root")] {
            let mut found = [0; 4];
            source(table.partitions[n].offset() + 512, &mut found).unwrap();
            assert_eq!(found, text.as_bytes());
        }
        let esp_source = |offset: u64, buffer: &mut [u8]| source(disk.layout.esp().offset() + offset, buffer);
        assert_eq!(fat::Reader::open(&esp_source).unwrap().read("/EFI/BOOT/BOOTX64.EFI", 1 << 20).unwrap(), vec![0x4d; 100_000]);
        let other = assemble(&parts, &ImageSeed::new(Digest::of(b"other"))).unwrap();
        assert!(other.layout.table.disk != table.disk && other.layout.root().id != table.partitions[3].id);
        assert_eq!(other.layout.size, disk.layout.size);
    }
}
