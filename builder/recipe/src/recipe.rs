//! What a recipe means once it is valid: plain values, every default filled in, every path resolved.

use super::{Budget, Compression, Firmware, OutputFormat, Update, Weakness};
use conf::account::{AccountField, AccountId, AccountName};
use model::{ByteSize, Digest, ImagePath, SourceDateEpoch};
pub use packages::rpm::Phase;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A validated recipe. What serialises is what may change the image; host paths and addresses do not.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    /// The recipe's own file, absolute.
    #[serde(skip)]
    pub path: PathBuf,
    /// Every file read: the recipe, then its includes in order of reading.
    #[serde(skip)]
    pub sources: Vec<PathBuf>,
    /// `[a-z0-9-]+`; names the output folder and the artifacts.
    pub name: String,
    /// The menu title; default: the name.
    pub title: String,
    /// The OSTree ref, such as `atomic-host/x86_64/stable`.
    #[serde(rename = "ref")]
    pub reference: String,
    pub version: Option<String>,
    /// Absent: the lockfile's.
    pub epoch: Option<SourceDateEpoch>,
    pub repos: Vec<Repo>,
    pub packages: PackageSet,
    /// Resolved apart from `packages`; its tree is where builder-side programs run.
    pub tools: PackageSet,
    pub scriptlets: Vec<ScriptletRule>,
    pub scriptlet_default: DefaultPolicy,
    /// Whose a file is that two packages have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ConflictRule>,
    pub accounts: Accounts,
    pub attributes: Vec<AttributeRule>,
    pub links: Vec<LinkRule>,
    pub copies: Vec<CopyRule>,
    pub units: Units,
    /// Where the image keeps rpm's database, below /usr; `None`: nowhere.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_optional_text")]
    pub rpmdb: Option<ImagePath>,
    pub overlays: Vec<Overlay>,
    #[serde(skip_serializing_if = "Trim::is_empty")]
    pub trim: Trim,
    /// sysctl name to value, as text.
    pub tuning: BTreeMap<String, String>,
    pub kernel: Kernel,
    pub initramfs: Initramfs,
    pub selinux: Selinux,
    pub root: RootModel,
    pub disk: Disk,
    pub deployments: Deployments,
    pub output: Output,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    #[serde(skip)]
    pub budget: Budget,
}

/// What the list of security modules, the kernel argument `lsm=`, says of SELinux; `None` without a list. Of several the kernel takes the last.
pub(crate) fn lists_selinux<'a>(arguments: impl DoubleEndedIterator<Item = &'a str>) -> Option<bool> {
    let modules = arguments.rev().find_map(|argument| argument.strip_prefix("lsm="))?;
    Some(modules.split(',').any(|module| module == "selinux"))
}

impl Recipe {
    /// Of a recipe's file or an included one, in bytes.
    pub const MAX_FILE: u64 = 1 << 20;

    /// Digest of everything effective: the same for the same intent in another directory, with another layout of includes, or through another mirror.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a recipe has text for keys, and no value of it can fail"))
    }

    /// All arguments of the kernel but `ostree=`: the recipe's, and what its `[selinux]` needs where it does not say so itself.
    pub fn kernel_arguments(&self) -> Vec<String> {
        let mut args = self.kernel.args.clone();
        let enforcing = match self.selinux.mode {
            SelinuxMode::Disabled => return args,
            SelinuxMode::Permissive => "enforcing=0",
            SelinuxMode::Enforcing => "enforcing=1",
        };
        for wanted in ["security=selinux", "selinux=1", enforcing] {
            let name = wanted.split('=').next().unwrap_or("");
            // With a list of security modules the kernel ignores `security=`.
            if name == "security" && lists_selinux(args.iter().map(String::as_str)).is_some() {
                continue;
            }
            if !args.iter().any(|arg| arg.split('=').next() == Some(name)) {
                args.push(wanted.to_owned());
            }
        }
        args
    }

    /// The recipe's version, or else the date of `epoch`, such as `20251115.0`.
    pub fn version_at(&self, epoch: SourceDateEpoch) -> String {
        self.version.clone().unwrap_or_else(|| {
            let (year, month, day, ..) = epoch.civil();
            format!("{year:04}{month:02}{day:02}.0")
        })
    }

    /// `NAME.lock` beside the recipe.
    pub fn lockfile(&self) -> PathBuf {
        self.path.with_extension("lock")
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Repo {
    pub id: String,
    pub kind: RepoKind,
    /// Where the bytes come from; the lockfile's digests pin what they are.
    #[serde(skip)]
    pub source: RepoSource,
    /// Where files are found that the mirrors no longer have, in the order in which they are asked: URL templates with `{time}` where the
    /// time of the locked metadata goes, below which files have the same paths as in the repository.
    #[serde(skip)]
    pub snapshots: Vec<String>,
    pub trust: Trust,
    /// Lower wins; 99 by default, as in dnf.
    pub priority: u32,
    /// Patterns (`*`, `?`) over names, `name.arch` or full names of what is visible from this repository; empty: all.
    pub packages: Vec<String>,
    /// Patterns of what is not visible all the same.
    pub exclude: Vec<String>,
    /// What the repository's own metadata is believed for.
    pub metadata: MetadataTrust,
    /// Metadata past its expiry is accepted, knowingly.
    pub allow_expired: bool,
    /// Weak signatures and digests that are accepted, knowingly; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relax: Vec<Weakness>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepoKind {
    RpmMd,
    Deb { suite: String, components: Vec<String>, arch: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepoSource {
    /// `http:`, `https:` or `file:`; without a trailing slash.
    Url(String),
    /// Of mirrors, with the digest of repomd.xml.
    Metalink(String),
    /// Of a text with one mirror a line.
    Mirrorlist(String),
    /// The Debian mirror of the machine's apt sources or of `--mirror`.
    AptMirror,
}

/// Whom a repository's metadata and packages must be signed by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    Unsigned,
    /// Never empty.
    Keys(Vec<KeyFile>),
}

/// Packages are checked against the keys in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataTrust {
    /// repomd.xml.asc, or the archive's InRelease.
    Signed,
    /// The digest of repomd.xml in a metalink that came over https.
    Metalink,
    Unsigned,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFile {
    #[serde(skip)]
    pub path: PathBuf,
    /// Of the file's bytes when the recipe was loaded.
    pub digest: Digest,
}

impl KeyFile {
    /// Of a key file, in bytes; a distribution's whole keyring has some 100 KB.
    pub const MAX: u64 = 16 << 20;
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PackageSet {
    pub install: Vec<String>,
    pub exclude: Vec<String>,
    /// Weak dependencies (Recommends) are followed.
    pub weak: bool,
    /// Packages of the 32-bit architectures may be chosen too.
    pub multilib: bool,
    /// Module streams that are enabled, as `name:stream`, besides the default ones.
    pub modules: Vec<String>,
    /// Patterns over names of which several versions may be installed side by side, kernels among them.
    pub installonly: Vec<String>,
    /// Repositories that serve this set alone; empty: it takes from all that no other set claims.
    pub repos: Vec<String>,
}

/// What may happen with a package's scriptlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptletRule {
    pub package: String,
    /// `None`: every phase.
    pub phase: Option<Phase>,
    /// First 16 or all 64 hex digits of the SHA-256 of the text, lowercase.
    pub digest: Option<String>,
    pub policy: Policy,
    pub reason: String,
}

/// Of a file that two packages have and that differs, `package`'s is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConflictRule {
    /// A pattern (`*`, `?`) over absolute paths.
    pub path: String,
    pub package: String,
    pub reason: String,
}

/// What becomes of a scriptlet that no rule names and that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultPolicy {
    /// The build stops and shows it.
    Refuse,
    Sandbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The builder's own code does what the text asks.
    Native,
    Sandbox,
    Skip,
}

