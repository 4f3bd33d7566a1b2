//! Which objects go into which part: metadata first, then patches, then whole files; what resembles each other together, and nothing compressed next to
//! what is not.

use super::content::{NewContent, Sending};
use super::{DeltaOptions, ObjectName, Packing};
use model::Digest;

/// One object of a part.
pub enum Item {
    Metadata(ObjectName, u64),
    Content(Box<NewContent>, Sending),
}

/// The objects of one part, in order.
pub struct PartPlan {
    pub packing: Packing,
    pub items: Vec<Item>,
    /// Bytes before compression, without tables and operations.
    pub payload: u64,
}

impl Item {
    fn payload(&self) -> u64 {
        match self {
            Item::Metadata(_, size) => *size,
            Item::Content(content, sending) => sending.payload(content),
        }
    }

    fn packing(&self) -> Packing {
        match self {
            Item::Content(_, Sending::Whole(packing)) => *packing,
            _ => Packing::Xz,
        }
    }

    /// Neighbours are like each other: the kind of sending, then extension and name as a hint at what is in the file.
    fn rank(&self) -> (u8, &[u8], &[u8], Digest) {
        match self {
            Item::Metadata(object, _) => (0, &[], &[], object.digest),
            Item::Content(content, sending) => {
                let path = content.path.as_bytes();
                let class = match sending {
                    Sending::Copy(_) => 1,
                    Sending::Patch { .. } => 2,
                    _ => 3,
                };
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
                let extension = name.iter().rposition(|&byte| byte == b'.').and_then(|dot| name.get(dot..)).unwrap_or(&[]);
                (class, extension, path, content.digest)
            }
        }
    }
}

/// Plans parts of at most `options.part_size` bytes each before compression, and of about the same size, so that they can be made and applied at the same
/// time. A larger object has a part of its own.
pub fn plan(items: Vec<Item>, options: &DeltaOptions) -> Vec<PartPlan> {
    let mut parts = Vec::new();
    let mut classes = [Packing::Xz, Packing::XzOfX86Code, Packing::XzOfCompressed].map(|packing| (packing, Vec::new()));
    for item in items {
        let packing = item.packing();
        if let Some((_, items)) = classes.iter_mut().find(|(class, _)| *class == packing) {
            items.push(item);
        }
    }
    for (packing, mut items) in classes {
        items.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let total: u64 = items.iter().map(Item::payload).sum();
        let wanted = total.div_ceil(total.div_ceil(options.part_size.max(1)).max(1));
        let mut current = PartPlan { packing, items: Vec::new(), payload: 0 };
        for item in items {
            let payload = item.payload();
            let is_full = current.payload >= wanted || current.payload + payload > options.part_size;
            if is_full && !current.items.is_empty() {
                parts.push(std::mem::replace(&mut current, PartPlan { packing, items: Vec::new(), payload: 0 }));
            }
            current.payload += payload;
            current.items.push(item);
        }
        if !current.items.is_empty() {
            parts.push(current);
        }
    }
    parts
}
