//! `tree`: the store of commits.

use super::console::ConsoleProgress;
use super::tree_args::*;
use super::{environment, render};
use crate::tree::{self, Release, TreeDiff};
use model::{ByteSize, Error, ImagePath, Result, SourceDateEpoch, read_input_text};
use ostree::{CommitId, Store};
use serde::Serialize;
use signing::{Certificate, PublicKey};
use std::path::Path;

/// Of a key file, in bytes.
const LARGEST_KEY: u64 = 1 << 20;
/// Of a file that is printed, in bytes.
const LARGEST_FILE: u64 = 1 << 30;

pub(super) fn run(command: &TreeCommand) -> Result<()> {
    match command {
        TreeCommand::Log(arguments) => log(arguments),
        TreeCommand::Ls(arguments) => ls(arguments),
        TreeCommand::Cat(arguments) => cat(arguments),
        TreeCommand::Diff(arguments) => diff(arguments),
        TreeCommand::Cost(arguments) => cost(arguments),
        TreeCommand::Check(arguments) => check(arguments),
        TreeCommand::Prune(arguments) => prune(arguments),
        TreeCommand::Copy(arguments) => copy(arguments),
        TreeCommand::Serve(arguments) => serve(arguments),
        TreeCommand::Sign(arguments) => sign(arguments),
        TreeCommand::Verify(arguments) => verify(arguments),
        TreeCommand::Release(arguments) => release(arguments),
    }
}

#[derive(Serialize)]
struct LogRow {
    #[serde(rename = "ref")]
    reference: Option<String>,
    commit: CommitId,
    version: Option<String>,
    parent: Option<CommitId>,
    /// Seconds since 1970 UTC.
    timestamp: u64,
    subject: String,
}

fn log(arguments: &TreeLogArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let heads: Vec<(Option<String>, CommitId)> = match &arguments.commit {
        Some(text) => vec![(None, tree::named(&store, text)?)],
        None => store.refs()?.into_iter().map(|(name, commit)| (Some(name), commit)).collect(),
    };
    let mut rows = Vec::new();
    for (reference, head) in heads {
        for entry in store.log(head)? {
            rows.push(LogRow {
                reference: reference.clone(),
                commit: entry.id,
                version: entry.commit.version().map(str::to_owned),
                parent: entry.commit.parent.map(CommitId::new),
                timestamp: entry.commit.timestamp,
                subject: entry.commit.subject,
            });
        }
    }
    if arguments.store.output.json {
        return render::json(&rows);
    }
    let mut table = vec![["ref", "version", "time", "commit"].map(str::to_owned).to_vec()];
    table.extend(rows.into_iter().map(|row| {
        let time = SourceDateEpoch(u32::try_from(row.timestamp).unwrap_or(u32::MAX));
        vec![
            row.reference.unwrap_or_else(|| "-".to_owned()),
            row.version.unwrap_or_else(|| "-".to_owned()),
            time.to_string(),
            row.commit.to_string(),
        ]
    }));
    render::print(&render::table(&table))
}

#[derive(Serialize)]
struct FileRow {
    path: String,
    /// As in `st_mode`, in octal.
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    target: Option<String>,
}

fn ls(arguments: &TreeLsArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let below = ImagePath::parse(&arguments.path)?;
    let listed = store.ls(tree::named(&store, &arguments.commit)?)?;
    let mut rows: Vec<FileRow> = Vec::new();
    for item in listed.into_iter().filter(|item| item.path.starts_with(&below)) {
        let mode = format!("{:06o}", item.mode);
        rows.push(FileRow { path: item.path.to_string(), mode, uid: item.uid, gid: item.gid, size: item.size, target: item.target });
    }
    if rows.is_empty() {
        return Err(Error::recipe(format!("{} is not in the commit", arguments.path)));
    }
    if arguments.store.output.json {
        return render::json(&rows);
    }
    let table: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let shown = row.target.map_or(row.path.clone(), |target| format!("{} -> {target}", row.path));
            vec![row.mode, row.uid.to_string(), row.gid.to_string(), row.size.to_string(), shown]
        })
        .collect();
    render::print(&render::table(&table))
}

fn cat(arguments: &TreeCatArguments) -> Result<()> {
    let store = Store::open(&arguments.repo)?;
    let path = ImagePath::parse(&arguments.path)?;
    match store.read_file(tree::named(&store, &arguments.commit)?, &path, LARGEST_FILE)? {
        Some(bytes) => render::bytes(&bytes),
        None => Err(Error::recipe(format!("{path} is no file of the commit"))),
    }
}

fn diff(arguments: &TreePairArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let diff = tree::diff(&store, tree::named(&store, &arguments.from)?, tree::named(&store, &arguments.to)?)?;
    if arguments.store.output.json { render::json(&diff) } else { render::print(&diff_text(&diff)) }
}

