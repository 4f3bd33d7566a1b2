//! Packages and recipe become one tree: accounts, presets, alternatives, scriptlets and the triggers that are native.

pub mod accounts;
pub mod alternatives;
pub mod ca_certificates;
pub mod conf_files;
pub mod maintainer_script;
pub mod presets;
pub mod scriptlets;
pub mod shell;
pub mod sysusers;
pub mod tmpfiles;
