//! Metalink: where copies of repomd.xml are, and what it must be. Version 3 as Fedora's MirrorManager writes it, with older versions of
//! the file as `alternates`; and version 4 (RFC 5854).

use crate::rpmmd::xml::{Tag, Xml, attributes, number};
use model::{Digest, Error, Result};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metalink {
    /// SHA-256 of the newest repomd.xml; `None` if the publisher gives no sha256.
    pub digest: Option<Digest>,
    /// Of older ones that a mirror may still have, newest first.
    pub alternates: Vec<Digest>,
    /// Of repomd.xml, http and https only, best first.
    pub urls: Vec<String>,
}

pub fn parse_metalink(bytes: &[u8]) -> Result<Metalink> {
    let mut metalink = Metalink::default();
    // Rank (less is better) and URL.
    let mut urls: Vec<(u32, String)> = Vec::new();
    let (mut root, mut wanted, mut alternate, mut sha256, mut rank) = (false, false, false, false, 0u32);
    Xml::new(bytes, "metalink").each(|tag, text| {
        match tag {
            Tag::Start(start) => match start.local_name().as_ref() {
                b"metalink" if !root => root = true,
                _ if !root => return Err("expected the element metalink".into()),
                b"file" => attributes(start, |key, value| {
                    if key == b"name" {
                        wanted = value == "repomd.xml";
                    }
                    Ok(())
                })?,
                b"alternate" => alternate = true,
                b"hash" => attributes(start, |key, value| {
                    if key == b"type" {
                        sha256 = matches!(&*value, "sha256" | "sha-256");
                    }
                    Ok(())
                })?,
                b"url" => {
                    rank = 0;
                    attributes(start, |key, value| {
                        match key {
                            b"preference" => rank = 1000u32.saturating_sub(number("preference", &value)?),
                            b"priority" => rank = number("priority", &value)?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                }
                _ => {}
            },
            Tag::End(name) if wanted => match name {
                b"file" => wanted = false,
                b"alternate" => alternate = false,
                b"hash" if sha256 => {
                    let digest = Digest::parse(text.trim()).map_err(|e| e.to_string())?;
                    match alternate {
                        true => metalink.alternates.push(digest),
                        false => metalink.digest = Some(digest),
                    }
                }
                b"url" if text.trim().starts_with("http://") || text.trim().starts_with("https://") => {
                    urls.push((rank, text.trim().to_owned()));
                }
                _ => {}
            },
            Tag::End(_) => {}
        }
        Ok(true)
    })?;
    if !root {
        return Err(Error::integrity("metalink: expected the element metalink, found nothing"));
    }
    urls.sort_by_key(|(rank, _)| *rank);
    metalink.urls = urls.into_iter().map(|(_, url)| url).collect();
    Ok(metalink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_digests_and_copies_best_first() {
        let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let three = format!(
            r#"<?xml version="1.0"?><metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
            <files><file name="repomd.xml"><mm0:timestamp>5</mm0:timestamp><size>3</size>
            <verification><hash type="md5">00</hash><hash type="sha256">{new}</hash></verification>
            <mm0:alternates><mm0:alternate><size>3</size><verification><hash type="sha256">{old}</hash></verification></mm0:alternate></mm0:alternates>
            <resources maxconnections="1"><url protocol="rsync" preference="100">rsync://a/repodata/repomd.xml</url>
            <url protocol="http" preference="90">http://b/repodata/repomd.xml</url>
            <url protocol="https" preference="99">https://c/repodata/repomd.xml</url></resources></file></files></metalink>"#
        );
        let four = format!(
            r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="other"><hash type="sha-256">{old}</hash><url>http://x/other</url></file>
            <file name="repomd.xml"><hash type="sha-256">{new}</hash><url priority="2">http://b/repodata/repomd.xml</url>
            <url priority="1">https://c/repodata/repomd.xml</url></file></metalink>"#
        );
        for (text, alternates) in [(three, vec![old]), (four, vec![])] {
            let found = parse_metalink(text.as_bytes()).unwrap();
            let urls = vec!["https://c/repodata/repomd.xml".to_owned(), "http://b/repodata/repomd.xml".to_owned()];
            assert_eq!(found, Metalink { digest: Some(new), alternates, urls });
        }
    }

    #[test]
    fn what_is_no_metalink_is_refused() {
        for text in
            ["", "<html></html>", "<metalink><files><file name=\"repomd.xml\"><hash type=\"sha256\">xyz</hash></file></files></metalink>"]
        {
            assert!(parse_metalink(text.as_bytes()).is_err(), "{text}");
        }
    }
}