fn diff_text(diff: &TreeDiff) -> String {
    let mut rows = vec![["what", "before", "after"].map(str::to_owned).to_vec()];
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    rows.extend(diff.packages.iter().map(|p| vec![format!("package {}", p.name), dash(&p.before), dash(&p.after)]));
    rows.extend(diff.arguments_removed.iter().map(|a| vec!["kernel argument".to_owned(), a.clone(), "-".to_owned()]));
    rows.extend(diff.arguments_added.iter().map(|a| vec!["kernel argument".to_owned(), "-".to_owned(), a.clone()]));
    rows.push(vec!["kernel version".to_owned(), dash(&diff.kernel.version_before), dash(&diff.kernel.version_after)]);
    for (what, same) in
        [("kernel", diff.kernel.same_kernel), ("initramfs", diff.kernel.same_initramfs), ("bootloader", diff.kernel.same_bootloader)]
    {
        let shown = same.map_or("not known", |same| if same { "the same" } else { "changed" });
        rows.push(vec![what.to_owned(), String::new(), shown.to_owned()]);
    }
    let files = [("file added", &diff.files_added), ("file removed", &diff.files_removed), ("file changed", &diff.files_changed)];
    rows.extend(
        files.into_iter().flat_map(|(what, paths)| paths.iter().map(move |path| vec![what.to_owned(), String::new(), path.clone()])),
    );
    rows.extend(diff.etc_changed.iter().map(|path| vec!["default changed".to_owned(), String::new(), path.clone()]));
    render::table(&rows)
}

#[derive(Serialize)]
struct CostReport {
    from: CommitId,
    to: CommitId,
    /// Bytes that a host fetches with the static delta, if there is one.
    delta: Option<u64>,
    /// Without it.
    objects: u64,
}

fn cost(arguments: &TreePairArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let (from, to) = (tree::named(&store, &arguments.from)?, tree::named(&store, &arguments.to)?);
    let found = store.cost(Some(from), to)?;
    let report = CostReport { from, to, delta: found.delta, objects: found.objects };
    if arguments.store.output.json {
        return render::json(&report);
    }
    let mut rows = vec![vec!["without a delta".to_owned(), ByteSize(report.objects).to_string()]];
    rows.push(vec!["with its delta".to_owned(), report.delta.map_or("there is none".to_owned(), |bytes| ByteSize(bytes).to_string())]);
    render::print(&render::table(&rows))
}

fn check(arguments: &TreeStoreArguments) -> Result<()> {
    let console = ConsoleProgress::new(&arguments.store.output);
    let report = Store::open(&arguments.store.repo)?.check(&console)?;
    console.finish();
    if arguments.store.output.json {
        render::json(&report)?;
    } else {
        let rows = [("refs", report.refs), ("commits", report.commits), ("objects", report.objects), ("faults", report.faults.len())];
        render::print(&render::table(&rows.map(|(what, count)| vec![what.to_owned(), count.to_string()])))?;
    }
    match report.faults.first() {
        None => Ok(()),
        Some(_) => Err(Error::integrity(format!("the store {} has faults", arguments.store.repo.display()))
            .problems(report.faults.clone())
            .hint("build again the recipe that made the commit: what is damaged is written anew")),
    }
}

fn prune(arguments: &TreePruneArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let keys = environment::signing_keys(&arguments.signing)?;
    let summary = store.summary()?;
    if !arguments.dry_run && keys.is_empty() && summary.as_ref().is_some_and(|(_, _, detached)| detached.is_signed()) {
        return Err(Error::recipe("the summary is signed, and names deltas that may go: it must be signed anew")
            .hint("give --sign-key FILE or set ATOMIC_IMAGE_SIGN_KEY"));
    }
    let report = store.prune(arguments.keep as usize, arguments.dry_run)?;
    if !arguments.dry_run && summary.is_some() {
        // Else a host would look for a delta that is gone.
        store.write_summary(&keys)?;
    }
    if arguments.store.output.json {
        return render::json(&report);
    }
    let gone = if arguments.dry_run { "would be removed" } else { "removed" };
    let rows = [
        ("commits kept", report.kept_commits.to_string()),
        (&format!("commits {gone}"), report.removed_commits.to_string()),
        (&format!("objects {gone}"), report.removed_objects.to_string()),
        (&format!("bytes {gone}"), ByteSize(report.removed_bytes).to_string()),
    ];
    render::print(&render::table(&rows.map(|(what, count)| vec![what.to_owned(), count])))
}

