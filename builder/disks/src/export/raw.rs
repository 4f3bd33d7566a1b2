//! Files whose bytes are planned whole: a raw disk image, byte for byte with holes where the plan is zero, and VHD and VHDX, whose plans are the
//! disk's segments between a few tables.

use super::Finished;
use super::plan_digest::digest;
use model::{AtomicFile, Blob, Progress, Result, ResultExt, Segment, Segments};
use rayon::prelude::*;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of one write: short adjacent segments are gathered, long ones are cut. Writes of 1 MiB take half the time of many short ones, and less than
/// `copy_file_range` takes on a file system without reflinks.
const GATHERED: u64 = 1 << 20;
/// Where blocks can be shared, and in memory, long segments are cut into pieces of so many bytes: few enough to share the work evenly.
const PIECE: u64 = 8 << 20;
/// Between two segments that are gathered: the rest of a block, of which the file needs the whole in any case.
const GAP: u64 = 4095;

/// Writes `plan` as a file. It is hashed at the same time: the digest comes from the plan, so it need not wait for the file;
/// `checkpoints` is where what an earlier build hashed is kept.
pub fn write(plan: &Segments, format: &'static str, checkpoints: Option<&Path>, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let mut atomic = AtomicFile::create(out)?;
    let file = &*atomic.file();
    let (written, digest) = std::thread::scope(|scope| {
        let digest = scope.spawn(|| digest(plan, checkpoints));
        (fill(plan, file, out, progress), digest.join())
    });
    written?;
    let digest = digest.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Finished::new(format, out, atomic, digest)
}

/// Gives an empty file the plan's length and bytes, on all cores; `out` is its name, for messages.
pub fn fill(plan: &Segments, file: &File, out: &Path, progress: &dyn Progress) -> Result<()> {
    file.set_len(plan.size()).context(|| format!("make {} {} bytes long", out.display(), plan.size()))?;
    let target = Target { file, out };
    tasks(plan, shares_blocks(file)).par_iter().try_for_each_init(Vec::new, |buffer, task| {
        match task {
            Task::Gather(range) => {
                buffer.resize((range.end - range.start) as usize, 0);
                plan.read_at(buffer, range.start)?;
                target.write(buffer, range.start)?;
                progress.advance(range.end - range.start);
            }
            Task::Long(segment, part) => {
                target.copy(segment, part)?;
                progress.advance(part.end - part.start);
            }
        }
        Ok(())
    })
}

enum Task<'a> {
    /// Of the plan.
    Gather(Range<u64>),
    /// A part of a segment, from the segment's start.
    Long(&'a Segment, Range<u64>),
}

/// Whether `copy_file_range` between files of this file system may share blocks, or copy where the blocks are (statfs(2), linux/magic.h).
fn shares_blocks(file: &File) -> bool {
    const BTRFS: u32 = 0x9123_683e;
    const XFS: u32 = 0x5846_5342;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const NFS: u32 = 0x6969;
    const CIFS: u32 = 0xff53_4d42;
    rustix::fs::fstatfs(file).is_ok_and(|found| [BTRFS, XFS, BCACHEFS, NFS, CIFS].contains(&(found.f_type as u32)))
}

fn tasks(plan: &Segments, shares_blocks: bool) -> Vec<Task<'_>> {
    let mut out = Vec::new();
    for s in plan.iter() {
        let (length, end) = (s.data.len(), s.offset + s.data.len());
        if length >= GATHERED {
            let in_pieces = |of: u64| (0..length).step_by(of as usize).map(move |at| at..(at + of).min(length));
            if shares_blocks || matches!(s.data, Blob::Inline(_)) {
                out.extend(in_pieces(PIECE).map(|part| Task::Long(s, part)));
            } else {
                out.extend(in_pieces(GATHERED).map(|part| Task::Gather(s.offset + part.start..s.offset + part.end)));
            }
            continue;
        }
        match out.last_mut() {
            Some(Task::Gather(range)) if s.offset - range.end <= GAP && end - range.start <= GATHERED => range.end = end,
            _ => out.push(Task::Gather(s.offset..end)),
        }
    }
    out
}

