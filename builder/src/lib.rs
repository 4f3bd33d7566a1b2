//! Builds immutable appliance OS images: RPM payloads in, bootable disks out.
//!
//! Data only moves rightwards:
//!
//! ```text
//! recipe → repos → resolve → lock → fetch → rootfs → ostree → disk → image
//!                                     └── tree::FileTree is the waist ──┘
//! ```
//!
//! Start reading at [`pipeline`]; `builder/ARCHITECTURE.md` names the layers and what must stay absent from each.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod base;
pub mod disk;
pub mod fetch;
pub mod formats;
pub mod image;
pub mod inspect;
pub mod lock;
pub mod net;
pub mod ostree;
pub mod pipeline;
pub mod recipe;
pub mod repos;
pub mod resolve;
pub mod rootfs;
pub mod tree;
pub mod vm;

pub mod cli;
