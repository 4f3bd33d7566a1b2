//! Where this machine's apt takes the Debian archive from: `sources.list` lines and deb822 `.sources` files (sources.list(5)).

use model::{Result, ResultExt, ResultJudged};
use packages::deb::control::Stanzas;
use std::path::Path;

/// Bytes of one sources file.
const MAX_FILE: u64 = 1 << 20;

/// The archive's URL in one file's text, without the final slash; `deb822` for `.sources` files. Archives of security updates, backports in
/// other trees and third parties do not end in `/debian`.
pub fn mirror_in(text: &str, deb822: bool) -> Option<String> {
    let uris: Vec<&str> = if deb822 {
        Stanzas::new(text)
            .map_while(|stanza| stanza.none_because("a stanza that cannot be parsed ends the list"))
            .filter(|(_, s)| !s.get("Enabled").is_some_and(|e| e.eq_ignore_ascii_case("no")))
            .filter(|(_, s)| s.get("Types").is_some_and(|types| types.split_whitespace().any(|t| t == "deb")))
            .flat_map(|(_, s)| s.get("URIs").unwrap_or("").split_whitespace().collect::<Vec<_>>())
            .collect()
    } else {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim_start))
            .filter_map(|rest| {
                // Options in brackets come before the URI.
                let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
                rest.split_whitespace().next()
            })
            .collect()
    };
    uris.into_iter().map(|uri| uri.trim_end_matches('/')).find(|uri| uri.contains("://") && uri.ends_with("/debian")).map(str::to_owned)
}

/// The first mirror that `sources.list` and then the files of `sources.list.d` in the order of their names speak of. `apt` is `/etc/apt`.
pub fn mirror(apt: &Path) -> Result<Option<String>> {
    let mut files = vec![apt.join("sources.list")];
    let folder = apt.join("sources.list.d");
    if folder.is_dir() {
        let mut listed = std::fs::read_dir(&folder)
            .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
            .context(|| format!("list {}", folder.display()))?;
        listed.sort();
        files.extend(listed);
    }
    for file in files {
        let deb822 = file.extension().is_some_and(|e| e == "sources");
        if !deb822 && file.extension().is_none_or(|e| e != "list") {
            continue;
        }
        // Unreadable or odd files are somebody else's: the next may do.
        let small = std::fs::metadata(&file).is_ok_and(|m| m.is_file() && m.len() <= MAX_FILE);
        if let Some(text) = small.then(|| std::fs::read_to_string(&file).none_because("another list may say where the mirror is")).flatten()
            && let Some(found) = mirror_in(&text, deb822)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_both_forms() {
        let list = "# deb http://no.example/debian x main\ndeb-src http://no.example/debian x\ndeb [signed-by=/k a=b] https://sec.example/debian-security x main\ndeb [arch=amd64] https://mirror.example/debian/ trixie main\n";
        assert_eq!(mirror_in(list, false).as_deref(), Some("https://mirror.example/debian"));
        let sources =
            "Types: deb\nURIs: https://other.example/apt\n\nTypes: deb deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\n";
        assert_eq!(mirror_in(sources, true).as_deref(), Some("http://mirror.example/debian"));
        for (text, deb822) in [
            ("", true),
            ("", false),
            ("Types: deb\nEnabled: no\nURIs: http://a.example/debian\n", true),
            ("Types: deb-src\nURIs: http://a.example/debian\n", true),
        ] {
            assert_eq!(mirror_in(text, deb822), None, "{text:?}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(mirror(folder.path()).unwrap(), None);
        std::fs::create_dir(folder.path().join("sources.list.d")).unwrap();
        std::fs::write(folder.path().join("sources.list.d/b.sources"), "Types: deb\nURIs: http://b.example/debian\n").unwrap();
        std::fs::write(folder.path().join("sources.list.d/a.list"), "deb http://a.example/debian x main\n").unwrap();
        std::fs::write(folder.path().join("sources.list.d/0.disabled"), "deb http://no.example/debian x main\n").unwrap();
        assert_eq!(mirror(folder.path()).unwrap().as_deref(), Some("http://a.example/debian"));
    }
}
