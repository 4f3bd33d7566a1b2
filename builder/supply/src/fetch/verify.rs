//! The only maker of [`VerifiedPackage`]: the file's digest is the locked one, and the package is signed by a key of its repository.
//!
//! A signature over the main header alone is enough when the header says the payload's SHA-256, or that of every file: [`Pack`](super::Pack)
//! checks those while it imports. Without either, header and payload must be signed together.

use super::keyring::{Keyring, Refusal, Signer};
use super::signatures::{self, reader_at};
use model::{Digest, Error, Hasher, Result, ResultExt, open_regular};
use packages::rpm::{self, FileKind, Package};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Whose word a repository's packages need.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    Keys(&'a Keyring),
    /// The recipe says so: the locked digest alone.
    Unsigned,
}

/// A package file that may be unpacked.
#[derive(Debug)]
pub struct VerifiedPackage {
    path: PathBuf,
    file: File,
    digest: Digest,
    package: Package,
    signer: Option<Signer>,
}

impl VerifiedPackage {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the whole file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn package(&self) -> &Package {
        &self.package
    }

    /// `None` if no signature was asked for.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The very file that was verified, whatever its name points to by now, at the start of the payload.
    pub fn payload(&self) -> Result<impl Read + Send + use<>> {
        payload_of(&self.file, &self.path, &self.package)
    }
}

/// Size, then digest, then signature. A file of the wrong size or digest, or with a signature over other bytes, is moved aside to
/// `<name>.rejected`.
pub fn verify(path: &Path, expected: &Digest, expected_size: u64, trust: Trust<'_>) -> Result<VerifiedPackage> {
    let shown = path.display();
    let file = File::open(path).context(|| format!("open the package {shown}"))?;
    let size = file.metadata().context(|| format!("read the size of {shown}"))?.len();
    if size != expected_size {
        return Err(reject(path, format!("package {shown}: expected {expected_size} bytes, found {size}")));
    }
    let digest = digest_of(&file).context(|| format!("read the package {shown}"))?;
    if digest != *expected {
        return Err(reject(path, format!("package {shown}: expected sha256 {expected}, found {digest}")));
    }
    let package = rpm::parse(BufReader::new(reader_at(&file, path, 0)?)).context(|| format!("package {shown}"))?;
    let signer = match trust {
        Trust::Unsigned => None,
        Trust::Keys(keys) => {
            let doing = || format!("package {} in {shown}", package.metadata.nevra);
            match signatures::least_weak(&package, &file, path, keys) {
                Ok(signer) => Some(signer),
                Err(Refusal::Bad(e)) => return Err(reject(path, format!("{:#}", e.context(doing())))),
                Err(Refusal::Unaccepted(e)) => return Err(e.context(doing())),
            }
        }
    };
    Ok(VerifiedPackage { path: path.to_path_buf(), file, digest, package, signer })
}

/// The package file at `path`, whatever its digest, as one that is trusted for the sake of its signature alone. The file stays where it is.
pub fn verify_signature(path: &Path, keys: &Keyring) -> Result<VerifiedPackage> {
    let (file, package) = open_package(path)?;
    let signer = signatures::least_weak(&package, &file, path, keys).map_err(|refusal| refusal.into_error().context(path.display()))?;
    let digest = digest_of(&file).context(|| format!("read the package {}", path.display()))?;
    Ok(VerifiedPackage { path: path.to_path_buf(), file, digest, package, signer: Some(signer) })
}

/// Contents may be so many times the package's size, beyond a GiB: real packages stay below 50 times.
const CONTENTS_FACTOR: u64 = 1000;
const CONTENTS_FLOOR: u64 = 1 << 30;

/// The payload of a package that was read from `file`; `path` is for messages. Refused where the header announces more than such a package could hold.
pub fn payload_of(file: &File, path: &Path, package: &Package) -> Result<impl Read + Send + use<>> {
    let size = file.metadata().context(|| format!("read the size of {}", path.display()))?.len();
    let announced =
        package.files.iter().filter(|f| f.kind == FileKind::File && !f.flags.is_ghost()).fold(0u64, |sum, f| sum.saturating_add(f.size));
    let most = size.saturating_mul(CONTENTS_FACTOR).saturating_add(CONTENTS_FLOOR);
    if announced > most {
        return Err(Error::integrity(format!(
            "package {}: the header at offset {} announces {announced} bytes of contents, expected at most {most} in a package of {size} bytes",
            path.display(),
            package.header_offset
        )));
    }
    reader_at(file, path, package.payload_offset)
}

/// Opens and parses a package that someone named.
pub fn open_package(path: &Path) -> Result<(File, Package)> {
    let file = open_regular(path).map_err(|e| Error::recipe(format!("cannot open {}", path.display())).source(e))?;
    let package = rpm::parse(BufReader::new(reader_at(&file, path, 0)?)).context(|| path.display())?;
    Ok((file, package))
}

fn reject(path: &Path, message: String) -> Error {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".rejected");
    let hint = match std::fs::rename(path, &aside) {
        Ok(()) => format!("the file is kept as {}; try again, or lock again if the repository has changed", Path::new(&aside).display()),
        Err(e) => format!("the file could not be moved aside: {e}"),
    };
    Error::integrity(message).hint(hint)
}

fn digest_of(mut file: &File) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
