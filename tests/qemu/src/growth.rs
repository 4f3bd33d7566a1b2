//! The image on a disk of 20 GiB, and a second disk beside it: the guest grows partition and filesystem, writes, powers off; then e2fsck has nothing to say.

use crate::checks::{BASE, nonce, on_serial, proven};
use crate::guest::{Guest, Setup};
use crate::kinds;
use atomic_image::vm::image_format;
use disks::gpt::Table;
use model::{Error, Kind, Result, ResultExt};
use recipe::Firmware;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SIZE: u64 = 20 << 30;
const GROWN: &str = include_str!("grown.sh");

pub fn grown(image: &Path, firmware: Firmware) -> Result<()> {
    let nonce = nonce()?;
    let scratch = std::env::temp_dir().join(format!("atomic-image-grow-{nonce}"));
    std::fs::create_dir_all(&scratch).context(|| format!("create {}", scratch.display()))?;
    let result = grown_in(&scratch, image, firmware, &nonce);
    std::fs::remove_dir_all(&scratch).ok();
    result
}

fn grown_in(scratch: &Path, image: &Path, firmware: Firmware, nonce: &str) -> Result<()> {
    let image = image.canonicalize().context(|| format!("find {}", image.display()))?;
    let (layer, raw, second) = (scratch.join("layer.qcow2"), scratch.join("disk.raw"), scratch.join("second.raw"));
    let tree = kinds::write(&second)?;
    let format = image_format(&image)?;
    let size = SIZE.to_string();
    tool("qemu-img", &["create", "-q", "-f", "qcow2", "-F", format, "-b", text(&image)?, text(&layer)?, &size])?;
    {
        let mut guest = Guest::start(&layer, Setup { second: Some(second.clone()), ..Setup::usual(firmware) }, nonce)?;
        guest.log_in()?;
        on_serial(&mut guest, nonce)?;
        proven(&guest, BASE, nonce, 1000).context(|| "base checks")?;
        proven(&guest, GROWN, nonce, 1000).context(|| "a bigger disk")?;
        kinds::told_by(&guest, &tree)?;
        guest.console.send("sudo systemctl poweroff\n")?;
        guest.console.wait_for_end(Duration::from_secs(300))?;
    }
    tool("qemu-img", &["convert", "-O", "raw", text(&layer)?, text(&raw)?])?;
    let file = File::open(&raw).context(|| format!("open {}", raw.display()))?;
    let read = |offset: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset).context(|| format!("read {}", raw.display()));
    let table = Table::read(SIZE, &read)?;
    let root = table.partitions.last().ok_or_else(|| failed("the disk has no partition"))?;
    if root.offset() + root.size() < SIZE - (2 << 20) {
        return Err(failed(format!("expected the last partition to reach the end of the disk, found {} + {}", root.offset(), root.size())));
    }
    if let Some(line) = faults(&format!("{}?offset={}", text(&raw)?, root.offset()))?.first() {
        return Err(failed(format!("e2fsck on the grown root: {line}")));
    }
    // Advice, not a fault: the kernel splits the nodes of extent trees as it likes, and this disk has a file of hundreds of extents.
    let is_advice = |line: &String| line.is_empty() || line.ends_with("Optimize? no");
    match faults(text(&second)?)?.iter().find(|line| !is_advice(line)) {
        Some(line) => Err(failed(format!("e2fsck on the second disk: {line}"))),
        None => Ok(()),
    }
}

/// What e2fsck has to say beside its passes and its count.
fn faults(filesystem: &str) -> Result<Vec<String>> {
    let said = tool("e2fsck", &["-fn", filesystem])?;
    let lines = said.lines().filter(|line| !line.starts_with("Pass ") && !line.contains(" files (") && !line.starts_with("e2fsck "));
    Ok(lines.map(str::to_owned).collect())
}

fn failed(what: impl Into<String>) -> Error {
    Error::new(Kind::Verification, what)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::recipe(format!("{}: expected a path in UTF-8", path.display())))
}

/// What it said on both outputs; an error if it failed.
fn tool(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    if output.status.success() { Ok(said) } else { Err(failed(format!("{program} ended with {}: {said}", output.status))) }
}
