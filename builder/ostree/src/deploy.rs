//! The physical root filesystem and the boot filesystem with deployments, as `ostree admin init-fs --modern`, `os-init` and one `deploy` for each
//! deployment leave them.
//!
//! ```text
//! root  /ostree/repo                                     bare repository, whose content objects are the deployments' inodes
//!       /ostree/deploy/OS/deploy/COMMIT.SERIAL[.origin]  immutable folder; etc is a copy of usr/etc
//!       /ostree/deploy/OS/var                            shared by all deployments
//!       /ostree/boot.0 → boot.0.1/OS/BOOTCSUM/N → ../../../deploy/OS/deploy/COMMIT.SERIAL
//! boot  /ostree/OS-BOOTCSUM/{vmlinuz,initramfs}-…  /loader → loader.0/entries/ostree-N.conf  /boot → .
//! ```

use crate::bare::BareRepo;
use crate::commit::stored_xattrs;
use crate::{Commit, CommitId, Kernel};
use disks::bls;
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Digest, Error, ImagePath, Result, ResultExt, SourceDateEpoch};
use std::collections::{BTreeMap, BTreeSet};

/// Which of the two sets of boot links and boot entries is in use; libostree swaps it at every change.
const BOOT_VERSION: u32 = 0;
/// Counts swaps of the links alone; libostree starts at 1.
const SUB_BOOT_VERSION: u32 = 1;

#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    pub commit: &'a Commit,
    /// The tree that was committed.
    pub tree: &'a FileTree,
    /// The commit's detached metadata, which holds its signatures. libostree does not even list a deployment whose remote asks for signatures that are not there.
    pub signatures: Option<&'a [u8]>,
    /// Tells deployments of one commit apart.
    pub serial: u32,
    /// Without `ostree=`, which is added.
    pub kargs: Vec<String>,
    /// In the menu, followed by the version and `(ostree:N)`.
    pub title: String,
    pub version: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SysrootRequest<'a> {
    /// The stateroot's name.
    pub os: String,
    pub ref_name: String,
    /// The remote that upgrades come from, which a file of the tree below /etc/ostree/remotes.d describes.
    pub remote: String,
    /// The default first, then the rollback.
    pub deployments: Vec<Deployment<'a>>,
    pub epoch: SourceDateEpoch,
}

/// What the two filesystems hold.
#[derive(Debug, Clone)]
pub struct Sysroot {
    pub root: FileTree,
    pub boot: FileTree,
}

