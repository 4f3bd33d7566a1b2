//! The waist: a file tree in memory, which everything before produces and everything after consumes.

mod dump;
mod edit;
mod node;
mod symlink_walk;
mod walk;

pub use edit::Edit;
pub use node::{Attributes, FileTree, Inode, InodeId, NodeKind};
pub use symlink_walk::{Found, LastSymlink, RealPath, SYMLINKS_MAX, follow_symlinks, too_many_symlinks};
pub use walk::Entry;
