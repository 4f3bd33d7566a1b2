//! Numbers in a part's operations (libostree `ostree-varint.c`): base 128, the lowest seven bits first, the top bit of every byte but the last set.

/// Appends `value` in one to ten bytes.
pub fn append(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_bytes_that_libostree_s_own_test_expects() {
        let check = |value, expected: &[u8]| {
            let mut out = Vec::new();
            append(&mut out, value);
            assert_eq!(out, expected, "{value}");
        };
        check(0, &[0]);
        check(0x7f, &[0x7f]);
        check(0x80, &[0x80, 1]);
        // The example of the protocol buffers' encoding guide.
        check(300, &[0xac, 2]);
        check(u64::from(u32::MAX), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        check(u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }
}
