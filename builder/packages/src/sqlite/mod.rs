//! SQLite database files, written whole (sqlite.org/fileformat2.html, format 4): tables by row number and indexes on them, each a B-tree
//! filled from its first row to its last. Same rows, same bytes.
//!
//! ```text
//! page 1  header 100 bytes · root of the B-tree of the schema
//! page n  B-tree pages and overflow pages of 4096 bytes, in the order in which they were filled
//! ```
//!
//! Written in rollback mode (version 1), so that a read-only file system can serve it. Nothing here reads.

mod btree;
mod record;

pub use record::Value;

use btree::{Pages, index_tree, table_tree};
use model::{Error, Result};
use record::{order, record};

const PAGE_SIZE: usize = 4096;
const FILE_HEADER: usize = 100;
/// Of the library whose files ours look like: 3.40.1.
const LIBRARY_VERSION: u32 = 3_040_001;

/// One table.
pub struct Table<'a> {
    pub name: &'a str,
    /// `CREATE TABLE …` as the schema keeps it.
    pub sql: String,
    /// In ascending order of their row numbers. A column that is an alias of the row number is `Null`.
    pub rows: Vec<(i64, Vec<Value<'a>>)>,
    pub indexes: Vec<Index>,
}

/// On one column of its table.
pub struct Index {
    pub name: String,
    /// `CREATE INDEX …`.
    pub sql: String,
    pub column: usize,
}

/// The database file.
pub fn encode(tables: &[Table<'_>]) -> Result<Vec<u8>> {
    let mut pages = Pages::new();
    let mut schema: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut entry = |kind: &str, name: &str, table: &str, root: u32, sql: &str| {
        let row = [kind, name, table].map(|text| Value::Text(text.as_bytes().into()));
        let [kind, name, table] = row;
        let number = schema.len() as i64 + 1;
        schema.push((number, record(&[kind, name, table, Value::Integer(i64::from(root)), Value::Text(sql.as_bytes().into())])));
    };
    for table in tables {
        if let Some(pair) = table.rows.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::internal(format!("table {}: row {} does not come after row {}", table.name, pair[1].0, pair[0].0)));
        }
        let root = table_tree(&mut pages, table.rows.iter().map(|(number, row)| (*number, record(row))))?;
        entry("table", table.name, table.name, root, &table.sql);
        for index in &table.indexes {
            let mut keys: Vec<(Value<'_>, i64)> =
                table.rows.iter().map(|(number, row)| (row.get(index.column).cloned().unwrap_or(Value::Null), *number)).collect();
            keys.sort_by(|a, b| order(&a.0, &b.0).then(a.1.cmp(&b.1)));
            let root = index_tree(&mut pages, keys.into_iter().map(|(key, number)| record(&[key, Value::Integer(number)])))?;
            entry("index", &index.name, table.name, root, &index.sql);
        }
    }
    btree::schema_tree(&mut pages, schema)?;
    pages.finish(file_header)
}

/// For a file of so many pages.
fn file_header(pages: u32) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..16].copy_from_slice(b"SQLite format 3\0");
    header[16..18].copy_from_slice(&(PAGE_SIZE as u16).to_be_bytes());
    // Write and read version: rollback journal. No reserved bytes. Payload fractions, which are fixed.
    header[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    // Number of changes, twice: the second says for which the library's version and the size hold.
    header[24..28].copy_from_slice(&1u32.to_be_bytes());
    header[92..96].copy_from_slice(&1u32.to_be_bytes());
    header[28..32].copy_from_slice(&pages.to_be_bytes());
    // Schema cookie, schema format 4, UTF-8.
    header[40..44].copy_from_slice(&1u32.to_be_bytes());
    header[44..48].copy_from_slice(&4u32.to_be_bytes());
    header[56..60].copy_from_slice(&1u32.to_be_bytes());
    header[96..100].copy_from_slice(&LIBRARY_VERSION.to_be_bytes());
    header
}

#[cfg(test)]
mod tests;
