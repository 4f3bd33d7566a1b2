//! Composes packages into one sealed `FileTree`: accounts, payloads, scriptlets, overlay, units, triggers, initramfs, OSTree shape.

mod bootloader;
mod initramfs;
mod normalize;
mod overlay;
mod sandbox;
mod shape;
mod triggers;

pub use bootloader::{BootData, BootImages};
pub use sandbox::Checkout;
pub mod accounts;
pub mod alternatives;
pub mod conf_files;
pub mod maintainer_script;
pub mod presets;
pub mod scriptlets;
pub mod shell;
pub mod sysusers;
pub mod tmpfiles;

