//! From a sealed rootfs to a planned disk: commit, deployments, filesystems, partitions.

use crate::boot_data::environment_block;
use crate::{BIOS_BOOT, BIOS_BOOT_SIZE, DiskImage, DiskParts, EspFiles, headroom};
use disks::{grub, mbr};
use filesystems::ext4;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Blob, ImagePath, ImageSeed, Result, ResultExt, Segment, Segments, SourceDateEpoch};
use ostree::{Commit, Deployment, SysrootRequest, sysroot};
use recipe::{Firmware, Recipe};
use rootfs::{BootImages, Labels};

const GRUB_CFG: &str = include_str!("../boot/grub.cfg");

/// What a deployment is checked out from: a commit with the tree that it is of.
pub struct DeploymentSource<'a> {
    pub commit: &'a Commit,
    pub tree: &'a FileTree,
    /// The commit's detached metadata, if it is signed.
    pub signatures: Option<&'a [u8]>,
    pub version: Option<String>,
}

/// All that a disk is planned from.
pub struct DiskRequest<'a> {
    pub recipe: &'a Recipe,
    /// The default menu entry.
    pub current: DeploymentSource<'a>,
    /// The second menu entry.
    pub rollback: DeploymentSource<'a>,
    pub boot_images: &'a BootImages,
    /// The SELinux labels of the sysroot; `None` without SELinux.
    pub labels: Option<&'a Labels>,
    pub seed: &'a ImageSeed,
    pub epoch: SourceDateEpoch,
}

/// A planned disk, and what its filesystems will be short of.
pub struct DiskPlan {
    pub disk: DiskImage,
    pub warnings: Vec<String>,
}

/// Plans the whole disk.
pub fn plan(request: &DiskRequest) -> Result<DiskPlan> {
    let _span = tracing::info_span!("disk").entered();
    let DiskRequest { recipe, current, rollback, boot_images, labels, seed, epoch } = request;
    let epoch = *epoch;
    let same = current.commit.id == rollback.commit.id;
    let mut sysroot = sysroot(&SysrootRequest {
        os: recipe.deployments.os.clone(),
        ref_name: recipe.reference.clone(),
        remote: recipe.deployments.os.clone(),
        deployments: vec![deployment(recipe, current, 0), deployment(recipe, rollback, u32::from(same))],
        epoch,
    })?;
    let grub_cfg = Inode::file(GRUB_CFG.as_bytes(), Attributes::at(epoch, 0o644));
    sysroot.boot.insert(&ImagePath::parse("/grub2/grub.cfg")?, grub_cfg, Edit::Create)?;
    let environment = Inode::file(environment_block(), Attributes::at(epoch, 0o644));
    sysroot.boot.insert(&ImagePath::parse("/grub2/grubenv")?, environment, Edit::Create)?;
    // The mount point of the ESP, which fstab names.
    sysroot.boot.ensure_directory(&ImagePath::parse("/efi")?, Attributes::at(epoch, 0o755))?;
    if let Some(labels) = labels {
        labels.apply_to_sysroot(&mut sysroot.root, &mut sysroot.boot, &recipe.deployments.os, epoch).context(|| "label the disk")?;
    }

    let boot = ext4::plan(&sysroot.boot, &volume("boot", Some(recipe.disk.boot.0), 0, true, seed, epoch)).context(|| "plan /boot")?;
    let root = ext4::plan(&sysroot.root, &volume("root", root_size(recipe), recipe.disk.reserve.0, false, seed, epoch))
        .context(|| "plan the root filesystem")?;
    let warnings = headroom::shortages(&boot, &root, current.commit, current.tree)?;
    // Without BIOS its partition stays, empty: the others keep their numbers, which GRUB knows.
    let (core, boot_sector) = if recipe.disk.firmware.contains(&Firmware::Bios) {
        (grub::core_image(&boot_images.core, BIOS_BOOT)?, grub::boot_sector(&boot_images.boot_sector, BIOS_BOOT)?)
    } else {
        (Vec::new(), [0; mbr::CODE])
    };
    let sector = recipe.disk.sector;
    let esp_files = EspFiles { loader: Blob::from(boot_images.efi.as_slice()), others: Vec::new() };
    let parts = DiskParts {
        sector,
        bios_boot: Segments::new(BIOS_BOOT_SIZE.0, vec![Segment { offset: 0, data: Blob::from(core) }])?,
        boot_sector,
        esp: crate::esp(esp_files, recipe.disk.esp, sector, seed, epoch)?,
        boot,
        root,
    };
    Ok(DiskPlan { disk: crate::assemble(&parts, seed)?, warnings })
}

fn deployment<'a>(recipe: &Recipe, source: &DeploymentSource<'a>, serial: u32) -> Deployment<'a> {
    Deployment {
        commit: source.commit,
        tree: source.tree,
        signatures: source.signatures,
        serial,
        kargs: recipe.kernel_arguments(),
        title: recipe.title.clone(),
        version: source.version.clone(),
    }
}

/// What is left for the root on a disk of fixed size: all but the other partitions, 1 MiB in front and 1 MiB of backup table.
fn root_size(recipe: &Recipe) -> Option<u64> {
    let others = recipe.disk.esp.0 + recipe.disk.boot.0 + BIOS_BOOT_SIZE.0 + (2 << 20);
    recipe.disk.size.map(|size| size.0.saturating_sub(others))
}

fn volume(label: &str, size: Option<u64>, reserve: u64, grub_readable: bool, seed: &ImageSeed, epoch: SourceDateEpoch) -> ext4::Options {
    ext4::Options {
        label: label.into(),
        uuid: seed.uuid(&format!("{label}-uuid")),
        hash_seed: seed.uuid(&format!("{label}-hash-seed")),
        epoch,
        size,
        reserve,
        journal: true,
        grub_readable,
        verity: !grub_readable,
        // The root comes last on the disk, and nearly all that a rebuild changes is in it.
        stable_prefix: !grub_readable,
    }
}
