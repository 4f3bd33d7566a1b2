//! Which module streams are active, and so which packages are hidden: builds of other streams, and other repositories' packages of the
//! names that an active stream brings. The rules are dnf's.

use crate::repos::{PackageMeta, RepoSnapshot};
use model::{Error, Result, nearest_name};
use packages::evr::{Evr, Nevra};
use packages::rpmmd::ModuleStream;
use std::collections::{BTreeMap, BTreeSet};

/// What the builder stands on, which no repository lists: every stream is made for it.
const PLATFORM: &str = "platform";

#[derive(Default)]
pub(super) struct ModuleFilter<'a> {
    /// `name-epoch:version-release.arch` of every build of a stream, and whether it shows; if not, `name:stream`.
    builds: BTreeMap<&'a str, Option<String>>,
    /// Names that active streams bring.
    names: BTreeSet<&'a str>,
}

impl<'a> ModuleFilter<'a> {
    pub(super) fn new(repos: &'a [RepoSnapshot], enabled: &[String]) -> Result<Self> {
        if repos.iter().all(|repo| repo.modules.streams.is_empty()) && enabled.is_empty() {
            return Ok(Self::default());
        }
        let active = Active::choose(repos, enabled)?;
        let mut filter = Self::default();
        for stream in repos.iter().flat_map(|repo| &repo.modules.streams) {
            // Earlier builds of an active stream show as well.
            let same = |chosen: &&ModuleStream| (&chosen.stream, &chosen.context) == (&stream.stream, &stream.context);
            let shown = active.chosen.get(stream.name.as_str()).is_some_and(same);
            for build in stream.artifacts.iter().filter(|build| !build.ends_with(".src")) {
                if shown {
                    filter.builds.insert(build, None);
                    filter.names.extend(name_of(build));
                } else {
                    filter.builds.entry(build).or_insert_with(|| Some(format!("{}:{}", stream.name, stream.stream)));
                }
            }
        }
        Ok(filter)
    }

    /// Why the package does not show.
    pub(super) fn hides(&self, package: &PackageMeta) -> Option<String> {
        if self.builds.is_empty() {
            return None;
        }
        let Nevra { name, evr: Evr { epoch, version, release }, arch } = &package.nevra;
        match self.builds.get(format!("{name}-{epoch}:{version}-{release}.{arch}").as_str()) {
            Some(None) => None,
            Some(Some(stream)) => Some(format!("belongs to the module stream {stream}, which is not enabled")),
            None => {
                let taken = self
                    .names
                    .get(name.as_str())
                    .or_else(|| package.provides.iter().find_map(|provide| self.names.get(provide.name.as_str())))?;
                Some(format!("gives way to the enabled module that brings {taken}"))
            }
        }
    }
}

fn name_of(build: &str) -> Option<&str> {
    let (rest, _) = build.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(name, _)| name)
}

/// One build of one stream for each active module.
struct Active<'a> {
    by_name: BTreeMap<&'a str, Vec<&'a ModuleStream>>,
    /// Module to the stream that the recipe or the repositories choose.
    wished: BTreeMap<&'a str, &'a str>,
    chosen: BTreeMap<&'a str, &'a ModuleStream>,
}

