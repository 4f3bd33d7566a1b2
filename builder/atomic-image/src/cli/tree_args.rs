//! The arguments of `tree` and `keygen`.

use super::args::OutputArguments;
use crate::tree::Wave;
use clap::{Args, Subcommand};
use model::ResultJudged;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TreeCommand {
    /// The commits of a ref, the newest first
    Log(TreeLogArguments),
    /// The files of a commit
    Ls(TreeLsArguments),
    /// Print a file of a commit
    Cat(TreeCatArguments),
    /// What an update from one commit to another changes: packages, kernel, arguments, files
    Diff(TreePairArguments),
    /// What an update from one commit to another costs a host, in bytes
    Cost(TreePairArguments),
    /// Read every object; exit code 5 if one is damaged or lacking
    #[command(alias = "fsck")]
    Check(TreeStoreArguments),
    /// Remove old commits and what they alone need
    Prune(TreePruneArguments),
    /// Copy what is new into another folder, objects first, the summary last
    Copy(TreeCopyArguments),
    /// Serve the store over HTTP until interrupted
    Serve(TreeServeArguments),
    /// Sign a commit and the summary
    Sign(TreeSignArguments),
    /// Check the signatures of a commit and the summary; exit code 5 if one does not hold
    Verify(TreeVerifyArguments),
    /// Say in the release plan which version is for whom, and when
    Release(TreeReleaseArguments),
}

/// The tree store.
#[derive(Debug, Args)]
pub(in crate::cli) struct StoreArguments {
    /// The tree store: an OSTree archive repository
    #[arg(long, value_name = "DIR", default_value = "repo")]
    pub repo: PathBuf,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeStoreArguments {
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeLogArguments {
    /// A ref, a checksum, or REF@VERSION [default: every ref]
    pub commit: Option<String>,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeLsArguments {
    /// A ref, a checksum, or REF@VERSION
    pub commit: String,
    /// Only what is at or below this path
    #[arg(default_value = "/")]
    pub path: String,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeCatArguments {
    /// A ref, a checksum, or REF@VERSION
    pub commit: String,
    pub path: String,
    #[arg(long, value_name = "DIR", default_value = "repo")]
    /// The tree store: an OSTree archive repository
    pub repo: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreePairArguments {
    /// A ref, a checksum, or REF@VERSION
    pub from: String,
    /// The same, of the newer one
    pub to: String,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreePruneArguments {
    /// Commits of each ref that stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
    /// Remove nothing, and say what would go
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub signing: SigningArguments,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeCopyArguments {
    pub destination: PathBuf,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeServeArguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// The tree store: an OSTree archive repository
    #[arg(long, value_name = "DIR", default_value = "repo")]
    pub repo: PathBuf,
    /// Do not log requests
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SigningArguments {
    /// A private key of `keygen`; repeatable [default: the file or the key in ATOMIC_IMAGE_SIGN_KEY]
    #[arg(long, value_name = "FILE")]
    pub sign_key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeSignArguments {
    /// A ref, a checksum, or REF@VERSION [default: the newest commit of every ref]
    pub commit: Option<String>,
    #[command(flatten)]
    pub signing: SigningArguments,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeVerifyArguments {
    /// A ref, a checksum, or REF@VERSION [default: the newest commit of every ref]
    pub commit: Option<String>,
    /// A public key of `keygen` that may have signed; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TreeReleaseArguments {
    #[arg(value_name = "REF")]
    pub reference: String,
    pub version: String,
    #[arg(long, value_name = "NAME", default_value = "stable")]
    pub channel: String,
    /// So many percent of the hosts at first, for so long (s, m, h, d), such as 10%/6h; repeatable, everybody after the last
    #[arg(long, value_name = "PERCENT/TIME", value_parser = wave)]
    pub wave: Vec<(u8, u64)>,
    /// Nobody gets it until it is released again without this
    #[arg(long)]
    pub pause: bool,
    /// An older host must go through this version
    #[arg(long)]
    pub barrier: bool,
    /// When it was published, in seconds since 1970 UTC [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub at: Option<u64>,
    #[command(flatten)]
    pub signing: SigningArguments,
    #[command(flatten)]
    pub store: StoreArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArguments {
    /// NAME.key, the private key, and NAME.pub, the public one, are written
    pub name: PathBuf,
}

/// `10%/6h` as percent and seconds.
fn wave(text: &str) -> Result<(u8, u64), String> {
    let expected = || "expected such as 10%/6h".to_owned();
    let (percent, time) = text.split_once("%/").ok_or_else(expected)?;
    let percent: u8 =
        percent.parse().none_because("the sentence says what is expected").filter(|p| (1..=99).contains(p)).ok_or_else(expected)?;
    let unit = match time.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(expected()),
    };
    let count: u32 = time.get(..time.len() - 1).unwrap_or("").parse().map_err(|_| expected())?;
    Ok((percent, u64::from(count) * unit))
}

/// The plan's waves: each begins when the time of the one before is over, and the last one is everybody.
pub(in crate::cli) fn waves(steps: &[(u8, u64)]) -> Vec<Wave> {
    let mut after_seconds = 0;
    let mut waves = Vec::new();
    for (percent, seconds) in steps {
        waves.push(Wave { percent: *percent, after_seconds });
        after_seconds += seconds;
    }
    if !waves.is_empty() {
        waves.push(Wave { percent: 100, after_seconds });
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_follow_each_other_until_everybody_is_in() {
        for (text, expected) in [
            ("10%/6h", Some((10, 21_600))),
            ("1%/30m", Some((1, 1800))),
            ("100%/1h", None),
            ("10/6h", None),
            ("10%/6", None),
            ("10%/h", None),
        ] {
            assert_eq!(wave(text).ok(), expected, "{text}");
        }
        let found: Vec<(u8, u64)> = waves(&[(10, 100), (50, 200)]).iter().map(|wave| (wave.percent, wave.after_seconds)).collect();
        assert_eq!(found, [(10, 0), (50, 100), (100, 300)]);
        assert!(waves(&[]).is_empty());
    }
}
