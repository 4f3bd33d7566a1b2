//! Objects of an OSTree store.

use crate::{Subject, fuzz};
use model::Digest;
use ostree::{CommitObject, MetadataValue};

fn commit() -> Vec<u8> {
    let metadata = [
        ("ostree.bootable", MetadataValue::Bytes(vec![1])),
        ("packages", MetadataValue::TextList(vec!["a-1".to_owned(), "b-2".to_owned()])),
        ("size", MetadataValue::Number(7)),
        ("version", MetadataValue::from("1")),
    ];
    CommitObject {
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        parent: Some(Digest::of(b"parent")),
        subject: "a".to_owned(),
        body: String::new(),
        timestamp: 1_600_000_000,
        root_tree: Digest::of(b"tree"),
        root_meta: Digest::of(b"meta"),
    }
    .encode()
}

#[cfg_attr(test, test)]
pub fn a_commit_object_is_read_or_refused() {
    fuzz(Subject {
        name: "ostree-commit",
        seeds: vec![commit()],
        words: &[b"(a{sv}aya(say)sstayay)", b"version", b"\0s", b"\0ay", b"\0as", b"ostree."],
        make: None,
        change: None,
        read: &|bytes| match CommitObject::decode(bytes) {
            Ok(commit) if commit.encode().len() > 2 * bytes.len() + 64 => {
                Err(format!("a commit of {} bytes from {}", commit.encode().len(), bytes.len()))
            }
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        },
    });
}
