//! rpm-md: the XML that yum, dnf and zypper repositories are described in. Read only; createrepo_c defines it in practice.
//!
//! ```text
//! repodata/repomd.xml ── names, with size and digest ──> primary (one record a package), filelists (every path), comps, modules
//! metalink ── names, with digest ──> mirrors of repomd.xml
//! ```

mod compressed;
mod comps;
mod filelists;
mod fragments;
mod metalink;
mod modules;
mod primary;
mod repomd;
mod xml;

pub use compressed::decompress;
pub use comps::{Comps, Environment, Group, Requirement, read_comps};
pub use filelists::read_filelists;
pub use fragments::read_primary_with;
pub use metalink::{Metalink, parse_metalink};
pub use modules::{ModuleStream, Modules, parse_modules};
pub use primary::{Package, Relation, read_primary};
pub use repomd::{Checksum, Data, Repomd, parse_repomd};
