//! A text file that the builder itself adds to the tree.

use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{ImagePath, Result, SourceDateEpoch};

/// Writes the file, 0644 root:root, of the epoch, in place of what stands at `path`. Returns the path.
pub(crate) fn text_file(tree: &mut FileTree, path: &str, text: String, epoch: SourceDateEpoch) -> Result<ImagePath> {
    let path = ImagePath::parse(path)?;
    tree.insert(&path, Inode::file(text.into_bytes(), Attributes::at(epoch, 0o644)), Edit::Replace)?;
    Ok(path)
}
