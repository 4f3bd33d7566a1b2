//! Scriptlets: what a package asks to run around its own installation and removal.

use super::header::Header;
use model::{Digest, OptionJudged, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Pretrans,
    Pre,
    Post,
    Posttrans,
    Preun,
    Postun,
    /// Before a package is there that the trigger's own package waits for.
    Triggerprein,
    Triggerin,
    Filetriggerin,
    /// Once, after every %posttrans.
    Transfiletriggerin,
}

impl Phase {
    pub const ALL: [Phase; 10] = [
        Phase::Pretrans,
        Phase::Pre,
        Phase::Post,
        Phase::Posttrans,
        Phase::Preun,
        Phase::Postun,
        Phase::Triggerprein,
        Phase::Triggerin,
        Phase::Filetriggerin,
        Phase::Transfiletriggerin,
    ];

    /// As in a spec file and in a recipe, without the `%`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Pretrans => "pretrans",
            Phase::Pre => "pre",
            Phase::Post => "post",
            Phase::Posttrans => "posttrans",
            Phase::Preun => "preun",
            Phase::Postun => "postun",
            Phase::Triggerprein => "triggerprein",
            Phase::Triggerin => "triggerin",
            Phase::Filetriggerin => "filetriggerin",
            Phase::Transfiletriggerin => "transfiletriggerin",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

/// Tags of the text, of the interpreter and of the flags of what is no trigger.
const TAGS: [(Phase, [u32; 3]); 6] = [
    (Phase::Pretrans, [1151, 1153, 5024]),
    (Phase::Pre, [1023, 1085, 5020]),
    (Phase::Post, [1024, 1086, 5021]),
    (Phase::Posttrans, [1152, 1154, 5025]),
    (Phase::Preun, [1025, 1087, 5022]),
    (Phase::Postun, [1026, 1088, 5023]),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scriptlet {
    pub phase: Phase,
    /// Program and arguments, such as `/bin/sh` or `<lua>`. With an empty text the program alone is run.
    pub interpreter: Vec<String>,
    /// What is not UTF-8 is replaced.
    pub text: String,
    /// RPMSCRIPT_FLAG: 1 expand macros, 2 query format, 4 critical.
    pub flags: u32,
}

impl Scriptlet {
    /// SHA-256 of the text, which recipes name it by. A scriptlet without text has that of its interpreter, words joined by a space.
    pub fn digest(&self) -> Digest {
        if self.text.is_empty() { Digest::of(self.interpreter.join(" ").as_bytes()) } else { Digest::of(self.text.as_bytes()) }
    }

    /// Run by rpm's built-in Lua, not by a program.
    pub fn is_lua(&self) -> bool {
        self.interpreter.first().is_some_and(|program| program == "<lua>")
    }
}

pub(super) fn read(header: &Header) -> Result<Vec<Scriptlet>> {
    let mut scriptlets = Vec::new();
    for (phase, [text, program, flags]) in TAGS {
        let text = header.text(text)?;
        let interpreter = header.strings(program)?;
        if text.is_none() && interpreter.is_none() {
            continue;
        }
        let interpreter = match interpreter {
            Some(words) => words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            // rpm's own default.
            None => vec!["/bin/sh".to_owned()],
        };
        scriptlets.push(Scriptlet {
            phase,
            interpreter,
            text: text.default_because("a scriptlet may be an interpreter alone"),
            flags: header.number(flags)?.unwrap_or(0),
        });
    }
    Ok(scriptlets)
}
