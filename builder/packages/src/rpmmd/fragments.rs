//! primary.xml on every core: while one decompresses, others parse what came, a fragment of whole packages at a time.
//!
//! ```text
//! head: <?xml …?><metadata packages="N">   fragment: <package>…</package> …   fragment …   tail: </metadata>
//! ```
//!
//! Text is cut behind a `</package>` without being understood. Wherever that could matter (in a comment, CDATA, an element within another of the same
//! name) the fragment before the cut does not end as XML must, and whatever is wrong in one has the whole file read from front to back instead:
//! what comes out, and every refusal, is that of the plain reader.

use crate::rpmmd::primary::{Package, read_document, read_fragment, read_primary};
use model::{Error, Result, ResultJudged};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bytes of text that are parsed as one task.
const FRAGMENT: usize = 256 << 10;
/// Bytes that wait to be parsed, beyond which the thread that decompresses parses, too.
const WAITING_MAX: usize = 2 << 20;
/// Bytes in which a package must end for the file to be read in fragments.
const PACKAGE_MAX: usize = 8 << 20;
const START: &[u8] = b"<package";
const END: &[u8] = b"</package>";

/// Every package as `make` has it, in the file's order. `open` may be called twice.
pub fn read_primary_with<T: Send>(
    open: impl Fn() -> Result<Box<dyn BufRead>>,
    make: impl Fn(Package) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    if let Some(packages) = in_fragments(open()?, &make) {
        return Ok(packages);
    }
    let (mut packages, mut fault) = (Vec::new(), None);
    read_primary(open()?, |package| match make(package) {
        Ok(made) if fault.is_none() => packages.push(made),
        Ok(_) => {}
        Err(error) => fault = fault.take().or(Some(error)),
    })?;
    fault.map_or(Ok(packages), Err)
}

/// Returns `None` if the file cannot be split safely; the caller then parses it sequentially.
fn in_fragments<T: Send>(mut input: Box<dyn BufRead>, make: &(impl Fn(Package) -> Result<T> + Sync)) -> Option<Vec<T>> {
    let mut rest = Vec::new();
    fill(&mut input, &mut rest)?;
    let start = find(&rest, START)?;
    let mut outside = rest[..start].to_vec();
    if find(&outside, b"<!").is_some() {
        return None;
    }
    rest.drain(..start);

    let done = Mutex::new(InOrder { packages: Vec::new(), next: 0, early: BTreeMap::new() });
    let (waiting, wrong) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Memory is used again: new pages cost more than what is read into them.
    let spare: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let parse = |number: usize, text: &[u8]| match fragment(text, make) {
        Ok(packages) => lock(&done).add(number, packages),
        Err(_) => wrong.store(true, Ordering::Relaxed),
    };
    let read = rayon::in_place_scope(|scope| {
        let mut number = 0;
        loop {
            let ended = fill(&mut input, &mut rest)?;
            if wrong.load(Ordering::Relaxed) {
                return None;
            }
            let end = match rest.windows(END.len()).rposition(|part| part == END) {
                Some(at) => at + END.len(),
                None if ended => return Some(()),
                None if rest.len() < PACKAGE_MAX => continue,
                None => return None,
            };
            let mut next = lock(&spare).pop().unwrap_or_else(|| Vec::with_capacity(2 * FRAGMENT));
            next.clear();
            next.extend_from_slice(&rest[end..]);
            let mut text = std::mem::replace(&mut rest, next);
            text.truncate(end);
            let (parse, spare) = (&parse, &spare);
            if waiting.load(Ordering::Relaxed) > WAITING_MAX {
                parse(number, &text);
                lock(spare).push(text);
            } else {
                let waiting = &waiting;
                waiting.fetch_add(text.len(), Ordering::Relaxed);
                scope.spawn(move |_| {
                    parse(number, &text);
                    waiting.fetch_sub(text.len(), Ordering::Relaxed);
                    lock(spare).push(text);
                });
            }
            number += 1;
        }
    });
    read?;
    outside.extend(rest);
    let announced = read_document(outside.as_slice()).none_because("the sequential parser says what is wrong")?;
    if wrong.into_inner() {
        return None;
    }
    let packages = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).packages;
    announced.is_none_or(|announced| announced == packages.len() as u64).then_some(packages)
}

/// Puts what fragments had in the file's order while others are parsed.
struct InOrder<T> {
    packages: Vec<T>,
    /// Number of the next fragment to be added.
    next: usize,
    early: BTreeMap<usize, Vec<T>>,
}

