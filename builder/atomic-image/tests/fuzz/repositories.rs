//! rpm-md: each XML file alone, and whole repositories whose digests are right whatever is in them.

use crate::random::Random;
use crate::rpm_file::compress;
use crate::{Answer, Subject, fuzz, scratch};
use model::{Digest, Error, Silent};
use packages::rpmmd;
use std::path::Path;
use supply::net::{Client, ClientOptions, Url};
use supply::repos::rpmmd as repository;

pub const PRIMARY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2">
<package type="rpm"><name>bash</name><arch>x86_64</arch><version epoch="0" ver="4.2" rel="1"/><checksum type="sha256" pkgid="YES">9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08</checksum>
<summary>a shell &amp; more</summary><size package="10" installed="20" archive="30"/><location href="Packages/bash.rpm"/><format><rpm:license>MIT</rpm:license>
<rpm:sourcerpm>bash.src.rpm</rpm:sourcerpm><rpm:provides><rpm:entry name="bash" flags="EQ" epoch="0" ver="4.2" rel="1"/></rpm:provides>
<rpm:requires><rpm:entry name="/bin/sh" pre="1"/><rpm:entry name="(a if b else (c or d))"/><rpm:entry name="libc" flags="GE" epoch="0" ver="2"/></rpm:requires>
<rpm:conflicts><rpm:entry name="zsh" flags="LT" ver="1"/></rpm:conflicts><file>/bin/bash</file><file type="dir">/etc/x</file></format></package>
<package type="rpm"><name>tool</name><arch>noarch</arch><version epoch="1" ver="2" rel="3"/><checksum type="sha256" pkgid="YES">60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752</checksum>
<summary><![CDATA[x]]></summary><size package="1" installed="2" archive="3"/><location href="tool.rpm" xml:base="http://m/"/><format><rpm:obsoletes><rpm:entry name="old"/></rpm:obsoletes></format></package>
</metadata>
"#;

pub const FILELISTS: &str = r#"<?xml version="1.0"?><filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="1">
<package pkgid="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" name="bash" arch="x86_64"><version epoch="0" ver="4.2" rel="1"/>
<file>/usr/bin/bash</file><file type="dir">/usr/share/x</file><file type="ghost">/run/y&#33;</file></package></filelists>"#;

const COMPS: &str = r#"<!DOCTYPE comps PUBLIC "-//x//y" "comps.dtd"><comps><group><id>core</id><name xml:lang="de">Kern</name><packagelist><packagereq type="mandatory">bash</packagereq>
<packagereq type="conditional" requires="bash">tool</packagereq></packagelist></group><environment><id>min</id><grouplist><groupid>core</groupid></grouplist></environment></comps>"#;

const MODULES: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: tool\n  stream: \"1\"\n  version: 20\n  context: c\n  dependencies:\n  - requires:\n      \
    platform: [f29]\n  artifacts:\n    rpms:\n    - tool-1:2-3.noarch\n...\n---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: tool\n  stream: \"1\"\n...\n";

const METALINK: &str = r#"<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="repomd.xml"><size>3</size><verification>
<hash type="md5">00</hash><hash type="sha256">9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08</hash></verification><mm0:alternates xmlns:mm0="m">
<mm0:alternate><verification><hash type="sha256">60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752</hash></verification></mm0:alternate></mm0:alternates>
<resources><url preference="9">http://a/repodata/repomd.xml</url><url>https://b/repodata/repomd.xml</url></resources></file></files></metalink>"#;

const WORDS: &[&[u8]] = &[
    b"<",
    b">",
    b"/>",
    b"</",
    b"&amp;",
    b"&#x110000;",
    b"&#0;",
    b"&x;",
    b"\"",
    b"'",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<?x ?>",
    b"<!DOCTYPE a [",
    b"<!ENTITY a \"b\">",
    b"\0",
    b"\xff",
    b"../",
    b"/etc/passwd",
    b"<package>",
    b"</package>",
    b"<rpm:entry name=\"\"/>",
    b"xmlns:x=\"y\"",
    b"type=\"sha256\"",
    b"\xef\xbb\xbf",
];
const YAML: &[&[u8]] = &[
    b"- ",
    b": ",
    b"&a ",
    b"*a",
    b"!!str ",
    b"|\n",
    b">-\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"? ",
    b"---\n",
    b"...\n",
    b"#",
    b"'",
    b"\"",
    b"\t",
    b"%YAML 1.2\n",
];

