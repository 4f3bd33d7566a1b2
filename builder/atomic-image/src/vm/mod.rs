//! QEMU: the machine's arguments, and its serial console for tests. The image is never written to.

mod console;
mod qemu;

pub use console::Console;
pub use qemu::{Machine, Serial, image_format};
