//! metadata_csum: CRC-32C without the final inversion, seeded with the filesystem's UUID (Documentation/filesystems/ext4/checksums.rst).

/// State of a running checksum: the value that the kernel calls `csum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(pub(super) u32);

impl Checksum {
    /// Of the superblock, which alone does not start from the UUID.
    pub(super) const START: Checksum = Checksum(!0);

    /// The seed of everything but the superblock.
    pub(super) fn of_filesystem(uuid: &[u8; 16]) -> Self {
        Self::START.with(uuid)
    }

    /// The seed of what belongs to one inode: its record, extent blocks and directory blocks. Our generation numbers are 0.
    pub(super) fn of_inode(self, number: u32) -> Self {
        self.with(&number.to_le_bytes()).with(&0u32.to_le_bytes())
    }

    pub(super) fn with(self, bytes: &[u8]) -> Self {
        // The crate inverts before and after, as every other use of CRC-32C does.
        Checksum(!crc32c::crc32c_append(!self.0, bytes))
    }
}
