//! One virtual machine as QEMU's arguments: two processors where this machine has them, virtio disk (by default with a throw-away layer), user network.

use super::{Console, write_log};
use model::{Arch, Error, Result, ResultExt, open_disk};
use recipe::Firmware;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program that must be installed.
const QEMU: &str = Arch::TARGET.qemu();
/// Processors of the guest where this machine has as many. The small image boots in 91 s with two and in 140 s with one (QEMU 7.2).
pub const PROCESSORS: u32 = 2;

pub struct Machine {
    /// raw, qcow2, vmdk, vhd, vhdx or vdi, told apart by their magic.
    pub image: PathBuf,
    /// The guest writes into the image itself; otherwise what it writes is gone with it.
    pub keep: bool,
    pub firmware: Firmware,
    /// A raw disk for what the guest is to keep.
    pub second: Option<PathBuf>,
    /// An ISO, attached as the last disk.
    pub seed: Option<PathBuf>,
    /// How the image's disk is attached; the others are virtio's.
    pub bus: Bus,
    /// TCP ports: this machine's, the guest's. `None` is a guest without a network.
    pub forward: Option<Vec<(u16, u16)>>,
    pub memory_mib: u32,
    /// Processors where this machine has as many; [`PROCESSORS`] suits a guest that runs alone.
    pub processors: u32,
    pub serial: Serial,
    pub control: Option<Control>,
    /// A file to which everything is appended that the serial console says.
    pub log: Option<PathBuf>,
    /// An existing folder for the private copy of the UEFI variables.
    pub scratch: PathBuf,
}

/// What a disk is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    Virtio,
    /// virtio-scsi.
    Scsi,
    /// AHCI.
    Sata,
    /// PIIX, with the chipset that has it.
    Ide,
    Nvme,
    /// A stick on xHCI.
    Usb,
}

impl Bus {
    /// The arguments that attach the drive `disk`.
    const fn devices(self) -> &'static [&'static str] {
        match self {
            Bus::Virtio => &["-device", "virtio-blk-pci,drive=disk,bootindex=1"],
            Bus::Scsi => &["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk,bootindex=1"],
            Bus::Sata | Bus::Ide => &["-device", "ide-hd,drive=disk,bus=ide.0,bootindex=1"],
            Bus::Nvme => &["-device", "nvme,drive=disk,serial=disk,bootindex=1"],
            Bus::Usb => &["-device", "qemu-xhci", "-device", "usb-storage,drive=disk,bootindex=1"],
        }
    }
}

/// For a machine that a program controls: it may reboot, and its whole state can be saved into its image.
#[derive(Debug, Clone)]
pub struct Control {
    /// Where QEMU makes the socket that a [`Monitor`](super::Monitor) connects to.
    pub monitor: PathBuf,
    /// A state that was saved in the image, to go on from instead of power-on.
    pub from: Option<String>,
    /// Where QEMU logs what the guest writes to its disk and when it flushes; the image is raw then.
    pub write_log: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serial {
    /// On this terminal; Ctrl-A X ends.
    Terminal,
    /// On pipes, for a [`Console`].
    Pipes,
}

/// The machine's own copy of the UEFI variables, which goes when the machine goes.
pub(super) type Variables = tempfile::TempPath;

impl Machine {
    /// Runs until the guest powers off or the user ends it.
    pub fn run(&self) -> Result<()> {
        let (mut child, _variables) = self.spawn(Stdio::inherit(), Stdio::inherit())?;
        let status = child.wait().context(|| format!("wait for {QEMU}"))?;
        if status.success() { Ok(()) } else { Err(Error::tool(format!("{QEMU} ended with {status}"))) }
    }

    /// Starts with the serial console in the caller's hand.
    pub fn console(&self) -> Result<Console> {
        let log = self
            .log
            .as_ref()
            .map(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).context(|| format!("open {}", path.display())));
        let log = log.transpose()?;
        let (child, variables) = self.spawn(Stdio::piped(), Stdio::piped())?;
        Console::attach(child, variables, log)
    }

    fn spawn(&self, input: Stdio, output: Stdio) -> Result<(Child, Option<Variables>)> {
        let firmware = match self.firmware {
            Firmware::Bios => None,
            Firmware::Uefi => Some(uefi_files(&self.scratch)?),
        };
        let arguments = self.arguments(firmware.as_ref().map(|(code, variables)| (code.as_path(), &**variables)))?;
        let child = with_death_signal().args(&arguments).stdin(input).stdout(output).spawn().map_err(|e| {
            let absent = e.kind() == std::io::ErrorKind::NotFound;
            let error = Error::tool(format!("cannot start {QEMU}")).source(e);
            let [debian, fedora] = Arch::TARGET.qemu_packages();
            if absent { error.hint(format!("install QEMU: package {debian} (Debian) or {fedora} (Fedora)")) } else { error }
        })?;
        Ok((child, firmware.map(|(_, variables)| variables)))
    }

