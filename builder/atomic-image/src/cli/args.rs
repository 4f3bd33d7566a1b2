//! The command line as types. Usage errors end with exit code 2.

use super::tree_args::{KeygenArguments, SigningArguments, TreeCommand};
use crate::prove::Shard;
use crate::vm::{Bus, PROCESSORS};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use recipe::{OutputFormat, Weakness};
use std::path::PathBuf;

/// Builds immutable appliance OS images: RPMs in, bootable disks out, without root.
#[derive(Debug, Parser)]
#[command(name = "atomic-image", version, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub log: LogArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArguments {
    /// Log stages; twice: packages, requests and programs, too
    #[arg(long, short, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// The log's form
    #[arg(long, value_enum, default_value_t = LogForm::Text, value_name = "FORM", global = true)]
    pub log: LogForm,
    /// Log to a file instead of stderr
    #[arg(long, value_name = "FILE", global = true)]
    pub log_file: Option<PathBuf>,
    /// Write where the time went, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE", global = true)]
    pub trace: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogForm {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build a recipe's disk images: resolve, fetch, compose, commit, write
    Build(BuildArguments),
    /// Choose the packages and write the lockfile beside the recipe
    Lock(LockArguments),
    /// Download what the lockfile names, and nothing else
    Fetch(FetchArguments),
    /// Say what is in a disk image
    Inspect(InspectArguments),
    /// Look into an RPM file: its header, its paths, its signature
    #[command(subcommand)]
    Rpm(RpmCommand),
    /// Print a file of a disk image, as the booted host would see it
    Cat(CatArguments),
    /// Compare two disk images: packages, kernel arguments, sizes, files
    Diff(DiffArguments),
    /// Rebuild an image from its manifest's inputs and compare every byte
    Verify(VerifyArguments),
    /// Say what a sector of a disk image is for: partition, structure, file, package, recipe line
    Explain(ExplainArguments),
    /// Boot a disk image in QEMU, with its serial console here; the image stays as it is
    Boot(BootArguments),
    /// Look after the cache of downloads and packs
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Work with the store of commits: history, differences, signatures, releases
    #[command(subcommand)]
    Tree(TreeCommand),
    /// Prove a release in QEMU: upgrade, rollback, broken trees, tampering, losses of power; exit code 8 if anything does not hold
    Prove(ProveArguments),
    /// Make a key pair to sign releases with
    Keygen(KeygenArguments),
    /// Write a NoCloud seed that cloud-init reads at first boot
    Seed(SeedArguments),
    /// Print a shell's completions for this program
    Completions(CompletionsArguments),
    /// Write manual pages, one for each command
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    pub recipe: PathBuf,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// Where the artifacts go, in a folder of the recipe's name
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    /// The tree store: an OSTree archive repository
    #[arg(long, value_name = "DIR", default_value = "repo")]
    pub repo: PathBuf,
    /// Leave the tree store alone: images only
    #[arg(long)]
    pub images_only: bool,
    /// Formats to write instead of the recipe's, separated by commas
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', value_parser = format())]
    pub format: Vec<OutputFormat>,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub lock: LockfileArguments,
    #[command(flatten)]
    pub signing: SigningArguments,
    /// Do not wait until the artifacts are on the device: faster, but a loss of power right after may damage them
    #[arg(long)]
    pub no_sync: bool,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(super) struct LockArguments {
    pub recipe: PathBuf,
    /// Change only this package of the lockfile, and what its new version makes necessary; repeatable
    #[arg(long, value_name = "PACKAGE")]
    pub update: Vec<String>,
    /// Accept repository metadata that is older than what the lockfile was made from
    #[arg(long)]
    pub allow_older: bool,
    #[command(flatten)]
    pub sources: SourceArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(super) struct FetchArguments {
    pub recipe: PathBuf,
    #[command(flatten)]
    pub lock: LockfileArguments,
    #[command(flatten)]
    pub sources: SourceArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// How the lockfile is used.
#[derive(Debug, Args)]
pub(super) struct LockfileArguments {
    /// Use the lockfile as it is; refuse to resolve
    #[arg(long)]
    pub locked: bool,
    /// Accept repository metadata that is older than what the lockfile was made from
    #[arg(long, conflicts_with = "locked")]
    pub allow_older: bool,
}

/// Where earlier runs left what this one can use.
#[derive(Debug, Args)]
pub(super) struct PlaceArguments {
    /// Downloads and packs [default: atomic-image in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What was verified and made before; not to be shared with others [default: atomic-image in XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    #[command(flatten)]
    pub places: PlaceArguments,
    /// The Debian mirror [default: the machine's apt sources]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Open no socket: all that is needed must be in the cache
    #[arg(long)]
    pub offline: bool,
    /// A certificate authority to trust besides the machine's, in PEM form
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Read all of the cache and set damaged files aside; exit code 5 if there were any
    Verify(CacheVerifyArguments),
}

#[derive(Debug, Args)]
pub(super) struct CacheVerifyArguments {
    #[command(flatten)]
    pub places: PlaceArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Progress on stderr: bars on a terminal and lines elsewhere, lines, one JSON object a line, or warnings alone
    #[arg(long, value_enum, default_value_t = ProgressChoice::Auto, value_name = "HOW", conflicts_with = "quiet")]
    pub progress: ProgressChoice,
}

/// Each value's meaning stands in the option's own help, which would otherwise take a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressChoice {
    Auto,
    Plain,
    Json,
    None,
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    pub image: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum RpmCommand {
    /// Header, dependencies, scriptlets, digests and signatures with a verdict on each
    Show(RpmShowArguments),
    /// One line a path, sorted: kind, mode, user, group, size, sha256, capabilities, flags, path, target
    Dump(RpmFileArguments),
    /// Check the signature, and every digest of every file; exit code 5 if any does not hold
    Verify(RpmVerifyArguments),
}

#[derive(Debug, Args)]
pub(super) struct RpmFileArguments {
    pub file: PathBuf,
    /// Print JSON: an array with an object for each path
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RpmShowArguments {
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// A file of OpenPGP keys to check signatures with; repeatable
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Accept a weakness, such as sha1-signature; repeatable
    #[arg(long, value_name = "NAME", value_parser = weakness)]
    pub relax: Vec<Weakness>,
}

#[derive(Debug, Args)]
pub(super) struct RpmVerifyArguments {
    pub file: PathBuf,
    /// A file of OpenPGP keys that may have signed; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    /// Accept a weakness, such as sha1-signature; repeatable
    #[arg(long, value_name = "NAME", value_parser = weakness)]
    pub relax: Vec<Weakness>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CatArguments {
    /// Such as disk.qcow2:/etc/fstab; /sysroot, /boot, /boot/efi and /var are there too
    #[arg(value_name = "IMAGE:/PATH", value_parser = image_and_path)]
    pub file: (PathBuf, String),
}

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    pub before: PathBuf,
    pub after: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    pub image: PathBuf,
    /// What the image was built from [default: manifest.json beside the image]
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The recipe [default: recipes/NAME.toml with the manifest's name]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    #[command(flatten)]
    pub sources: SourceArguments,
    /// The tree store, which has the rollback's commit if the recipe says rollback = "previous"
    #[arg(long, value_name = "DIR", default_value = "repo")]
    pub repo: PathBuf,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    pub image: PathBuf,
    /// Counts from 0, in 512 bytes
    #[arg(long, value_name = "N")]
    pub sector: u64,
    /// Name the line of this recipe that brings the file
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Where the packages are unpacked [default: atomic-image in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BootArguments {
    pub image: PathBuf,
    #[arg(long, value_enum, default_value = "bios")]
    pub firmware: FirmwareChoice,
    /// A NoCloud seed: an ISO, or a folder with user-data and meta-data
    #[arg(long, value_name = "DIR|ISO")]
    pub seed: Option<PathBuf>,
    /// A TCP port of this machine that leads to one of the guest's; repeatable
    #[arg(long, value_name = "HOST:GUEST", value_parser = port_pair, conflicts_with = "no_network")]
    pub forward: Vec<(u16, u16)>,
    /// No network card
    #[arg(long)]
    pub no_network: bool,
    /// What the disk is attached to (scsi: virtio-scsi, sata: AHCI, ide: PIIX, usb: a stick on xHCI)
    #[arg(long, value_enum, default_value = "virtio")]
    pub bus: BusChoice,
    /// The guest's memory
    #[arg(long, value_name = "MiB", default_value_t = 3072, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub memory: u32,
}

#[derive(Debug, Args)]
pub(super) struct ProveArguments {
    /// An image of an older version, or of the newest one; it stays as it is
    pub image: PathBuf,
    /// The tree store that will be published: an OSTree archive repository
    #[arg(long, value_name = "DIR", default_value = "repo")]
    pub repo: PathBuf,
    /// An older version to upgrade from; repeatable [default: the image's, or the one before it if the image has the newest]
    #[arg(long, value_name = "VERSION")]
    pub from: Vec<String>,
    /// One upgrade and one rollback
    #[arg(long)]
    pub quick: bool,
    /// Run this scenario after the upgrade, instead of all; repeatable
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(crate::prove::NAMES), conflicts_with = "quick")]
    pub scenario: Vec<String>,
    /// How often the power is cut
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub cuts: u32,
    /// Of the losses of power every Nth alone, from the Kth on: N machines share them
    #[arg(long, value_name = "K/N", default_value = "1/1", value_parser = shard)]
    pub shard: Shard,
    /// Where the verdict and the consoles' logs go
    #[arg(long, value_name = "DIR", default_value = "proof")]
    pub out: PathBuf,
    /// The guest's memory
    #[arg(long, value_name = "MiB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(512..=1_048_576))]
    pub memory: u32,
    /// The guest's processors; fewer where this machine has fewer
    #[arg(long, value_name = "N", default_value_t = PROCESSORS, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processors: u32,
    #[command(flatten)]
    pub signing: SigningArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(super) struct SeedArguments {
    #[arg(long, value_name = "FILE")]
    pub user_data: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub meta_data: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub network_config: Option<PathBuf>,
    /// The ISO to write
    #[arg(long, short, value_name = "ISO")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Where the pages go
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FirmwareChoice {
    Bios,
    Uefi,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BusChoice {
    Virtio,
    Scsi,
    Sata,
    Ide,
    Nvme,
    Usb,
}

impl From<BusChoice> for Bus {
    fn from(choice: BusChoice) -> Bus {
        match choice {
            BusChoice::Virtio => Bus::Virtio,
            BusChoice::Scsi => Bus::Scsi,
            BusChoice::Sata => Bus::Sata,
            BusChoice::Ide => Bus::Ide,
            BusChoice::Nvme => Bus::Nvme,
            BusChoice::Usb => Bus::Usb,
        }
    }
}

fn format() -> impl TypedValueParser<Value = OutputFormat> {
    let values = OutputFormat::ALL.map(|format| PossibleValue::new(format.name()).help(format.about()));
    PossibleValuesParser::new(values)
        .try_map(|name| OutputFormat::ALL.into_iter().find(|format| format.name() == name).ok_or("an unknown format"))
}

fn weakness(name: &str) -> Result<Weakness, String> {
    Weakness::parse(name).ok_or_else(|| format!("expected one of {}", Weakness::ALL.map(Weakness::name).join(", ")))
}

fn shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text).ok_or_else(|| "expected K/N with K from 1 to N, such as 1/2".to_owned())
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port @ 1..) if is_number(text) => Ok(port),
        _ => Err(format!("{text:?} is not a port, which is a number from 1 to 65535")),
    };
    let (host, guest) = text.split_once(':').ok_or("two ports are needed, such as 2222:22")?;
    Ok((port(host)?, port(guest)?))
}

/// The first `:/` parts them.
fn image_and_path(text: &str) -> Result<(PathBuf, String), String> {
    let (image, path) = text.split_once(":/").filter(|(image, _)| !image.is_empty()).ok_or("expected such as disk.raw:/etc/fstab")?;
    Ok((PathBuf::from(image), format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_flags_that_scripts_rely_on_are_accepted_and_others_end_with_code_2() {
        for (line, good) in [
            (
                "build r.toml --out o --cache c --repo s --format raw,qcow2 --jobs 1 --offline --locked --json --mirror http://m/debian --quiet",
                true,
            ),
            ("lock r.toml --json --cache c --mirror http://m --offline", true),
            ("lock r.toml --update bash --update glibc --ca c.pem", true),
            ("lock r.toml --allow-older", true),
            ("build r.toml --allow-older", true),
            ("build r.toml --allow-older --locked", false),
            ("fetch r.toml --locked --offline", true),
            ("build r.toml --images-only", true),
            ("inspect disk.raw --json", true),
            ("rpm show a.rpm --json --key k.asc --relax sha1-signature", true),
            ("rpm dump a.rpm --json", true),
            ("rpm verify a.rpm --key k.asc --key l.asc", true),
            ("rpm verify a.rpm", false),
            ("rpm verify a.rpm --key k.asc --relax everything", false),
            ("cat disk.raw:/etc/fstab", true),
            ("cat disk.raw", false),
            ("diff a.raw b.qcow2 --json", true),
            ("verify disk.raw --recipe r.toml --manifest m.json --cache c --offline --json --quiet", true),
            ("explain disk.raw --sector 2048 --recipe r.toml --cache c --json", true),
            ("explain disk.raw", false),
            ("boot disk.raw --firmware uefi --seed s.iso --forward 2222:22 --forward 9090:9090 --memory 2048", true),
            ("seed --user-data u --meta-data m -o s.iso", true),
            ("seed --user-data u --meta-data m --network-config n -o s.iso", true),
            ("build", false),
            ("build r.toml --format raw.zst,raw.xz,vmdk,ova --format vhd,vhd-dynamic,vhdx,gce", true),
            ("build r.toml --format vhs", false),
            ("build r.toml --jobs 0", false),
            ("boot disk.raw --forward 22", false),
            ("boot disk.raw --forward 0:22", false),
            ("boot disk.raw --forward 22:65536", false),
            ("boot disk.raw --forward 2222:22,hostfwd=tcp::1-:1", false),
            ("boot disk.raw --forward +2222:22", false),
            ("boot disk.raw --forward 2222:22 --forward 2222:80", true),
            ("boot disk.raw --memory 0", false),
            ("boot disk.raw --memory 63", false),
            ("boot disk.raw --memory 64", true),
            ("boot disk.raw --memory 4294967295", false),
            ("explain disk.raw --sector -1", false),
            ("completions bash", true),
            ("completions cmd", false),
            ("man out", true),
            ("bake r.toml", false),
        ] {
            let parsed = Arguments::try_parse_from(std::iter::once("atomic-image").chain(line.split(' ')));
            assert_eq!(parsed.is_ok(), good, "{line}");
            assert!(parsed.err().is_none_or(|e| e.exit_code() == 2), "{line}");
        }
    }
}
