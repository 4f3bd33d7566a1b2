//! rpm's database of installed packages, `rpmdb.sqlite`, as rpm 4.16 and later keep it (rpm, `lib/backend/sqlite.c` and `lib/rpmdb.c`):
//! a table of headers, and for each tag that packages are looked up by a table of the header's number and the value's place in it.

mod installed;
pub mod rich;

pub use installed::{Installation, Installed};

use crate::rpm::{Header, tags};
use crate::sqlite::{self, Index, Table, Value};
use installed::{SHA1_HEADER, SIG_MD5};
use model::{OptionJudged, Result};
use std::collections::BTreeSet;

/// A table of values: its name, the tag, and which indexes it has.
struct Lookup {
    name: &'static str,
    tag: u32,
    kind: Kind,
    indexed: Indexed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Blob,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexed {
    No,
    /// By value.
    Key,
    /// By value and by header.
    KeyAndHeader,
}

const fn by_name(name: &'static str, tag: u32, indexed: Indexed) -> Lookup {
    Lookup { name, tag, kind: Kind::Text, indexed }
}

/// In rpm's order.
const LOOKUPS: [Lookup; 18] = [
    by_name("Name", tags::NAME, Indexed::Key),
    by_name("Basenames", tags::BASENAMES, Indexed::KeyAndHeader),
    by_name("Group", tags::GROUP, Indexed::Key),
    by_name("Requirename", tags::REQUIRES[0], Indexed::KeyAndHeader),
    by_name("Providename", tags::PROVIDES[0], Indexed::KeyAndHeader),
    by_name("Conflictname", tags::CONFLICTS[0], Indexed::KeyAndHeader),
    by_name("Obsoletename", tags::OBSOLETES[0], Indexed::KeyAndHeader),
    by_name("Triggername", tags::TRIGGER_NAMES, Indexed::KeyAndHeader),
    by_name("Dirnames", tags::DIRNAMES, Indexed::KeyAndHeader),
    Lookup { name: "Installtid", tag: installed::INSTALL_TID, kind: Kind::Blob, indexed: Indexed::No },
    Lookup { name: "Sigmd5", tag: SIG_MD5, kind: Kind::Blob, indexed: Indexed::No },
    by_name("Sha1header", SHA1_HEADER, Indexed::Key),
    by_name("Filetriggername", tags::FILE_TRIGGER_NAMES, Indexed::KeyAndHeader),
    by_name("Transfiletriggername", tags::TRANS_FILE_TRIGGER_NAMES, Indexed::KeyAndHeader),
    by_name("Recommendname", tags::RECOMMENDS[0], Indexed::KeyAndHeader),
    by_name("Suggestname", tags::SUGGESTS[0], Indexed::KeyAndHeader),
    by_name("Supplementname", tags::SUPPLEMENTS[0], Indexed::KeyAndHeader),
    by_name("Enhancename", tags::ENHANCES[0], Indexed::KeyAndHeader),
];

/// The database of `packages`, numbered from 1 in the order given.
pub fn encode(packages: &[Installed], how: &Installation) -> Result<Vec<u8>> {
    let headers: Vec<(i64, Vec<Value<'_>>)> = packages
        .iter()
        .zip(1..)
        .map(|(package, number)| Ok((number, vec![Value::Null, Value::Blob(package.blob(how)?.into())])))
        .collect::<Result<_>>()?;
    let mut tables = vec![
        Table {
            name: "Packages",
            sql: "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)".into(),
            rows: headers,
            indexes: Vec::new(),
        },
        Table {
            name: "sqlite_sequence",
            sql: "CREATE TABLE sqlite_sequence(name,seq)".into(),
            rows: vec![(1, vec![Value::Text(b"Packages".as_slice().into()), Value::Integer(packages.len() as i64)])],
            indexes: Vec::new(),
        },
    ];
    for lookup in &LOOKUPS {
        let mut rows = Vec::new();
        for (package, number) in packages.iter().zip(1i64..) {
            for (key, place) in keys(package, lookup, how)? {
                rows.push((rows.len() as i64 + 1, vec![key, Value::Integer(number), Value::Integer(place)]));
            }
        }
        tables.push(Table { name: lookup.name, sql: table_sql(lookup), rows, indexes: indexes(lookup) });
    }
    sqlite::encode(&tables)
}

fn table_sql(lookup: &Lookup) -> String {
    let kind = match lookup.kind {
        Kind::Text => "TEXT",
        Kind::Blob => "BLOB",
    };
    format!(
        "CREATE TABLE '{}' (key '{kind}' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, \
         FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))",
        lookup.name
    )
}

fn indexes(lookup: &Lookup) -> Vec<Index> {
    let name = lookup.name;
    let index = |column: &str, number| Index {
        name: format!("{name}_{column}_idx"),
        sql: format!("CREATE INDEX '{name}_{column}_idx' ON '{name}'({column} ASC)"),
        column: number,
    };
    match lookup.indexed {
        Indexed::No => Vec::new(),
        Indexed::Key => vec![index("key", 0)],
        Indexed::KeyAndHeader => vec![index("key", 0), index("hnum", 1)],
    }
}

/// The values that a package is found by, each with its place in the header.
fn keys<'a>(package: &Installed<'a>, lookup: &Lookup, how: &Installation) -> Result<Vec<(Value<'a>, i64)>> {
    match lookup.tag {
        // In the byte order of the machines that we build for.
        installed::INSTALL_TID => Ok(vec![(Value::Blob(how.time.to_le_bytes().to_vec().into()), 0)]),
        SIG_MD5 => {
            let md5 = package.signature_header.bin(tags::signature::MD5)?;
            Ok(md5.map(|bytes| (Value::Blob(bytes.into()), 0)).into_iter().collect())
        }
        SHA1_HEADER => {
            let digest =
                package.signature_header.strings(tags::signature::SHA1)?.default_because("a package may have no SHA-1 of its header");
            Ok(digest.first().map(|text| (Value::Text((*text).into()), 0)).into_iter().collect())
        }
        tag => names(package.header, tag),
    }
}

/// Dependencies that may be rich.
const RICH: [u32; 6] =
    [tags::REQUIRES[0], tags::CONFLICTS[0], tags::RECOMMENDS[0], tags::SUGGESTS[0], tags::SUPPLEMENTS[0], tags::ENHANCES[0]];

fn names<'a>(header: &'a Header, tag: u32) -> Result<Vec<(Value<'a>, i64)>> {
    /// SCRIPT_PRE, SCRIPT_POST, RPMLIB, KEYRING, PRETRANS and POSTTRANS: of no interest once a package is installed …
    const INSTALL_ONLY: u32 = 1 << 9 | 1 << 10 | 1 << 24 | 1 << 26 | 1 << 7 | 1 << 5;
    /// … unless SCRIPT_PREUN or SCRIPT_POSTUN need it too.
    const ERASE: u32 = 1 << 11 | 1 << 12;
    let values = header.strings(tag)?.default_because("an absent tag is an empty list");
    // The untranslated one alone.
    let values = if tag == tags::GROUP { values.into_iter().take(1).collect() } else { values };
    let flags = if tag == tags::REQUIRES[0] {
        header.u32s(tags::REQUIRES[1])?.default_because("an absent tag is an empty list")
    } else {
        Vec::new()
    };
    // A file trigger has several prefixes: its number counts, not the prefix's.
    let places = match tag {
        tags::FILE_TRIGGER_NAMES => header.u32s(tags::FILE_TRIGGER_INDEXES)?,
        tags::TRANS_FILE_TRIGGER_NAMES => header.u32s(tags::TRANS_FILE_TRIGGER_INDEXES)?,
        _ => None,
    };
    let mut keys: Vec<(Value<'a>, i64)> = Vec::with_capacity(values.len());
    let mut seen = BTreeSet::new();
    for (i, value) in values.into_iter().enumerate() {
        if flags.get(i).is_some_and(|flags| flags & INSTALL_ONLY != 0 && flags & ERASE == 0) {
            continue;
        }
        // A package that several triggers wait for is found once.
        if tag == tags::TRIGGER_NAMES && !seen.insert(value) {
            continue;
        }
        let place = places.as_ref().and_then(|places| places.get(i)).map_or(i as i64, |&place| i64::from(place));
        keys.push((Value::Text(value.into()), place));
        if RICH.contains(&tag) && value.starts_with(b"(") {
            keys.extend(rich::names(value).into_iter().map(|name| (Value::Text(name.into()), place)));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
