//! The order of composition: payloads, what the recipe changes in them, scriptlets, overlay, accounts, units, programs, initramfs, shape, seal.

use crate::accounts::{Accounts, Pinned, PinnedGroup, PinnedUser};
use crate::install::{Environment, Installation, Rules};
use crate::labels::{self, Labels};
use crate::ledger::{Ledger, LedgerRow};
use crate::programs::{self, ProgramCache};
use crate::text_file::text_file;
use crate::{
    ca_certificates, initramfs, normalize, order, overlay, payloads, presets, rpm_database, shape, standard_programs, sysusers, tmpfiles,
    trim, update_source,
};
use model::tree::{Edit, FileTree, Inode};
use model::{Error, Progress, Result, SourceDateEpoch};
use recipe::lock::KeptIds;
use recipe::{InitramfsGenerator, Recipe, SelinuxMode};
use supply::fetch::Pack;

/// A sealed tree: composed, normalised, in OSTree shape. Only [`compose`] makes one.
pub struct Rootfs {
    tree: FileTree,
    kernel_version: Option<String>,
    ledger: Ledger,
    labels: Option<Labels>,
    kept_ids: KeptIds,
}

impl Rootfs {
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }

    pub fn kernel_version(&self) -> Option<&str> {
        self.kernel_version.as_deref()
    }

    /// The SELinux labels of the image, if the recipe asks for any; the tree has them already.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// Ids that this or an earlier build chose.
    pub fn kept_ids(&self) -> &KeptIds {
        &self.kept_ids
    }

    /// What every scriptlet and trigger did.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// The image of `packs`, in whichever order they come. `kept_ids`: the ids that an earlier build chose.
