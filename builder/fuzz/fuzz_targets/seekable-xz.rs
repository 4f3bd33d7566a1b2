#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| atomic_image_fuzz::feed(
    atomic_image_fuzz::streams::a_seekable_xz_stream_is_read_or_refused,
    data
));
