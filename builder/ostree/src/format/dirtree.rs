//! A directory's names, `(a(say)a(sayay))`: files with their content, then subdirectories with their dirtree and dirmeta, each sorted by bytes.

use super::decode_digest;
use crate::gvariant::{Shape, Value, split_array, split_tuple, text};
use model::{Digest, Error, Result};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirTree {
    /// (name, content).
    pub files: Vec<(String, Digest)>,
    /// (name, dirtree, dirmeta).
    pub directories: Vec<(String, Digest, Digest)>,
}

impl DirTree {
    /// The lists must be sorted.
    pub fn encode(&self) -> Vec<u8> {
        let files: Vec<Value> = self.files.iter().map(|(n, c)| Value::tuple(&[Value::string(n), Value::bytes(c.as_bytes())])).collect();
        let directories: Vec<Value> = self
            .directories
            .iter()
            .map(|(n, tree, meta)| Value::tuple(&[Value::string(n), Value::bytes(tree.as_bytes()), Value::bytes(meta.as_bytes())]))
            .collect();
        Value::tuple(&[Value::array(Shape::BYTES, &files), Value::array(Shape::BYTES, &directories)]).into_bytes()
    }

    /// Refuses names that no directory can hold, and names that are not in order or come twice.
    pub fn decode(bytes: &[u8]) -> Result<DirTree> {
        let [files, directories] = split_tuple(bytes, [Shape::BYTES, Shape::BYTES])?;
        let mut out = DirTree::default();
        for file in split_array(files, Shape::BYTES)? {
            let [name, content] = split_tuple(file, [Shape::BYTES, Shape::BYTES])?;
            out.files.push((valid_name(text(name)?)?, decode_digest(content)?));
        }
        for directory in split_array(directories, Shape::BYTES)? {
            let [name, tree, meta] = split_tuple(directory, [Shape::BYTES; 3])?;
            out.directories.push((valid_name(text(name)?)?, decode_digest(tree)?, decode_digest(meta)?));
        }
        let sorted = out.files.is_sorted_by(|a, b| a.0 < b.0) && out.directories.is_sorted_by(|a, b| a.0 < b.0);
        let both = out.files.iter().find(|f| out.directories.binary_search_by(|d| d.0.cmp(&f.0)).is_ok());
        match both {
            Some((name, _)) => Err(Error::integrity(format!("the name {name:?} comes twice in a dirtree object"))),
            None if !sorted => Err(Error::integrity("the names in a dirtree object are not sorted")),
            None => Ok(out),
        }
    }
}

fn valid_name(name: &str) -> Result<String> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.len() > 255 {
        return Err(Error::integrity(format!(
            "expected a file name in a dirtree object, found {:?}",
            name.chars().take(80).collect::<String>()
        )));
    }
    Ok(name.to_owned())
}