/// The document's own offsets are in a refusal of it.
fn placed(result: Result<(), Error>) -> Answer {
    match result {
        Err(error) if format!("{error:#}").len() > 8 << 10 => Err(format!("a refusal of {} bytes", format!("{error:#}").len())),
        other => Ok(other),
    }
}

fn xml(name: &'static str, seed: String, read: &dyn Fn(&[u8]) -> Answer) {
    fuzz(Subject { name, seeds: vec![seed.into_bytes()], words: WORDS, make: None, change: Some(&change_xml), read });
}

const VALUES: [&str; 14] = [
    "",
    "..",
    "../x",
    "/x",
    "-1",
    "18446744073709551616",
    "9223372036854775808",
    "sha256",
    "md5",
    "GE",
    "primary",
    "1.5",
    "http://x/",
    "(a or",
];

/// A tag or text dropped, doubled or moved, or what stands between quotes made something else.
fn change_xml(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for &byte in bytes.iter() {
        let ends = parts.last().is_none_or(|part| part.ends_with(b">")) || byte == b'<';
        if ends {
            parts.push(Vec::new());
        }
        parts.last_mut().unwrap().push(byte);
    }
    let at = random.below(parts.len());
    match random.below(6) {
        0 => drop(parts.remove(at)),
        1 => parts.insert(random.below(parts.len()), parts[at].clone()),
        2 => {
            let to = random.below(parts.len());
            parts.swap(at, to);
        }
        _ => {
            let quotes: Vec<usize> = parts[at].iter().enumerate().filter(|(_, b)| **b == b'"').map(|(i, _)| i).collect();
            let value = match random.below(3) {
                0 => random.number().to_string(),
                1 => "x".repeat(random.below(3000)),
                _ => (*random.pick(&VALUES)).to_owned(),
            };
            match quotes.as_slice() {
                [] if !parts[at].starts_with(b"<") => parts[at] = value.into_bytes(),
                [] => {}
                several => {
                    let which = random.below(several.len() / 2) * 2;
                    let end = several.get(which + 1).copied().unwrap_or(parts[at].len());
                    parts[at].splice(several[which] + 1..end, value.into_bytes());
                }
            }
        }
    }
    *bytes = parts.concat();
}

#[cfg_attr(test, test)]
pub fn a_repomd_is_read_or_refused() {
    let files = Files::sample();
    xml("repomd", files.repomd(), &|bytes| placed(rpmmd::parse_repomd(bytes).map(drop)));
}

#[cfg_attr(test, test)]
pub fn a_primary_is_read_or_refused() {
    xml("primary", PRIMARY.into(), &|bytes| placed(rpmmd::read_primary(bytes, drop)));
}

#[cfg_attr(test, test)]
pub fn a_filelists_is_read_or_refused() {
    xml("filelists", FILELISTS.into(), &|bytes| placed(rpmmd::read_filelists(bytes, |_, _| {})));
}

#[cfg_attr(test, test)]
pub fn a_comps_is_read_or_refused() {
    xml("comps", COMPS.into(), &|bytes| placed(rpmmd::read_comps(bytes).map(drop)));
}

#[cfg_attr(test, test)]
pub fn a_metalink_is_read_or_refused() {
    xml("metalink", METALINK.into(), &|bytes| placed(rpmmd::parse_metalink(bytes).map(drop)));
}

#[cfg_attr(test, test)]
pub fn a_modules_yaml_is_read_or_refused() {
    let read = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => placed(rpmmd::parse_modules(text).map(drop)),
        Err(_) => Ok(Err(Error::integrity("not text"))),
    };
    fuzz(Subject { name: "modules", seeds: vec![MODULES.into()], words: YAML, make: None, change: None, read: &read });
}

/// The files of a repository, as they are in it.
#[derive(Clone)]
pub struct Files(pub Vec<(&'static str, &'static str, Vec<u8>)>);

impl Files {
    pub fn sample() -> Self {
        Files(vec![
            ("primary", "repodata/primary.xml.gz", compress("gzip", PRIMARY.as_bytes())),
            ("filelists", "repodata/filelists.xml.zst", compress("zstd", FILELISTS.as_bytes())),
            ("group", "repodata/comps.xml", COMPS.into()),
            ("modules", "repodata/modules.yaml.xz", compress("xz", MODULES.as_bytes())),
        ])
    }

