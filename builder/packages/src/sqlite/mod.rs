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
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, transmute};

const PAGE_SIZE: usize = 4096;
const FILE_HEADER: usize = size_of::<FileHeader>();
/// Of the library whose files ours look like: 3.40.1.
const LIBRARY_VERSION: u32 = 3_040_001;

/// The start of the file (fileformat2 §1.3). Big-endian.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct FileHeader {
    header_string: [u8; 16],
    page_size: U16,
    write_version: u8,
    read_version: u8,
    reserved_space: u8,
    maximum_payload_fraction: u8,
    minimum_payload_fraction: u8,
    leaf_payload_fraction: u8,
    file_change_counter: U32,
    database_size: U32,
    first_freelist_trunk: U32,
    freelist_pages: U32,
    schema_cookie: U32,
    schema_format: U32,
    page_cache_size: U32,
    largest_root_page: U32,
    text_encoding: U32,
    user_version: U32,
    incremental_vacuum: U32,
    application_id: U32,
    reserved: [u8; 20],
    version_valid_for: U32,
    sqlite_version_number: U32,
}
const _: () = assert!(size_of::<FileHeader>() == 100);

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
    // What is not named is 0.
    transmute!(FileHeader {
        header_string: *b"SQLite format 3\0",
        page_size: (PAGE_SIZE as u16).into(),
        // A rollback journal.
        write_version: 1,
        read_version: 1,
        // The format fixes these three.
        maximum_payload_fraction: 64,
        minimum_payload_fraction: 32,
        leaf_payload_fraction: 32,
        file_change_counter: 1.into(),
        database_size: pages.into(),
        schema_cookie: 1.into(),
        schema_format: 4.into(),
        text_encoding: 1.into(), // UTF-8
        // The change for which the library's version and the database's size hold.
        version_valid_for: 1.into(),
        sqlite_version_number: LIBRARY_VERSION.into(),
        ..FileHeader::new_zeroed()
    })
}

#[cfg(test)]
mod tests;