pub fn sysroot(request: &SysrootRequest) -> Result<Sysroot> {
    validate(request)?;
    let mtime = i64::from(request.epoch.0);
    let os = &request.os;
    let mut root = directories(&[("/", 0o755), ("/boot", 0o755), ("/ostree", 0o755)], mtime)?;
    let mut boot = directories(&[("/", 0o755), ("/ostree", 0o755), (&format!("/loader.{BOOT_VERSION}/entries"), 0o755)], mtime)?;
    link(&mut boot, "/boot", ".", mtime)?;
    link(&mut boot, "/loader", &format!("loader.{BOOT_VERSION}"), mtime)?;

    let mut repo = BareRepo::create(&mut root, mtime)?;
    let mut added = BTreeSet::new();
    for (index, deployment) in request.deployments.iter().enumerate() {
        if added.insert(deployment.commit.id) {
            repo.add(&mut root, deployment.commit, deployment.tree)?;
            if let Some(bytes) = deployment.signatures {
                repo.add_signatures(&mut root, deployment.commit.id, bytes)?;
            }
        }
        repo.set_ref(&mut root, &format!("heads/ostree/{BOOT_VERSION}/{SUB_BOOT_VERSION}/{index}"), deployment.commit.id)?;
        if index == 0 {
            repo.set_ref(&mut root, &format!("remotes/{}/{}", request.remote, request.ref_name), deployment.commit.id)?;
        }
    }
    repo.finish(&mut root)?;

    stateroot(&mut root, os, mtime)?;
    let links = format!("boot.{BOOT_VERSION}.{SUB_BOOT_VERSION}");
    link(&mut root, &format!("/ostree/boot.{BOOT_VERSION}"), &links, mtime)?;
    let mut of_kernel: BTreeMap<Digest, u32> = BTreeMap::new();
    let mut kernels: BTreeMap<CommitId, Kernel> = BTreeMap::new();
    for (index, deployment) in request.deployments.iter().enumerate() {
        let name = format!("{}.{}", deployment.commit.id, deployment.serial);
        check_out(&mut root, &repo, deployment, &format!("/ostree/deploy/{os}/deploy/{name}"), mtime)
            .context(|| format!("deploy {name}"))?;
        let origin = format!("[origin]\nrefspec={}:{}\n", request.remote, request.ref_name);
        file(&mut root, &format!("/ostree/deploy/{os}/deploy/{name}.origin"), origin, mtime)?;

        // Two deployments of one commit have one kernel, whose checksum takes reading all of it.
        let kernel = match kernels.get(&deployment.commit.id) {
            Some(kernel) => kernel,
            None => {
                let found = Kernel::find(deployment.tree).context(|| format!("deploy {name}"))?;
                kernels.entry(deployment.commit.id).or_insert(found)
            }
        };
        let serial = of_kernel.entry(kernel.bootcsum).or_insert(0);
        let boot_link = format!("{os}/{}/{serial}", kernel.bootcsum);
        link(&mut root, &format!("/ostree/{links}/{boot_link}"), &format!("../../../deploy/{os}/deploy/{name}"), mtime)?;
        let folder = format!("/ostree/{os}-{}", kernel.bootcsum);
        if *serial == 0 {
            for file in kernel.files() {
                boot.ensure_directory(&ImagePath::parse(&folder)?, Attributes { mtime, ..Attributes::root(0o755) })?;
                let inode = Inode::file(file.content.clone(), file.attributes.clone());
                boot.insert(&ImagePath::parse(format!("{folder}/{}", file.name))?, inode, Edit::Create)?;
            }
        }
        *serial += 1;

        let mut options = deployment.kargs.clone();
        options.push(format!("ostree=/ostree/boot.{BOOT_VERSION}/{boot_link}"));
        let number = (request.deployments.len() - index) as u32;
        let entry = bls::Entry {
            title: menu_title(deployment, index),
            version: number,
            options: options.join(" "),
            linux: format!("{folder}/{}", kernel.vmlinuz.name),
            initrd: kernel.initramfs.as_ref().map(|i| format!("{folder}/{}", i.name)),
        };
        file(&mut boot, &format!("/loader.{BOOT_VERSION}/entries/ostree-{number}.conf"), entry.to_text()?, mtime)?;
    }
    Ok(Sysroot { root, boot })
}

/// As libostree composes it from os-release's PRETTY_NAME and the commit's version, so that the menu keeps its look after the first upgrade.
fn menu_title(deployment: &Deployment, index: usize) -> String {
    let version = deployment.version.as_deref().filter(|v| !v.is_empty() && !deployment.title.contains(v));
    match version {
        Some(version) => format!("{} {version} (ostree:{index})", deployment.title),
        None => format!("{} (ostree:{index})", deployment.title),
    }
}