    fn arguments(&self, firmware: Option<(&Path, &Path)>) -> Result<Vec<OsString>> {
        let format = image_format(&self.image)?;
        let mut arguments: Vec<OsString> = Vec::new();
        let mut push = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        // Emulation only: there are machines whose /dev/kvm opens and then fails in the firmware's first instructions.
        push(&["-nodefaults", "-no-user-config", "-accel", "tcg"]);
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(self.processors as usize).to_string();
        let machine = if self.bus == Bus::Ide { Arch::TARGET.qemu_machine_with_ide() } else { Arch::TARGET.qemu_machine() };
        let processor = Arch::TARGET.qemu_processor();
        push(&["-machine", machine, "-cpu", processor, "-smp", &processors, "-m", &self.memory_mib.to_string()]);
        push(&["-display", "none", "-vga", "std"]);
        if let Some(control) = &self.control {
            push(&["-qmp", &format!("unix:{},server=on,wait=off", escaped(&control.monitor)?)]);
            push(&["-device", "i6300esb", "-action", "watchdog=reset"]);
            if let Some(name) = &control.from {
                push(&["-loadvm", name]);
            }
        } else if self.serial == Serial::Pipes {
            // A test sees a panic that reboots as the machine's end.
            push(&["-no-reboot"]);
        }
        let serial = match self.serial {
            Serial::Terminal => "mon:stdio",
            Serial::Pipes => "stdio",
        };
        push(&["-serial", serial, "-device", "virtio-rng-pci"]);
        if let Some((code, variables)) = firmware {
            push(&["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={}", escaped(code)?)]);
            push(&["-drive", &format!("if=pflash,format=raw,unit=1,file={}", escaped(variables)?)]);
        }
        let snapshot = if self.keep { "off" } else { "on" };
        let image = escaped(&self.image)?;
        match self.control.as_ref().and_then(|control| control.write_log.as_ref()) {
            Some(log) => {
                let file = format!("file.driver=raw,file.file.driver=file,file.file.filename={image}");
                let log = format!("log.driver=file,log.filename={},log-sector-size={}", escaped(log)?, write_log::SECTOR);
                push(&["-drive", &format!("if=none,id=disk,driver=blklogwrites,{file},{log}")]);
            }
            None => push(&["-drive", &format!("if=none,id=disk,format={format},snapshot={snapshot},file={image}")]),
        }
        push(self.bus.devices());
        if let Some(second) = &self.second {
            push(&["-drive", &format!("if=none,id=second,format=raw,file={}", escaped(second)?)]);
            push(&["-device", "virtio-blk-pci,drive=second"]);
        }
        if let Some(seed) = &self.seed {
            if !seed.is_file() {
                return Err(Error::recipe(format!("seed {}: expected an ISO file or a folder", seed.display()))
                    .hint("write one: atomic-image seed --user-data FILE --meta-data FILE -o ISO"));
            }
            push(&["-drive", &format!("if=none,id=seed,format=raw,readonly=on,file={}", escaped(seed)?)]);
            push(&["-device", "virtio-blk-pci,drive=seed"]);
        }
        if let Some(ports) = &self.forward {
            let forward: String = ports.iter().map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}")).collect();
            push(&["-netdev", &format!("user,id=net{forward}"), "-device", "virtio-net-pci,netdev=net"]);
        }
        Ok(arguments)
    }
}

/// Runs QEMU, without a shell, under `setpriv --pdeathsig KILL` (util-linux), so that it dies with this process however that ends. Without setpriv it
/// is only ended by what drops it.
fn with_death_signal() -> Command {
    let there = |program: &str| Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if !there(QEMU) || !there("setpriv") {
        return Command::new(QEMU);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", QEMU]);
    command
}

/// A comma ends a value in QEMU's option syntax unless it is doubled.
fn escaped(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::recipe(format!("path {} is not UTF-8", path.display())))?;
    Ok(text.replace(',', ",,"))
}

/// QEMU's probing would let a guest that writes a qcow2 header read host files, so the format is always stated.
pub fn image_format(image: &Path) -> Result<&'static str> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 8];
    let mut end = [0; 8];
    let mut signature = [0; 4];
    open_disk(image)
        .and_then(|file| {
            let length = file.metadata()?.len();
            file.read_exact_at(&mut start, 0)?;
            if length >= 68 {
                file.read_exact_at(&mut signature, 64)?;
            }
            file.read_exact_at(&mut end, length.saturating_sub(512))
        })
        .map_err(|e| {
            Error::recipe(format!("cannot read image {}", image.display())).source(e).hint("build it first: atomic-image build RECIPE")
        })?;
    let packed: [&[u8]; 4] = [b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"\x1f\x8b", b"BZh"];
    if packed.iter().any(|magic| start.starts_with(magic)) {
        let error = Error::recipe(format!("{} is compressed as a whole, QEMU cannot read it", image.display()));
        return Err(error.hint("decompress it first, or build qcow2"));
    }
    Ok(match &start {
        [b'Q', b'F', b'I', 0xfb, ..] => "qcow2",
        b"vhdxfile" => "vhdx",
        [b'K', b'D', b'M', b'V', ..] => "vmdk",
        b"conectix" => "vpc",
        // A VMDK descriptor; VirtualBox's text, whatever program it names, is checked by its signature below.
        b"# Disk D" => "vmdk",
        // A fixed VHD has its magic at the end alone.
        _ if &end == b"conectix" => "vpc",
        _ if signature == [0x7f, 0x10, 0xda, 0xbe] => "vdi",
        _ => "raw",
    })
}

