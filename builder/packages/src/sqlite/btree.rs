//! B-trees, built from their leaves up (fileformat2 §1.6).
//!
//! ```text
//! page  header, in interior pages u32 last child; u16 × cells pointers; free space; cells, the first at the page's end
//! ```
//!
//! A table's rows are in its leaves, and interior cells hold the greatest row number to their left. Of an index, each entry stands once, in
//! a leaf or in an interior cell.

use super::record::varint;
use super::{FILE_HEADER, PAGE_SIZE};
use model::{Error, Result};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// What starts a page (§1.6). Big-endian, as all is.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct PageHeader {
    page_type: u8,
    first_freeblock: U16,
    cells: U16,
    cell_content: U16,
    fragmented_free_bytes: u8,
}
const _: () = assert!(size_of::<PageHeader>() == 8);

/// page_type.
const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;
const LEAF_INDEX: u8 = 10;
const LEAF_TABLE: u8 = 13;

/// The file's pages but the first, which is written last.
pub(super) struct Pages {
    bytes: Vec<u8>,
    first: Option<[u8; PAGE_SIZE]>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Pages { bytes: Vec::new(), first: None }
    }

    /// The number of the page that comes next; the first is 1.
    fn next(&self) -> Result<u32> {
        u32::try_from(self.bytes.len() / PAGE_SIZE + 2).map_err(|_| Error::internal("a database of more than 2^32 pages"))
    }

    fn push(&mut self, page: &[u8; PAGE_SIZE]) -> Result<u32> {
        let number = self.next()?;
        self.bytes.extend_from_slice(page);
        Ok(number)
    }

    pub(super) fn finish(self, header: impl Fn(u32) -> [u8; FILE_HEADER]) -> Result<Vec<u8>> {
        let mut first = self.first.ok_or_else(|| Error::internal("a database without a schema"))?;
        let count = u32::try_from(self.bytes.len() / PAGE_SIZE + 1).map_err(|_| Error::internal("a database of more than 2^32 pages"))?;
        first[..FILE_HEADER].copy_from_slice(&header(count));
        Ok([first.as_slice(), &self.bytes].concat())
    }

    /// What a cell keeps of `payload`; the rest goes to overflow pages, and their first's number ends the cell.
    fn spill(&mut self, payload: &[u8], local_max: usize, cell: &mut Vec<u8>) -> Result<()> {
        if payload.len() <= local_max {
            cell.extend_from_slice(payload);
            return Ok(());
        }
        const CHUNK: usize = PAGE_SIZE - 4;
        let least = (PAGE_SIZE - 12) * 32 / 255 - 23;
        let kept = least + (payload.len() - least) % CHUNK;
        let kept = if kept <= local_max { kept } else { least };
        let (local, rest) = payload.split_at(kept);
        cell.extend_from_slice(local);
        cell.extend_from_slice(&self.next()?.to_be_bytes());
        let chunks = rest.chunks(CHUNK);
        let count = chunks.len();
        for (i, chunk) in chunks.enumerate() {
            let mut page = [0; PAGE_SIZE];
            let following = if i + 1 < count { self.next()? + 1 } else { 0 };
            page[..4].copy_from_slice(&following.to_be_bytes());
            page[4..4 + chunk.len()].copy_from_slice(chunk);
            self.push(&page)?;
        }
        Ok(())
    }
}

/// A page being filled.
struct Page {
    kind: u8,
    cells: Vec<Vec<u8>>,
    /// Bytes that header, pointers and cells take.
    used: usize,
    /// What the page may take: less for those that could become the first.
    room: usize,
}

impl Page {
    fn new(kind: u8, room: usize) -> Self {
        let child = if matches!(kind, INTERIOR_INDEX | INTERIOR_TABLE) { size_of::<U32>() } else { 0 };
        Page { kind, cells: Vec::new(), used: size_of::<PageHeader>() + child, room }
    }

    fn fits(&self, cell: &[u8]) -> bool {
        self.used + 2 + cell.len() <= self.room
    }

    fn add(&mut self, cell: Vec<u8>) {
        self.used += 2 + cell.len();
        self.cells.push(cell);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let cell = self.cells.pop()?;
        self.used -= 2 + cell.len();
        Some(cell)
    }

    /// The page's bytes with its header at `start`.
    fn encode(&self, start: usize, last_child: Option<u32>) -> [u8; PAGE_SIZE] {
        let mut page = [0; PAGE_SIZE];
        let mut end = PAGE_SIZE;
        let mut pointers: Vec<U16> = Vec::with_capacity(self.cells.len());
        for cell in &self.cells {
            end -= cell.len();
            page[end..end + cell.len()].copy_from_slice(cell);
            pointers.push((end as u16).into());
        }
        let header = PageHeader {
            page_type: self.kind,
            first_freeblock: U16::ZERO,
            cells: (self.cells.len() as u16).into(),
            cell_content: (end as u16).into(),
            fragmented_free_bytes: 0,
        };
        let last_child = last_child.map(U32::new);
        let front = [header.as_bytes(), last_child.as_slice().as_bytes(), pointers.as_bytes()].concat();
        page[start..start + front.len()].copy_from_slice(&front);
        page
    }
}

