//! Composes packages into one sealed `FileTree`: accounts, payloads, scriptlets, overlay, units, triggers, initramfs, OSTree shape.

mod initramfs;
mod normalize;
mod overlay;
mod sandbox;
mod shape;
mod triggers;

pub use sandbox::Checkout;
