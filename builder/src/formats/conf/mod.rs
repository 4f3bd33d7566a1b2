//! Line-based configuration files of a Linux root: parsers only, no policy.

pub mod file_contexts;
pub mod passwd;
pub mod preset;
pub mod sysusers;
pub mod tmpfiles;
pub mod unit_install;
mod words;

pub use words::{quote, split};
