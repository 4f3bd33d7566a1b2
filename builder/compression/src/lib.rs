//! Streaming decoders of the compressions found in packages and repositories: gzip (RFC 1952), xz and lzma, zstd (RFC 8878), bzip2.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod gzip;

use model::{Error, Result, ResultExt};
use std::io::{BufRead, Read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Xz,
    /// The older single-stream format, "lzma alone".
    Lzma,
    Zstd,
    Bzip2,
}

/// How much memory a decoder may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of xz and lzma, in bytes.
    pub memory: u64,
    /// log2 of the greatest zstd window in bytes.
    pub zstd_window_log: u32,
}

impl Compression {
    /// The xz decoder may ask for so much memory, in bytes: xz -9 needs 65 MiB.
    pub const MEMORY_LIMIT: u64 = 128 << 20;
    /// log2 of the greatest zstd window: the format's own recommendation is 23, `zstd` decodes 27 (128 MiB) without asking.
    pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

    /// Reads rpm's PAYLOADCOMPRESSOR; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" | "uncompressed" | "identity" => Compression::None,
            "gzip" => Compression::Gzip,
            "xz" => Compression::Xz,
            "lzma" => Compression::Lzma,
            "zstd" => Compression::Zstd,
            "bzip2" => Compression::Bzip2,
            _ => return None,
        })
    }

    /// By a file name's extension; `None` compression for any other.
    pub fn from_extension(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Compression::Gzip,
            Some("xz") => Compression::Xz,
            Some("lzma") => Compression::Lzma,
            Some("zst") => Compression::Zstd,
            Some("bz2") => Compression::Bzip2,
            _ => Compression::None,
        }
    }

    /// The decoded bytes of `input`; concatenated members are read through, as the command-line tools do.
    pub fn decoder<'a>(self, input: impl BufRead + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
        self.decoder_within(input, Limits { memory: Self::MEMORY_LIMIT, zstd_window_log: Self::ZSTD_WINDOW_LOG_MAX })
    }

    /// The same with limits of the caller's.
    pub fn decoder_within<'a>(self, input: impl BufRead + Send + 'a, limits: Limits) -> Result<Box<dyn Read + Send + 'a>> {
        let lzma = |stream: std::result::Result<liblzma::stream::Stream, liblzma::stream::Error>| {
            stream.map_err(|e| Error::internal("start the xz decoder").source(e))
        };
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Xz => {
                let stream = lzma(liblzma::stream::Stream::new_stream_decoder(limits.memory, liblzma::stream::CONCATENATED))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Lzma => {
                let stream = lzma(liblzma::stream::Stream::new_lzma_decoder(limits.memory))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input).context(|| "start the zstd decoder")?;
                decoder.window_log_max(limits.zstd_window_log).context(|| "limit the zstd decoder's window")?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn what_the_tools_compress_is_read_back() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for (compression, tool) in [
            (Compression::Gzip, &["gzip", "-c"][..]),
            (Compression::Xz, &["xz", "-c"]),
            (Compression::Lzma, &["xz", "--format=lzma", "-c"]),
            (Compression::Zstd, &["zstd", "-c"]),
            (Compression::Bzip2, &["bzip2", "-c"]),
            (Compression::None, &["cat"]),
        ] {
            let child = Command::new(tool[0]).args(&tool[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut child) = child else {
                fixtures::missing(format_args!("no {}", tool[0]));
                continue;
            };
            let mut stdin = child.stdin.take().unwrap();
            let input = text.clone();
            let writer = std::thread::spawn(move || stdin.write_all(&input));
            let packed = child.wait_with_output().unwrap().stdout;
            writer.join().unwrap().unwrap();
            let mut out = Vec::new();
            compression.decoder(packed.as_slice()).unwrap().read_to_end(&mut out).unwrap();
            assert!(out == text, "{compression:?}");
            if compression != Compression::None {
                let cut = &packed[..packed.len() / 2];
                assert!(
                    compression.decoder(cut).unwrap().read_to_end(&mut Vec::new()).is_err(),
                    "{compression:?} cut in half was accepted"
                );
            }
        }
    }
}
