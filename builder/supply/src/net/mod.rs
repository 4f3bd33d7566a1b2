//! The only place that opens a socket (publishing apart).

mod agents;
mod client;
mod exchange;
mod limits;
mod mirrors;
mod missing;
mod partial;
mod proxy;
mod retry;
#[cfg(test)]
pub(crate) mod tests;
mod url;

pub use self::url::{Url, is_below};
pub use client::{Client, ClientOptions, Pinned};
pub use limits::Limits;
pub use mirrors::Mirrors;
pub use missing::is_missing;
pub use proxy::ProxyEnvironment;
