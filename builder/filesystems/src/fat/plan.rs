//! From a tree to the segments of a volume: sizes first, then cluster numbers, then bytes.

use super::boot_record::{self, Geometry, Width};
use super::directory::{self, ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_VOLUME_ID, ENTRY, Stamp};
use super::names::{self, ShortName};
use model::tree::{FileTree, InodeId, NodeKind};
use model::{Blob, Error, Result, Segment, Segments, SourceDateEpoch};

/// What a volume is besides its files.
#[derive(Debug, Clone)]
pub struct Options {
    /// At most 11 characters; written in upper case.
    pub label: String,
    /// The serial number that `blkid` shows as `XXXX-XXXX`.
    pub volume_id: u32,
    /// Every timestamp.
    pub epoch: SourceDateEpoch,
    /// Of the whole volume in bytes: a multiple of `sector`.
    pub size: u64,
    /// Of the disk, in bytes: 512 or 4096.
    pub sector: u64,
}

/// One file or directory, with its place.
struct Node<'a> {
    parent: usize,
    name: Vec<u16>,
    short: ShortName,
    needs_long: bool,
    /// `None` for a directory.
    content: Option<&'a Blob>,
    children: Vec<usize>,
    first: u32,
    clusters: u64,
}

/// Plans the whole volume. Modes, owners and times of the tree are dropped (FAT has none); anything but files and directories is refused.
pub fn plan(tree: &FileTree, options: &Options) -> Result<Segments> {
    let geometry = Geometry::choose(options.size, options.sector)?;
    let label = names::volume_label(&options.label)?;
    let mut nodes = collect(tree)?;
    let used = place(&mut nodes, &geometry)?;
    let stamp = Stamp::new(options.epoch);

    let boot = geometry.encode(options.volume_id, &label);
    let mut list = vec![segment(0, boot.to_vec())];
    if geometry.width == Width::Fat32 {
        let info = boot_record::fs_info((geometry.clusters - used) as u32, used as u32 + 2);
        // The third boot sector is only a signature, for boot code that we have not.
        let mut third = [0; 512];
        third[510..].copy_from_slice(&boot_record::SIGNATURE);
        let three = |at: u64| (at..).zip([boot, info, third]).map(|(number, bytes)| segment(number * geometry.sector, bytes.to_vec()));
        list = three(0).chain(three(boot_record::BACKUP_SECTOR)).collect();
    }
    let fat = Blob::from(encode_fat(&nodes, &geometry, used));
    list.extend((0..2).map(|copy| Segment { offset: geometry.fat_offset(copy), data: fat.clone() }));
    for (index, node) in nodes.iter().enumerate() {
        let at = if node.first == 0 { geometry.root_offset() } else { geometry.cluster_offset(node.first) };
        match node.content {
            Some(blob) if !blob.is_empty() => list.push(Segment { offset: at, data: blob.clone() }),
            Some(_) => {}
            None => list.push(segment(at, encode_directory(&nodes, index, &label, stamp)?)),
        }
    }
    Segments::new(options.size, list)
}

fn segment(offset: u64, bytes: Vec<u8>) -> Segment {
    Segment { offset, data: bytes.into() }
}

/// Parents before children; the root is node 0.
fn collect(tree: &FileTree) -> Result<Vec<Node<'_>>> {
    let root =
        Node { parent: 0, name: vec![], short: [b' '; 11], needs_long: false, content: None, children: vec![], first: 0, clusters: 0 };
    let mut nodes = vec![root];
    let mut queue: Vec<(usize, InodeId)> = vec![(0, FileTree::ROOT)];
    let mut next = 0;
    while let Some(&(parent, id)) = queue.get(next) {
        next += 1;
        let children: Vec<(&[u8], InodeId)> = tree.children(id).collect();
        let longs = children.iter().map(|(name, _)| names::long_name(name)).collect::<Result<Vec<_>>>()?;
        let text = |name| std::str::from_utf8(name).map_err(|_| Error::recipe("a name on a FAT filesystem is not UTF-8"));
        let texts: Vec<&str> = children.iter().map(|&(name, _)| text(name)).collect::<Result<_>>()?;
        for (((name, (short, needs_long)), text), (_, child)) in
            longs.into_iter().zip(names::short_names(&texts)?).zip(&texts).zip(&children)
        {
            let index = nodes.len();
            let content = match &tree.inode(*child).kind {
                NodeKind::Directory(_) => {
                    queue.push((index, *child));
                    None
                }
                NodeKind::File(blob) if blob.len() <= u64::from(u32::MAX) => Some(blob),
                NodeKind::File(blob) => {
                    return Err(Error::recipe(format!("{text:?} has {} bytes, more than a FAT volume can hold in a file", blob.len())));
                }
                other => return Err(Error::recipe(format!("{text:?} is a {}, which a FAT volume cannot hold", other.name()))),
            };
            nodes[parent].children.push(index);
            nodes.push(Node { parent, name, short, needs_long, content, children: vec![], first: 0, clusters: 0 });
        }
    }
    Ok(nodes)
}

