//! Composes packages into one sealed `FileTree`: accounts, payloads, scriptlets, overlay, units, triggers, initramfs, OSTree shape.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod account_files;
mod account_lines;
#[cfg(test)]
mod against_rpm;
mod bootloader;
mod changes;
mod claims;
mod compose;
mod initramfs;
mod install;
mod labels;
mod ledger;
mod lua;
mod normalize;
mod order;
mod overlay;
mod payloads;
mod sandbox;
mod shape;
mod standard_triggers;
pub mod triggers;

pub use bootloader::{BootData, BootImages, build as boot_images};
pub use compose::{Rootfs, compose, compose_tools};
pub use labels::Labels;
pub use ledger::{Ledger, LedgerRow};
pub use sandbox::Checkout;
pub use triggers::{TriggerCache, output_question};

pub mod accounts;
pub mod alternatives;
pub mod ca_certificates;
pub mod conf_files;
pub mod maintainer_script;
pub mod presets;
mod rpm_database;
pub mod scriptlets;
pub mod shell;
pub mod sysusers;
pub mod tmpfiles;
