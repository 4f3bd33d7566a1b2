//! The waist: a file tree in memory, which everything before produces and everything after consumes.

mod dump;
mod edit;
mod node;
mod walk;

pub use edit::Edit;
pub use node::{Attributes, FileTree, Inode, InodeId, NodeKind};
pub use walk::Entry;
