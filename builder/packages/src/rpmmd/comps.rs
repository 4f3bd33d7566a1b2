//! comps.xml: package groups, and environments made of groups. Texts for people are not read.

use crate::rpmmd::xml::{Tag, Xml, attributes};
use model::{Error, Result};
use std::io::BufRead;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comps {
    pub groups: Vec<Group>,
    pub environments: Vec<Environment>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub packages: Vec<GroupPackage>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPackage {
    pub name: String,
    pub requirement: Requirement,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Requirement {
    /// Also what a publisher leaves unsaid.
    #[default]
    Mandatory,
    Default,
    Optional,
    /// Wanted where this other package is installed.
    Conditional(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub id: String,
    /// Ids of its groups; its optional ones are not read.
    pub groups: Vec<String>,
}

pub fn read_comps(input: impl BufRead) -> Result<Comps> {
    let mut comps = Comps::default();
    let mut group: Option<Group> = None;
    let mut environment: Option<Environment> = None;
    let mut requirement = Requirement::default();
    let (mut root, mut in_groups) = (false, false);
    Xml::new(input, "comps.xml").each(|tag, text| {
        match tag {
            Tag::Start(start) => match start.local_name().as_ref() {
                b"comps" if !root => root = true,
                _ if !root => return Err("expected the element comps".into()),
                b"group" => group = Some(Group::default()),
                b"environment" => environment = Some(Environment::default()),
                b"grouplist" => in_groups = true,
                b"packagereq" => {
                    let (mut kind, mut requires) = (String::new(), String::new());
                    attributes(start, |key, value| {
                        match key {
                            b"type" => kind = value.into_owned(),
                            b"requires" => requires = value.into_owned(),
                            _ => {}
                        }
                        Ok(())
                    })?;
                    requirement = match kind.as_str() {
                        "" | "mandatory" => Requirement::Mandatory,
                        "default" => Requirement::Default,
                        "optional" => Requirement::Optional,
                        "conditional" => Requirement::Conditional(requires),
                        other => return Err(format!("expected mandatory, default, optional or conditional, found {other:?}")),
                    };
                }
                _ => {}
            },
            Tag::End(name) => match (name, &mut group, &mut environment) {
                (b"id", Some(group), _) if group.id.is_empty() => group.id = text.trim().to_owned(),
                (b"id", None, Some(environment)) if environment.id.is_empty() => environment.id = text.trim().to_owned(),
                (b"packagereq", Some(group), _) => {
                    group.packages.push(GroupPackage { name: text.trim().to_owned(), requirement: std::mem::take(&mut requirement) });
                }
                (b"groupid", None, Some(environment)) if in_groups => environment.groups.push(text.trim().to_owned()),
                (b"grouplist", ..) => in_groups = false,
                (b"group", some, _) => comps.groups.extend(some.take()),
                (b"environment", _, some) => comps.environments.extend(some.take()),
                _ => {}
            },
        }
        Ok(true)
    })?;
    match root {
        true => Ok(comps),
        false => Err(Error::integrity("comps.xml: expected the element comps, found nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_environments_are_read_with_what_each_package_is_to_them() {
        let text = r#"<comps><group><id>core</id><name>Core</name><packagelist>
            <packagereq type="mandatory">bash</packagereq><packagereq type="default">dnf</packagereq>
            <packagereq type="optional">dracut-x</packagereq><packagereq type="conditional" requires="nfs">nfs-tools</packagereq>
            <packagereq>plain</packagereq></packagelist></group>
            <environment><id>minimal</id><grouplist><groupid>core</groupid></grouplist><optionlist><groupid default="true">guest</groupid></optionlist></environment></comps>"#;
        let comps = read_comps(text.as_bytes()).unwrap();
        let package = |name: &str, requirement| GroupPackage { name: name.into(), requirement };
        assert_eq!(
            comps.groups,
            [Group {
                id: "core".into(),
                packages: vec![
                    package("bash", Requirement::Mandatory),
                    package("dnf", Requirement::Default),
                    package("dracut-x", Requirement::Optional),
                    package("nfs-tools", Requirement::Conditional("nfs".into())),
                    package("plain", Requirement::Mandatory),
                ]
            }]
        );
        assert_eq!(comps.environments, [Environment { id: "minimal".into(), groups: vec!["core".into()] }]);
    }

    #[test]
    fn what_is_no_comps_is_refused() {
        for text in [
            "",
            "<metadata/>",
            "<comps><group><packagelist><packagereq type=\"perhaps\">a</packagereq></packagelist></group></comps>",
            "<comps>",
        ] {
            assert!(read_comps(text.as_bytes()).is_err(), "{text}");
        }
    }
}
