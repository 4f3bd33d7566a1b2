//! What packages say of accounts beside their sysusers.d files: in provisions `user(NAME) = BASE64` (rpm 4.19 and later) and in scriptlets that call
//! useradd and its kin. Both are known before the first owner of a file is asked for.

use crate::scriptlets::{self, Scriptlet};
use conf::sysusers::{self, Line};
use model::{Error, Result, ResultExt, ResultJudged, decode_base64};
use packages::rpm::Dependency;
use recipe::ScriptletRule;
use supply::fetch::Pack;

/// In the order of `packs`; the first line for a name counts.
pub(super) fn provided(packs: &[Pack]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for pack in packs {
        let package = &pack.metadata().nevra;
        for provide in pack.metadata().provides.iter().filter(|provide| is_account(provide)) {
            let wrong = || Error::integrity(format!("expected a line of sysusers.d in base64, found {:?}", provide.version));
            let text = decode_base64(provide.version.as_bytes())
                .and_then(|bytes| String::from_utf8(bytes).none_because("the error below says what was expected"))
                .ok_or_else(wrong);
            let name = format!("{} of {package}", provide.name);
            lines.extend(sysusers::parse(&name, text.context(|| name.clone())?.trim_end_matches('\0'))?);
        }
    }
    Ok(lines)
}

fn is_account(provide: &Dependency) -> bool {
    let named = ["user(", "group(", "groupmember("].iter().any(|start| provide.name.starts_with(start));
    // Without a value it only says who makes the account.
    named && provide.flags & Dependency::EQUAL != 0 && !provide.version.is_empty()
}

/// Of every scriptlet that the recipe does not skip, also of those that are run as well: owners of files are needed first.
pub(super) fn scripted(scriptlets: &[Scriptlet], rules: &[ScriptletRule]) -> Vec<Line> {
    scriptlets.iter().filter(|scriptlet| !scriptlets::is_skipped(scriptlet, rules)).flat_map(|s| scriptlets::read(s).accounts).collect()
}
