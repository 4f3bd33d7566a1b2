//! QEMU: the machine's arguments, its serial console, and what a program controls it with: monitor and ssh. An image is written to only if that is asked for.

mod console;
mod guest;
mod monitor;
mod qemu;
mod ssh;
mod write_log;

pub use console::Console;
pub use guest::{Bench, Guest, disk_of_state, layer_over};
pub use monitor::Monitor;
pub use qemu::{Bus, Control, Machine, PROCESSORS, Serial, image_format};
pub use ssh::{Answer, Login, Ssh, make_key};
pub use write_log::{Replayed, replay_flushed};
