use super::*;
use model::{Error, Result};

/// Bytes of content in a piece here.
const CHUNK: u64 = 100_000;

/// Three pieces, the last of them short, as a zstd and as an xz file.
fn files() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let content: Vec<u8> = (0..(CHUNK * 2 + 70_000) / 4).flat_map(|n| (n as u32 / 9).to_le_bytes()).collect();
    let (mut zst, mut xz, mut frames, mut records) = (Vec::new(), xz::stream_header(), Vec::new(), Vec::new());
    let mut encoder = zstd::Encoder::new(1).unwrap();
    for piece in content.chunks(CHUNK as usize) {
        let frame = encoder.encode(piece).unwrap();
        let (compressed_size, decompressed_size) = ((frame.len() as u32).into(), (piece.len() as u32).into());
        frames.push(zstd::SeekTableEntry { compressed_size, decompressed_size });
        zst.extend(frame);
        let (block, record) = xz::encode_block(piece, 0).unwrap();
        records.push(record);
        xz.extend(block);
    }
    zst.extend(zstd::seek_table(&frames));
    xz.extend(xz::stream_end(&records));
    (content, zst, xz)
}

fn source(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> Result<()> + Sync {
    move |offset, buffer| {
        let part = bytes.get(offset as usize..).and_then(|b| b.get(..buffer.len()));
        buffer.copy_from_slice(part.ok_or_else(|| Error::integrity(format!("past the end at {offset}")))?);
        Ok(())
    }
}

fn open<F: Fn(u64, &mut [u8]) -> Result<()>>(name: &str, length: usize, source: F) -> Result<Reader<F>> {
    if name == "zstd" { Reader::zstd(length as u64, source) } else { Reader::xz(length as u64, source) }
}

#[test]
fn any_part_of_the_content_reads_back() {
    let (content, zst, xz) = files();
    for (name, file) in [("zstd", &zst), ("xz", &xz)] {
        let source = source(file);
        let reader = open(name, file.len(), &source).unwrap();
        assert_eq!(reader.size(), content.len() as u64);
        for (offset, length) in
            [(0, 10), (CHUNK as usize - 5, 10), (CHUNK as usize * 2 - 1, 70_001), (content.len() - 1, 1), (0, content.len())]
        {
            let mut buffer = vec![1; length];
            reader.read_at(offset as u64, &mut buffer).unwrap();
            assert!(buffer == content[offset..offset + length], "{offset}");
        }
        assert!(reader.read_at(content.len() as u64, &mut [0]).is_err());
    }
}

#[test]
fn any_flipped_byte_and_any_cut_is_an_error() {
    let (content, zst, xz) = files();
    for (name, file) in [("zstd", &zst), ("xz", &xz)] {
        let read_all = |bytes: &[u8]| {
            let source = source(bytes);
            let reader = open(name, bytes.len(), &source)?;
            let mut found = vec![0; reader.size().min(1 << 28) as usize];
            reader.read_at(0, &mut found)?;
            Ok::<_, Error>(found)
        };
        assert!(read_all(file).unwrap() == content);
        let step = (file.len() / 40).max(1);
        let ends = (0..40).chain(file.len() - 60..file.len());
        for at in ends.chain((0..file.len()).step_by(step)) {
            let mut twin = file.clone();
            twin[at] ^= 0x41;
            assert!(read_all(&twin).map_or(true, |found| found == content), "{name}: byte {at} of {}", file.len());
        }
        for length in (0..file.len()).step_by(step) {
            assert!(read_all(&file[..length]).is_err(), "{name}: cut at {length} of {}", file.len());
        }
    }
}

#[test]
fn a_seek_table_with_checksums_is_read_as_one_without() {
    let (content, zst, _) = files();
    // The end of the file: the frame's length, three entries of 8 bytes, the footer of 9 bytes.
    let table = zst.len() - 9 - 3 * 8;
    let mut twin = zst[..table - 4].to_vec();
    twin.extend((3 * 12 + 9u32).to_le_bytes());
    for entry in zst[table..].chunks_exact(8).take(3) {
        twin.extend(entry);
        twin.extend([0xaa; 4]);
    }
    twin.extend([3, 0, 0, 0, 0x80]);
    twin.extend(&zst[zst.len() - 4..]);
    let reader = Reader::zstd(twin.len() as u64, source(&twin)).unwrap();
    let mut found = vec![0; content.len()];
    reader.read_at(0, &mut found).unwrap();
    assert!(found == content);
}
