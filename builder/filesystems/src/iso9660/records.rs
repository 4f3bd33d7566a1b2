//! Records of ISO 9660 and Rock Ridge: sections without a name before them are ECMA-119's.

use zerocopy::byteorder::{BE, LE, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, Unaligned};

/// §7.2.3.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Both16 {
    little: U16<LE>,
    big: U16<BE>,
}
const _: () = assert!(size_of::<Both16>() == 4);

impl From<u16> for Both16 {
    fn from(value: u16) -> Self {
        Both16 { little: value.into(), big: value.into() }
    }
}

/// §7.3.3.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Both32 {
    little: U32<LE>,
    big: U32<BE>,
}
const _: () = assert!(size_of::<Both32>() == 8);

impl From<u32> for Both32 {
    fn from(value: u32) -> Self {
        Both32 { little: value.into(), big: value.into() }
    }
}

/// §9.1, before the identifier.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct DirectoryRecord {
    pub length: u8,
    pub extended_attribute_length: u8,
    pub extent: Both32,
    pub data_length: Both32,
    pub recording_date: [u8; 7],
    pub flags: u8,
    pub file_unit_size: u8,
    pub interleave_gap: u8,
    pub volume_sequence_number: Both16,
    pub identifier_length: u8,
}
const _: () = assert!(size_of::<DirectoryRecord>() == 33);

/// §8.4.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct PrimaryVolumeDescriptor {
    pub descriptor_type: u8,
    pub standard_identifier: [u8; 5],
    pub version: u8,
    pub unused1: u8,
    pub system_identifier: [u8; 32],
    pub volume_identifier: [u8; 32],
    pub unused2: [u8; 8],
    pub volume_space_size: Both32,
    pub unused3: [u8; 32],
    pub volume_set_size: Both16,
    pub volume_sequence_number: Both16,
    pub logical_block_size: Both16,
    pub path_table_size: Both32,
    pub little_path_table: U32<LE>,
    pub optional_little_path_table: U32<LE>,
    pub big_path_table: U32<BE>,
    pub optional_big_path_table: U32<BE>,
    pub root: DirectoryRecord,
    pub root_identifier: u8,
    pub volume_set_identifier: [u8; 128],
    pub publisher_identifier: [u8; 128],
    pub data_preparer_identifier: [u8; 128],
    pub application_identifier: [u8; 128],
    pub copyright_file: [u8; 37],
    pub abstract_file: [u8; 37],
    pub bibliographic_file: [u8; 37],
    pub creation: [u8; 17],
    pub modification: [u8; 17],
    pub expiration: [u8; 17],
    pub effective: [u8; 17],
    pub file_structure_version: u8,
    pub reserved1: u8,
    pub application_use: [u8; 512],
    pub reserved2: [u8; 653],
}
const _: () = assert!(size_of::<PrimaryVolumeDescriptor>() == 2048);

/// §9.4, with the identifier and the padding of the root, which is all that is in our path tables.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct PathTableRecord<O> {
    pub identifier_length: u8,
    pub extended_attribute_length: u8,
    pub extent: U32<O>,
    pub parent: U16<O>,
    pub identifier: u8,
    pub padding: u8,
}
const _: () = assert!(size_of::<PathTableRecord<LE>>() == 10);

/// RRIP §4.1.1.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct PosixAttributes {
    pub signature: [u8; 2],
    pub length: u8,
    pub version: u8,
    pub mode: Both32,
    pub links: Both32,
    pub user: Both32,
    pub group: Both32,
}
const _: () = assert!(size_of::<PosixAttributes>() == 36);
