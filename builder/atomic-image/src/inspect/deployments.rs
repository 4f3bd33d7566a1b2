//! The deployments of a sysroot (`ostree::sysroot` draws its layout), in the order of the boot menu.
//!
//! A boot entry's `ostree=/ostree/boot.0/OS/BOOTCSUM/N` is a link on the root filesystem to the deployment's folder COMMIT.SERIAL; the file
//! COMMIT.SERIAL.origin beside it names the ref, the commit object in /ostree/repo the version.

use super::report::{DeploymentRow, PackageRow};
use disks::bls;
use filesystems::ext4;
use model::{Digest, Error, ImagePath, OptionJudged, Result, ResultExt, ResultJudged};
use ostree::{CommitObject, MetadataValue};

/// Bytes that a boot entry, an origin file, a commit object or a list of packages may have.
const TEXT_MAX: u64 = 16 << 20;
/// Boot entries and deployments looked at: libostree keeps two or three.
const COUNT_MAX: usize = 64;
const DEPLOY: &str = "/ostree/deploy";

/// A folder COMMIT.SERIAL below /ostree/deploy/OS/deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    os: String,
    commit: String,
    serial: String,
}

impl Place {
    fn path(&self) -> Result<ImagePath> {
        ImagePath::parse(format!("{DEPLOY}/{}/deploy/{}.{}", self.os, self.commit, self.serial))
    }

    /// `None` for a name that is no deployment's.
    fn parse(os: &str, name: &str) -> Option<Place> {
        let (commit, serial) = name.split_once('.')?;
        let is_number = !serial.is_empty() && serial.len() <= 10 && serial.bytes().all(|b| b.is_ascii_digit());
        (Digest::parse(commit).is_ok() && is_number).then(|| Place {
            os: os.to_owned(),
            commit: commit.to_owned(),
            serial: serial.to_owned(),
        })
    }
}

/// All deployments, and the packages of the first. No sysroot, no deployments: that is no error.
pub(super) fn read(volumes: &[&ext4::Reader]) -> Result<(Vec<DeploymentRow>, Vec<PackageRow>)> {
    let Some(root) = with(volumes, DEPLOY)? else { return Ok((vec![], vec![])) };
    let places = places(root)?;
    let mut ordered: Vec<(Place, Vec<String>)> = Vec::new();
    for (name, entry) in boot_entries(volumes)? {
        let arguments: Vec<String> = entry.options.split_ascii_whitespace().map(str::to_owned).collect();
        let Some(link) = arguments.iter().find_map(|a| a.strip_prefix("ostree=")) else { continue };
        let place = follow(root, link).context(|| format!("boot entry {name}"))?;
        if !places.contains(&place) {
            return Err(Error::integrity(format!("boot entry {name}: {} is not deployed", place.path()?)));
        }
        ordered.push((place, arguments));
    }
    // What no menu entry boots comes last.
    for place in places {
        if !ordered.iter().any(|(p, _)| *p == place) {
            ordered.push((place, vec![]));
        }
    }
    let packages = match ordered.first() {
        Some((place, _)) => packages(root, place)?,
        None => vec![],
    };
    let rows = ordered.into_iter().map(|(place, arguments)| row(root, &place, arguments)).collect::<Result<_>>()?;
    Ok((rows, packages))
}

fn row(root: &ext4::Reader, place: &Place, kernel_arguments: Vec<String>) -> Result<DeploymentRow> {
    let origin = ImagePath::parse(format!("{}.origin", place.path()?))?;
    let text = String::from_utf8_lossy(&small_file(root, &origin)?.default_because("a deployment without an origin has an empty one"))
        .into_owned();
    let refspec = text.lines().find_map(|line| line.strip_prefix("refspec=")).unwrap_or("").trim();
    // REMOTE:REF; the remote is where upgrades come from, not what this is.
    let reference = refspec.split_once(':').map_or(refspec, |(_, reference)| reference);
    Ok(DeploymentRow {
        os: place.os.clone(),
        reference: reference.to_owned(),
        commit: place.commit.clone(),
        folder: place.path()?.to_string(),
        version: version(root, place)?,
        kernel_arguments,
    })
}

/// From the commit's metadata. The object must be what its name says.
fn version(root: &ext4::Reader, place: &Place) -> Result<Option<String>> {
    let (start, rest) = place.commit.split_at_checked(2).unwrap_or((&place.commit, ""));
    let path = ImagePath::parse(format!("/ostree/repo/objects/{start}/{rest}.commit"))?;
    let Some(bytes) = small_file(root, &path)? else { return Ok(None) };
    let found = Digest::of(&bytes).to_string();
    if found != place.commit {
        return Err(Error::integrity(format!("{path}: expected the sha256 {}, found {found}", place.commit)));
    }
    match CommitObject::decode(&bytes).context(|| &path)?.metadata.get("version") {
        Some(MetadataValue::Text(version)) => Ok(Some(version.clone())),
        _ => Ok(None),
    }
}

/// What the builder left in the image; lines `NEVRA SHA256`. Empty for images of other makers.
fn packages(root: &ext4::Reader, place: &Place) -> Result<Vec<PackageRow>> {
    let path = place.path()?.join("usr/share/atomic-image/packages")?;
    let Some(bytes) = small_file(root, &path)? else { return Ok(vec![]) };
    package_rows(&path.to_string(), &bytes)
}

