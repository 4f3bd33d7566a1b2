//! Updates without room: refused before the first byte, or undone.

use super::lab::{COMMAND, Lab, expect, failed, root};
use crate::vm::{Answer, Guest};
use model::Result;

/// `atomic host`'s exit code.
const NO_ROOM: i32 = 5;
/// What must be the same after an update that did not come to its end.
const HOST: &str =
    "ostree admin status; ostree refs; ls /sysroot/ostree/deploy/*/deploy /boot/loader/entries /boot/ostree; findmnt -no OPTIONS /usr";
/// Fills the filesystem of a folder but for so many KiB.
const FILL: &str = r#"fill() { # FOLDER KIB
    local free
    free=$(($(stat -f -c '%a * %S / 1024' "$1")))
    [ "$free" -gt "$2" ] || return 0
    fallocate -l "$((free - $2))KiB" "$1/atomic-proof-filling" || dd if=/dev/zero of="$1/atomic-proof-filling" bs=1M count="$(((free - $2) / 1024))" status=none
    sync -f "$1"
}
"#;

pub fn full_disk(lab: &Lab, guest: &mut Guest, _boot: &str) -> Result<String> {
    let before = root(guest, HOST)?;
    root(guest, &format!("{FILL}fill /var 4096"))?;
    let refused = upgrade(guest)?;
    expect_refusal(guest, &refused, &before, "the root filesystem has")?;
    root(guest, "rm /var/atomic-proof-filling")?;
    // Once more, with the disk that becomes full as soon as the download runs.
    let filler = format!("{FILL}until pgrep -f 'ostree.* [p]ull' >/dev/null; do sleep 0.05; done; fill /var 512");
    let mut started = guest.ssh.start(&format!("sudo bash -c '{}'", filler.replace('\'', "'\\''")), COMMAND)?;
    let undone = upgrade(guest)?;
    drop(started.wait());
    expect_refusal(guest, &undone, &before, "the disk became full during the update, which was undone")?;
    root(guest, "rm -f /var/atomic-proof-filling")?;
    works(lab, guest)?;
    Ok(format!("{}; then: {}", sentence(&refused), sentence(&undone)))
}

pub fn full_boot(lab: &Lab, guest: &mut Guest, _boot: &str) -> Result<String> {
    let before = root(guest, HOST)?;
    root(guest, &format!("mount -o remount,rw /boot\n{FILL}fill /boot 16"))?;
    let refused = upgrade(guest)?;
    expect_refusal(guest, &refused, &before, "/boot has")?;
    root(guest, "rm /boot/atomic-proof-filling")?;
    works(lab, guest)?;
    Ok(sentence(&refused))
}

fn upgrade(guest: &Guest) -> Result<Answer> {
    guest.ssh.run("sudo atomic host upgrade", b"", COMMAND)
}

fn works(lab: &Lab, guest: &Guest) -> Result<()> {
    expect("upgrade with room", &root(guest, "atomic host upgrade")?, &[&format!("Version {} is staged", lab.target.newest_version)])
}

/// The update ended with the code for no room and these words, and the host is what it was.
fn expect_refusal(guest: &Guest, answer: &Answer, before: &str, words: &str) -> Result<()> {
    if answer.status != NO_ROOM {
        return Err(failed(format!("expected exit code {NO_ROOM}, found {}: {}{}", answer.status, answer.stdout, answer.stderr)));
    }
    expect("the refusal", &answer.stderr, &["error: ", words])?;
    let after = root(guest, HOST)?;
    if after != before {
        return Err(failed(format!("the host was changed; before:\n{before}\nafter:\n{after}")));
    }
    Ok(())
}

fn sentence(answer: &Answer) -> String {
    answer.stderr.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned()
}