impl<'a> Active<'a> {
    fn choose(repos: &'a [RepoSnapshot], enabled: &'a [String]) -> Result<Self> {
        let mut by_name: BTreeMap<&str, Vec<&ModuleStream>> = BTreeMap::new();
        for stream in repos.iter().flat_map(|repo| &repo.modules.streams) {
            by_name.entry(&stream.name).or_default().push(stream);
        }
        for streams in by_name.values_mut() {
            // Newest build first; contexts in order, so that the answer does not depend on the file's.
            streams.sort_by(|a, b| (b.version, &a.stream, &a.context).cmp(&(a.version, &b.stream, &b.context)));
        }
        let mut defaults: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, stream) in repos.iter().flat_map(|repo| &repo.modules.defaults) {
            defaults.entry(module).or_default().insert(stream);
        }
        // Repositories that disagree on a default leave the module without one.
        let agreed = defaults.into_iter().filter(|(_, streams)| streams.len() == 1);
        let mut active = Active {
            by_name,
            wished: agreed.filter_map(|(module, streams)| Some((module, *streams.first()?))).collect(),
            chosen: BTreeMap::new(),
        };
        let by_default: Vec<(&str, &str)> = active.wished.iter().map(|(module, stream)| (*module, *stream)).collect();
        for wanted in enabled {
            let (module, stream) = wanted.split_once(':').unwrap_or((wanted, ""));
            active.wished.insert(module, stream);
        }
        for wanted in enabled {
            let (module, stream) = wanted.split_once(':').unwrap_or((wanted, ""));
            active.activate(module, stream, &mut Vec::new())?;
        }
        for (module, stream) in by_default {
            if active.wished.get(module) == Some(&stream) {
                // A default whose own needs are not met stays off, as in dnf.
                let before = active.chosen.clone();
                if active.activate(module, stream, &mut Vec::new()).is_err() {
                    active.chosen = before;
                }
            }
        }
        Ok(active)
    }

    fn activate(&mut self, module: &'a str, stream: &str, open: &mut Vec<&'a str>) -> Result<()> {
        if let Some(chosen) = self.chosen.get(module) {
            return if chosen.stream == stream {
                Ok(())
            } else {
                Err(Error::recipe(format!("the module {module} would be needed in the streams {} and {stream}", chosen.stream)))
            };
        }
        if open.contains(&module) {
            return Ok(());
        }
        let builds: Vec<&'a ModuleStream> =
            self.by_name.get(module).into_iter().flatten().filter(|build| build.stream == stream).copied().collect();
        if builds.is_empty() {
            return Err(self.unknown(module, stream));
        }
        open.push(module);
        let mut fault = None;
        for build in builds {
            let before = self.chosen.clone();
            match self.require(build, open) {
                Ok(()) => {
                    open.pop();
                    self.chosen.insert(module, build);
                    return Ok(());
                }
                Err(error) => {
                    self.chosen = before;
                    fault.get_or_insert(error);
                }
            }
        }
        open.pop();
        Err(fault.unwrap_or_else(|| self.unknown(module, stream)).context(format_args!("the module stream {module}:{stream}")))
    }

    /// Activates what the build needs: all of any one of its alternatives.
    fn require(&mut self, build: &'a ModuleStream, open: &mut Vec<&'a str>) -> Result<()> {
        let mut fault = None;
        for needs in &build.requires {
            let before = self.chosen.clone();
            let met = needs.iter().filter(|(module, _)| *module != PLATFORM).try_for_each(|(module, streams)| {
                let stream = self.stream_for(module, streams)?;
                self.activate(module, &stream, open)
            });
            match met {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.chosen = before;
                    fault.get_or_insert(error);
                }
            }
        }
        fault.map_or(Ok(()), Err)
    }

    fn stream_for(&self, module: &str, streams: &[String]) -> Result<String> {
        let known = self.by_name.get(module).into_iter().flatten();
        let possible: BTreeSet<&str> = known.map(|build| build.stream.as_str()).filter(|stream| allowed(streams, stream)).collect();
        let wished = self.chosen.get(module).map(|chosen| chosen.stream.as_str()).or_else(|| self.wished.get(module).copied());
        match (wished, possible.first()) {
            (Some(wished), _) if possible.contains(wished) => Ok(wished.to_owned()),
            (_, None) => Err(Error::recipe(format!("needs the module {module} ({}), which no repository has", streams.join(", ")))),
            (None, Some(&only)) if possible.len() == 1 => Ok(only.to_owned()),
            (Some(wished), _) => {
                let possible = possible.into_iter().collect::<Vec<_>>().join(", ");
                Err(Error::recipe(format!("needs the module {module} in one of the streams {possible}, not {wished}")))
            }
            (None, _) => {
                let list = possible.iter().map(|stream| format!("{module}:{stream}")).collect::<Vec<_>>().join(" or ");
                Err(Error::recipe(format!("needs the module {module}, of which no stream is the default"))
                    .hint(format!("add {list} to `modules`")))
            }
        }
    }

    fn unknown(&self, module: &str, stream: &str) -> Error {
        let streams: BTreeSet<&str> = self.by_name.get(module).into_iter().flatten().map(|build| build.stream.as_str()).collect();
        let error = Error::recipe(format!("no repository has the module stream {module}:{stream}"));
        if !streams.is_empty() {
            return error.hint(format!("{module} has {}", streams.into_iter().collect::<Vec<_>>().join(", ")));
        }
        match nearest_name(module, self.by_name.keys().copied()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error,
        }
    }
}

/// A list of streams that will do, or of those that will not.
fn allowed(streams: &[String], stream: &str) -> bool {
    let refused = streams.iter().filter_map(|s| s.strip_prefix('-')).any(|s| s == stream);
    let mut named = streams.iter().filter(|s| !s.starts_with('-')).peekable();
    !refused && (named.peek().is_none() || named.any(|s| s == stream))
}
