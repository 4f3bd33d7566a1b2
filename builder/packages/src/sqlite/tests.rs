//! sqlite3 reads what we write, finds nothing wrong with it, and would have.

use super::*;
use std::process::Command;

fn sqlite(file: &std::path::Path, query: &str) -> Option<String> {
    match Command::new("sqlite3").arg("-readonly").arg(file).arg(query).output() {
        Ok(output) => Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        Err(_) => {
            fixtures::missing("no sqlite3");
            None
        }
    }
}

/// Every serial type, contents of every way to spill, and trees of one to three levels.
fn tables(rows: usize) -> Vec<(i64, Vec<u8>, Vec<u8>)> {
    let lengths = [0, 1, 40, 900, 1001, 1002, 1003, 4050, 4061, 4062, 5000, 8152, 8153, 20_000];
    (0..rows)
        .map(|i| {
            let key = format!("{:05}{}", i * 7919 % rows, "k".repeat(if i % 13 == 0 { lengths[i % 8] } else { i % 50 })).into_bytes();
            (i as i64 * 3 - 10, key, vec![i as u8; lengths[i % lengths.len()]])
        })
        .collect()
}

fn database(rows: &[(i64, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let table = Table {
        name: "t",
        sql: "CREATE TABLE t (number INTEGER PRIMARY KEY, key TEXT, size INTEGER, body BLOB)".into(),
        rows: rows
            .iter()
            .enumerate()
            .map(|(i, (number, key, body))| {
                let size = [0, 1, -1, 127, 128, -129, 1 << 20, 1 << 30, 1 << 45, i64::MIN][i % 10];
                (*number, vec![Value::Null, Value::Text(key.as_slice().into()), Value::Integer(size), Value::Blob(body.as_slice().into())])
            })
            .collect(),
        indexes: vec![
            Index { name: "t_key".into(), sql: "CREATE INDEX t_key ON t(key)".into(), column: 1 },
            Index { name: "t_size".into(), sql: "CREATE INDEX t_size ON t(size)".into(), column: 2 },
        ],
    };
    let empty = |name: &'static str| Table {
        name,
        sql: format!("CREATE TABLE {name} (a, b) /* {} */", "x".repeat(900)),
        rows: Vec::new(),
        indexes: vec![Index { name: format!("{name}_a"), sql: format!("CREATE INDEX {name}_a ON {name}(a)"), column: 0 }],
    };
    encode(&[table, empty("u"), empty("v"), empty("w"), empty("x"), empty("y")]).unwrap()
}

#[test]
fn sqlite_reads_every_row_back_and_finds_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    for count in [0, 1, 5, 300, 20_000] {
        let rows = tables(count);
        let bytes = database(&rows);
        assert_eq!(bytes, database(&rows));
        std::fs::write(&path, &bytes).unwrap();
        let Some(verdict) = sqlite(&path, "pragma integrity_check; pragma foreign_key_check") else { return };
        assert_eq!(verdict, "ok\n", "{count} rows");
        let found = sqlite(&path, "select number, key, length(body), hex(substr(body, -1)) from t order by number").unwrap();
        let expected: String = rows
            .iter()
            .map(|(number, key, body)| {
                let last = body.last().map_or(String::new(), |byte| format!("{byte:02X}"));
                format!("{number}|{}|{}|{last}\n", String::from_utf8_lossy(key), body.len())
            })
            .collect();
        assert_eq!(found, expected);
        if let Some((number, key, _)) = rows.get(count / 2) {
            let query = format!("select number from t indexed by t_key where key = '{}'", String::from_utf8_lossy(key));
            assert_eq!(sqlite(&path, &query).unwrap(), format!("{number}\n"));
        }
    }
    let sizes = sqlite(&path, "select distinct size from t order by 1").unwrap();
    assert_eq!(sizes.lines().count(), 10);
    assert!(sizes.starts_with("-9223372036854775808\n-129\n-1\n0\n1\n127\n128\n1048576\n"), "{sizes}");
}

/// What differs here differs in every image with a database of packages, and the CHANGELOG says why.
#[test]
fn the_same_rows_give_the_same_file_as_ever() {
    let digest = model::Digest::of(&database(&tables(300))).to_string();
    assert_eq!(digest, "615699f61df78b874a6be933a47533b6d9b526711656465fde9186a5325ca7bf");
}

#[test]
fn sqlite_finds_an_index_that_is_out_of_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut bytes = database(&tables(300));
    // The first letter of a key in the middle of the file, in the table or in its index.
    let middle = bytes.len() / 2;
    let at = middle + bytes[middle..].windows(5).position(|w| w.iter().all(u8::is_ascii_digit)).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    let Some(verdict) = sqlite(&path, "pragma integrity_check") else { return };
    assert_ne!(verdict, "ok\n");
}
