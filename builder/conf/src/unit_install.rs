//! The `[Install]` section of a unit file (systemd.unit(5)), and unit names.

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    pub wanted_by: Vec<String>,
    pub required_by: Vec<String>,
    pub upheld_by: Vec<String>,
    pub alias: Vec<String>,
    pub also: Vec<String>,
    pub default_instance: Option<String>,
}

/// Reads one unit file or drop-in on top of `self`; an empty assignment empties the list. Unknown sections and keys are skipped.
impl Install {
    pub fn parse(text: &str) -> Install {
        let mut install = Install::default();
        install.merge(text);
        install
    }

    pub fn merge(&mut self, text: &str) {
        let mut inside = false;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            while let Some(head) = line.strip_suffix('\\') {
                let head = head.to_owned();
                match lines.next() {
                    Some(next) if next.trim_start().starts_with(['#', ';']) => line = head + " \\",
                    Some(next) => line = head + " " + next.trim(),
                    None => line = head,
                }
            }
            if line.starts_with('[') {
                inside = line == "[Install]";
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let value = value.trim();
            let list = match key.trim() {
                "WantedBy" => &mut self.wanted_by,
                "RequiredBy" => &mut self.required_by,
                "UpheldBy" => &mut self.upheld_by,
                "Alias" => &mut self.alias,
                "Also" => &mut self.also,
                "DefaultInstance" => {
                    self.default_instance = Some(value.to_owned()).filter(|v| !v.is_empty());
                    continue;
                }
                _ => continue,
            };
            if value.is_empty() {
                list.clear();
            }
            list.extend(value.split_ascii_whitespace().map(str::to_owned));
        }
    }
}

/// A unit name taken apart: `getty@tty1.service` is (`getty`, `Some("tty1")`, `service`); a template has `Some("")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitName<'a> {
    pub prefix: &'a str,
    pub instance: Option<&'a str>,
    pub kind: &'a str,
}

impl<'a> UnitName<'a> {
    const KINDS: [&'static str; 11] =
        ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"];

    pub fn parse(name: &'a str) -> Option<Self> {
        let (stem, kind) = name.rsplit_once('.')?;
        let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.len() > 255 || stem.is_empty() || !stem.chars().all(valid) || !Self::KINDS.contains(&kind) {
            return None;
        }
        let (prefix, instance) = stem.split_once('@').map_or((stem, None), |(prefix, instance)| (prefix, Some(instance)));
        (!prefix.is_empty()).then_some(UnitName { prefix, instance, kind })
    }

    pub fn is_template(&self) -> bool {
        self.instance == Some("")
    }

    pub fn is_instance(&self) -> bool {
        self.instance.is_some_and(|i| !i.is_empty())
    }

    pub fn with_instance(&self, instance: &str) -> String {
        format!("{}@{instance}.{}", self.prefix, self.kind)
    }

    /// Expands the specifiers that may stand in `[Install]`: %n %N %p %i %j %%.
    pub fn expand(&self, text: &str) -> String {
        let stem = self.instance.map_or_else(|| self.prefix.to_owned(), |i| format!("{}@{i}", self.prefix));
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('n') => out.push_str(&format!("{stem}.{}", self.kind)),
                Some('N') => out.push_str(&stem),
                Some('p') => out.push_str(self.prefix),
                Some('i') => out.push_str(self.instance.unwrap_or("")),
                Some('j') => out.push_str(self.prefix.rsplit('-').next().unwrap_or("")),
                Some('%') => out.push('%'),
                Some(other) => out.extend(['%', other]),
                None => out.push('%'),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_install_section_counts_and_an_empty_value_resets() {
        let install = Install::parse(
            "[Unit]\nAlias=no.service\n[Install]\n# c\nWantedBy=a.target \\\n b.target\nAlias=x.service\nAlias=\nAlso=y.socket\nDefaultInstance=tty1\n",
        );
        assert_eq!(install.wanted_by, ["a.target", "b.target"]);
        assert!(install.alias.is_empty());
        assert_eq!((install.also[0].as_str(), install.default_instance.as_deref()), ("y.socket", Some("tty1")));
    }

    #[test]
    fn unit_names_come_apart() {
        let name = UnitName::parse("getty@tty1.service").unwrap();
        assert_eq!((name.prefix, name.instance, name.kind), ("getty", Some("tty1"), "service"));
        assert_eq!(name.expand("%p-%i-%n%%"), "getty-tty1-getty@tty1.service%");
        assert!(UnitName::parse("a@.service").unwrap().is_template());
        assert!(UnitName::parse("README").is_none() && UnitName::parse("x.conf").is_none());
    }
}
