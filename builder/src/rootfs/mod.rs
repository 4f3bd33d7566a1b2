pub mod accounts;
pub mod alternatives;
pub mod conf_files;
pub mod presets;
pub mod sysusers;
pub mod tmpfiles;