/// Entries in a directory: its children's, and the label, or `.` and `..`.
fn entry_count(nodes: &[Node], index: usize) -> usize {
    let own = if index == 0 { 1 } else { 2 };
    own + nodes[index].children.iter().map(|&c| directory::entries_for(&nodes[c].name, nodes[c].needs_long)).sum::<usize>()
}

/// Gives every node its run of clusters; returns how many are used.
fn place(nodes: &mut [Node], geometry: &Geometry) -> Result<u64> {
    let mut used = 0;
    for index in 0..nodes.len() {
        let bytes = match nodes[index].content {
            Some(blob) => blob.len(),
            None => (entry_count(nodes, index) * ENTRY) as u64,
        };
        if nodes[index].content.is_none() && bytes > 65_536 * ENTRY as u64 {
            return Err(Error::recipe("a directory has more entries than the 65536 that FAT allows"));
        }
        if index == 0 && geometry.width == Width::Fat16 {
            if bytes > geometry.root * geometry.sector {
                return Err(Error::recipe(format!(
                    "the root directory needs {bytes} bytes, FAT16 has {}",
                    geometry.root * geometry.sector
                )));
            }
            continue;
        }
        let clusters = bytes.div_ceil(geometry.cluster_bytes());
        if clusters > geometry.clusters - used {
            let need: u64 = nodes.iter().filter_map(|n| n.content).map(Blob::len).sum();
            return Err(Error::recipe(format!(
                "{need} bytes of files do not fit into a FAT volume of {} bytes",
                geometry.sectors * geometry.sector
            ))
            .hint("make disk.esp bigger in the recipe"));
        }
        nodes[index].first = if clusters == 0 { 0 } else { used as u32 + 2 };
        nodes[index].clusters = clusters;
        used += clusters;
    }
    Ok(used)
}

/// Up to the last used entry: what follows is zero, which means free.
fn encode_fat(nodes: &[Node], geometry: &Geometry, used: u64) -> Vec<u8> {
    // Entry 0 repeats the media byte, entry 1 says "cleanly unmounted, no errors" (§4.1).
    let mut entries: Vec<u32> = vec![0x0fff_fff8, 0x0fff_ffff];
    entries.reserve(used as usize);
    for node in nodes.iter().filter(|n| n.clusters > 0) {
        entries.extend((1..node.clusters).map(|n| node.first + n as u32));
        entries.push(0x0fff_ffff);
    }
    match geometry.width {
        Width::Fat16 => entries.iter().flat_map(|&e| (e as u16).to_le_bytes()).collect(),
        Width::Fat32 => entries.iter().flat_map(|e| e.to_le_bytes()).collect(),
    }
}

fn encode_directory(nodes: &[Node], index: usize, label: &ShortName, stamp: Stamp) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(entry_count(nodes, index) * ENTRY);
    let dots = |count: usize| std::array::from_fn(|i| if i < count { b'.' } else { b' ' });
    if index == 0 {
        out.extend(directory::short(label, ATTR_VOLUME_ID, 0, 0, stamp));
    } else {
        // `..` of a directory in the root says cluster 0, also on FAT32 (§6.5).
        let parent = if nodes[index].parent == 0 { 0 } else { nodes[nodes[index].parent].first };
        out.extend(directory::short(&dots(1), ATTR_DIRECTORY, nodes[index].first, 0, stamp));
        out.extend(directory::short(&dots(2), ATTR_DIRECTORY, parent, 0, stamp));
    }
    for node in nodes[index].children.iter().map(|&c| &nodes[c]) {
        if node.needs_long {
            out.extend(directory::long(&node.name, &node.short));
        }
        let (attributes, size) = match node.content {
            Some(blob) => {
                (ATTR_ARCHIVE, u32::try_from(blob.len()).map_err(|_| Error::internal("a file grew while a FAT volume was planned"))?)
            }
            None => (ATTR_DIRECTORY, 0),
        };
        out.extend(directory::short(&node.short, attributes, node.first, size, stamp));
    }
    Ok(out)
}
