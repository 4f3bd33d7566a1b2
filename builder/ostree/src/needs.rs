//! What a host needs to take a commit, told in the commit's own metadata, so that it can be compared with what is free before the first byte comes.
//!
//! | key | type | what |
//! |---|---|---|
//! | `ostree.bootable` | `b` | true |
//! | `ostree.linux` | `s` | the kernel's version |
//! | `atomic-image.size` | `t` | bytes of all objects in a bare repository, in blocks of 4 KiB |
//! | `atomic-image.new-since` | `a{st}` | the same, of the objects that the named earlier commit lacks |
//! | `atomic-image.boot-size` | `t` | bytes of what goes to /boot, in blocks of 4 KiB |
//! | `atomic-image.boot-checksum` | `s` | names its folder there: commits with the same one share it |

use crate::{CommitId, Kernel, MetadataValue};
use model::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// The key of what earlier commits lack.
pub const NEW_SINCE: &str = "atomic-image.new-since";

/// A commit that came before, with all its objects.
pub struct Ancestor {
    pub id: CommitId,
    pub objects: BTreeSet<Digest>,
}

/// The metadata of a commit with these objects (and their sizes in bytes) and this kernel.
pub fn needs(objects: &BTreeMap<Digest, u64>, kernel: &Kernel, ancestors: &[Ancestor]) -> BTreeMap<String, MetadataValue> {
    let lacking = |ancestor: &Ancestor| objects.iter().filter(|(object, _)| !ancestor.objects.contains(object)).map(|(_, size)| size).sum();
    let new_since: BTreeMap<String, u64> = ancestors.iter().map(|ancestor| (ancestor.id.to_string(), lacking(ancestor))).collect();
    let boot_size = kernel.files().map(|file| file.content.len().next_multiple_of(4096)).sum();
    let mut metadata = BTreeMap::from([
        ("ostree.bootable".to_owned(), MetadataValue::Flag(true)),
        ("ostree.linux".to_owned(), MetadataValue::Text(kernel.version.clone())),
        ("atomic-image.size".to_owned(), MetadataValue::Number(objects.values().sum())),
        ("atomic-image.boot-size".to_owned(), MetadataValue::Number(boot_size)),
        ("atomic-image.boot-checksum".to_owned(), MetadataValue::Text(kernel.bootcsum.to_string())),
    ]);
    if !new_since.is_empty() {
        metadata.insert(NEW_SINCE.to_owned(), MetadataValue::Numbers(new_since));
    }
    metadata
}
