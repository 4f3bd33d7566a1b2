//! Line-based configuration files of a Linux root: parsers only, no policy.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod account;
pub mod file_contexts;
pub mod passwd;
pub mod preset;
pub mod specifiers;
pub mod sysusers;
pub mod tmpfiles;
pub mod unit_install;
mod words;

use words::{Escapes, split, unescape};
pub use words::{escape_argument, quote, quote_literal};
