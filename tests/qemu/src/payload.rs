//! What the test brings into the guest: the seed, and a tree for docker that is one static busybox.

use filesystems::iso9660;
use model::{Error, Result, ResultExt};
use std::path::Path;

/// The password that the seed gives to user centos.
pub const PASSWORD: &str = "centos";

/// A NoCloud seed; `instance` makes it a new machine for cloud-init.
pub fn seed(instance: &str) -> Result<Vec<u8>> {
    let user = format!("#cloud-config\npassword: {PASSWORD}\nchpasswd: {{ expire: false }}\nssh_pwauth: true\n");
    let meta = format!("instance-id: {instance}\nlocal-hostname: atomic-test\n");
    iso9660::write("cidata", &[("user-data", user.as_bytes()), ("meta-data", meta.as_bytes())])
}

/// A tar with `/bin/busybox` from this machine, which must be static.
pub fn tiny_tree() -> Result<Vec<u8>> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(Path::new(path)).ok())
        .ok_or_else(|| Error::tool("no busybox on this machine").hint("install the package busybox-static"))?;
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, "bin/busybox", busybox.as_slice()).context(|| "write the tree for docker")?;
    builder.into_inner().context(|| "write the tree for docker")
}