impl<T> InOrder<T> {
    fn add(&mut self, number: usize, packages: Vec<T>) {
        self.early.insert(number, packages);
        while let Some(mut packages) = self.early.remove(&self.next) {
            self.packages.append(&mut packages);
            self.next += 1;
        }
    }
}

fn fragment<T>(text: &[u8], make: &impl Fn(Package) -> Result<T>) -> Result<Vec<T>> {
    let mut packages = Vec::new();
    let mut fault: Option<Error> = None;
    read_fragment(text, |package| match make(package) {
        Ok(made) => packages.push(made),
        Err(error) => fault = Some(error),
    })?;
    fault.map_or(Ok(packages), Err)
}

/// Adds a fragment's worth of text; true at the end of the input, `None` where it cannot be read.
fn fill(input: &mut Box<dyn BufRead>, text: &mut Vec<u8>) -> Option<bool> {
    let before = text.len();
    input.take(FRAGMENT as u64).read_to_end(text).none_because("the sequential parser says what is wrong")?;
    Some(text.len() - before < FRAGMENT)
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<Vec<Package>> {
        let mut packages = Vec::new();
        read_primary(text.as_bytes(), |package| packages.push(package)).map(|()| packages)
    }

    fn with_fragments(text: &str) -> Result<Vec<Package>> {
        let text = text.to_owned().into_bytes();
        read_primary_with(|| Ok(Box::new(std::io::Cursor::new(text.clone()))), Ok)
    }

    fn package(number: usize, more: &str) -> String {
        format!("<package type=\"rpm\"><name>p{number}</name><location href=\"p\"/>{more}</package>\n")
    }

    fn document(announced: usize, packages: &str) -> String {
        format!("<?xml version=\"1.0\"?>\n<metadata packages=\"{announced}\">\n{packages}</metadata>\n")
    }

    #[test]
    fn packages_come_in_the_order_of_the_file_whatever_thread_parsed_them() {
        let count = 40_000;
        let long = "x".repeat(3 * FRAGMENT);
        let summary = |n: usize| if n == 9000 { long.as_str() } else { "a &amp; b" };
        let text = document(count, &(0..count).map(|n| package(n, &format!("<summary>{}</summary>", summary(n)))).collect::<String>());
        assert!(text.len() > 4 * FRAGMENT);
        let found = in_fragments(Box::new(std::io::Cursor::new(text.clone().into_bytes())), &Ok).expect("the file is as most are");
        assert_eq!(found, plain(&text).unwrap());
        for threads in [1, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| with_fragments(&text)).unwrap() == found, "{threads} threads");
        }
    }

    #[test]
    fn where_a_cut_could_mislead_the_plain_readers_word_holds() {
        let filler: String = (0..20_000).map(|n| package(n, "")).collect();
        let inside = ["<!-- ", "<summary><![CDATA[", "<format><x>", "<summary a=\""];
        let after = [" -->", "]]></summary>", "</x></format>", "\"/>"];
        for (open, close) in inside.iter().zip(after) {
            for shift in 0..3 {
                let odd = package(1, &format!("{open}{}{close}", "</package>".repeat(FRAGMENT / 10 * (1 + shift))));
                let text = document(20_001, &format!("{odd}{filler}"));
                match (plain(&text), with_fragments(&text)) {
                    (Ok(expected), Ok(found)) => assert!(expected == found, "{open}"),
                    (Err(expected), Err(found)) => assert_eq!(expected.to_string(), found.to_string(), "{open}"),
                    (expected, found) => panic!("{open}: {:?} {:?}", expected.is_ok(), found.is_ok()),
                }
            }
        }
        let hidden = format!("<!DOCTYPE a [<!ENTITY x \"{}\">]><metadata packages=\"0\"></metadata>", package(1, ""));
        assert_eq!(with_fragments(&hidden).map_err(|e| e.to_string()), plain(&hidden).map_err(|e| e.to_string()));
        for (text, part) in [
            (document(7, &filler), "expected 7 packages as announced, found 20000"),
            (document(20_000, &filler).replace("<name>p17</name>", ""), "has no name or no location"),
            (document(20_000, &filler).replace("</metadata>", ""), "ends inside an element"),
            (String::new(), "found nothing"),
        ] {
            let (expected, found) = (plain(&text).unwrap_err().to_string(), with_fragments(&text).unwrap_err().to_string());
            assert_eq!(expected, found);
            assert!(found.contains(part), "{found}");
        }
    }
}
