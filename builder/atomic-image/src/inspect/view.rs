//! An image's files as the booted host sees them: `/` is the default deployment, `/sysroot` the root filesystem, `/var` the stateroot's,
//! `/boot` and `/boot/efi` the filesystems of those labels. Without deployments `/` is the filesystem labelled `root`, or the last.

use super::deployments;
use super::volumes::{Files, Volume, Volumes};
use model::tree::{Found, LastSymlink, follow_symlinks, too_many_symlinks};
use model::{Error, ImagePath, Kind, Result};

/// Bytes of a file on a FAT volume read at most.
const FAT_FILE_MAX: u64 = 1 << 30;

/// A part of a filesystem, and where it is mounted.
pub(super) struct Mount<'v, 's> {
    pub(super) at: ImagePath,
    pub(super) volume: &'v Volume<'s>,
    /// What of the filesystem is mounted.
    pub(super) from: ImagePath,
}

/// Mounts, the deepest first.
pub(super) struct View<'v, 's> {
    pub(super) mounts: Vec<Mount<'v, 's>>,
    /// Why the other filesystems are not here.
    problems: Vec<String>,
}

impl<'v, 's> View<'v, 's> {
    pub(super) fn of(volumes: &'v Volumes<'s>) -> Result<Self> {
        let (unread, readers, volumes) = (&volumes.unread, volumes.ext4(), &volumes.read);
        let mut mounts = Vec::new();
        let mut mount = |at: &str, volume: &'v Volume<'s>, from: &str| -> Result<()> {
            mounts.push(Mount { at: ImagePath::parse(at)?, volume, from: ImagePath::parse(from)? });
            Ok(())
        };
        let (deployments, _) = deployments::read(&readers)?;
        let root = volumes.iter().rev().find(|v| v.label() == "root").or(volumes.last());
        let problems: Vec<String> = unread.iter().map(|v| format!("partition {}, {}: {:#}", v.partition, v.kind, v.error)).collect();
        let Some(root) = root else {
            let kind = if unread.iter().any(|v| v.is_damaged()) { Kind::Integrity } else { Kind::Recipe };
            return Err(Error::new(
                kind,
                ["no filesystem that can be read".to_owned()].into_iter().chain(problems).collect::<Vec<_>>().join("; "),
            ));
        };
        for volume in volumes.iter().filter(|v| !std::ptr::eq(*v, root)) {
            match &volume.files {
                Files::Ext4(_) if volume.label() == "boot" => mount("/boot", volume, "/")?,
                Files::Fat(_) => mount("/boot/efi", volume, "/")?,
                Files::Ext4(_) => {}
            }
        }
        match deployments.first() {
            Some(row) => {
                mount("/", root, &row.folder)?;
                mount("/sysroot", root, "/")?;
                mount("/var", root, &format!("/ostree/deploy/{}/var", row.os))?;
            }
            None => mount("/", root, "/")?,
        }
        mounts.sort_by_key(|m| std::cmp::Reverse(m.at.components().count()));
        Ok(View { mounts, problems })
    }

    /// The mount that `path` is on, and its path in that filesystem. The root is always there.
    fn locate(&self, path: &ImagePath) -> Result<(&'v Volume<'s>, ImagePath)> {
        let mount = self.mounts.iter().find(|m| path.starts_with(&m.at)).ok_or_else(|| Error::internal("a view without a root"))?;
        let below: Vec<&[u8]> = path.components().skip(mount.at.components().count()).collect();
        Ok((mount.volume, mount.from.join(below.join(&b'/'))?))
    }

    /// Follows symlinks as the host would.
    fn resolve(&self, path: &ImagePath) -> Result<ImagePath> {
        let look_up = |directory: Option<&ImagePath>, name: &[u8]| -> Result<Found<ImagePath>> {
            let next = directory.cloned().unwrap_or_else(ImagePath::root).join(name)?;
            let (volume, inner) = self.locate(&next)?;
            let Files::Ext4(reader) = &volume.files else { return Ok(Found::Other(next)) };
            if !reader.stat(&inner)?.is_some_and(|stat| stat.is_symlink()) {
                return Ok(Found::Other(next));
            }
            let target = reader.read_link(&inner)?;
            Ok(Found::Symlink(next, target.into()))
        };
        let real = follow_symlinks(path.as_bytes(), LastSymlink::Follow, look_up, || too_many_symlinks(path))?;
        Ok(real.into_last().unwrap_or_else(ImagePath::root))
    }

    fn absent(&self, path: &ImagePath) -> Error {
        let error = Error::recipe(format!("{path}: no such file in the image"));
        if self.problems.is_empty() { error } else { error.hint(format!("not all of the image was read: {}", self.problems.join("; "))) }
    }

    pub(super) fn read(&self, path: &ImagePath) -> Result<Vec<u8>> {
        let real = self.resolve(path)?;
        let (volume, inner) = self.locate(&real)?;
        match &volume.files {
            Files::Ext4(reader) => match reader.stat(&inner)? {
                None => Err(self.absent(path)),
                Some(stat) if stat.is_directory() => {
                    Err(Error::recipe(format!("{path} is a directory")).hint("name a file in it: ".to_owned() + &names(reader, &inner)?))
                }
                Some(_) => reader.read_file(&inner),
            },
            Files::Fat(reader) => {
                let wanted = inner.to_string();
                let entry = reader.list()?.into_iter().find(|e| e.path.eq_ignore_ascii_case(&wanted) && !e.is_directory);
                reader.read_entry(&entry.ok_or_else(|| self.absent(path))?, FAT_FILE_MAX)
            }
        }
    }
}

/// The first few names, for a hint.
fn names(reader: &filesystems::ext4::Reader, path: &ImagePath) -> Result<String> {
    let names: Vec<String> = reader.read_dir(path)?.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
    let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    Ok(if names.len() > 8 { format!("{shown} and {} more", names.len() - 8) } else { shown })
}
