//! Every package at hand, dumped by us and by rpm: the same paths with the same contents, or refused by both.

use super::{PathRow, dump, shown};
use model::Digest;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `rpm -qp --dump` and the capabilities say of one path, in our words.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    kind: &'static str,
    mode: String,
    user: String,
    group: String,
    size: u64,
    config: bool,
    doc: bool,
    target: Option<String>,
    caps: Option<String>,
}

impl Said {
    fn of(row: &PathRow) -> Self {
        Said {
            kind: row.kind,
            mode: row.mode.clone(),
            user: row.user.clone(),
            group: row.group.clone(),
            size: row.size,
            config: row.flags.contains(&"config"),
            doc: row.flags.contains(&"doc"),
            target: row.target.clone(),
            caps: row.caps.clone(),
        }
    }
}

/// By package in the order given; `None` where rpm refuses.
fn rpms(paths: &[PathBuf]) -> Option<Vec<Option<BTreeMap<String, Said>>>> {
    let format = "P\n[C%{FILECAPS}\n]";
    let output = Command::new("rpm").args(["-qp", "--nosignature", "--nodigest", "--dump", "--qf", format]).args(paths).output();
    let Ok(output) = output else {
        fixtures::missing("no rpm");
        return None;
    };
    let row = regex::Regex::new(r"^(.*) (\d+) (\d+) (\S*) (0[0-7]+) (\S+) (\S+) ([01]) ([01]) (\d+) (.*)$").unwrap();
    let mut packages: Vec<(Vec<String>, BTreeMap<String, Said>)> = Vec::new();
    for line in output.stdout.split(|&b| b == b'\n').map(shown) {
        if line == "P" {
            packages.push(Default::default());
        } else if let Some(caps) = line.strip_prefix('C') {
            packages.last_mut().unwrap().0.push(caps.to_owned());
        } else if let Some(fields) = row.captures(&line) {
            let (caps, rows) = packages.last_mut().unwrap();
            let mode = u32::from_str_radix(&fields[5], 8).unwrap();
            let kind = match mode & 0o170_000 {
                0o100_000 => "file",
                0o040_000 => "directory",
                0o120_000 => "symlink",
                0o020_000 => "char-device",
                0o060_000 => "block-device",
                0o010_000 => "fifo",
                _ => "socket",
            };
            let cap = caps.get(rows.len()).cloned().filter(|caps| !caps.is_empty() && caps != "(none)");
            let said = Said {
                kind,
                mode: format!("{:04o}", mode & 0o7777),
                user: fields[6].to_owned(),
                group: fields[7].to_owned(),
                size: fields[2].parse().unwrap(),
                config: &fields[8] == "1",
                doc: &fields[9] == "1",
                target: (kind == "symlink").then(|| fields[11].to_owned()),
                caps: cap,
            };
            rows.insert(fields[1].to_owned(), said);
        } else {
            assert!(line.is_empty() || line == "(contains no files)", "rpm says {line:?}");
        }
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = |p: &Path| errors.lines().any(|line| line.starts_with("error:") && line.contains(&*p.to_string_lossy()));
    let mut packages = packages.into_iter();
    let answers: Vec<_> = paths.iter().map(|p| if refused(p) { None } else { packages.next().map(|(_, rows)| rows) }).collect();
    assert!(packages.next().is_none(), "rpm's answers cannot be told apart: {errors}");
    Some(answers)
}

/// What rpm2cpio and cpio unpack, or rpm2archive and tar, which know packages made for files of more than 4 GiB: the SHA-256 of each regular
/// file, by path. `None` if both find fault.
fn unpacked(package: &Path) -> Option<BTreeMap<String, Digest>> {
    let folder = tempfile::tempdir().unwrap();
    let cpio = ["cpio", "-id", "--quiet", "--no-absolute-filenames", "--no-preserve-owner"];
    let tar = ["tar", "-xz", "--no-same-owner"];
    if !pipe("rpm2cpio", &cpio, package, folder.path()) && !pipe("rpm2archive", &tar, package, folder.path()) {
        return None;
    }
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(here) = folders.pop() {
        std::fs::set_permissions(&here, PermissionsExt::from_mode(0o700)).unwrap();
        for entry in std::fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
                let inside = path.strip_prefix(folder.path()).unwrap();
                let name = format!("/{}", shown(std::os::unix::ffi::OsStrExt::as_bytes(inside.as_os_str())));
                found.insert(name, Digest::of(&std::fs::read(&path).unwrap()));
            }
        }
    }
    Some(found)
}

fn pipe(from: &str, to: &[&str], package: &Path, folder: &Path) -> bool {
    let quiet = || Stdio::null();
    let mut source =
        Command::new(from).arg("-").stdin(std::fs::File::open(package).unwrap()).stdout(Stdio::piped()).stderr(quiet()).spawn().unwrap();
    let archive = source.stdout.take().unwrap();
    let unpacked = Command::new(to[0]).args(&to[1..]).current_dir(folder).stdin(archive).stderr(quiet()).status().unwrap();
    source.wait().unwrap().success() && unpacked.success()
}

