//! What a case asks of the allocator, measured: `malloc` and its family stand in front of glibc's, so that the C libraries that decompress
//! are counted as well as Rust. Counted by thread; cases run on the thread that judges them.
#![allow(unsafe_code)]

use libc::{c_int, c_void, size_t};
use std::cell::Cell;
#[cfg(test)]
use std::hint::black_box;
use std::time::Duration;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static GREATEST: Cell<i64> = const { Cell::new(0) };
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// At one time, beyond what was there at the beginning.
    pub peak: u64,
    /// In one piece.
    pub greatest: u64,
}

/// Runs `case` and says what it took at most.
pub fn measured<T>(case: impl FnOnce() -> T) -> (T, Use) {
    let before = NOW.get();
    PEAK.set(before);
    GREATEST.set(0);
    let value = case();
    (value, Use { peak: (PEAK.get() - before).max(0) as u64, greatest: GREATEST.get() as u64 })
}

/// Of the processor, by this thread: what a busy machine does not lengthen.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is ours; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn add(pointer: *mut c_void) {
    // SAFETY: a live allocation of glibc's, or null, of which the size is 0.
    let size = unsafe { libc::malloc_usable_size(pointer) } as i64;
    let now = NOW.get() + size;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
    GREATEST.set(GREATEST.get().max(size));
}

fn subtract(pointer: *mut c_void) {
    // SAFETY: as in `add`, before it is given back.
    NOW.set(NOW.get() - unsafe { libc::malloc_usable_size(pointer) } as i64);
}

unsafe extern "C" {
    fn __libc_malloc(size: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, size: size_t) -> *mut c_void;
    fn __libc_realloc(pointer: *mut c_void, size: size_t) -> *mut c_void;
    fn __libc_free(pointer: *mut c_void);
    fn __libc_memalign(align: size_t, size: size_t) -> *mut c_void;
}

// SAFETY of all below: glibc lets a program put its own allocator in front ("Replacing malloc" in its manual), and each only counts and
// passes on. The counters are plain numbers without destructors, which need no allocation themselves.

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: size_t) -> *mut c_void {
    let pointer = unsafe { __libc_malloc(size) };
    add(pointer);
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: size_t, size: size_t) -> *mut c_void {
    let pointer = unsafe { __libc_calloc(count, size) };
    add(pointer);
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, size: size_t) -> *mut c_void {
    subtract(old);
    let pointer = unsafe { __libc_realloc(old, size) };
    // Where it fails the old one stays; where it is to be 0 bytes both are gone.
    add(if pointer.is_null() && size > 0 { old } else { pointer });
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(pointer: *mut c_void) {
    subtract(pointer);
    unsafe { __libc_free(pointer) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memalign(align: size_t, size: size_t) -> *mut c_void {
    let pointer = unsafe { __libc_memalign(align, size) };
    add(pointer);
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(align: size_t, size: size_t) -> *mut c_void {
    unsafe { memalign(align, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: size_t, size: size_t) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let pointer = unsafe { memalign(align, size) };
    if pointer.is_null() {
        return libc::ENOMEM;
    }
    unsafe { *out = pointer };
    0
}

#[test]
fn allocations_of_rust_and_of_c_are_counted() {
    let (_, nothing) = measured(|| ());
    assert_eq!(nothing, Use::default());
    let (_, rust) = measured(|| {
        drop(black_box(vec![1u8; 10 << 20]));
        drop(black_box(vec![1u8; 20 << 20]));
    });
    assert!((20 << 20..21 << 20).contains(&rust.greatest) && (20 << 20..32 << 20).contains(&rust.peak), "{rust:?}");
    // A decoder of the C library zstd, whose window is 8 MiB.
    let packed = zstd::stream::encode_all(vec![7u8; 32 << 20].as_slice(), 19).unwrap();
    let (_, c) = measured(|| {
        let mut decoder = zstd::stream::read::Decoder::new(packed.as_slice()).unwrap();
        std::io::copy(&mut decoder, &mut std::io::sink()).unwrap()
    });
    assert!(c.peak > 8 << 20, "{c:?}");
}
