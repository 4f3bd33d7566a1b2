//! Traps made by hand. Each is answered within ten seconds and 256 MiB, and a refusal says what is wrong and where.

mod archives;
mod metadata;
mod packages;

use crate::memory::{measured, processor_time};
use crate::{Answer, CASE_MAX, MEMORY_MAX};
use model::Kind;

/// What a trap comes to.
enum Expected {
    Read,
    /// All of these are in the refusal.
    Refused(&'static [&'static str]),
}

fn check(name: &str, expected: Expected, case: impl FnOnce() -> Answer) {
    let began = processor_time();
    let (answer, used) = measured(case);
    let took = processor_time() - began;
    assert!(took < CASE_MAX, "{name}: took {took:?}");
    assert!(used.peak < MEMORY_MAX && used.greatest < MEMORY_MAX, "{name}: {used:?}");
    use Expected::{Read, Refused};
    match (answer, expected) {
        (Ok(Ok(())), Read) => {}
        (Ok(Err(error)), Refused(parts)) => {
            assert!(error.kind() != Kind::Internal, "{name}: blames this program: {error}");
            let said = format!("{error:#}");
            let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
            assert!(missing.is_empty(), "{name}: expected {missing:?} in the refusal {said:?}");
        }
        (Ok(Ok(())), Refused(parts)) => panic!("{name}: expected a refusal with {parts:?}, and it was read"),
        (other, _) => panic!("{name}: {other:?}"),
    }
}
