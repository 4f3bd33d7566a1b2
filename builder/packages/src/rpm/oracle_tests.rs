//! Every package at hand, read by us and by rpm: the same lists, or refused by both.

use super::*;
use model::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

const FORMAT: &str = "P\\t%{NAME}-%|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}\\t%{BUILDTIME}\\t%{SOURCERPM}\\n\
    [R\\t%{REQUIRENAME}\\t%{REQUIREFLAGS}\\t%{REQUIREVERSION}\\n][V\\t%{PROVIDENAME}\\t%{PROVIDEFLAGS}\\t%{PROVIDEVERSION}\\n]\
    [F\\t%{FILENAMES}\\t%{LONGFILESIZES}\\t%{FILEMTIMES}\\t%{FILEDIGESTS}\\t%{FILEMODES:octal}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILEFLAGS}\\t%{FILERDEVS}\\t%{FILELINKTOS}\\n]";

fn ours(path: &Path) -> Result<String, Error> {
    let p = parse(BufReader::new(File::open(path).unwrap()))?;
    let m = &p.metadata;
    let none = |s: &str| if s.is_empty() { "(none)".to_owned() } else { s.to_owned() };
    let built = if p.header.has(tags::BUILD_TIME) { m.build_time.to_string() } else { "(none)".into() };
    let e = &m.nevra.evr;
    let mut out = format!("P\t{}-{}:{}-{}\t{built}\t{}\n", m.nevra.name, e.epoch, e.version, e.release, none(&m.source_rpm));
    for (letter, list) in [('R', &m.requires), ('V', &m.provides)] {
        for d in list {
            out += &format!("{letter}\t{}\t{}\t{}\n", d.name, d.flags, d.version);
        }
    }
    // nfpm writes 1 for regular files, where it means nothing.
    let rdevs = p.header.u16s(tags::FILE_RDEVS)?.unwrap_or_default();
    for (i, f) in p.files.iter().enumerate() {
        let digest = match &f.digest {
            Some(FileDigest::Sha256(d)) => d.to_string(),
            Some(FileDigest::Other { hex, .. }) => hex.clone(),
            None => String::new(),
        };
        let (rdev, target) = match &f.kind {
            FileKind::CharDevice { major, minor } | FileKind::BlockDevice { major, minor } => (major << 8 | minor, String::new()),
            FileKind::Symlink { target } => (0, String::from_utf8_lossy(target).into_owned()),
            _ => (u32::from(rdevs[i]), String::new()),
        };
        let shown = f.path.to_string();
        let shown = if m.is_source { shown.trim_start_matches('/') } else { &shown };
        let mode = f.kind.type_bits() | u32::from(f.mode);
        out +=
            &format!("F\t{shown}\t{}\t{}\t{digest}\t{mode:o}\t{}\t{}\t{}\t{rdev}\t{target}\n", f.size, f.mtime, f.user, f.group, f.flags.0);
    }
    Ok(out)
}

/// What rpm says of each package, in the order given; `None` where it refuses.
fn rpms(paths: &[std::path::PathBuf]) -> Option<Vec<Option<String>>> {
    let output = Command::new("rpm").args(["-qp", "--nosignature", "--nodigest", "--qf", FORMAT]).args(paths).output();
    let Ok(output) = output else {
        fixtures::missing("no rpm");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut chunks = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with("P\t") {
            chunks.push(String::new());
        }
        chunks.last_mut().unwrap().push_str(line);
    }
    let refused = |p: &Path| errors.lines().any(|l| l.starts_with("error:") && l.contains(&*p.to_string_lossy()));
    let accepted = paths.iter().filter(|p| !refused(p)).count();
    assert_eq!(accepted, chunks.len(), "rpm's answers cannot be told apart: {errors}");
    let mut chunks = chunks.into_iter();
    Some(paths.iter().map(|p| if refused(p) { None } else { chunks.next() }).collect())
}

#[test]
fn every_package_reads_as_rpm_reads_it_or_is_refused_by_both() {
    let Some(folder) = fixtures::folder() else { return };
    let paths = fixtures::packages(&folder.join("rpms"));
    let Some(theirs) = rpms(&paths) else { return };
    let (mut read, mut refused, mut differs) = (0, 0, 0);
    for (path, theirs) in paths.iter().zip(theirs) {
        match (ours(path), theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => read += 1,
            (Err(_), None) => refused += 1,
            (ours, theirs) => {
                differs += 1;
                let (ours, theirs) = (ours.unwrap_or_else(|e| format!("refused: {e}")), theirs.unwrap_or_else(|| "refused".into()));
                let pair = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
                println!("{}\n  ours   {:?}\n  theirs {:?}", path.display(), pair.map(|p| p.0), pair.map(|p| p.1));
            }
        }
    }
    println!("read {read}, refused by both {refused}, differs {differs}");
    assert_eq!(differs, 0);
    assert!(read > 1_900, "only {read} packages");
}
