//! How big the filesystem has to be: what the contents take, and the smallest geometry in which they fit.

use super::contents::{Body, Contents, parts};
use super::geometry::{Geometry, Layout};
use super::stable_prefix::{QUANTUM, waste};
use super::{BLOCK, BLOCKS_PER_GROUP, Options, extent, journal};
use model::{ByteSize, Error, Result};

/// Blocks that contents, attribute blocks and extent trees take; at most a few too many.
fn blocks_needed(contents: &Contents) -> u64 {
    let bodies = contents.inodes.iter().map(|i| match &i.body {
        Body::None => 0,
        Body::Metadata(_) => i.record.size.div_ceil(BLOCK as u64),
        Body::File(blob) => {
            let parts = parts(blob);
            let blocks: u64 = parts.iter().map(|part| part.end - part.start).sum();
            // A run ends at a group's metadata at the latest every 32768 blocks, an extent there and in between.
            let extents = 2 * blocks.div_ceil(BLOCKS_PER_GROUP) + 2 + parts.len() as u64;
            blocks + if extents <= 4 { 0 } else { extent::tree_blocks(extents as usize) as u64 }
        }
    });
    let values = contents.values.list().iter().map(|value| value.bytes.len().div_ceil(BLOCK) as u64);
    // One for the resize inode's map.
    1 + contents.xattrs.len() as u64 + values.sum::<u64>() + bodies.sum::<u64>()
}

/// A geometry in which the contents fit.
pub(super) struct Fit {
    pub(super) geometry: Geometry,
    pub(super) layout: Layout,
    /// Of the device, in bytes.
    pub(super) size: u64,
    /// Blocks of the contents, at most a few too many.
    pub(super) need: u64,
}

/// The smallest geometry that fits, or the one for the fixed size.
pub(super) fn choose_geometry(contents: &Contents, options: &Options) -> Result<Fit> {
    let exact = blocks_needed(contents);
    let need = if options.stable_prefix { (exact + QUANTUM).next_multiple_of(QUANTUM) } else { exact };
    let inodes = u64::from(contents.last_inode);
    // Room for what comes later: 10 % and a few.
    let inodes_wanted = inodes + inodes / 10 + 64;
    let attempt = |blocks: u64| {
        let geometry = Geometry::new(blocks, inodes_wanted)?;
        let layout = if options.stable_prefix { geometry.superblocks_only() } else { geometry.layout()? };
        let journal = journal::blocks(geometry.blocks).filter(|_| options.journal).unwrap_or(0);
        let unused = if options.stable_prefix { waste(&geometry) } else { 0 };
        let metadata = geometry.metadata_blocks() + journal + unused;
        Some((geometry, layout, metadata))
    };
    let block = BLOCK as u64;
    let fit = |reserve: u64| {
        // One bitmap block limits the inodes of a group, so many small files need many groups.
        let groups = inodes_wanted.div_ceil(BLOCKS_PER_GROUP);
        let mut blocks = (need + reserve + 256).max((groups - 1) * BLOCKS_PER_GROUP);
        // Metadata grows by a small part of what is added, so this ends after a few rounds.
        for _ in 0..4096 {
            let missing = match attempt(blocks) {
                Some((geometry, layout, metadata)) if geometry.blocks >= metadata + need + reserve => {
                    let size = geometry.blocks * block;
                    return Some(Fit { geometry, layout, size, need });
                }
                Some((_, _, metadata)) => (metadata + need + reserve).saturating_sub(blocks),
                None => 0,
            };
            // In MiB, and at least one, since a rest too small to be a group is not used.
            blocks += missing.max(1).next_multiple_of(256);
        }
        None
    };
    let Some(size) = options.size else {
        return fit(options.reserve.div_ceil(block)).ok_or_else(|| {
            let wanted = ByteSize((need * block).saturating_add(options.reserve));
            Error::recipe(format!("ext4: contents and reserve of {wanted} with {inodes} inodes: expected less than 16 TiB"))
        });
    };
    if size / block > u64::from(u32::MAX) {
        return Err(Error::recipe(format!("ext4 filesystem {:?} of {}: expected less than 16 TiB", options.label, ByteSize(size))));
    }
    let found = attempt(size / block);
    let metadata = found.as_ref().map_or(0, |(_, _, metadata)| *metadata);
    match found {
        Some((geometry, layout, metadata)) if geometry.blocks >= metadata + need => {
            Ok(Fit { geometry, layout, size: size / block * block, need })
        }
        _ => {
            let error = Error::recipe(format!(
                "ext4 filesystem {:?} of {} is too small: contents need {} in blocks and {inodes} inodes, beside {} of metadata",
                options.label,
                ByteSize(size),
                ByteSize(need * block),
                ByteSize(metadata * block)
            ));
            Err(match fit(0) {
                Some(smallest) => error.hint(format!("it needs at least {}, or size \"auto\"", ByteSize(smallest.size))),
                None => error,
            })
        }
    }
}
