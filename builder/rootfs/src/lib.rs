//! Composes packages into one sealed `FileTree`: accounts, payloads, scriptlets, overlay, units, programs, initramfs, OSTree shape.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod account_files;
mod account_lines;
#[cfg(test)]
mod against_rpm;
mod bootloader;
mod changes;
mod compose;
mod file_conflicts;
mod initramfs;
mod install;
mod labels;
mod ledger;
mod normalize;
mod order;
mod overlay;
mod payloads;
pub mod programs;
mod sandbox;
mod shape;
mod standard_programs;
mod text_file;

pub use bootloader::{BootData, BootImages, build as boot_images};
pub use compose::{Rootfs, compose, compose_tools};
pub use labels::Labels;
pub use ledger::{Ledger, LedgerRow};
pub use programs::{ProgramCache, output_question};
pub use sandbox::Checkout;

pub mod accounts;
pub mod alternatives;
pub mod ca_certificates;
pub mod conf_files;
pub mod presets;
mod rpm_database;
pub mod scriptlets;
pub mod sysusers;
pub mod tmpfiles;
mod trim;
mod update_source;
