//! GRUB's two images, made by grub-mkimage from the recipe's tool packages in the sandbox: one that BIOS firmware starts, one for UEFI.

use crate::programs::{self, Program, ProgramCache, command};
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Arch, Digest, Error, ImagePath, Result, SourceDateEpoch};

/// What the disk stage places.
pub struct BootImages {
    /// GRUB's boot.img, 512 bytes; its first 440 go into LBA 0.
    pub boot_sector: Vec<u8>,
    /// core.img, for the BIOS boot partition.
    pub core: Vec<u8>,
    /// The loader that UEFI firmware tries without a boot variable.
    pub efi: Vec<u8>,
}

impl BootImages {
    /// Tells one bootloader from another.
    pub fn digest(&self) -> Digest {
        let parts = [&self.boot_sector, &self.core, &self.efi].map(|part| Digest::of(part).to_string());
        Digest::of(parts.join(" ").as_bytes())
    }
}

/// The texts of `boot/` that go into the images.
pub struct BootData<'a> {
    pub embedded: &'a str,
    pub modules_bios: &'a str,
    pub modules_efi: &'a str,
}

const BIOS_OUT: &str = "/grub-out/core.img";
const EFI_OUT: &str = "/grub-out/core.efi";
const EMBEDDED: &str = "/grub-embedded.cfg";

/// `tools` is the composed tree of the recipe's `[tools]`; it gets the embedded configuration, nothing else.
pub fn build(tools: &mut FileTree, data: &BootData, cache: &ProgramCache, epoch: SourceDateEpoch) -> Result<BootImages> {
    let _span = tracing::info_span!("boot images").entered();
    let embedded = Inode::file(data.embedded.as_bytes(), Attributes::root(0o644));
    tools.insert(&ImagePath::parse(EMBEDDED)?, embedded, Edit::Replace)?;
    // Merged-/usr links come with base-files, which a set of tools need not have.
    for (link, target) in [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")] {
        let path = ImagePath::parse(link)?;
        if tools.get(&path).is_none() {
            tools.insert(&path, Inode::symlink(target), Edit::Create)?;
        }
    }
    let (bios, efi) = (Arch::TARGET.grub_bios(), Arch::TARGET.grub_efi());
    let image = |format: &str, prefix: &str, output: &str, modules: &str| {
        let folder = format!("/usr/lib/grub/{format}");
        let names = modules.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace).collect::<Vec<_>>();
        command(["grub-mkimage", "-O", format, "-d", &folder, "-p", prefix, "-c", EMBEDDED, "-o", output].into_iter().chain(names))
    };
    let commands = vec![
        command(["mkdir", "/grub-out"]),
        image(bios, "(,gpt3)/grub2", BIOS_OUT, data.modules_bios),
        image(efi, "/EFI/BOOT", EFI_OUT, data.modules_efi),
    ];
    let program = Program {
        name: "grub",
        commands,
        needs: "/usr/bin/grub-mkimage".into(),
        inputs: Box::new(|_| true),
        outputs: vec![BIOS_OUT.into(), EFI_OUT.into()],
    };
    if programs::run(tools, &program, cache, epoch)?.is_empty() {
        return Err(Error::recipe("the tool packages have no /usr/bin/grub-mkimage")
            .hint(format!("[tools] install must name grub-common, {}", Arch::TARGET.grub_packages().join(" and "))));
    }
    let read = |path: &str| tools.read(path)?.ok_or_else(|| Error::recipe(format!("the tool packages have no {path}")));
    Ok(BootImages { boot_sector: read(&format!("/usr/lib/grub/{bios}/boot.img"))?, core: read(BIOS_OUT)?, efi: read(EFI_OUT)? })
}
