//! Hostile bytes for every reader: mutated ones with a fixed seed, and traps made by hand. cargo-fuzz feeds the same readers (`builder/fuzz`).
//!
//! Each subject gets a second, 15 with `ATOMIC_IMAGE_THOROUGH`, or `ATOMIC_IMAGE_FUZZ_SECONDS`. Inputs that a reader answers in a new way
//! join the corpus and are changed further. A panic, more than 256 MiB of memory, an answer after more than ten seconds of the processor, a path outside the
//! tree, or a refusal that blames this program fails the test; the input is then kept below `target/tmp`.

#![allow(clippy::disallowed_methods, reason = "a test may drop an error")]

mod deb_file;
mod disks;
mod memory;
mod packages;
mod random;
mod repositories;
mod rpm_file;
mod scripts;
mod seeds;
mod store;
mod streams;
mod subject;
mod texts;
mod traps;

use memory::{measured, processor_time};
use model::{Error, Kind};
use random::Random;
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
pub use subject::{Answer, Change, Make, Subject, inside, scratch};

/// Bytes that a case may hold at one time.
const MEMORY_MAX: u64 = 256 << 20;
const CASE_MAX: Duration = Duration::from_secs(10);
/// Inputs that were answered in a new way and are kept to be changed further.
const CORPUS_MAX: usize = 400;
const FINDINGS_MAX: usize = 5;
/// Sorts of refusals that are told apart.
const WAYS_MAX: usize = 1000;
const SEED: u64 = 0x0a70_41c1_3a6e;

#[derive(Debug, Default)]
struct Tally {
    inputs: u64,
    read: u64,
    ways: BTreeSet<String>,
    peak: u64,
    slowest: Duration,
    findings: Vec<String>,
}

/// Fails with what was found; prints one line of how much was tried.
pub fn fuzz(subject: Subject<'_>) {
    seeds::write_if_asked(&subject);
    for seed in &subject.seeds {
        let answer = (subject.read)(seed);
        assert!(matches!(answer, Ok(Ok(()))), "{}: a seed is not read: {answer:?}", subject.name);
    }
    let tally = run(&subject, budget());
    let line = format!(
        "fuzz {:<12} {:>9} inputs {:>9} read {:>9} refused in {:>4} ways, peak {:>6} KiB, slowest {:>5} ms\n",
        subject.name,
        tally.inputs,
        tally.read,
        tally.inputs - tally.read,
        tally.ways.len(),
        tally.peak >> 10,
        tally.slowest.as_millis()
    );
    // Past the capture of output: this table is for people.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(tally.findings.is_empty(), "{}:\n{}", subject.name, tally.findings.join("\n"));
    assert!(tally.read < tally.inputs && tally.ways.len() > 2, "{}: the changes do not reach the reader: {tally:?}", subject.name);
}