/// The rows of a list of packages that the builder left; `place` is for messages.
pub(crate) fn package_rows(place: &str, bytes: &[u8]) -> Result<Vec<PackageRow>> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::integrity(format!("{place}: not UTF-8")))?;
    let parse = |(index, line): (usize, &str)| {
        let row = line.split_once(' ').map(|(nevra, sha256)| PackageRow { nevra: nevra.to_owned(), sha256: sha256.to_owned() });
        row.ok_or_else(|| Error::integrity(format!("{place} line {}: expected a NEVRA and a sha256, found {line:?}", index + 1)))
    };
    text.lines().enumerate().map(parse).collect()
}

/// Every deployment on the root filesystem, in the order of names.
fn places(root: &ext4::Reader) -> Result<Vec<Place>> {
    let mut out = Vec::new();
    for os in names(root, &ImagePath::parse(DEPLOY)?)? {
        let folder = ImagePath::parse(format!("{DEPLOY}/{os}/deploy"))?;
        if root.stat(&folder)?.is_some_and(|s| s.is_directory()) {
            out.extend(names(root, &folder)?.iter().filter_map(|name| Place::parse(&os, name)));
        }
        if out.len() > COUNT_MAX {
            return Err(Error::integrity(format!("{DEPLOY}: more than {COUNT_MAX} deployments")));
        }
    }
    Ok(out)
}

/// Names of the boot entries with their contents, the default first.
fn boot_entries(volumes: &[&ext4::Reader]) -> Result<Vec<(String, bls::Entry)>> {
    let mut out = Vec::new();
    // On a filesystem of its own, or in /boot of the root.
    for base in ["/", "/boot"] {
        let loader = ImagePath::parse(base)?.join("loader")?;
        let Some(volume) = with(volumes, &loader.to_string())? else { continue };
        let folder = match volume.stat(&loader)? {
            Some(stat) if stat.is_symlink() => ImagePath::parse(base)?.join(volume.read_link(&loader)?)?,
            _ => loader,
        };
        let folder = folder.join("entries")?;
        if volume.stat(&folder)?.is_none() {
            continue;
        }
        for name in names(volume, &folder)?.into_iter().filter(|name| name.ends_with(".conf")) {
            if out.len() == COUNT_MAX {
                return Err(Error::integrity(format!("{folder}: more than {COUNT_MAX} boot entries")));
            }
            let path = folder.join(&name)?;
            let text = small_file(volume, &path)?.ok_or_else(|| Error::integrity(format!("{path}: expected a file")))?;
            let entry = bls::Entry::parse(&String::from_utf8_lossy(&text)).context(|| format!("boot entry {name}"))?;
            out.push((name, entry));
        }
        break;
    }
    out.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.version));
    Ok(out)
}

/// From /ostree/boot.N/OS/BOOTCSUM/I, where boot.N is a link as well, to the deployment.
fn follow(root: &ext4::Reader, link: &str) -> Result<Place> {
    let bad = |what: &str| Error::integrity(format!("ostree={link}: {what}"));
    let path = ImagePath::parse(link)?;
    let parts: Vec<&[u8]> = path.components().collect();
    let [ostree, boot, below @ ..] = parts.as_slice() else { return Err(bad("expected /ostree/boot.N/OS/BOOTCSUM/I")) };
    let mut folder = ImagePath::root().join(ostree)?.join(boot)?;
    if root.stat(&folder)?.is_some_and(|s| s.is_symlink()) {
        folder = ImagePath::root().join(ostree)?.join(root.read_link(&folder)?)?;
    }
    let link_path = folder.join(below.join(&b'/'))?;
    let target = String::from_utf8(root.read_link(&link_path)?).map_err(|_| bad("the link's target is not UTF-8"))?;
    // ../../../deploy/OS/deploy/COMMIT.SERIAL
    let names: Vec<&str> = target.rsplit('/').collect();
    let place = match names.as_slice() {
        [name, "deploy", os, "deploy", ..] => Place::parse(os, name),
        _ => None,
    };
    place.ok_or_else(|| bad(&format!("expected a link to deploy/OS/deploy/COMMIT.SERIAL, found {target:?}")))
}

/// The first volume that has `path`.
fn with<'v, 's>(volumes: &[&'v ext4::Reader<'s>], path: &str) -> Result<Option<&'v ext4::Reader<'s>>> {
    let path = ImagePath::parse(path)?;
    for &volume in volumes {
        if volume.stat(&path)?.is_some() {
            return Ok(Some(volume));
        }
    }
    Ok(None)
}

/// Names in a folder that are UTF-8: ostree writes no others.
fn names(volume: &ext4::Reader, folder: &ImagePath) -> Result<Vec<String>> {
    Ok(volume
        .read_dir(folder)?
        .into_iter()
        .filter_map(|entry| String::from_utf8(entry.name).none_because("ostree writes no name that is not UTF-8"))
        .collect())
}

/// `None` if there is no such file.
fn small_file(volume: &ext4::Reader, path: &ImagePath) -> Result<Option<Vec<u8>>> {
    match volume.stat(path)? {
        None => Ok(None),
        Some(stat) if stat.size > TEXT_MAX => Err(Error::integrity(format!("{path}: {} bytes, expected at most {TEXT_MAX}", stat.size))),
        Some(_) => volume.read_file(path).map(Some),
    }
}
