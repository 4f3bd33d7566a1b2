//! The reader gives back what was written, by us and by mke2fs, and survives hostile images.

use super::*;

fn reader_source(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> model::Result<()> + '_ {
    move |offset, buffer| {
        let part = usize::try_from(offset).ok().and_then(|o| bytes.get(o..o.checked_add(buffer.len())?));
        part.map(|p| buffer.copy_from_slice(p)).ok_or_else(|| model::Error::integrity(format!("past the end at {offset}")))
    }
}

#[test]
fn the_reader_gives_the_tree_back() {
    for stable_prefix in [false, true] {
        reads_back(&random_tree(21, 800), &Options { stable_prefix, ..options() });
    }
}

fn reads_back(tree: &FileTree, options: &Options) {
    let segments = plan(tree, options).unwrap();
    let read = |offset: u64, buffer: &mut [u8]| segments.read_at(buffer, offset).map(|_| ());
    let reader = Reader::open(&read).unwrap();
    assert_eq!((reader.label().as_str(), reader.uuid(), reader.size()), ("root", options.uuid, segments.size()));
    let entries: Vec<_> = reader.entries().unwrap().into_iter().filter(|(p, _)| p != &path("/lost+found")).collect();
    let walk = tree.walk();
    assert_eq!(entries.len(), walk.len());
    for (expected, (found, stat)) in walk.iter().zip(&entries) {
        let inode = tree.inode(expected.id);
        let a = &inode.attributes;
        assert_eq!(&expected.path, found);
        let fields = (u32::from(stat.mode), stat.uid, stat.gid, stat.mtime, stat.mtime_nanoseconds, stat.immutable);
        assert_eq!(fields, (inode.st_mode(), a.uid, a.gid, a.mtime, a.mtime_nanoseconds, a.immutable), "{found}");
        let xattrs: Vec<_> = a.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(reader.xattrs(found).unwrap().into_iter().collect::<Vec<_>>(), xattrs, "{found}");
        match &inode.kind {
            NodeKind::File(blob) => assert!(reader.read_file(found).unwrap() == blob.to_vec().unwrap(), "{found}"),
            NodeKind::Symlink(target) => assert_eq!(reader.read_link(found).unwrap(), target.to_vec(), "{found}"),
            _ => {}
        }
    }
    assert_eq!(reader.stat(&path("/no/such")).unwrap(), None);
    assert!(reader.read_file(&path("/")).unwrap_err().to_string().contains("expected a file"));
}

#[test]
fn the_reader_reads_what_mke2fs_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let (from, image) = (dir.path().join("from"), dir.path().join("fs"));
    std::fs::create_dir_all(from.join("d/e")).unwrap();
    std::fs::write(from.join("d/e/file"), Lcg(1).bytes(50_000)).unwrap();
    std::os::unix::fs::symlink("target", from.join("d/short")).unwrap();
    std::os::unix::fs::symlink("long".repeat(50), from.join("d/long")).unwrap();
    for i in 0..2000 {
        std::fs::write(from.join(format!("d/e/{i:040}")), []).unwrap();
    }
    for arguments in [vec!["-b", "4096"], vec!["-b", "1024"], vec!["-O", "^64bit,^metadata_csum"], vec!["-O", "metadata_csum_seed"]] {
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let all =
            [&["-q", "-t", "ext4", "-L", "mine", "-d", from.to_str().unwrap()], arguments.as_slice(), &[image.to_str().unwrap()]].concat();
        let (code, output) = run("mke2fs", &all);
        assert_eq!(code, 0, "{output}");
        let bytes = std::fs::read(&image).unwrap();
        let source = reader_source(&bytes);
        let reader = Reader::open(&source).unwrap();
        assert_eq!(reader.label(), "mine");
        assert!(reader.read_file(&path("/d/e/file")).unwrap() == Lcg(1).bytes(50_000));
        assert_eq!(reader.read_link(&path("/d/short")).unwrap(), b"target");
        assert_eq!(reader.read_link(&path("/d/long")).unwrap(), "long".repeat(50).as_bytes());
        assert_eq!(reader.read_dir(&path("/d/e")).unwrap().len(), 2001);
    }
}

#[test]
fn a_hostile_image_is_an_error_or_another_tree() {
    let segments = plan(&random_tree(22, 150), &Options { reserve: 0, journal: false, ..options() }).unwrap();
    let mut good = vec![0; segments.size() as usize];
    segments.read_at(&mut good, 0).unwrap();
    let walk = |bytes: &[u8]| -> model::Result<usize> {
        let source = reader_source(bytes);
        let reader = Reader::open(&source)?;
        let mut total = 0;
        for (path, stat) in reader.entries()? {
            // Errors of one file do not hide the others'.
            total += reader.xattrs(&path).map_or(0, |x| x.len());
            total += if stat.is_file() { reader.read_file(&path).map_or(0, |b| b.len()) } else { 0 };
            total += if stat.is_symlink() { reader.read_link(&path).map_or(0, |b| b.len()) } else { 0 };
        }
        Ok(total)
    };
    let expected = walk(&good).unwrap();
    let metadata: Vec<usize> = (0..good.len()).filter(|&i| good[i] != 0).take(60_000).collect();
    let mut random = Lcg(99);
    let (mut refused, mut differs) = (0, 0);
    for _ in 0..600 {
        let mut bad = good.clone();
        for _ in 0..1 + random.below(6) {
            let at = metadata[random.below(metadata.len() as u64) as usize];
            bad[at] = random.below(256) as u8;
        }
        match walk(&bad) {
            Err(_) => refused += 1,
            Ok(n) => differs += usize::from(n != expected),
        }
    }
    assert!(refused > 10 && differs > 5, "{refused} refused, {differs} different");
    for cut in [0, 1023, 1500, 2048, 5000, good.len() / 2] {
        assert!(walk(&good[..cut]).is_err() || cut > 5000);
    }
}
