//! Fields of on-disk records: explicitly little endian at explicit byte offsets.
//! Writers own their buffers and offsets are constants, so `put_*` may index; readers use `get_*`, which never panic.

pub(super) fn put_u16(buffer: &mut [u8], offset: usize, value: u16) {
    buffer[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32(buffer: &mut [u8], offset: usize, value: u32) {
    buffer[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn get_u8(buffer: &[u8], offset: usize) -> u8 {
    buffer.get(offset).copied().unwrap_or(0)
}

/// Zero past the end: the callers check the lengths that matter.
pub(super) fn get_u16(buffer: &[u8], offset: usize) -> u16 {
    u16::from(get_u8(buffer, offset)) | u16::from(get_u8(buffer, offset + 1)) << 8
}

pub(super) fn get_u32(buffer: &[u8], offset: usize) -> u32 {
    u32::from(get_u16(buffer, offset)) | u32::from(get_u16(buffer, offset + 2)) << 16
}
