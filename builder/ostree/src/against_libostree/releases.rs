//! Two releases of a tree, which differ as releases do: programs edited, renamed, relabelled, added, removed.

use super::{path, sample};
use model::tree::{Attributes, Edit, FileTree, Inode};

/// Knuth's MMIX generator; the high bits are the good ones.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// Bytes as a program's: words that repeat, so that they compress.
    fn code(&mut self, length: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..300).map(|_| self.bytes(7)).collect();
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0".to_vec();
        while out.len() < length {
            let word = self.below(words.len());
            out.extend_from_slice(&words[word]);
        }
        out.truncate(length);
        out
    }
}

/// The older and the newer one.
pub(super) fn releases(seed: u64) -> (FileTree, FileTree) {
    let mut draw = Draw(seed);
    let mut old = sample(seed);
    let put = |tree: &mut FileTree, name: &str, bytes: Vec<u8>, mode: u16| {
        tree.insert(&path(name), Inode::file(bytes, Attributes::root(mode)), Edit::Replace).unwrap();
    };
    for i in 0..12 {
        let length = 20_000 + draw.below(300_000);
        let code = draw.code(length);
        put(&mut old, &format!("usr/bin/program{i}"), code, if i == 3 { 0o700 } else { 0o755 });
    }
    put(&mut old, "usr/lib/libone.so.1.2.3", draw.code(150_000), 0o755);
    put(&mut old, "usr/lib/modules/6.1.0/kernel/net.ko", draw.code(90_000), 0o644);
    put(&mut old, "usr/share/noise", draw.bytes(70_000), 0o644);
    put(&mut old, "usr/share/moves", draw.code(40_000), 0o644);

    let mut new = old.clone();
    for i in 0..8 {
        let name = format!("usr/bin/program{i}");
        let mut code = old.read(&format!("/{name}")).unwrap().unwrap();
        for _ in 0..1 + draw.below(30) {
            let at = 20 + draw.below(code.len() - 20);
            match draw.below(3) {
                0 => code[at] = code[at].wrapping_add(16),
                1 => drop(code.splice(at..at, draw.bytes(33))),
                _ => drop(code.drain(at..(at + 50).min(code.len()))),
            }
        }
        put(&mut new, &name, code, if i == 3 { 0o700 } else { 0o755 });
    }
    // Only the attributes of two programs change, and the names of others.
    let id = new.get(&path("usr/bin/program9")).unwrap();
    new.inode_mut(id).attributes.mode = 0o4755;
    let id = new.get(&path("usr/bin/program10")).unwrap();
    new.inode_mut(id).attributes.xattrs.insert(b"user.label".as_slice().into(), b"new".as_slice().into());
    new.rename(&path("usr/lib/libone.so.1.2.3"), &path("usr/lib/libone.so.1.2.4")).unwrap();
    let mut library = new.read("/usr/lib/libone.so.1.2.4").unwrap().unwrap();
    library[77_777] ^= 1;
    put(&mut new, "usr/lib/libone.so.1.2.4", library, 0o755);
    let mut module = new.read("/usr/lib/modules/6.1.0/kernel/net.ko").unwrap().unwrap();
    module[44_444] ^= 1;
    new.remove(&path("usr/lib/modules/6.1.0/kernel/net.ko"));
    put(&mut new, "usr/lib/modules/6.1.1/kernel/net.ko", module, 0o644);
    new.rename(&path("usr/share/moves"), &path("usr/share/moved")).unwrap();
    put(&mut new, "usr/share/noise", draw.bytes(70_000), 0o644);
    put(&mut new, "usr/share/compressed.gz", [b"\x1f\x8b".to_vec(), draw.bytes(30_000)].concat(), 0o644);
    put(&mut new, "usr/bin/added", draw.code(60_000), 0o755);
    put(&mut new, "usr/etc/empty", b"no longer".to_vec(), 0o644);
    put(&mut new, "usr/etc/emptied", Vec::new(), 0o640);
    new.insert(&path("usr/etc/link"), Inode::symlink("foo/twin"), Edit::Replace).unwrap();
    new.remove(&path("usr/share/os-release-too"));
    (old, new)
}
