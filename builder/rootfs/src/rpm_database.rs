//! The database that tells rpm inside the image what is installed: the composed packages with the headers that were signed.

use crate::file_conflicts::rpm_color;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Error, ImagePath, Result, ResultExt, SourceDateEpoch};
use packages::rpm::Header;
use packages::rpmdb::{self, Installation, Installed};
use rayon::prelude::*;
use supply::fetch::Pack;

/// Writes `rpmdb.sqlite` into `folder`; every package was installed at the epoch.
pub(super) fn write(tree: &mut FileTree, folder: &ImagePath, packs: &[Pack], epoch: SourceDateEpoch) -> Result<()> {
    let headers: Vec<[Header; 2]> = packs.par_iter().map(Pack::headers).collect::<Result<_>>()?;
    let packages: Vec<Installed<'_>> = headers.iter().map(|[signature_header, header]| Installed { signature_header, header }).collect();
    let color = u32::from(rpm_color(packs));
    let database = rpmdb::encode(&packages, &Installation { time: epoch.0, color }).context(|| "write the rpm database")?;
    tree.ensure_directory(folder, Attributes::at(epoch, 0o755))?;
    tree.insert(&folder.join("rpmdb.sqlite")?, Inode::file(database, Attributes::at(epoch, 0o644)), Edit::Replace)
        .map_err(|e: Error| e.hint("[rpmdb] path must name a directory of the image, not a link"))
        .map(drop)
}
