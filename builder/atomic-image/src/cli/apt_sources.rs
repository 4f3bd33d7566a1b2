//! The Debian mirror that this machine's apt uses: sources.list(5), both the one-line and the deb822 form.

use model::ResultJudged;
use std::path::Path;

/// The first main archive in the machine's apt sources, without a trailing slash.
pub(super) fn machine_mirror() -> Option<String> {
    mirror_below(Path::new("/etc/apt"))
}

fn mirror_below(apt: &Path) -> Option<String> {
    let mut files = vec![apt.join("sources.list")];
    let folder = std::fs::read_dir(apt.join("sources.list.d")).none_because("no folder of sources is no sources");
    let mut parts: Vec<_> = folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    parts.sort();
    files.extend(parts);
    let mut entries = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(text.lines().filter_map(one_line)),
            Some("sources") => entries.extend(stanzas(&text)),
            _ => {}
        }
    }
    entries.into_iter().filter(Entry::is_main_archive).find_map(|entry| resolve(&entry.uri))
}

struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Entry {
    /// Debian's own archive, not its security one and not a vendor's.
    fn is_main_archive(&self) -> bool {
        let special = |suite: &String| ["-security", "-backports", "/updates"].iter().any(|end| suite.ends_with(end));
        let path = self.uri.trim_end_matches('/');
        let debian = path.ends_with("/debian") || path.contains("/debian/") || path.starts_with("mirror+file:");
        debian && self.components.iter().any(|component| component == "main") && !self.suites.iter().all(special)
    }
}

/// `deb [options] uri suite component...`.
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim().strip_prefix("deb ")?.trim_start();
    let rest = if line.starts_with('[') { line.split_once(']')?.1 } else { line };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry { uri: words.next()?, suites: vec![words.next()?], components: words.collect() })
}

fn stanzas(text: &str) -> Vec<Entry> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut entries = Vec::new();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let words = |name: &str| -> Vec<String> {
            let mut inside = false;
            let mut words = Vec::new();
            for line in stanza {
                let continued = line.starts_with([' ', '\t']);
                let value = match line.split_once(':') {
                    Some((key, value)) if !continued => {
                        inside = key.trim().eq_ignore_ascii_case(name);
                        value
                    }
                    _ => line,
                };
                if inside {
                    words.extend(value.split_whitespace().map(str::to_owned));
                }
            }
            words
        };
        let disabled = words("Enabled").first().is_some_and(|word| matches!(word.as_str(), "no" | "false" | "0" | "off"));
        if disabled || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        let (suites, components) = (words("Suites"), words("Components"));
        entries.extend(words("URIs").into_iter().map(|uri| Entry { uri, suites: suites.clone(), components: components.clone() }));
    }
    entries
}

/// Cloud images name a file with the mirrors (apt-transport-mirror(1)): its first line counts.
fn resolve(uri: &str) -> Option<String> {
    let uri = match uri.strip_prefix("mirror+file:") {
        None => uri.to_owned(),
        Some(file) => {
            let text = std::fs::read_to_string(format!("/{}", file.trim_start_matches('/')))
                .none_because("a list that cannot be read is not the machine's source")?;
            text.lines().find_map(|line| line.split_whitespace().next().filter(|word| word.starts_with("http")))?.to_owned()
        }
    };
    ["http://", "https://", "file:"].iter().any(|scheme| uri.starts_with(scheme)).then(|| uri.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_either_form_and_others_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("mirrors");
        std::fs::write(&hosts, "https://listed.test/debian\n").unwrap();
        let indirect = format!("Types: deb\nURIs: mirror+file:{}\nSuites: bookworm\nComponents: main\n", hosts.display());
        for (name, text, expected) in [
            (
                "a.list",
                "# deb http://old.test/debian x main\ndeb [arch=amd64 signed-by=/k] http://one.test/debian/ bookworm main contrib\n",
                Some("http://one.test/debian"),
            ),
            (
                "a.sources",
                "Types: deb\nURIs: http://sec.test/debian-security\nSuites: bookworm-security\nComponents: main\n\n# remark\nTypes: deb deb-src\nURIs:\n http://two.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n",
                Some("http://two.test/debian"),
            ),
            ("b.sources", "Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\nComponents: main\n", None),
            ("c.list", "deb http://vendor.test/linux bookworm stable\ndeb-src http://src.test/debian bookworm main\n", None),
            ("d.list.disabled", "deb http://no.test/debian bookworm main\n", None),
            ("e.sources", indirect.as_str(), Some("https://listed.test/debian")),
        ] {
            let apt = tempfile::tempdir().unwrap();
            std::fs::create_dir(apt.path().join("sources.list.d")).unwrap();
            std::fs::write(apt.path().join("sources.list.d").join(name), text).unwrap();
            assert_eq!(mirror_below(apt.path()).as_deref(), expected, "{name}");
        }
    }
}
