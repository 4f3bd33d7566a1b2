//! What a block of a filesystem is for: the way back from a position on the disk to a structure or an inode.

use super::geometry::Geometry;
use super::group::flags;
use super::inode::{self, Decoded};
use super::reader::Reader;
use super::{JOURNAL_INODE, RESIZE_INODE, resize};
use model::{Result, ResultJudged};

/// Inode records are read so many bytes at a time.
const WINDOW: u64 = 1 << 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Of group 0 with the boot sector in front, or a copy in another group.
    Superblock(u32),
    /// The descriptors of all groups, or a copy in another group.
    Descriptors(u32),
    /// Room for more descriptors.
    ReservedDescriptors(u32),
    BlockBitmap(u32),
    InodeBitmap(u32),
    /// The numbers of the inodes in the block.
    InodeTable {
        first: u32,
        last: u32,
    },
    /// The list of reserved descriptor blocks.
    ResizeMap,
    Journal,
    Inode {
        number: u32,
        part: Part,
    },
    Free,
}

/// What of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From this byte of the contents on.
    Contents(u64),
    ExtentTree,
    Attributes,
    /// The value of an extended attribute, which is all that this inode is for.
    Value,
}

impl Reader<'_> {
    /// Looks first among the groups' metadata, then through all inodes.
    pub fn owner(&self, block: u64) -> Result<Owner> {
        match self.owner_among_metadata(block)? {
            Some(owner) => Ok(owner),
            None => self.owner_among_inodes(block),
        }
    }

    fn groups(&self) -> u32 {
        let s = &self.superblock;
        s.blocks.saturating_sub(s.first_data_block).div_ceil(s.blocks_per_group).min(u32::MAX.into()) as u32
    }

    fn owner_among_metadata(&self, block: u64) -> Result<Option<Owner>> {
        let s = &self.superblock;
        let Some(group) = block.checked_sub(s.first_data_block).map(|b| (b / s.blocks_per_group) as u32) else {
            return Ok(Some(Owner::Superblock(0)));
        };
        let groups = self.groups();
        if Geometry::has_superblock(group) {
            let descriptors = (u64::from(groups) * s.descriptor_size).div_ceil(s.block_size);
            match block - s.first_data_block - u64::from(group) * s.blocks_per_group {
                0 => return Ok(Some(Owner::Superblock(group))),
                n if n <= descriptors => return Ok(Some(Owner::Descriptors(group))),
                n if n <= descriptors + s.reserved_descriptor_blocks => return Ok(Some(Owner::ReservedDescriptors(group))),
                _ => {}
            }
        }
        let per_block = (s.block_size / s.inode_size) as u32;
        let table_blocks = u64::from(s.inodes_per_group).div_ceil(per_block.into());
        for group in 0..groups {
            let d = self.descriptor(group)?;
            if block == d.block_bitmap() {
                return Ok(Some(Owner::BlockBitmap(group)));
            }
            if block == d.inode_bitmap() {
                return Ok(Some(Owner::InodeBitmap(group)));
            }
            if let Some(index) = block.checked_sub(d.inode_table()).filter(|&index| index < table_blocks) {
                let first = group.saturating_mul(s.inodes_per_group).saturating_add(index as u32 * per_block).saturating_add(1);
                return Ok(Some(Owner::InodeTable { first, last: first.saturating_add(per_block - 1) }));
            }
        }
        Ok(None)
    }

    fn owner_among_inodes(&self, block: u64) -> Result<Owner> {
        let s = &self.superblock;
        for group in 0..self.groups() {
            let d = self.descriptor(group)?;
            if d.bg_flags.get() & flags::INODE_UNINIT != 0 {
                continue;
            }
            let table = self.block_offset(d.inode_table())?;
            let length = u64::from(s.inodes_per_group) * s.inode_size;
            let mut done = 0;
            while done < length {
                let mut window = vec![0; WINDOW.min(length - done) as usize];
                (self.source)(table.saturating_add(done), &mut window)?;
                for (record, index) in window.chunks(s.inode_size as usize).zip((done / s.inode_size) as u32..) {
                    let inode = inode::decode(record);
                    if inode.mode == 0 || inode.links == 0 {
                        continue;
                    }
                    let number = group.saturating_mul(s.inodes_per_group).saturating_add(index).saturating_add(1);
                    if let Some(owner) = self.owned_by(number, &inode, block) {
                        return Ok(owner);
                    }
                }
                done += window.len() as u64;
            }
        }
        Ok(Owner::Free)
    }

    /// An inode whose map cannot be read owns nothing that we could know of.
    fn owned_by(&self, number: u32, inode: &Decoded, block: u64) -> Option<Owner> {
        if number == RESIZE_INODE {
            return (u64::from(inode.map[resize::MAP_SLOT]) == block).then_some(Owner::ResizeMap);
        }
        if inode.xattr_block == block {
            return Some(Owner::Inode { number, part: Part::Attributes });
        }
        if inode.flags & inode::flags::EXTENTS == 0 {
            return None;
        }
        let mut nodes = Vec::new();
        let runs =
            self.runs(number, inode, &mut nodes).none_because("an inode whose extents cannot be read owns no block that can be named")?;
        if nodes.contains(&block) {
            return Some(Owner::Inode { number, part: Part::ExtentTree });
        }
        let (logical, start, _) = runs.into_iter().find(|(_, start, length)| (*start..start + length).contains(&block))?;
        Some(match number {
            JOURNAL_INODE => Owner::Journal,
            _ if inode.flags & inode::flags::EA_INODE != 0 => Owner::Inode { number, part: Part::Value },
            _ => Owner::Inode { number, part: Part::Contents((logical + block - start).saturating_mul(self.superblock.block_size)) },
        })
    }
}