/// rpm's word on the digests of header and payload.
fn rpm_finds_fault(package: &Path) -> bool {
    !Command::new("rpm").args(["-K", "--nosignature"]).arg(package).stdout(Stdio::null()).status().unwrap().success()
}

/// `Ok(true)`: read by both; `Ok(false)`: refused by both.
fn compare(path: &Path, theirs: Option<BTreeMap<String, Said>>, is_source: bool) -> Result<bool, String> {
    let ours = match dump(path) {
        Ok(rows) => rows,
        Err(e) => {
            if !e.to_string().contains("offset") {
                return Err(format!("the refusal names no offset: {e}"));
            }
            let refused = theirs.is_none() || rpm_finds_fault(path);
            return if refused { Ok(false) } else { Err(format!("only we refuse: {e}")) };
        }
    };
    let Some(mut theirs) = theirs else { return Err("only rpm refuses".into()) };
    if ours.windows(2).any(|pair| pair[0].path >= pair[1].path) {
        return Err("the rows are not sorted".into());
    }
    for row in &ours {
        let said = Said::of(row);
        match theirs.remove(&row.path) {
            Some(their) if their == said => {}
            their => return Err(format!("{}: we say {said:?}, rpm says {their:?}", row.path)),
        }
    }
    if let Some((path, _)) = theirs.pop_first() {
        return Err(format!("only rpm has {path}"));
    }
    let ours: BTreeMap<String, Digest> = ours.into_iter().filter_map(|row| Some((row.path, row.sha256?))).collect();
    if ours.is_empty() {
        return Ok(true);
    }
    let mut contents = unpacked(path).ok_or("only rpm2cpio and rpm2archive refuse")?;
    if is_source {
        contents = contents.into_iter().map(|(path, digest)| (path.trim_start_matches('/').to_owned(), digest)).collect();
    }
    match ours == contents {
        true => Ok(true),
        false => Err(format!("contents differ:\n{ours:?}\n{contents:?}")),
    }
}

#[test]
fn every_package_dumps_as_rpm_dumps_it_or_is_refused_by_both() {
    let Some(folder) = fixtures::folder() else { return };
    let paths = fixtures::packages(&folder.join("rpms"));
    let Some(theirs) = rpms(&paths) else { return };
    let sources: Vec<bool> = paths.iter().map(|p| p.to_string_lossy().ends_with(".src.rpm")).collect();
    let outcomes: Vec<(PathBuf, Result<bool, String>)> = paths
        .into_par_iter()
        .zip(theirs)
        .zip(sources)
        .map(|((path, theirs), is_source)| {
            let outcome = compare(&path, theirs, is_source);
            (path, outcome)
        })
        .collect();
    let mut table: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    for (path, outcome) in &outcomes {
        let set: Vec<_> = path
            .strip_prefix(folder.join("rpms"))
            .unwrap()
            .iter()
            .take(if path.starts_with(folder.join("rpms/el9-bzip2-signed")) { 1 } else { 2 })
            .map(|part| part.to_string_lossy())
            .collect();
        let row = table.entry(set.join("/")).or_default();
        row[match outcome {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        }] += 1;
        match outcome {
            Ok(true) => {}
            Ok(false) => println!("refused: {}", path.display()),
            Err(why) => println!("differs: {}: {why}", path.display()),
        }
    }
    let mut text = format!("{:<44} {:>5} {:>8} {:>8}\n", "packages", "read", "refused", "differs");
    let mut total = [0; 3];
    for (set, [read, refused, differs]) in &table {
        text += &format!("{set:<44} {read:>5} {refused:>8} {differs:>8}\n");
        total = [total[0] + read, total[1] + refused, total[2] + differs];
    }
    text += &format!("{:<44} {:>5} {:>8} {:>8}\n", "total", total[0], total[1], total[2]);
    // Past the capture of output: this table is for people.
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    assert_eq!(total[2], 0);
    assert!(total[0] > 1_900 && total[1] > 0, "{total:?}");
}

#[test]
fn a_changed_byte_of_contents_is_a_difference_that_the_comparison_finds() {
    let Some(folder) = fixtures::folder() else { return };
    let path = folder.join("rpms/awkward/go-rpmutils/testdata_payload-test-0.1-w.ufdio.x86_64.rpm");
    let Some(mut theirs) = rpms(std::slice::from_ref(&path)) else { return };
    let mut whole = theirs.remove(0).unwrap();
    assert_eq!(compare(&path, rpms(std::slice::from_ref(&path)).unwrap().remove(0), false), Ok(true));
    whole.first_entry().unwrap().get_mut().mode = "0123".into();
    let error = compare(&path, Some(whole), false).unwrap_err();
    assert!(error.contains("rpm says"), "{error}");
    let cut = tempfile::Builder::new().suffix(".rpm").tempfile().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(cut.path(), &bytes[..bytes.len() - 200]).unwrap();
    let theirs = rpms(&[cut.path().to_path_buf()]).unwrap().remove(0);
    assert_eq!(compare(cut.path(), theirs, false), Ok(false), "a package that ends early was accepted by one of both");
}