/// The code, and a private copy of the variables, since the firmware writes to them.
fn uefi_files(scratch: &Path) -> Result<(PathBuf, Variables)> {
    let there = |(code, variables): &&(&str, &str)| Path::new(code).exists() && Path::new(variables).exists();
    let (code, variables) = Arch::TARGET.uefi_firmware().iter().find(there).ok_or_else(|| {
        let [debian, fedora] = Arch::TARGET.uefi_packages();
        Error::tool("no UEFI firmware for QEMU on this machine").hint(format!("install the package {debian} (Debian) or {fedora} (Fedora)"))
    })?;
    // A new file with a random name, whoever else may write to the folder.
    let failed = || format!("copy {variables} to {}", scratch.display());
    let copy = tempfile::Builder::new().prefix("uefi-variables-").suffix(".fd").tempfile_in(scratch).context(failed)?;
    let mut from = std::fs::File::open(variables).context(failed)?;
    std::io::copy(&mut from, &mut copy.as_file()).context(failed)?;
    Ok((PathBuf::from(code), copy.into_temp_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_state_the_format_and_never_write_to_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a,b.qcow2");
        std::fs::write(&image, b"QFI\xfb....").unwrap();
        let seed = folder.path().join("seed.iso");
        std::fs::write(&seed, b"").unwrap();
        let machine = Machine {
            keep: false,
            second: Some("second.raw".into()),
            image,
            firmware: Firmware::Uefi,
            seed: Some(seed.clone()),
            bus: Bus::Nvme,
            forward: Some(vec![(2222, 22), (9090, 9090)]),
            memory_mib: 2048,
            processors: PROCESSORS,
            serial: Serial::Pipes,
            control: None,
            log: None,
            scratch: folder.path().to_path_buf(),
        };
        let arguments = machine.arguments(Some((Path::new("/c.fd"), Path::new("/v.fd")))).unwrap();
        let line = arguments.iter().map(|a| a.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        for part in [
            "-machine q35 -cpu max,-la57 -smp ",
            " -m 2048 -display none",
            "format=qcow2,snapshot=on,file=",
            "a,,b.qcow2",
            "-device nvme,drive=disk,serial=disk,bootindex=1",
            "id=second,format=raw,file=second.raw",
            "id=seed,format=raw,readonly=on,file=",
            "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:9090-:9090",
            "unit=0,readonly=on,file=/c.fd",
            "unit=1,file=/v.fd",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        for (bytes, expected) in [
            (&b"vhdxfile"[..], "vhdx"),
            (b"KDMV\x03\0\0\0", "vmdk"),
            (b"conectix", "vpc"),
            (&[&[0; 1024][..], b"conectix", &[0; 504]].concat(), "vpc"),
            (&[0; 2048], "raw"),
        ] {
            std::fs::write(folder.path().join("other"), bytes).unwrap();
            assert_eq!(image_format(&folder.path().join("other")).unwrap(), expected);
        }
        std::fs::write(folder.path().join("other"), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
        assert!(image_format(&folder.path().join("other")).unwrap_err().to_string().contains("compressed as a whole"));
        let absent = Machine { seed: Some(folder.path().join("absent.iso")), ..machine };
        let error = absent.arguments(None).unwrap_err();
        assert!(error.kind() == model::Kind::Recipe && error.to_string().contains("absent.iso: expected an ISO"), "{error}");
        let machine = Machine { seed: None, ..absent };
        let error = Machine { image: folder.path().into(), ..machine }.arguments(None).unwrap_err();
        assert!(format!("{error:#}").contains("it is a directory, expected a regular file or a block device"), "{error:#}");
        let machine = Machine {
            image: "/nowhere".into(),
            firmware: Firmware::Bios,
            keep: false,
            second: None,
            seed: None,
            bus: Bus::Ide,
            forward: None,
            memory_mib: 64,
            processors: PROCESSORS,
            serial: Serial::Pipes,
            control: Some(Control { monitor: "/m,n".into(), from: Some("booted".into()), write_log: None }),
            log: None,
            scratch: folder.path().into(),
        };
        let absent = Machine { image: "/nowhere".into(), ..machine };
        assert!(absent.arguments(None).unwrap_err().to_string().contains("cannot read image /nowhere"));
        std::fs::write(folder.path().join("other"), [0; 2048]).unwrap();
        let controlled = Machine { image: folder.path().join("other"), ..absent };
        let line = controlled.arguments(None).unwrap().iter().map(|a| a.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert!(
            line.contains("-qmp unix:/m,,n,server=on,wait=off") && line.contains("-loadvm booted") && !line.contains("-no-reboot"),
            "{line}"
        );
    }
}
