//! Compressed disks that are read from any position.

use crate::disks::drain;
use crate::{Answer, Subject, fuzz};
use disks::seekable::{Reader, xz, zstd};
use model::{Error, Result};

/// Two pieces of content.
fn contents() -> [Vec<u8>; 2] {
    [b"one ".repeat(3000), vec![7; 5000]]
}

fn source(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> Result<()> + Sync + '_ {
    |offset, buffer| {
        let part = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(
            part.ok_or_else(|| Error::integrity(format!("a read of {} bytes at offset {offset} past the end", buffer.len())))?,
        );
        Ok(())
    }
}

#[cfg_attr(test, test)]
pub fn a_seekable_zstd_stream_is_read_or_refused() {
    let mut encoder = zstd::Encoder::new(3).unwrap();
    let (mut seed, mut lengths) = (Vec::new(), Vec::new());
    for content in contents() {
        let frame = encoder.encode(&content).unwrap();
        lengths
            .push(zstd::SeekTableEntry { compressed_size: (frame.len() as u32).into(), decompressed_size: (content.len() as u32).into() });
        seed.extend(frame);
    }
    seed.extend(zstd::seek_table(&lengths));
    let read = |bytes: &[u8]| -> Answer {
        match Reader::zstd(bytes.len() as u64, source(bytes)) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    };
    let words: &[&[u8]] = &[b"\x28\xb5\x2f\xfd", b"\x5e\x2a\x4d\x18", b"\xb1\xea\x92\x8f", b"\xff\xff\xff\xff"];
    fuzz(Subject { name: "seekable-zstd", seeds: vec![seed], words, make: None, change: None, read: &read });
}

#[cfg_attr(test, test)]
pub fn a_seekable_xz_stream_is_read_or_refused() {
    let (mut seed, mut records) = (xz::stream_header(), Vec::new());
    for content in contents() {
        let (block, record) = xz::encode_block(&content, 0).unwrap();
        seed.extend(block);
        records.push(record);
    }
    seed.extend(xz::stream_end(&records));
    let read = |bytes: &[u8]| -> Answer {
        match Reader::xz(bytes.len() as u64, source(bytes)) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    };
    let words: &[&[u8]] = &[b"\xfd7zXZ\0", b"YZ", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x00\x00\x00\x00"];
    fuzz(Subject { name: "seekable-xz", seeds: vec![seed], words, make: None, change: None, read: &read });
}