fn validate(request: &SysrootRequest) -> Result<()> {
    let word = |text: &str| {
        !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    for (what, text) in [("stateroot", &request.os), ("remote", &request.remote)] {
        if !word(text) {
            return Err(Error::recipe(format!("expected a {what} name of letters, digits, '-', '_' and '.', found {text:?}")));
        }
    }
    if !request.ref_name.split('/').all(word) {
        return Err(Error::recipe(format!("expected a ref of words joined by '/', found {:?}", request.ref_name)));
    }
    if request.deployments.is_empty() {
        return Err(Error::recipe("a sysroot needs a deployment, found none"));
    }
    let mut names = BTreeSet::new();
    for deployment in &request.deployments {
        if !names.insert((deployment.commit.id, deployment.serial)) {
            return Err(Error::internal(format!("two deployments of {} with serial {}", deployment.commit.id, deployment.serial)));
        }
        if let Some(bad) = deployment.kargs.iter().find(|k| k.is_empty() || k.starts_with("ostree=") || k.contains(['\n', '\r'])) {
            return Err(Error::recipe(format!("expected kernel arguments without ostree= and line breaks, found {bad:?}")));
        }
    }
    Ok(())
}

/// /ostree/deploy/OS with its var, as `ostree admin os-init` makes it; the stamp says that SELinux labels in var are as they should be.
fn stateroot(root: &mut FileTree, os: &str, mtime: i64) -> Result<()> {
    let base = format!("/ostree/deploy/{os}");
    for (name, mode) in [("deploy", 0o755), ("var", 0o755), ("var/lib", 0o755), ("var/log", 0o755), ("var/tmp", 0o1777)] {
        directory(root, &format!("{base}/{name}"), mode, mtime)?;
    }
    link(root, &format!("{base}/var/run"), "../run", mtime)?;
    link(root, &format!("{base}/var/lock"), "../run/lock", mtime)?;
    file(root, &format!("{base}/var/.ostree-selabeled"), String::new(), mtime)
}

/// One deployment: folders of its own, files linked to the repository's objects, etc copied.
fn check_out(root: &mut FileTree, repo: &BareRepo, deployment: &Deployment, to: &str, mtime: i64) -> Result<()> {
    let (tree, to) = (deployment.tree, ImagePath::parse(to)?);
    if tree.at("/etc").is_some() {
        return Err(Error::integrity("expected no /etc in the tree: it belongs to /usr/etc"));
    }
    let place = |path: &ImagePath| to.join(path.as_bytes());
    for entry in tree.walk() {
        let inode = tree.inode(entry.id);
        let xattrs = stored_xattrs(&inode.attributes);
        if let NodeKind::Directory(_) = inode.kind {
            let is_root = entry.path == ImagePath::root();
            // Time 0 is libostree's for everything checked out; the immutable flag keeps `/` of the running system unwritable.
            let attributes = Attributes { mtime: if is_root { mtime } else { 0 }, immutable: is_root, xattrs, ..inode.attributes.clone() };
            root.insert(&place(&entry.path)?, Inode::directory(attributes), Edit::Create)?;
        } else {
            let content = deployment.commit.contents.get(entry.id.index()).copied().flatten();
            let content = content.ok_or_else(|| Error::internal(format!("{} is not in the commit of this tree", entry.path)))?;
            let object = repo.object(content)?;
            if matches!(&inode.kind, NodeKind::File(blob) if blob.is_empty()) {
                // libostree copies empty files: they save nothing, and there are so many that they could meet the limit of links.
                let copy = root.inode(object).clone();
                root.insert(&place(&entry.path)?, copy, Edit::Create)?;
            } else {
                root.link(&place(&entry.path)?, object)?;
            }
        }
    }
    let usr_etc = ImagePath::parse("/usr/etc")?;
    let entries = tree.walk_from(&usr_etc).ok_or_else(|| Error::integrity("no /usr/etc in the tree"))?;
    for entry in entries {
        let below = entry.path.as_bytes().get(usr_etc.as_bytes().len()..).unwrap_or(&[]);
        let inode = tree.inode(entry.id);
        let attributes = Attributes { mtime, immutable: false, xattrs: stored_xattrs(&inode.attributes), ..inode.attributes.clone() };
        let copy = if inode.is_directory() { Inode::directory(attributes) } else { Inode { kind: inode.kind.clone(), attributes } };
        root.insert(&to.join("etc")?.join(below)?, copy, Edit::Create)?;
    }
    Ok(())
}

fn directories(paths: &[(&str, u16)], mtime: i64) -> Result<FileTree> {
    let mut tree = FileTree::new();
    for (path, mode) in paths {
        directory(&mut tree, path, *mode, mtime)?;
    }
    Ok(tree)
}

fn directory(tree: &mut FileTree, path: &str, mode: u16, mtime: i64) -> Result<()> {
    tree.insert(&ImagePath::parse(path)?, Inode::directory(Attributes { mtime, ..Attributes::root(mode) }), Edit::Replace).map(drop)
}

fn file(tree: &mut FileTree, path: &str, text: String, mtime: i64) -> Result<()> {
    tree.insert(&ImagePath::parse(path)?, Inode::file(text.into_bytes(), Attributes { mtime, ..Attributes::root(0o644) }), Edit::Create)
        .map(drop)
}

fn link(tree: &mut FileTree, path: &str, target: &str, mtime: i64) -> Result<()> {
    let mut inode = Inode::symlink(target);
    inode.attributes.mtime = mtime;
    tree.insert(&ImagePath::parse(path)?, inode, Edit::Create).map(drop)
}
