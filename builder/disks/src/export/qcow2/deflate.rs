//! How hard a cluster is worth being compressed. Most of the time would go where least is saved: into what was compressed before (packages of modules,
//! pictures), of which nothing is left to save, and into machine code, of which a thorough search saves hardly more than a quick one.
//!
//! Entropies are of single bytes, taken of a quarter of the cluster, and computed with integers: artifacts must not depend on a machine's logarithm.

use crate::qcow2::CLUSTER;
use model::{Error, Result, ResultJudged};
use std::sync::LazyLock;

/// From this entropy on, in bits a byte, a cluster is kept as it is ...
const STORED: u64 = hundredths(790);
/// ... and from this one on compressed quickly. Measured on the disk of recipes/atomic-host.toml, one core: a MiB less by the thorough search costs
/// 0.08 to 0.18 s below 7 bits, 0.2 to 1 s from there to 7.9. At 5.5 that image is just smaller than QEMU's (518 to 519 MiB).
const QUICK: u64 = hundredths(550);
/// Levels of libdeflate. Together no larger than zlib's 6 with the 4 KiB window that QEMU gives it; libdeflate's own 6 takes twice the time.
const QUICK_LEVEL: i32 = 1;
const THOROUGH_LEVEL: i32 = 2;

/// So many bytes ...
const TAKEN: usize = 64;
/// ... of each of these.
const OF: usize = 256;
const SAMPLE: usize = CLUSTER as usize / OF * TAKEN;
/// Fractional bits of a logarithm.
const FRACTION: u32 = 12;

const fn hundredths(bits: u64) -> u64 {
    (bits << FRACTION) / 100
}

pub(super) struct Deflate {
    quick: libdeflater::Compressor,
    thorough: libdeflater::Compressor,
}

impl Deflate {
    pub fn new() -> Result<Self> {
        let compressor = |level: i32| {
            let known = libdeflater::CompressionLvl::new(level).map_err(|_| Error::internal(format!("libdeflate has no level {level}")))?;
            Ok(libdeflater::Compressor::new(known))
        };
        Ok(Deflate { quick: compressor(QUICK_LEVEL)?, thorough: compressor(THOROUGH_LEVEL)? })
    }

    /// How many bytes of `packed` a cluster takes; `None` if it does not fit there, or is not worth trying.
    pub fn compress(&mut self, cluster: &[u8], packed: &mut [u8]) -> Option<usize> {
        let compressor = match entropy(cluster) {
            STORED.. => return None,
            QUICK.. => &mut self.quick,
            _ => &mut self.thorough,
        };
        compressor.deflate_compress(cluster, packed).none_because("a cluster that does not get smaller is stored as it is")
    }
}

/// In bits a byte, with `FRACTION` binary places.
fn entropy(cluster: &[u8]) -> u64 {
    // Two tables, since a byte often follows its equal.
    let mut counts = [[0u32; 256]; 2];
    for line in cluster.chunks_exact(OF) {
        for pair in line[..TAKEN].as_chunks::<2>().0 {
            counts[0][usize::from(pair[0])] += 1;
            counts[1][usize::from(pair[1])] += 1;
        }
    }
    let of_counts: u64 = (0..256).map(|byte| counts[0][byte] + counts[1][byte]).map(|n| u64::from(n) * u64::from(LOG2[n as usize])).sum();
    u64::from(LOG2[SAMPLE]) - of_counts / SAMPLE as u64
}

/// Base-2 logarithms of 0 (counts as 0) to [`SAMPLE`].
static LOG2: LazyLock<Vec<u32>> = LazyLock::new(|| (0..=SAMPLE as u64).map(|n| log2(n.max(1))).collect());

/// Digit by digit: each squaring tells the next one.
fn log2(n: u64) -> u32 {
    let whole = n.ilog2();
    // 1 to 2, with 31 binary places.
    let mut rest = (n << 31) >> whole;
    let mut result = whole;
    for _ in 0..FRACTION {
        rest = (rest * rest) >> 31;
        let digit = (rest >> 32) as u32;
        rest >>= digit;
        result = result << 1 | digit;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::noise;

    #[test]
    fn logarithms_and_entropies_are_right() {
        for n in 1..=SAMPLE as u64 {
            let exact = (n as f64).log2() * f64::from(1 << FRACTION);
            assert!((f64::from(log2(n)) - exact).abs() <= 1.0, "{n}");
        }
        let of = |byte: &dyn Fn(usize) -> u8| entropy(&(0..CLUSTER as usize).map(byte).collect::<Vec<u8>>());
        assert_eq!(of(&|_| 7), 0);
        assert_eq!(of(&|n| (n % 2) as u8), hundredths(100));
        assert_eq!(of(&|n| (n % 16) as u8), hundredths(400));
        assert_eq!(of(&|n| (n / OF + n % TAKEN * 4) as u8), hundredths(800));
    }

    #[test]
    fn each_kind_of_cluster_is_treated_as_it_deserves() {
        let mut noise = noise();
        let mut take = |to: fn(u32) -> u8| noise.by_ref().take(CLUSTER as usize).map(to).collect::<Vec<u8>>();
        let random = take(|word| word as u8);
        let packed = &mut vec![0; CLUSTER as usize];
        assert!(Deflate::new().unwrap().compress(&random, packed).is_none() && entropy(&random) > STORED);
        // Letters, and numbers of 64 values: below and above.
        let text = take(|word| b'a' + (word % 26) as u8);
        let code = take(|word| (word % 64) as u8 * 4);
        for (cluster, level) in [(text, THOROUGH_LEVEL), (code, QUICK_LEVEL)] {
            let length = Deflate::new().unwrap().compress(&cluster, packed).unwrap();
            let mut twin = vec![0; CLUSTER as usize];
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
            let expected = compressor.deflate_compress(&cluster, &mut twin).unwrap();
            assert!(packed[..length] == twin[..expected], "level {level}");
        }
    }
}