/// Where a tree's root goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Anywhere,
    /// Behind the file's header.
    First,
}

impl Root {
    fn room(self) -> usize {
        match self {
            Root::Anywhere => PAGE_SIZE,
            Root::First => PAGE_SIZE - FILE_HEADER,
        }
    }

    fn place(self, pages: &mut Pages, page: &Page, last_child: Option<u32>) -> Result<u32> {
        match self {
            Root::Anywhere => pages.push(&page.encode(0, last_child)),
            Root::First => {
                pages.first = Some(page.encode(FILE_HEADER, last_child));
                Ok(1)
            }
        }
    }
}

/// Returns the root's page. Rows come in ascending order of their numbers.
pub(super) fn table_tree(pages: &mut Pages, rows: impl Iterator<Item = (i64, Vec<u8>)>) -> Result<u32> {
    table(pages, rows, Root::Anywhere)
}

/// The schema's table, whose root is the first page.
pub(super) fn schema_tree(pages: &mut Pages, rows: Vec<(i64, Vec<u8>)>) -> Result<u32> {
    table(pages, rows.into_iter(), Root::First)
}

fn table(pages: &mut Pages, rows: impl Iterator<Item = (i64, Vec<u8>)>, root: Root) -> Result<u32> {
    /// Payload that a leaf cell holds without overflow.
    const LOCAL_MAX: usize = PAGE_SIZE - 35;
    let mut leaf = Page::new(LEAF_TABLE, root.room());
    // Full leaves, each with the greatest row number in it as a varint.
    let mut full: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut last = Vec::new();
    for (number, payload) in rows {
        let mut cell = Vec::new();
        varint(payload.len() as u64, &mut cell);
        let mut key = Vec::new();
        varint(number as u64, &mut key);
        cell.extend_from_slice(&key);
        pages.spill(&payload, LOCAL_MAX, &mut cell)?;
        if !leaf.fits(&cell) {
            if leaf.cells.is_empty() {
                return Err(Error::internal(format!("row {number} does not fit the first page of a database")));
            }
            let page = pages.push(&leaf.encode(0, None))?;
            full.push((page, last));
            leaf = Page::new(LEAF_TABLE, root.room());
        }
        leaf.add(cell);
        last = key;
    }
    if full.is_empty() {
        return root.place(pages, &leaf, None);
    }
    let rest = pages.push(&leaf.encode(0, None))?;
    interior(pages, INTERIOR_TABLE, full, rest, root)
}

/// Returns the root's page. Entries come in their order.
pub(super) fn index_tree(pages: &mut Pages, entries: impl Iterator<Item = Vec<u8>>) -> Result<u32> {
    /// Payload that a cell of an index holds without overflow: four fit a page.
    const LOCAL_MAX: usize = (PAGE_SIZE - 12) * 64 / 255 - 23;
    let mut leaf = Page::new(LEAF_INDEX, PAGE_SIZE);
    let mut full: Vec<(u32, Vec<u8>)> = Vec::new();
    for payload in entries {
        let mut cell = Vec::new();
        varint(payload.len() as u64, &mut cell);
        pages.spill(&payload, LOCAL_MAX, &mut cell)?;
        if !leaf.fits(&cell) {
            // The last entry moves up, to stand between this leaf and the next.
            let divider = leaf.pop().ok_or_else(|| Error::internal("an index entry larger than a page"))?;
            full.push((pages.push(&leaf.encode(0, None))?, divider));
            leaf = Page::new(LEAF_INDEX, PAGE_SIZE);
        }
        leaf.add(cell);
    }
    let rest = pages.push(&leaf.encode(0, None))?;
    if full.is_empty() { Ok(rest) } else { interior(pages, INTERIOR_INDEX, full, rest, Root::Anywhere) }
}

/// One level above `children`, each with what divides it from its right neighbour; `rest` is the last child. And so on up to one page.
fn interior(pages: &mut Pages, kind: u8, mut children: Vec<(u32, Vec<u8>)>, mut rest: u32, root: Root) -> Result<u32> {
    loop {
        let mut page = Page::new(kind, root.room());
        let mut above: Vec<(u32, Vec<u8>)> = Vec::new();
        for (child, divider) in children {
            let cell = [child.to_be_bytes().as_slice(), &divider].concat();
            if !page.fits(&cell) {
                // Its last child becomes the last child proper, and the divider behind it moves up.
                let moved = page.pop().ok_or_else(|| Error::internal("an interior cell larger than a page"))?;
                let (last, up) = moved.split_at(4);
                let last = u32::from_be_bytes([last[0], last[1], last[2], last[3]]);
                above.push((pages.push(&page.encode(0, Some(last)))?, up.to_vec()));
                page = Page::new(kind, root.room());
            }
            page.add(cell);
        }
        if above.is_empty() {
            return root.place(pages, &page, Some(rest));
        }
        rest = pages.push(&page.encode(0, Some(rest)))?;
        children = above;
    }
}
