//! The disk of an image: where each part stands, and one plan of all its bytes, with the free space that the host's first upgrade will need.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod assemble;
mod boot_data;
mod esp;
mod headroom;
mod layout;
mod plan;

pub use assemble::{DiskImage, DiskParts, assemble};
pub use boot_data::BOOT_DATA;
pub use esp::{EspFiles, esp};
pub use layout::{BIOS_BOOT, BIOS_BOOT_SIZE, DiskLayout, PartSizes, layout};
pub use plan::{DeploymentSource, DiskPlan, DiskRequest, plan};
