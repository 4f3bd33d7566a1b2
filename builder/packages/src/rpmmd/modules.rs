//! modules.yaml: module streams and which of their packages' builds belong to each, and which stream is the default. Documents
//! `modulemd` 1 and 2 and `modulemd-defaults` 1, as libmodulemd specifies them; other documents and texts for people are not read.

use model::{Error, Result};
use saphyr_parser::{Event, Parser};
use std::collections::BTreeMap;

/// Nobody nests deeper; a hostile file might.
const DEPTH: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    pub streams: Vec<ModuleStream>,
    /// Module and its default stream.
    pub defaults: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleStream {
    pub name: String,
    pub stream: String,
    pub version: u64,
    /// Tells builds against different dependencies apart.
    pub context: String,
    /// Any one of these suffices: module to the streams that will do (none named: any; `-x`: all but x).
    pub requires: Vec<BTreeMap<String, Vec<String>>>,
    /// `name-epoch:version-release.arch` of every package of the stream.
    pub artifacts: Vec<String>,
}

pub fn parse_modules(text: &str) -> Result<Modules> {
    let mut modules = Modules::default();
    let mut document = Document::default();
    let mut open: Vec<Level> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| Error::integrity("modules.yaml").source(e))?;
        let fault = |message: String| Error::integrity(format!("modules.yaml, line {}: {message}", span.start.line()));
        match event {
            Event::DocumentStart(_) => document = Document::default(),
            Event::DocumentEnd => std::mem::take(&mut document).add_to(&mut modules).map_err(fault)?,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if open.len() >= DEPTH {
                    return Err(fault(format!("nested deeper than {DEPTH}")));
                }
                let list = matches!(event, Event::SequenceStart(..));
                document.begin(&path(&open), list);
                open.push(if list { Level::List } else { Level::Map(None) });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_done(&mut open);
            }
            Event::Scalar(value, ..) => match open.last_mut() {
                Some(Level::Map(key @ None)) => {
                    *key = Some(value.into_owned());
                    document.key(&path(&open));
                }
                _ => {
                    document.scalar(&path(&open), &value).map_err(fault)?;
                    value_done(&mut open);
                }
            },
            Event::Alias(_) => return Err(fault("aliases are not read here".into())),
            _ => {}
        }
    }
    Ok(modules)
}

enum Level {
    List,
    /// The key whose value comes next.
    Map(Option<String>),
}

fn value_done(open: &mut [Level]) {
    if let Some(Level::Map(key)) = open.last_mut() {
        *key = None;
    }
}

/// Keys from the document's root on; `-` stands for a list.
fn path(open: &[Level]) -> Vec<&str> {
    open.iter()
        .map(|level| match level {
            Level::List => "-",
            Level::Map(key) => key.as_deref().unwrap_or(""),
        })
        .collect()
}

#[derive(Default)]
struct Document {
    kind: String,
    module: String,
    stream: ModuleStream,
}

impl Document {
    fn begin(&mut self, path: &[&str], list: bool) {
        if !list && path == ["data", "dependencies", "-"] {
            self.stream.requires.push(BTreeMap::new());
        }
    }

    fn required(&mut self, module: &str) -> Option<&mut Vec<String>> {
        if self.stream.requires.is_empty() {
            self.stream.requires.push(BTreeMap::new());
        }
        self.stream.requires.last_mut().map(|requires| requires.entry(module.to_owned()).or_default())
    }

    fn key(&mut self, path: &[&str]) {
        if let ["data", "dependencies", "-", "requires", module] | ["data", "dependencies", "requires", module] = path {
            self.required(module);
        }
    }

    fn scalar(&mut self, path: &[&str], value: &str) -> std::result::Result<(), String> {
        match path {
            ["document"] => self.kind = value.to_owned(),
            ["data", "name"] => self.stream.name = value.to_owned(),
            ["data", "module"] => self.module = value.to_owned(),
            ["data", "stream"] => self.stream.stream = value.to_owned(),
            ["data", "version"] => {
                self.stream.version = value.parse().map_err(|_| format!("expected a number as version, found {value:?}"))?;
            }
            ["data", "context"] => self.stream.context = value.to_owned(),
            ["data", "artifacts", "rpms", "-"] => self.stream.artifacts.push(value.to_owned()),
            ["data", "dependencies", "-", "requires", module, "-"] | ["data", "dependencies", "requires", module] => {
                if let Some(streams) = self.required(module) {
                    streams.push(value.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_to(self, modules: &mut Modules) -> std::result::Result<(), String> {
        match self.kind.as_str() {
            "modulemd" if self.stream.name.is_empty() || self.stream.stream.is_empty() => Err("a module without a name or a stream".into()),
            "modulemd" => {
                modules.streams.push(self.stream);
                Ok(())
            }
            "modulemd-defaults" if !self.module.is_empty() && !self.stream.stream.is_empty() => {
                modules.defaults.push((self.module, self.stream.stream));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: nodejs\n  stream: 6.0\n  version: 2018\n  context: 6c81\n  \
        description: >-\n    folded: text\n    - over lines\n  dependencies:\n  - buildrequires:\n      platform: [f29]\n    requires:\n      \
        platform: [f29]\n      perl: []\n  - requires: {python: ['3', -2]}\n  artifacts:\n    rpms:\n    - npm-1:8.1-1.x86_64\n...\n---\n  \
        data:\n    module: nodejs\n    stream: \"6.0\"\n    profiles:\n      \"6.0\": [default]\n  document: modulemd-defaults\n  version: 1\n...\n";

    #[test]
    fn streams_with_their_packages_and_defaults_are_read() {
        let modules = parse_modules(TEXT).unwrap();
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let first = BTreeMap::from([("platform".to_owned(), list(&["f29"])), ("perl".to_owned(), list(&[]))]);
        let second = BTreeMap::from([("python".to_owned(), list(&["3", "-2"]))]);
        assert_eq!(
            modules.streams,
            [ModuleStream {
                name: "nodejs".into(),
                stream: "6.0".into(),
                version: 2018,
                context: "6c81".into(),
                requires: vec![first, second],
                artifacts: list(&["npm-1:8.1-1.x86_64"]),
            }]
        );
        assert_eq!(modules.defaults, [("nodejs".to_owned(), "6.0".to_owned())]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        let deep = format!("document: {}{}", "[".repeat(100), "]".repeat(100));
        for (text, expected) in [
            (TEXT.replace("version: 2018", "version: soon"), "line 7"),
            (TEXT.replace("stream: 6.0", "streem: 6.0"), "without a name or a stream"),
            ("a: &x [1]\nb: *x\n".to_owned(), "aliases"),
            (deep, "nested deeper"),
            ("a: [1".to_owned(), "modules.yaml"),
        ] {
            let error = parse_modules(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
