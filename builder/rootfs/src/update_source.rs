//! What a host must know of its updates: where they come from, whose it takes, and what it is itself.
//!
//! ```text
//! /etc/ostree/remotes.d/OS.conf                    the remote; an administrator may change it
//! /usr/share/atomic-image/update-keys.gpg          the keys that libostree checks with, as a keyring
//! /usr/share/atomic-image/update-keys.ed25519      the same keys in base64, one a line, for the release plan
//! /usr/share/atomic-image/update-mirrors           the addresses, if there are several
//! /usr/lib/bootc/kargs.d/00-atomic-image.toml      the kernel's arguments
//! /usr/share/atomic-image/update.json              names of stateroot, ref, remote, channel, and the version
//! ```
//!
//! The keys are part of the tree, so that an update brings the keys of the updates that follow it.

use crate::text_file::text_file;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Error, ImagePath, Result, SourceDateEpoch};
use recipe::{Recipe, Update};
use serde::Serialize;

const FOLDER: &str = "/usr/share/atomic-image";

/// `update.json`.
#[derive(Serialize)]
struct Identity<'a> {
    schema: u32,
    os: &'a str,
    #[serde(rename = "ref")]
    reference: &'a str,
    /// `null`: the image has no source of updates.
    remote: Option<&'a str>,
    channel: Option<&'a str>,
    version: &'a str,
    title: &'a str,
}

/// Writes the files. Runs before the OSTree shape is applied. Returns their paths.
pub(crate) fn apply(tree: &mut FileTree, recipe: &Recipe, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let os = recipe.deployments.os.as_str();
    let identity = Identity {
        schema: 1,
        os,
        reference: &recipe.reference,
        remote: recipe.update.as_ref().map(|_| os),
        channel: recipe.update.as_ref().map(|update| update.channel.as_str()),
        version: &recipe.version_at(epoch),
        title: &recipe.title,
    };
    let json = serde_json::to_string_pretty(&identity).map_err(|e| Error::internal("write update.json").source(e))?;
    let mut written = vec![text_file(tree, &format!("{FOLDER}/update.json"), json + "\n", epoch)?];
    written.push(text_file(tree, "/usr/lib/bootc/kargs.d/00-atomic-image.toml", kernel_arguments(&recipe.kernel_arguments())?, epoch)?);
    let Some(update) = &recipe.update else { return Ok(written) };

    written.push(text_file(tree, &format!("/etc/ostree/remotes.d/{os}.conf"), remote(os, update), epoch)?);
    if !update.mirrors.is_empty() {
        let addresses = std::iter::once(&update.url).chain(&update.mirrors).map(|address| format!("{address}\n")).collect::<String>();
        written.push(text_file(tree, &format!("{FOLDER}/update-mirrors"), addresses, epoch)?);
    }
    let lines = update.keys.iter().map(|key| format!("{}\n", key.public())).collect::<String>();
    written.push(text_file(tree, &format!("{FOLDER}/update-keys.ed25519"), lines, epoch)?);
    let keyring: Vec<u8> = update.keys.iter().flat_map(|key| key.packets()).copied().collect();
    let path = ImagePath::parse(format!("{FOLDER}/update-keys.gpg"))?;
    tree.insert(&path, Inode::file(keyring, Attributes::at(epoch, 0o644)), Edit::Replace)?;
    written.push(path);
    Ok(written)
}

/// The arguments of the kernel in the form of bootc's kargs.d, so that an update can change them: libostree itself keeps those of the deployment before.
fn kernel_arguments(arguments: &[String]) -> Result<String> {
    // An array of strings in JSON is one in TOML, too.
    let list = serde_json::to_string(arguments).map_err(|e| Error::internal("write kernel arguments").source(e))?;
    Ok(format!("# The recipe's kernel arguments, without `ostree=`.\nkargs = {list}\n"))
}

/// libostree asks the addresses of a list one after the other.
fn remote(os: &str, update: &Update) -> String {
    let url = match update.mirrors.is_empty() {
        true => update.url.clone(),
        false => format!("mirrorlist=file://{FOLDER}/update-mirrors"),
    };
    format!("[remote \"{os}\"]\nurl={url}\ngpg-verify=true\ngpg-verify-summary=true\ngpgkeypath={FOLDER}/update-keys.gpg\n")
}

/// Gives os-release the image's name and version (os-release(5)); `ID` stays the distribution's, by which programs choose what to do. Runs after the
/// initramfs is made, which would otherwise be another one for each version.
pub(crate) fn brand(tree: &mut FileTree, recipe: &Recipe, epoch: SourceDateEpoch) -> Result<()> {
    let path = "/usr/lib/os-release";
    let Some(bytes) = tree.read(path)? else { return Ok(()) };
    let text = String::from_utf8(bytes).map_err(|_| Error::integrity(format!("expected {path} in UTF-8")))?;
    let version = recipe.version_at(epoch);
    let own = [
        ("PRETTY_NAME", format!("{} {version}", recipe.title)),
        ("NAME", recipe.title.clone()),
        ("VERSION", version.clone()),
        ("OSTREE_VERSION", version.clone()),
        ("VARIANT", recipe.title.clone()),
        ("VARIANT_ID", recipe.name.clone()),
        ("IMAGE_ID", recipe.name.clone()),
        ("IMAGE_VERSION", version),
    ];
    // The distribution has no part in faults of this image.
    let of_distribution = ["HOME_URL", "SUPPORT_URL", "BUG_REPORT_URL", "LOGO", "ANSI_COLOR"];
    let is_own =
        |line: &str| line.split('=').next().is_some_and(|key| own.iter().any(|(own, _)| *own == key) || of_distribution.contains(&key));
    let mut lines: Vec<String> = own.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    lines.extend(text.lines().filter(|line| !is_own(line)).map(str::to_owned));
    text_file(tree, path, lines.join("\n") + "\n", epoch).map(drop)
}

/// As a shell reads it between double quotes.
fn escaped(value: &str) -> String {
    value.chars().flat_map(|c| ['"', '\\', '$', '`'].contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_os_release_is_one_word_to_a_shell() {
        for (value, expected) in [("Atomic Host 1.0", "Atomic Host 1.0"), ("a\"b$c`d\\e", "a\\\"b\\$c\\`d\\\\e")] {
            assert_eq!(escaped(value), expected);
        }
    }
}