fn copy(arguments: &TreeCopyArguments) -> Result<()> {
    let console = ConsoleProgress::new(&arguments.store.output);
    let report = Store::open(&arguments.store.repo)?.copy_to(&arguments.destination, &console)?;
    console.finish();
    if arguments.store.output.json {
        return render::json(&report);
    }
    let rows = [
        ("refs", report.refs.to_string()),
        ("objects copied", report.copied_objects.to_string()),
        ("objects there already", report.present_objects.to_string()),
        ("bytes copied", ByteSize(report.copied_bytes).to_string()),
    ];
    render::print(&render::table(&rows.map(|(what, count)| vec![what.to_owned(), count])))
}

fn serve(arguments: &TreeServeArguments) -> Result<()> {
    let store = Store::open(&arguments.repo)?;
    let ready = |address: String| render::say(&format!("serving {} on http://{address}/", store.path().display()));
    tree::serve(store.path(), None, &arguments.listen, ready, |answered| {
        if !arguments.quiet {
            let outcome = answered.outcome.as_ref().map_or_else(|error| format!("{error:#}"), u16::to_string);
            render::say(&format!("{}: {outcome}", answered.request));
        }
    })
}

/// The commits that a command is about: the named one, or the newest of each ref.
fn chosen(store: &Store, commit: &Option<String>) -> Result<Vec<CommitId>> {
    match commit {
        Some(text) => Ok(vec![tree::named(store, text)?]),
        None => Ok(store.refs()?.into_values().collect()),
    }
}

fn sign(arguments: &TreeSignArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let keys = environment::required_signing_keys(&arguments.signing)?;
    for commit in chosen(&store, &arguments.commit)? {
        store.sign_commit(commit, &keys)?;
    }
    store.write_summary(&keys).map(drop)
}

#[derive(Serialize)]
struct Signers {
    /// `null`: the summary.
    commit: Option<CommitId>,
    keys: Vec<String>,
}

fn verify(arguments: &TreeVerifyArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let keys: Vec<PublicKey> = arguments.key.iter().map(|path| public_key(path)).collect::<Result<_>>()?;
    let mut found = Vec::new();
    let shown = |keys: Vec<PublicKey>| keys.iter().map(|key| key.to_string()).collect::<Vec<_>>();
    for commit in chosen(&store, &arguments.commit)? {
        found.push(Signers { commit: Some(commit), keys: shown(store.commit_signers(commit, &keys)?) });
    }
    let (_, bytes, detached) = store.summary()?.ok_or_else(|| Error::integrity(format!("{} has no summary", store.path().display())))?;
    found.push(Signers { commit: None, keys: shown(detached.signers(&bytes, &keys)) });
    tree::read_plan(&store, &keys)?;
    if arguments.store.output.json {
        render::json(&found)?;
    } else {
        let name = |row: &Signers| row.commit.map_or("summary".to_owned(), |commit| commit.to_string());
        let rows: Vec<Vec<String>> = found.iter().map(|row| vec![name(row), row.keys.join(" ")]).collect();
        render::print(&render::table(&rows))?;
    }
    match found.iter().find(|row| row.keys.is_empty()) {
        None => Ok(()),
        Some(row) => {
            let what = row.commit.map_or("the summary".to_owned(), |commit| format!("commit {commit}"));
            Err(Error::integrity(format!("none of the keys has signed {what}")).hint("`atomic-image tree sign` signs"))
        }
    }
}

fn public_key(path: &Path) -> Result<PublicKey> {
    let text = read_input_text(path, LARGEST_KEY)?;
    Ok(Certificate::parse(&text).map_err(|e| Error::recipe(format!("{}: {e}", path.display())))?.public())
}

fn release(arguments: &TreeReleaseArguments) -> Result<()> {
    let store = Store::open(&arguments.store.repo)?;
    let keys = environment::required_signing_keys(&arguments.signing)?;
    let commit = tree::named(&store, &format!("{}@{}", arguments.reference, arguments.version))?;
    // Whoever signs a plan vouches for all of it: one that none of these keys has signed is not taken over.
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public()).collect();
    let mut plan = tree::read_plan(&store, &public)?;
    let release = Release {
        version: arguments.version.clone(),
        commit,
        published: arguments.at.unwrap_or_else(|| u64::from(environment::now().0)),
        waves: waves(&arguments.wave),
        paused: arguments.pause,
        barrier: arguments.barrier,
    };
    plan.release(&arguments.reference, &arguments.channel, release);
    let plan = tree::write_plan(&store, plan, &keys)?;
    if arguments.store.output.json {
        return render::json(&plan);
    }
    render::print(&format!(
        "{} {} is the newest of the channel {}; plan {}\n",
        arguments.reference, arguments.version, arguments.channel, plan.serial
    ))
}
