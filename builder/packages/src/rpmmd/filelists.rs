//! filelists.xml: every path of every package. Large, so nothing is kept but what the caller keeps.

use crate::rpmmd::xml::{Tag, Xml, attributes};
use model::Result;
use std::io::BufRead;

/// Calls `each` with a package's checksum (hex, as in primary) and one of its paths, for all of them.
pub fn read_filelists(input: impl BufRead, mut each: impl FnMut(&str, &str)) -> Result<()> {
    let mut package = String::new();
    let mut root = false;
    Xml::new(input, "filelists.xml").each(|tag, text| {
        match tag {
            Tag::Start(start) => match start.local_name().as_ref() {
                b"filelists" if !root => root = true,
                _ if !root => return Err("expected the element filelists".into()),
                b"package" => {
                    package.clear();
                    attributes(start, |key, value| {
                        if key == b"pkgid" {
                            package = value.into_owned();
                        }
                        Ok(())
                    })?;
                }
                b"file" => return Ok(true),
                _ => {}
            },
            Tag::End(b"file") => each(&package, text),
            Tag::End(_) => {}
        }
        Ok(false)
    })
}
