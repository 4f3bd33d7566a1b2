//! Disks whose blocks a table places anywhere in a file: what is the same for VDI, VHD, VHDX, VMDK's sparse extents and qcow2.

use model::{Error, Result};

/// The size of a disk, of its blocks and of the file that holds them, all in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub disk: u64,
    pub block: u64,
    pub file: u64,
}

impl Shape {
    /// Refuses a block whose content, from byte `at` of the file, leaves the file. Of the last block only what is on the disk need be there.
    pub fn check_block(self, format: &str, number: u64, at: u64) -> Result<()> {
        let used = self.block.min(self.disk - number * self.block);
        if at.saturating_add(used) <= self.file {
            return Ok(());
        }
        let error = Error::integrity(format!("{format} block {number} at offset {at} leaves a file of {} bytes", self.file));
        Err(error.hint("the file was cut short: copy or download it again"))
    }
}

/// Fills `buffer` from byte `offset` of a disk of `size` bytes, by pieces that do not cross the end of a block of `block` bytes. `read` gets a
/// block's number, the offset within it and the piece to fill. An error past the disk's end.
pub(super) fn read_by_blocks(
    size: u64,
    block: u64,
    offset: u64,
    buffer: &mut [u8],
    mut read: impl FnMut(u64, u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > size) {
        return Err(Error::integrity(format!("{} bytes at {offset} are past the disk's end at {size}", buffer.len())));
    }
    let mut done = 0;
    while done < buffer.len() {
        let at = offset + done as u64;
        let within = at % block;
        let n = (block - within).min((buffer.len() - done) as u64) as usize;
        read(at / block, within, &mut buffer[done..done + n])?;
        done += n;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_cut_at_the_blocks_and_ends_with_the_disk() {
        for (offset, length, expected) in [
            (0, 25, Some(vec![(0, 0, 10), (1, 0, 10), (2, 0, 5)])),
            (7, 5, Some(vec![(0, 7, 3), (1, 0, 2)])),
            (10, 10, Some(vec![(1, 0, 10)])),
            (25, 0, Some(vec![])),
            (24, 2, None),
            (26, 0, None),
            (u64::MAX, 1, None),
        ] {
            let mut pieces = Vec::new();
            let done = read_by_blocks(25, 10, offset, &mut vec![0; length], |number, within, piece| {
                pieces.push((number, within, piece.len()));
                Ok(())
            });
            assert_eq!(done.is_ok().then_some(pieces), expected, "{length} bytes at {offset}");
        }
    }

    #[test]
    fn the_last_block_may_be_cut_where_the_disk_ends() {
        let shape = Shape { disk: 25, block: 10, file: 100 };
        for (number, at, inside) in [(0, 90, true), (0, 91, false), (2, 95, true), (2, 96, false), (1, u64::MAX, false)] {
            assert_eq!(shape.check_block("VDI", number, at).is_ok(), inside, "block {number} at {at}");
        }
    }
}