pub fn compose(
    packs: &[Pack],
    recipe: &Recipe,
    kept_ids: &KeptIds,
    cache: &ProgramCache,
    epoch: SourceDateEpoch,
    progress: &dyn Progress,
) -> Result<Rootfs> {
    let _span = tracing::info_span!("compose", packages = packs.len()).entered();
    let mut ledger = Ledger::default();
    let packs = order::of(packs);
    let packs = packs.as_slice();
    let around = Environment { cache, epoch, progress };
    let rules = Rules {
        scriptlets: &recipe.scriptlets,
        default: Some(recipe.scriptlet_default),
        conflicts: &recipe.conflicts,
        pinned: pinned(recipe),
        kept_ids: kept_ids.clone(),
    };
    let (mut tree, mut installation) = Installation::unpack(packs, &rules, around)?;

    adjust(&mut tree, recipe, &installation.accounts)?;
    if recipe.selinux.mode != SelinuxMode::Disabled {
        ledger.push(LedgerRow::stage("selinux", labels::configure(&mut tree, &recipe.selinux, epoch)?));
    }
    installation.run_scriptlets(&mut tree, around)?;

    for folder in &recipe.overlays {
        let written = overlay::apply(&mut tree, &folder.path, epoch)?;
        ledger.push(LedgerRow::stage(&format!("overlay {}", folder.name), written));
    }
    // An overlay may bring accounts, too.
    installation.accounts.extend(&sysusers::texts(&tree)?)?;
    links(&mut tree, recipe, epoch)?;
    tuning(&mut tree, recipe, epoch)?;
    package_list(&mut tree, packs, epoch)?;
    ledger.push(LedgerRow::stage("update source", update_source::apply(&mut tree, recipe, epoch)?));
    if let Some(folder) = &recipe.rpmdb {
        rpm_database::write(&mut tree, folder, packs, epoch)?;
        ledger.push(LedgerRow::stage("rpmdb", vec![folder.join("rpmdb.sqlite")?]));
    }
    ledger.push(LedgerRow::stage("sysusers", installation.accounts.write(&mut tree)?));
    sysusers::write_static(&mut tree, &installation.accounts)?;
    ledger.push(LedgerRow::stage("tmpfiles", tmpfiles::apply(&mut tree, &installation.accounts, &["/etc", "/usr"])?));
    let units = presets::Units {
        enable: enabled(&tree, recipe, installation.enabled())?,
        disable: recipe.units.disable.clone(),
        mask: recipe.units.mask.clone(),
        default: Some(recipe.units.default.clone()),
    };
    ledger.push(LedgerRow::stage("presets", presets::apply(&mut tree, &units)?));

    ledger.push(LedgerRow::stage("certificates", ca_certificates::update(&mut tree)?));

    // Before the programs: the lists that they make (of modules, of libraries) are of what is left.
    if !recipe.trim.is_empty() {
        ledger.push(LedgerRow::stage("trim", trim::apply(&mut tree, &recipe.trim)));
    }

    let kernel_version = initramfs::kernel_version(&tree)?;
    if let Some(version) = &kernel_version {
        initramfs::place_kernel(&mut tree, version)?;
    }
    if recipe.selinux.mode != SelinuxMode::Disabled {
        ledger.push(LedgerRow::stage("selinux modules", labels::add_local_modules(&mut tree, &recipe.selinux, epoch)?));
    }
    let mut standard = standard_programs::standard(&tree, kernel_version.as_deref());
    standard.extend(labels::policy_program(&tree, packs, &recipe.selinux));
    progress.begin("programs", standard.len() as u64, "programs");
    for program in &standard {
        ledger.push(LedgerRow::trigger(program.name, programs::run(&mut tree, program, cache, epoch)?));
        progress.advance(1);
    }
    installation.run_last(&mut tree, around)?;
    let accounts = installation.accounts.clone();
    ledger.extend(installation.rows().into_iter().map(LedgerRow::scriptlet));
    if recipe.selinux.mode != SelinuxMode::Disabled {
        ledger.push(LedgerRow::stage("selinux aliases", labels::substitute(&mut tree, &recipe.selinux, epoch)?));
    }
    normalize::apply(&mut tree, epoch)?;
    if let (Some(version), InitramfsGenerator::Dracut) = (&kernel_version, recipe.initramfs.generator) {
        progress.begin("initramfs", 0, "");
        initramfs::generate(&mut tree, version, &recipe.initramfs, cache, epoch)?;
    }
    update_source::brand(&mut tree, recipe, epoch)?;
    // What systemd does in /etc once for each new /usr (ConditionNeedsUpdate=) is done. The time is that of /usr in every deployment, 1970. libostree removes
    // the file from the deployments that it makes.
    text_file(&mut tree, "/etc/.updated", "# /etc belongs to this /usr.\nTIMESTAMP_NSEC=0\n".into(), epoch)?;
    tmpfiles::empty_var(&mut tree, &accounts)?;
    shape::apply(&mut tree, epoch)?;
    normalize::clamp(&mut tree, epoch);
    let labels = Labels::of(&tree, &recipe.selinux)?;
    if let Some(labels) = &labels {
        let count = labels.apply(&mut tree)?;
        progress.note(&format!("{count} inodes labelled by {} file contexts", labels.line_count()));
    }
    Ok(Rootfs { tree, kernel_version, ledger, labels, kept_ids: accounts.kept_ids() })
}

/// The recipe's units, the one that makes the root grow, and those of scriptlets that are there and that the recipe does not disable.
fn enabled(tree: &FileTree, recipe: &Recipe, scripted: Vec<String>) -> Result<Vec<String>> {
    let mut names = recipe.units.enable.clone();
    let is_there = |name: &String| tree.at(&format!("/usr/lib/systemd/system/{name}")).is_some();
    names.extend(scripted.into_iter().filter(|name| is_there(name) && !recipe.units.disable.contains(name)));
    if let Some(unit) = recipe.disk.grow.as_ref().filter(|unit| !names.contains(unit)) {
        if !is_there(unit) {
            return Err(Error::recipe(format!("[disk] grow = {unit:?}, but the image has no such unit"))
                .hint("add the overlay folder that has it to [overlay] folders, or set grow = false"));
        }
        names.push(unit.clone());
    }
    Ok(names)
}