struct Target<'a> {
    file: &'a File,
    out: &'a Path,
}

impl Target<'_> {
    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).context(|| format!("write {} at offset {at}", self.out.display()))
    }

    fn copy(&self, segment: &Segment, part: &Range<u64>) -> Result<()> {
        if let Blob::Inline(bytes) = &segment.data {
            return self.write(&bytes[part.start as usize..part.end as usize], segment.offset + part.start);
        }
        let data = segment.data.slice(part.start, part.end - part.start)?;
        let at = segment.offset + part.start;
        if let Blob::Checked { .. } = &data {
            // The kernel checks nothing.
            data.for_each_window(|_| Ok(()))?;
        }
        let mut done = self.copy_in_kernel(&data, at);
        data.slice(done, data.len() - done)?.for_each_window(|bytes| {
            self.write(bytes, at + done)?;
            done += bytes.len() as u64;
            Ok(())
        })
    }

    /// Lets the file system share (or copy) an extent; returns how much it did. Whatever it cannot do, across devices for one, is left to reading and
    /// writing, which also reports a real error.
    fn copy_in_kernel(&self, data: &Blob, at: u64) -> u64 {
        let opened;
        let (source, offset, len) = match data {
            Blob::Checked { file: source, offset, len, .. } => (source.file(), offset, len),
            Blob::Extent { file: source, offset, len, .. } => (&**source, offset, len),
            Blob::Unopened { path, offset, len } => match File::open(path) {
                Ok(source) => {
                    opened = source;
                    (&opened, offset, len)
                }
                Err(_) => return 0,
            },
            Blob::Inline(_) | Blob::Sparse(_) => return 0,
        };
        let mut done = 0;
        while done < *len {
            let (mut from, mut to) = (offset + done, at + done);
            let want = usize::try_from(len - done).unwrap_or(1 << 30);
            match rustix::fs::copy_file_range(source, Some(&mut from), self.file, Some(&mut to), want) {
                Ok(n) if n > 0 => done += n as u64,
                _ => break,
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Silent;
    use std::sync::Arc;

    #[test]
    fn long_and_short_segments_and_the_gaps_between_them_are_written_as_planned() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, (0..20_000_000u32).map(|n| (n >> 5) as u8).collect::<Vec<_>>()).unwrap();
        let file = Arc::new(File::open(&source).unwrap());
        let extent = |offset, len| Blob::Extent { file: file.clone(), path: source.as_path().into(), offset, len };
        let unopened = |offset, len| Blob::Unopened { path: source.as_path().into(), offset, len };
        let mut list = Vec::new();
        let mut at = 77;
        for (gap, data) in [
            (0, extent(5, 3000)),
            (1000, Blob::from(vec![1; 500])),
            (4095, unopened(9, 9_000_000)),
            (0, Blob::from(vec![2; 9_000_001])),
            (4096, extent(4096, (1 << 20) - 1)),
            (3, extent(0, 17_000_000)),
            (100_000, unopened(1, 10)),
        ] {
            at += gap;
            list.push(Segment { offset: at, data: data.clone() });
            at += data.len();
        }
        let plan = Segments::new(at + 5_000_000, list).unwrap();
        let out = folder.path().join("out");
        fill(&plan, &File::create(&out).unwrap(), &out, &Silent).unwrap();
        let mut expected = vec![0; plan.size() as usize];
        plan.read_at(&mut expected, 0).unwrap();
        assert!(std::fs::read(&out).unwrap() == expected);
        // As where blocks are shared.
        let shared = File::create(folder.path().join("shared")).unwrap();
        shared.set_len(plan.size()).unwrap();
        let target = Target { file: &shared, out: &out };
        for task in tasks(&plan, true) {
            match task {
                Task::Gather(range) => target.write(&expected[range.start as usize..range.end as usize], range.start).unwrap(),
                Task::Long(segment, part) => target.copy(segment, &part).unwrap(),
            }
        }
        assert!(std::fs::read(folder.path().join("shared")).unwrap() == expected);
        std::fs::remove_file(&source).unwrap();
        assert!(fill(&plan, &File::create(&out).unwrap(), &out, &Silent).unwrap_err().to_string().contains("source"));
    }
}
