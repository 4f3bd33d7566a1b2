//! The only place that opens a socket (publishing apart).

mod client;
mod mirrors;
mod partial;
#[cfg(test)]
pub(crate) mod tests;

pub use client::{Client, shown};
pub use mirrors::Mirrors;
