//! rpm-md: the XML that yum, dnf and zypper repositories are described in. Read only; createrepo_c defines it in practice.
//!
//! ```text
//! repodata/repomd.xml ── names, with size and digest ──> primary (one record a package), filelists (every path), others unread
//! ```

mod compressed;
mod filelists;
mod primary;
mod repomd;
mod xml;

pub use compressed::decompress;
pub use filelists::read_filelists;
pub use primary::{Package, Relation, read_primary};
pub use repomd::{Checksum, Data, Repomd, parse_repomd};