    /// With the digests and sizes of the files as they are.
    pub fn repomd(&self) -> String {
        let data = |(kind, place, bytes): &(&str, &str, Vec<u8>)| {
            format!(
                "<data type=\"{kind}\"><checksum type=\"sha256\">{}</checksum><open-checksum type=\"sha256\">{}</open-checksum><location href=\"{place}\"/>\
                 <timestamp>1448000000.5</timestamp><size>{}</size><open-size>100000</open-size></data>\n",
                Digest::of(bytes),
                Digest::of(b""),
                bytes.len()
            )
        };
        let data: String = self.0.iter().map(data).collect();
        format!("<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>7</revision>\n{data}</repomd>\n")
    }

    pub fn write(&self, folder: &Path, repomd: &[u8]) {
        std::fs::create_dir_all(folder.join("repodata")).unwrap();
        for (_, place, bytes) in &self.0 {
            std::fs::write(folder.join(place), bytes).unwrap();
        }
        std::fs::write(folder.join("repodata/repomd.xml"), repomd).unwrap();
    }
}

/// Loads the repository in `folder` with its groups and file lists, and judges where its packages are said to be.
pub fn load(folder: &Path) -> Answer {
    let cache = folder.join("cache");
    let client = Client::new(&ClientOptions::default()).unwrap();
    let url = Url::parse(&folder.join("repo").display().to_string()).unwrap();
    let source = repository::Source {
        id: "r",
        origin: repository::Origin::Url(&url),
        priority: 99,
        visible: &[],
        exclude: &[],
        trust: repository::Trust::Unsigned,
    };
    let loaded = (|| {
        let mut snapshot = repository::load(&client, &source, &cache, &Silent)?;
        repository::groups(&client, &snapshot, &cache, &Silent)?;
        let wanted = ["/usr/bin/bash".to_owned(), "/run/y!".to_owned()].into();
        repository::add_files(&client, &mut snapshot, &wanted, &cache, &Silent)?;
        Ok(snapshot)
    })();
    let strangers: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n != "repo" && n != "cache").collect();
    std::fs::remove_dir_all(&cache).ok();
    if !strangers.is_empty() {
        return Err(format!("files outside the cache: {strangers:?}"));
    }
    let snapshot = match loaded {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(Err(error)),
    };
    let out = |location: &str| !location.contains("://") && (location.starts_with('/') || location.split('/').any(|part| part == ".."));
    let files = [&snapshot.filelists, &snapshot.comps];
    let locations = snapshot.packages.iter().map(|p| &p.location).chain(files.into_iter().flatten().map(|f| &f.location));
    match locations.into_iter().find(|location| out(location)) {
        Some(location) => Err(format!("a location outside the repository: {location:?}")),
        None => Ok(Ok(())),
    }
}

#[cfg_attr(test, test)]
pub fn a_repository_is_loaded_or_refused() {
    let folder = scratch();
    let sample = Files::sample();
    let plain = [PRIMARY, FILELISTS, COMPS, MODULES];
    // Sixteen changes of each round: the input itself is what makes them.
    let read = |bytes: &[u8]| -> Answer {
        let mut random = Random::new(u64::from_le_bytes(Digest::of(bytes).as_bytes()[..8].try_into().unwrap()));
        let mut files = sample.clone();
        let which = random.below(files.0.len());
        let compressor = ["gzip", "zstd", "none", "xz"][which];
        let mut text = plain[which].as_bytes().to_vec();
        if which != 3 && !random.one_in(3) {
            change_xml(&mut random, &mut text)
        } else {
            random.change(&mut text, WORDS, PRIMARY.as_bytes())
        }
        files.0[which].2 = compress(compressor, &text);
        if random.one_in(4) {
            random.change(&mut files.0[which].2, &[], b"");
        }
        let mut repomd = files.repomd().into_bytes();
        if random.one_in(3) {
            change_xml(&mut random, &mut repomd);
        }
        files.write(&folder.path().join("repo"), &repomd);
        load(folder.path())
    };
    sample.write(&folder.path().join("repo"), sample.repomd().as_bytes());
    assert!(matches!(load(folder.path()), Ok(Ok(()))), "the sample is not read");
    let make = |random: &mut Random| random.next().to_le_bytes().to_vec();
    fuzz(Subject { name: "repository", seeds: vec![], words: &[], make: Some(&make), change: None, read: &read });
}
