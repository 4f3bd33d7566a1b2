//! The disk of an image: where each part stands, and one plan of all its bytes.

mod assemble;
mod esp;
mod layout;

pub use assemble::{DiskImage, DiskParts, assemble};
pub use esp::{EspFiles, esp};
pub use layout::{BIOS_BOOT, BIOS_BOOT_SIZE, DiskLayout, PartSizes, layout};
