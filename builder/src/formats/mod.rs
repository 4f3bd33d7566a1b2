//! Bytes of published specifications: no policy, no clock, no network, no printing.
//! May import `tree` and `base` only.

pub mod rpmmd;
