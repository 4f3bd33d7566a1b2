#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| atomic_image_fuzz::feed(atomic_image_fuzz::deb_file::a_deb_is_read_or_refused, data));
