//! RPM packages that tests make, the same bytes on every machine, signed with the public constant that the converter of Debian packages signs with.

use model::{Digest, decode_base64};
use rpm::signature::Signing;
use rpm::{BuildConfig, CompressionWithLevel, Error, FileOptions, PackageBuilder, Timestamp};
use std::io::Read;
use std::path::Path;
use supply::repos::deb::{ConvertedRpm, sign_detached, write_repository};

/// 13 September 2020: when each package was built and signed.
const BUILT: u32 = 1_600_000_000;

#[derive(Debug)]
struct PublicConstant;

impl Signing for PublicConstant {
    type Signature = Vec<u8>;

    fn sign(&self, mut data: impl Read, time: Timestamp) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        let armored = sign_detached(&bytes, time.0).unwrap();
        // Between the armor's headers and its checksum.
        let (_, body) = armored.split_once("\n\n").unwrap();
        Ok(decode_base64(body.split("\n=").next().unwrap().replace('\n', "").as_bytes()).unwrap())
    }
}

/// A package `name-1-1.x86_64`, to which the caller adds what it needs.
pub fn package(name: &str, summary: &str) -> PackageBuilder {
    let mut builder = PackageBuilder::new(name, "1", "MIT", "x86_64", summary);
    builder.using_config(BuildConfig::v4().compression(CompressionWithLevel::Zstd(1)).source_date(BUILT)).release("1");
    builder.description("Made by a test.").build_host("localhost");
    builder
}

/// Adds a file of root's.
pub fn put(builder: &mut PackageBuilder, path: &str, mode: u16, contents: &[u8]) {
    builder.with_file_contents(contents, FileOptions::new(path).permissions(mode).modified_at(Timestamp(BUILT))).unwrap();
}

/// Writes the package, signed or not.
pub fn write(builder: &mut PackageBuilder, to: &Path, signed: bool) {
    let mut package = builder.build().unwrap();
    if signed {
        package.sign_with_timestamp(PublicConstant, Timestamp(BUILT)).unwrap();
    }
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    std::fs::write(to, bytes).unwrap();
}

/// Writes a repository of signed packages with its key, `key.asc`, into `folder`.
pub fn repository(folder: &Path, packages: &mut [(&str, PackageBuilder)]) {
    std::fs::create_dir_all(folder).unwrap();
    let written: Vec<ConvertedRpm> = packages
        .iter_mut()
        .map(|(name, builder)| {
            let path = folder.join(format!("{name}.rpm"));
            write(builder, &path, true);
            let bytes = std::fs::read(&path).unwrap();
            ConvertedRpm { path, sha256: Digest::of(&bytes), size: bytes.len() as u64 }
        })
        .collect();
    write_repository(&written, folder).unwrap();
}
