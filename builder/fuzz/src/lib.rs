//! cargo-fuzz for the subjects of the mutating tests: the files of `builder/atomic-image/tests/fuzz` are modules here, and their tests plain functions.
//!
//! Each of these functions prepares a subject (it writes the images that are changed, a folder, a key) and hands it to [`fuzz`]. Here that is a loop in
//! a thread of its own, which waits for libFuzzer's inputs and says what a reader did that it must never do.

#![allow(dead_code, unused_imports, clippy::disallowed_methods, reason = "the files are the tests' own")]

#[path = "../../atomic-image/tests/fuzz/deb_file.rs"]
pub mod deb_file;
#[path = "../../atomic-image/tests/fuzz/disks.rs"]
pub mod disks;
#[path = "../../atomic-image/tests/fuzz/packages.rs"]
pub mod packages;
#[path = "../../atomic-image/tests/fuzz/random.rs"]
mod random;
#[path = "../../atomic-image/tests/fuzz/repositories.rs"]
pub mod repositories;
#[path = "../../atomic-image/tests/fuzz/rpm_file.rs"]
mod rpm_file;
#[path = "../../atomic-image/tests/fuzz/scripts.rs"]
pub mod scripts;
#[path = "../../atomic-image/tests/fuzz/store.rs"]
pub mod store;
#[path = "../../atomic-image/tests/fuzz/streams.rs"]
pub mod streams;
#[path = "../../atomic-image/tests/fuzz/subject.rs"]
mod subject;
#[path = "../../atomic-image/tests/fuzz/texts.rs"]
pub mod texts;

pub use subject::{Answer, Change, Make, Subject, inside, scratch};

use model::Kind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

/// Bytes of stack of the thread, as much as a program's first thread has.
const STACK: usize = 8 << 20;

struct Line<T> {
    sender: Sender<T>,
    receiver: Mutex<Receiver<T>>,
}

impl<T> Line<T> {
    fn new() -> Self {
        let (sender, receiver) = channel();
        Line { sender, receiver: Mutex::new(receiver) }
    }

    fn send(&self, value: T) {
        self.sender.send(value).expect("both ends live as long as the program");
    }

    fn receive(&self) -> T {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("both ends live as long as the program")
    }
}

static INPUTS: LazyLock<Line<Vec<u8>>> = LazyLock::new(Line::new);
static FAULTS: LazyLock<Line<Option<String>>> = LazyLock::new(Line::new);

/// Gives one input to the subject that `test` prepares.
///
/// # Panics
///
/// If the reader did what it must never do.
pub fn feed(test: fn(), input: &[u8]) {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| drop(std::thread::Builder::new().stack_size(STACK).spawn(test).expect("a thread for the subject")));
    INPUTS.send(input.to_vec());
    if let Some(fault) = FAULTS.receive() {
        panic!("{fault}");
    }
}

/// Answers inputs for as long as the program runs. A panic of the reader ends the program at once: libfuzzer-sys sees to that.
pub fn fuzz(subject: Subject<'_>) {
    loop {
        let fault = match (subject.read)(&INPUTS.receive()) {
            Err(fault) => Some(fault),
            Ok(Err(error)) if error.kind() == Kind::Internal => Some(format!("{} blames this program: {error:#}", subject.name)),
            Ok(_) => None,
        };
        FAULTS.send(fault);
    }
}
