//! The directory hash: half MD4 over signed characters, 32 bytes at a time (kernel fs/ext4/hash.c).

/// The keyed start values; an all-zero seed means MD4's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryHash([u32; 4]);

impl DirectoryHash {
    pub(super) fn new(seed: &[u8; 16]) -> Self {
        if seed == &[0; 16] {
            return DirectoryHash([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]);
        }
        DirectoryHash(std::array::from_fn(|i| u32::from_le_bytes(std::array::from_fn(|j| seed[4 * i + j]))))
    }

    /// (major, minor). The major hash orders the tree; its lowest bit is free for the "continued" mark.
    pub(super) fn of(&self, name: &[u8]) -> (u32, u32) {
        let mut state = self.0;
        let mut rest = name;
        loop {
            transform(&mut state, &words(rest));
            if rest.len() <= 32 {
                break;
            }
            rest = &rest[32..];
        }
        let major = state[1] & !1;
        // EXT4_HTREE_EOF_32BIT << 1 means the end of a directory and belongs to no name.
        (if major == 0x7fff_ffff << 1 { 0x7fff_fffe << 1 } else { major }, state[2])
    }
}

/// str2hashbuf_signed: eight words of up to 32 bytes, padded with the rest's length.
fn words(rest: &[u8]) -> [u32; 8] {
    let length = rest.len() as u32;
    let pad = length | length << 8;
    let pad = pad | pad << 16;
    let mut out = [pad; 8];
    for (word, chunk) in out.iter_mut().zip(rest.chunks(4)) {
        *word = chunk.iter().fold(pad, |value, &c| (c as i8 as u32).wrapping_add(value << 8));
    }
    out
}

/// half_md4_transform: eight steps a round.
fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    type Function = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Function, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (function, constant, order, shifts) in ROUNDS {
        for (step, index) in order.into_iter().enumerate() {
            let mixed = a.wrapping_add(function(b, c, d)).wrapping_add(input[index]).wrapping_add(constant);
            (a, b, c, d) = (d, mixed.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (word, value) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(value);
    }
}
