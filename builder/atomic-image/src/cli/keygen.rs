//! `keygen`: a key pair for releases.

use super::render;
use super::tree_args::KeygenArguments;
use model::{Error, Result, ResultExt};
use signing::SigningKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) fn run(arguments: &KeygenArguments) -> Result<()> {
    let mut seed = [0; 32];
    let got = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).map_err(std::io::Error::from);
    if got.context(|| "ask the kernel for random bytes")? != seed.len() {
        return Err(Error::internal("the kernel gave too few random bytes"));
    }
    let key = SigningKey::from_seed(&seed);
    let named = |extension: &str| PathBuf::from(format!("{}.{extension}", arguments.name.display()));
    let (private, public) = (named("key"), named("pub"));
    // Neither replaces a file: a lost private key cannot be had again.
    write(&private, 0o600, &format!("{}\n", key.to_text()))?;
    write(&public, 0o644, &key.certificate()?.to_armor()?)?;
    render::print(&format!(
        "{}  signs; keep it secret and safe\n{}  is for the recipe's [update] keys, by its path from the recipe's folder\n",
        private.display(),
        public.display()
    ))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match file {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::recipe(format!("{} is there already", path.display())).hint("choose another name"));
        }
        file => file.context(|| format!("create {}", path.display()))?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).context(|| format!("write {}", path.display()))
}
