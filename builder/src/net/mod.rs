//! The only place that opens a socket (publishing apart).

mod client;
mod partial;

pub use client::{Client, shown};

