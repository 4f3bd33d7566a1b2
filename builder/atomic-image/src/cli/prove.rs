//! `prove`: a release in QEMU before it goes out.

use super::args::ProveArguments;
use super::console::ConsoleProgress;
use super::{environment, render};
use crate::inspect;
use crate::prove::{self, Plan, Verdict};
use crate::vm::image_format;
use model::{ByteSize, Error, Kind, Result, ResultExt};

pub(super) fn run(arguments: &ProveArguments) -> Result<()> {
    if arguments.shard.of > arguments.cuts {
        return Err(Error::recipe(format!("--shard {}/{}: there are {} cuts", arguments.shard.number, arguments.shard.of, arguments.cuts))
            .hint("name no more shards than --cuts"));
    }
    // QEMU follows any name of a backing file or an extent, and the guest would read that file of this machine.
    if matches!(image_format(&arguments.image)?, "qcow2" | "vmdk") {
        inspect::check_references(&arguments.image)?;
    }
    environment::require_writable(&arguments.out, "--out")?;
    // The saved states of the guest take some gigabytes; the folder of the temporary files may be in memory.
    std::fs::create_dir_all(&arguments.out).context(|| format!("make {}", arguments.out.display()))?;
    let scratch = tempfile::Builder::new().prefix(".atomic-image-").tempdir_in(&arguments.out);
    let scratch = scratch.context(|| format!("make a folder in {}", arguments.out.display()))?;
    let console = ConsoleProgress::new(&arguments.output);
    let plan = Plan {
        image: arguments.image.clone(),
        repo: arguments.repo.clone(),
        from: arguments.from.clone(),
        quick: arguments.quick,
        only: arguments.scenario.clone(),
        cuts: arguments.cuts,
        shard: arguments.shard,
        keys: environment::signing_keys(&arguments.signing)?,
        out: arguments.out.clone(),
        memory_mib: arguments.memory,
        processors: arguments.processors,
        time: environment::now(),
        scratch: scratch.path().to_path_buf(),
    };
    let verdict = prove::prove(&plan, &console)?;
    console.finish();
    if plan.keys.is_empty() {
        render::say("warning: the verdict is not signed; give --sign-key FILE or set ATOMIC_IMAGE_SIGN_KEY");
    }
    if arguments.output.json {
        render::json(&verdict)?
    } else {
        render::print(&table(&verdict))?
    }
    if verdict.passed {
        return Ok(());
    }
    let wrong: Vec<String> =
        verdict.scenarios.iter().filter(|row| !row.passed).map(|row| format!("{}: {}", row.name, row.detail)).collect();
    let path = arguments.out.display();
    Err(Error::new(Kind::Verification, format!("version {} must not go out", verdict.version))
        .problems(wrong)
        .hint(format!("the consoles' logs are in {path}")))
}

fn table(verdict: &Verdict) -> String {
    let mut rows = vec![["scenario", "from", "result", "seconds", "fetched", "what was seen"].map(str::to_owned).to_vec()];
    for row in &verdict.scenarios {
        let detail = if row.passed { row.detail.clone() } else { row.detail.lines().next().unwrap_or("").to_owned() };
        let result = if row.passed { "ok" } else { "FAILED" };
        let fetched = if row.fetched_bytes == 0 { "-".to_owned() } else { ByteSize(row.fetched_bytes).to_string() };
        let from = if row.from.is_empty() { "-".to_owned() } else { row.from.clone() };
        rows.push(vec![row.name.to_owned(), from, result.to_owned(), format!("{:.0}", row.seconds), fetched, detail]);
    }
    let mut text = render::table(&rows);
    if !verdict.cuts.is_empty() {
        let mut rows = vec![["power cut in", "after", "boots", "fault"].map(str::to_owned).to_vec()];
        for cut in &verdict.cuts {
            let dash = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), |text| text.lines().next().unwrap_or("").to_owned());
            rows.push(vec![cut.phase.to_owned(), format!("{:.1} s", cut.seconds), dash(&cut.version), dash(&cut.fault)]);
        }
        text.push('\n');
        text.push_str(&render::table(&rows));
    }
    text
}