fn run(subject: &Subject<'_>, budget: Duration) -> Tally {
    let began = Instant::now();
    let mut corpus = subject.seeds.clone();
    // Inputs that cargo-fuzz begins with as well, and what it found once: as they are, then changed like any other.
    let stored = seeds::stored(subject.name);
    corpus.extend(stored.iter().cloned());
    let mut tally = Tally::default();
    for number in 0u64.. {
        let is_stored = number < stored.len() as u64;
        if number % 8 == 0 && !is_stored && began.elapsed() >= budget || tally.findings.len() >= FINDINGS_MAX {
            break;
        }
        let mut random = Random::new(SEED ^ number.wrapping_mul(0x1_0000_0001));
        let input = match stored.get(number as usize) {
            Some(input) => input.clone(),
            None => input(subject, &corpus, &mut random),
        };
        let start = processor_time();
        let (answer, used) = measured(|| catch_unwind(AssertUnwindSafe(|| (subject.read)(&input))));
        let took = processor_time() - start;
        tally.inputs += 1;
        tally.peak = tally.peak.max(used.peak);
        tally.slowest = tally.slowest.max(took);
        let fault = match &answer {
            Err(panic) => Some(format!("panics: {}", said(panic.as_ref()))),
            Ok(Err(why)) => Some(why.clone()),
            Ok(Ok(Err(error))) if error.kind() == Kind::Internal => Some(format!("blames this program: {error}")),
            _ if used.peak > MEMORY_MAX || used.greatest > MEMORY_MAX => Some(format!("took much memory: {used:?}")),
            _ if took > CASE_MAX => Some(format!("took {took:?}")),
            Ok(Ok(Ok(()))) => {
                tally.read += 1;
                None
            }
            Ok(Ok(Err(error))) => {
                // An answer never seen before: the input leads further than others.
                let is_new = tally.ways.len() < WAYS_MAX && tally.ways.insert(shape(&format!("{error:#}")));
                if is_new && corpus.len() < CORPUS_MAX && input.len() < 1 << 16 {
                    corpus.push(input.clone());
                }
                None
            }
        };
        if let Some(fault) = fault
            && !tally.findings.iter().any(|f| shape(f).contains(&shape(&fault)))
        {
            let place = format!("{}/fuzz-{}-{number}", env!("CARGO_TARGET_TMPDIR"), subject.name);
            std::fs::write(&place, &input).ok();
            tally.findings.push(format!("{fault}\n    input {place}"));
        }
    }
    tally
}

fn input(subject: &Subject<'_>, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if let Some(make) = subject.make
        && (corpus.is_empty() || !random.one_in(3))
    {
        let mut bytes = make(random);
        if random.one_in(8) {
            let other = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
            random.change(&mut bytes, subject.words, &other);
        }
        return bytes;
    }
    // As often a whole one as one that was refused.
    let mut bytes = if random.one_in(2) { random.pick(corpus).clone() } else { corpus[random.below(subject.seeds.len().max(1))].clone() };
    let other = random.pick(corpus).clone();
    if let Some(change) = subject.change
        && random.one_in(2)
    {
        change(random, &mut bytes);
    } else if random.one_in(6) {
        random.change_digits(&mut bytes);
    } else {
        random.change(&mut bytes, subject.words, &other);
    }
    bytes
}

/// A message without its numbers and names.
fn shape(message: &str) -> String {
    let mut out = String::new();
    let (mut quoted, mut before) = (false, ' ');
    for c in message.chars().take(400) {
        let escaped = std::mem::replace(&mut before, c) == '\\';
        match c {
            '"' if !escaped => quoted = !quoted,
            _ if quoted => continue,
            c if c.is_ascii_digit() => {
                if !out.ends_with('#') {
                    out.push('#');
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out.truncate(out.char_indices().nth(160).map_or(out.len(), |(at, _)| at));
    out
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a test's own setting, not a build's")]
fn budget() -> Duration {
    let named = std::env::var("ATOMIC_IMAGE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = named.unwrap_or(if std::env::var_os("ATOMIC_IMAGE_THOROUGH").is_some() { 15.0 } else { 1.0 });
    Duration::from_secs_f64(seconds)
}

#[test]
fn the_judge_finds_each_fault_that_it_looks_for() {
    fn found(read: &dyn Fn(&[u8]) -> Answer) -> String {
        let subject = Subject { name: "judge", seeds: vec![b"seed".to_vec()], words: &[], make: None, change: None, read };
        run(&subject, Duration::from_millis(50)).findings.join("\n")
    }
    assert!(found(&|bytes| if bytes.len() > 4 { panic!("too long") } else { Ok(Ok(())) }).contains("panics: too long"));
    let greedy = |_: &[u8]| {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(300 << 20)));
        Ok(Ok(()))
    };
    assert!(found(&greedy).contains("much memory"));
    assert!(found(&|_| Ok(Err(Error::internal("oh")))).contains("blames this program"));
    assert!(found(&|_| Err("a path outside".into())).contains("a path outside"));
    assert!(found(&|bytes| Ok(if bytes == b"seed" { Ok(()) } else { Err(Error::integrity("no")) })).is_empty());
}
