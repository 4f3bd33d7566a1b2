//! Exactly the locked packages, into the cache.

pub mod download;
