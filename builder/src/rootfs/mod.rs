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
