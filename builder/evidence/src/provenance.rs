//! Where a file of an image comes from: an overlay of the recipe, or a package, and the line of the recipe that asks for it.

use model::{Digest, Facts, ImagePath, Result, before_usr_merge, read_input_text};
use recipe::Recipe;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use supply::fetch::{FoundPack, Pack};

/// What could be found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Provenance {
    /// NEVRA.
    pub package: Option<String>,
    /// `FILE:LINE` that names the package, that none does, or the overlay's file.
    pub recipe: Option<String>,
}

/// `packages`: NEVRA and SHA-256 of each package of the image. Packs are looked for in `packs`; those that are absent or damaged are passed over.
pub fn provenance(
    path: &ImagePath,
    packages: &[(String, String)],
    packs: &Path,
    facts: &Facts,
    recipe: Option<&Recipe>,
) -> Result<Provenance> {
    let paths = packaged_as(path)?;
    // Overlays are laid over the packages.
    for overlay in recipe.iter().flat_map(|recipe| &recipe.overlays) {
        for path in &paths {
            let file = overlay.path.join(std::ffi::OsStr::from_bytes(path.as_bytes().get(1..).unwrap_or(&[])));
            if file.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
                return Ok(Provenance { package: None, recipe: Some(file.display().to_string()) });
            }
        }
    }
    for (nevra, sha256) in packages {
        let Ok(digest) = Digest::parse(sha256) else { continue };
        let FoundPack::Whole(pack) = Pack::open(packs, &digest, facts)? else { continue };
        if pack.entries().iter().any(|entry| paths.contains(&entry.path)) {
            let name = &pack.metadata().nevra.name;
            let line = recipe.map(|recipe| line_of(recipe, name)).transpose()?;
            let recipe = line.map(|line| line.unwrap_or_else(|| "not named: a dependency".to_owned()));
            return Ok(Provenance { package: Some(nevra.clone()), recipe });
        }
    }
    Ok(Provenance::default())
}

/// The names under which packages and overlays may have a file of the image: /etc became /usr/etc, and /usr may be merged.
fn packaged_as(path: &ImagePath) -> Result<Vec<ImagePath>> {
    let mut paths = vec![path.clone()];
    let text = path.as_bytes();
    if text.starts_with(b"/usr/etc/") {
        paths.push(ImagePath::parse(&text[4..])?);
    }
    if let Some(before) = before_usr_merge(text) {
        paths.push(ImagePath::parse(before)?);
    }
    Ok(paths)
}

/// The first line of the recipe's files that has the package's name as a string.
fn line_of(recipe: &Recipe, package: &str) -> Result<Option<String>> {
    let quoted = format!("\"{package}\"");
    for source in &recipe.sources {
        let text = read_input_text(source, Recipe::MAX_FILE)?;
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with(['#', '[']) && line.contains(&quoted));
        // A list of packages, not a rule about one: such lines begin with the string or with `install`.
        if let Some((number, _)) = lines.find(|(_, line)| line.trim_start().starts_with(['"', 'i'])) {
            return Ok(Some(format!("{}:{number}", source.display())));
        }
    }
    Ok(None)
}
