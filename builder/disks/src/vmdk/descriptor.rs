//! The embedded descriptor: "The Descriptor File".

use super::SECTOR;
use super::header::DESCRIPTOR_SECTORS;
use model::{Error, ImageSeed, Result};

/// What the descriptor says of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// CID, that changes when the content does.
    pub content_id: u32,
    /// Of the disk.
    pub sectors: u64,
}

/// From the seed, never one of the two values with a meaning ("no parent" is ffffffff).
pub fn content_id(seed: &ImageSeed) -> u32 {
    let id = seed.derive("vmdk-content-id");
    u32::from_le_bytes([id[0], id[1], id[2], id[3]]) & 0x7fff_ffff
}

impl Description {
    /// Refuses by name an embedded descriptor of a disk that needs its parent.
    pub(super) fn refuse_parent(text: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(text.split(|&b| b == 0).next().unwrap_or(&[]));
        super::extents::refuse_parent(&text)
    }

    /// Padded to the sectors that the header says.
    pub fn encode(&self) -> Result<Vec<u8>> {
        // The geometry of a SCSI disk larger than 1 GiB: what a BIOS shows of it, cut off at 1024 cylinders only by the BIOS.
        let cylinders = (self.sectors / (255 * 63)).min(65_535);
        let mut text = format!(
            "# Disk DescriptorFile\nversion=1\nCID={:08x}\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
             # Extent description\nRW {} SPARSE \"disk.vmdk\"\n\n\
             # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"13\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
             ddb.geometry.sectors = \"63\"\nddb.adapterType = \"lsilogic\"\n",
            self.content_id, self.sectors
        )
        .into_bytes();
        let room = (DESCRIPTOR_SECTORS * SECTOR) as usize;
        if text.len() > room {
            return Err(Error::internal(format!("vmdk: a descriptor of {} bytes, expected at most {room}", text.len())));
        }
        text.resize(room, 0);
        Ok(text)
    }
}