/// The tree of a set of tool packages: payloads alone, owned by root. It never becomes an image.
pub fn compose_tools(packs: &[Pack], progress: &dyn Progress) -> Result<FileTree> {
    let _span = tracing::info_span!("compose tools", packages = packs.len()).entered();
    let mut tree = FileTree::new();
    payloads::lay(&mut tree, &order::of(packs), &[], progress)?;
    Ok(tree)
}

fn pinned(recipe: &Recipe) -> Pinned {
    use recipe::PrimaryGroup;
    let user = |u: &recipe::User| PinnedUser {
        name: u.name.clone(),
        uid: u.uid,
        gid: if let PrimaryGroup::Gid(gid) = &u.group { Some(*gid) } else { None },
        group: if let PrimaryGroup::Name(name) = &u.group { Some(name.clone()) } else { None },
        home: Some(u.home.clone()),
        shell: Some(u.shell.clone()),
        gecos: Some(u.gecos.clone()),
    };
    Pinned {
        users: recipe.accounts.users.iter().map(user).collect(),
        groups: recipe.accounts.groups.iter().map(|g| PinnedGroup { name: g.name.clone(), gid: g.gid }).collect(),
    }
}

/// The recipe's `[[copy]]` and `[[attribute]]` rows.
fn adjust(tree: &mut FileTree, recipe: &Recipe, accounts: &Accounts) -> Result<()> {
    for copy in &recipe.copies {
        let Some((_, id)) = tree.resolve(&copy.from) else {
            // Shared includes name files of packages that a smaller recipe does not install.
            continue;
        };
        let mut inode = tree.inode(id).clone();
        if inode.is_directory() {
            return Err(Error::recipe(format!("[[copy]] from = \"{}\" is a directory", copy.from)).hint("copy its files one by one"));
        }
        if let Some(mode) = copy.mode {
            inode.attributes.mode = mode;
        }
        tree.insert(&copy.to, inode, Edit::Replace)?;
    }
    for rule in &recipe.attributes {
        let Some((_, id)) = tree.resolve(&rule.path) else { continue };
        let path = rule.path.to_string();
        let user = rule.user.as_deref().map(|user| accounts.owner(user, "root", "[[attribute]]", &path)).transpose()?;
        let group = rule.group.as_deref().map(|group| accounts.owner("root", group, "[[attribute]]", &path)).transpose()?;
        let attributes = &mut tree.inode_mut(id).attributes;
        if let Some(mode) = rule.mode {
            attributes.mode = mode;
        }
        if let Some((uid, _)) = user {
            attributes.uid = uid;
        }
        if let Some((_, gid)) = group {
            attributes.gid = gid;
        }
    }
    Ok(())
}

fn links(tree: &mut FileTree, recipe: &Recipe, epoch: SourceDateEpoch) -> Result<()> {
    for link in &recipe.links {
        let mut inode = Inode::symlink(&link.target);
        inode.attributes.mtime = i64::from(epoch.0);
        tree.insert(&link.path, inode, Edit::Replace)?;
    }
    Ok(())
}

fn tuning(tree: &mut FileTree, recipe: &Recipe, epoch: SourceDateEpoch) -> Result<()> {
    if recipe.tuning.is_empty() {
        return Ok(());
    }
    let text: String = recipe.tuning.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    text_file(tree, "/usr/lib/sysctl.d/90-atomic-image.conf", format!("# The recipe's [tuning].\n{text}"), epoch).map(drop)
}

/// The packages of the image with their digests, for `inspect` and for whoever logs in.
fn package_list(tree: &mut FileTree, packs: &[Pack], epoch: SourceDateEpoch) -> Result<()> {
    let mut lines: Vec<String> = packs.iter().map(|p| format!("{} {}\n", p.metadata().nevra, p.digest())).collect();
    lines.sort();
    text_file(tree, "/usr/share/atomic-image/packages", lines.concat(), epoch).map(drop)
}