/// Pinned ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    pub users: Vec<User>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub name: AccountName,
    pub uid: AccountId,
    pub group: PrimaryGroup,
    pub home: AccountField,
    pub shell: AccountField,
    pub gecos: AccountField,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrimaryGroup {
    Gid(AccountId),
    /// The user's own name stands for a group of its own, which is made if no one else makes it.
    Name(AccountName),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub name: AccountName,
    pub gid: AccountId,
}

/// A fix to a packaged file; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttributeRule {
    #[serde(serialize_with = "as_text")]
    pub path: ImagePath,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: Option<u16>,
    pub user: Option<String>,
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkRule {
    #[serde(serialize_with = "as_text")]
    pub path: ImagePath,
    /// As written into the symlink: absolute or relative.
    pub target: String,
}

/// A copy of a packaged file to another place of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyRule {
    #[serde(serialize_with = "as_text")]
    pub from: ImagePath,
    #[serde(serialize_with = "as_text")]
    pub to: ImagePath,
    /// `None`: the original's.
    pub mode: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Units {
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub mask: Vec<String>,
    /// The default target.
    pub default: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlay {
    pub name: String,
    /// The folder, absolute.
    #[serde(skip)]
    pub path: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Informative: which package brings the kernel.
    pub package: Option<String>,
    /// All kernel arguments, in order.
    pub args: Vec<String>,
}

/// What of the packages' files the tree does not get. Patterns (`*`, `?`, `[…]`) over absolute paths, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Trim {
    pub paths: Vec<String>,
    /// What stays all the same.
    pub keep: Vec<String>,
}

impl Trim {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Initramfs {
    pub generator: InitramfsGenerator,
    /// dracut's modules; empty: those that it chooses itself.
    pub modules: Vec<String>,
    pub drivers: Vec<String>,
    pub omit: Vec<String>,
    /// Patterns (`*`, `?`, `[…]`) over absolute paths that the generator does not see, sorted.
    pub exclude: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InitramfsGenerator {
    Dracut,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selinux {
    pub mode: SelinuxMode,
    pub policy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SelinuxMode {
    Disabled,
    Permissive,
    Enforcing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RootModel {
    Ostree,
    Composefs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// `None`: fits the content.
    pub size: Option<ByteSize>,
    pub esp: ByteSize,
    pub boot: ByteSize,
    /// Free space in the root filesystem when `size` is automatic.
    pub reserve: ByteSize,
    /// Bytes in a sector: 512 or 4096.
    pub sector: u64,
    pub filesystem: Filesystem,
    /// Sorted, never empty.
    pub firmware: Vec<Firmware>,
    /// The unit that makes the root grow to the end of the disk; `None`: the root keeps its size.
    pub grow: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    Ext4,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Sorted, never empty.
    #[serde(skip)]
    pub formats: Vec<OutputFormat>,
    pub compression: Compression,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployments {
    /// The stateroot's name.
    pub os: String,
    pub rollback: Rollback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rollback {
    /// The second deployment is of the same commit.
    Same,
    /// The second deployment is the ref's parent in the store.
    Previous,
}

fn as_text<S: Serializer>(path: &ImagePath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

fn as_optional_text<S: Serializer>(path: &Option<ImagePath>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.collect_str(path),
        None => serializer.serialize_none(),
    }
}
