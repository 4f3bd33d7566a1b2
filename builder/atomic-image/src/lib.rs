//! Builds immutable appliance OS images: RPM payloads in, bootable disks out.
//!
//! Data only moves rightwards:
//!
//! ```text
//! recipe → supply → rootfs → ostree → image → disks
//!                     └── model::tree::FileTree is the waist ──┘
//! ```
//!
//! Start reading at [`pipeline`]; `builder/ARCHITECTURE.md` names the layers and what must stay absent from each.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod cli;
pub mod inspect;
pub mod pipeline;
pub mod prove;
pub mod tree;
pub mod vm;
