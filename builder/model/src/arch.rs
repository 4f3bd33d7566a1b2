//! The machine architecture of an image: each fact that depends on it, in the words of whoever asks.
//!
//! No other file of the product names an architecture, but for `rootfs/src/sandbox`: the system calls there are those of the machine that builds.

/// An architecture that images are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
}

impl Arch {
    /// The architecture of every image. A second one makes this a value of the recipe, and the compiler names all that asks for it.
    pub const TARGET: Arch = Arch::X86_64;

    const ALL: [Arch; 1] = [Arch::X86_64];

    /// The architecture that rpm calls so; `None` for `noarch` and for foreign ones.
    pub fn from_rpm(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.rpm() == name)
    }

    /// The architecture that dpkg calls so; `None` for `all` and for foreign ones.
    pub fn from_deb(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.deb() == name)
    }

    /// rpm's name, which is libsolv's, too.
    pub const fn rpm(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
        }
    }

    /// Architectures of rpm whose 32-bit programs the machine runs as well (rpmrc.in, `arch_compat`).
    pub const fn rpm_multilib(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &["i686", "i586", "i486", "i386", "athlon"],
        }
    }

    /// rpm's transaction colour: 3 where the machine runs 32-bit and 64-bit ELF files, 0 where it knows one kind (lib/rpmrc.c, `rpmSetDefaults`).
    pub const fn rpm_color(self) -> u8 {
        match self {
            Arch::X86_64 => 3,
        }
    }

    /// rpm's `%_libdir`.
    pub const fn rpm_libdir(self) -> &'static str {
        match self {
            Arch::X86_64 => "/usr/lib64",
        }
    }

    /// dpkg's name.
    pub const fn deb(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
        }
    }

    /// The name of Debian's folder of libraries in /usr/lib: dpkg's multiarch triplet.
    pub const fn multiarch(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-linux-gnu",
        }
    }

    /// `uname -m`.
    pub const fn uname(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
        }
    }

    /// `e_machine` of an ELF file (System V gABI, and the registry of machines that goes with it).
    pub const fn elf_machine(self) -> u16 {
        match self {
            Arch::X86_64 => 62,
        }
    }

    /// The loader that firmware tries in /EFI/BOOT without a boot variable (UEFI specification §3.5.1.1).
    pub const fn efi_loader(self) -> &'static str {
        match self {
            Arch::X86_64 => "BOOTX64.EFI",
        }
    }

    /// GRUB's platform for BIOS, as `grub-mkimage -O` takes it and as its folder is called.
    pub const fn grub_bios(self) -> &'static str {
        match self {
            Arch::X86_64 => "i386-pc",
        }
    }

    /// GRUB's platform for UEFI.
    pub const fn grub_efi(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-efi",
        }
    }

    /// Debian's packages with the modules of both platforms.
    pub const fn grub_packages(self) -> [&'static str; 2] {
        match self {
            Arch::X86_64 => ["grub-pc-bin", "grub-efi-amd64-bin"],
        }
    }

    /// The type GUID of a root partition, by its digits (Discoverable Partitions Specification).
    pub const fn root_partition(self) -> u128 {
        match self {
            Arch::X86_64 => 0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709,
        }
    }

    /// The program that emulates the machine.
    pub const fn qemu(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
        }
    }

    /// QEMU's machine type.
    pub const fn qemu_machine(self) -> &'static str {
        match self {
            Arch::X86_64 => "q35",
        }
    }

    /// The machine type that has an IDE controller.
    pub const fn qemu_machine_with_ide(self) -> &'static str {
        match self {
            Arch::X86_64 => "pc",
        }
    }

    /// The processor that QEMU emulates: everything that it can (distributions ask for as much as x86-64-v3), but for page tables of five levels, without
    /// which an emulated guest boots in five sixths of the time and which no guest needs.
    pub const fn qemu_processor(self) -> &'static str {
        match self {
            Arch::X86_64 => "max,-la57",
        }
    }

    /// The packages with that program, of Debian and of Fedora.
    pub const fn qemu_packages(self) -> [&'static str; 2] {
        match self {
            Arch::X86_64 => ["qemu-system-x86", "qemu-system-x86-core"],
        }
    }

    /// UEFI firmware for QEMU: where distributions have its code and its store of variables.
    pub const fn uefi_firmware(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Arch::X86_64 => &[
                ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
                ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
                ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
                ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            ],
        }
    }

    /// The packages with that firmware, of Debian and of Fedora.
    pub const fn uefi_packages(self) -> [&'static str; 2] {
        match self {
            Arch::X86_64 => ["ovmf", "edk2-ovmf"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arch;

    #[test]
    fn every_architecture_is_found_by_its_names_and_no_other_name_is_one() {
        for arch in Arch::ALL {
            assert_eq!((Arch::from_rpm(arch.rpm()), Arch::from_deb(arch.deb())), (Some(arch), Some(arch)));
            assert!(arch.rpm_multilib().iter().all(|name| Arch::from_rpm(name).is_none()), "{arch:?}");
        }
        for name in ["noarch", "all", "src", "i686", "aarch64", "X86_64", ""] {
            assert_eq!((Arch::from_rpm(name), Arch::from_deb(name)), (None, None), "{name}");
        }
    }
}
