//! Files whose bytes are planned whole: a raw disk image, byte for byte with holes where the plan is zero, and VHD and VHDX, whose plans are the
//! disk's segments between a few tables.

use super::Artifact;
use super::plan_digest::digest;
use crate::base::{AtomicFile, Blob, Progress, Result, ResultExt, Segment, Segments};
use rayon::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that one task writes: enough to keep the cores busy, few enough to share the work evenly.
const TASK: u64 = 8 << 20;

/// Writes `plan` as a file. It is hashed at the same time: the digest comes from the plan, so it need not wait for the file;
/// `states` is where what an earlier build hashed is kept.
pub fn write(plan: &Segments, format: &'static str, states: Option<&Path>, out: &Path, progress: &dyn Progress) -> Result<Artifact> {
    let mut atomic = AtomicFile::create(out)?;
    let file = &*atomic.file();
    file.set_len(plan.size()).context(|| format!("make {} {} bytes long", out.display(), plan.size()))?;
    let (written, digest) = std::thread::scope(|scope| {
        let digest = scope.spawn(|| digest(plan, states));
        let written = tasks(plan).and_then(|tasks| tasks.par_iter().try_for_each(|s| write_segment(s, file, out, progress)));
        (written, digest.join())
    });
    written?;
    let digest = digest.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let file = atomic.commit_unsynced()?;
    Artifact::of(format, out, &file, digest)
}

/// The segments, long ones cut into pieces.
fn tasks(disk: &Segments) -> Result<Vec<Segment>> {
    let mut out = Vec::new();
    for s in disk.iter() {
        if s.data.len() <= TASK {
            out.push(s.clone());
            continue;
        }
        let mut done = 0;
        while done < s.data.len() {
            let len = TASK.min(s.data.len() - done);
            out.push(Segment { offset: s.offset + done, data: s.data.slice(done, len)? });
            done += len;
        }
    }
    Ok(out)
}

fn write_segment(segment: &Segment, file: &File, out: &Path, progress: &dyn Progress) -> Result<()> {
    let mut done = copy_in_kernel(segment, file);
    let rest = segment.data.slice(done, segment.data.len() - done)?;
    rest.for_each_window(|bytes| {
        file.write_all_at(bytes, segment.offset + done)
            .context(|| format!("write {} at offset {}", out.display(), segment.offset + done))?;
        done += bytes.len() as u64;
        Ok(())
    })?;
    progress.advance(segment.data.len());
    Ok(())
}

/// Lets the file system copy (or share) an extent; returns how much it did. Whatever it cannot do, across devices for one, is left to reading and writing,
/// which also reports a real error.
fn copy_in_kernel(segment: &Segment, file: &File) -> u64 {
    let Blob::Extent { file: source, offset, len, .. } = &segment.data else { return 0 };
    let mut done = 0;
    while done < *len {
        let (mut from, mut to) = (offset + done, segment.offset + done);
        let want = usize::try_from(len - done).unwrap_or(1 << 30);
        match rustix::fs::copy_file_range(source.as_ref(), Some(&mut from), file, Some(&mut to), want) {
            Ok(n) if n > 0 => done += n as u64,
            _ => break,
        }
    }
    done
}
