//! What update-ca-certificates makes, for all certificates that the packages ship: /etc/ca-certificates.conf, one bundle, one link for each.
//!
//! The hash-named links of `openssl rehash` are absent: OpenSSL and GnuTLS read the bundle (/usr/lib/ssl/cert.pem points to it).

use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Error, ImagePath, OptionJudged, Result};

const SHIPPED: &str = "/usr/share/ca-certificates";
const FOLDER: &str = "/etc/ssl/certs";

/// Returns the paths written; none without /usr/share/ca-certificates.
pub fn update(tree: &mut FileTree) -> Result<Vec<ImagePath>> {
    let shipped = ImagePath::parse(SHIPPED)?;
    let mut certificates = Vec::new();
    for entry in tree.walk_from(&shipped).default_because("an absent folder has no entries") {
        if let NodeKind::File(content) = &tree.inode(entry.id).kind
            && entry.path.as_bytes().ends_with(b".crt")
        {
            certificates.push((entry.path.clone(), content.to_vec()?));
        }
    }
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    let (mut bundle, mut listed, mut written) = (Vec::new(), String::new(), Vec::new());
    for (path, content) in certificates {
        let text = path.to_string();
        if !content.starts_with(b"-----BEGIN CERTIFICATE-----") {
            return Err(Error::integrity(format!("expected a PEM certificate at {path}")));
        }
        bundle.extend_from_slice(&content);
        if !content.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        listed += &format!("{}\n", text.trim_start_matches(SHIPPED).trim_start_matches('/'));
        let name = text.rsplit('/').next().unwrap_or("").trim_end_matches(".crt").to_owned();
        let link = ImagePath::parse(FOLDER)?.join(format!("{name}.pem"))?;
        tree.insert(&link, Inode::symlink(&text), Edit::Replace)?;
        written.push(link);
    }
    for (path, content) in [(format!("{FOLDER}/ca-certificates.crt"), bundle), ("/etc/ca-certificates.conf".into(), listed.into_bytes())] {
        let path = ImagePath::parse(path)?;
        tree.insert(&path, Inode::file(content, Attributes::root(0o644)), Edit::Replace)?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_holds_every_certificate_once_and_garbage_is_refused() {
        let mut tree = FileTree::new();
        assert!(update(&mut tree).unwrap().is_empty());
        for (name, text) in [("b", "-----BEGIN CERTIFICATE-----\nB"), ("a", "-----BEGIN CERTIFICATE-----\nA\n")] {
            let path = ImagePath::parse(format!("{SHIPPED}/mozilla/{name}.crt")).unwrap();
            tree.insert(&path, Inode::file(text.as_bytes(), Attributes::root(0o644)), Edit::Create).unwrap();
        }
        assert_eq!(update(&mut tree).unwrap().len(), 4);
        let bundle = tree.read("/etc/ssl/certs/ca-certificates.crt").unwrap().unwrap();
        assert_eq!(bundle, b"-----BEGIN CERTIFICATE-----\nA\n-----BEGIN CERTIFICATE-----\nB\n");
        assert_eq!(tree.read("/etc/ca-certificates.conf").unwrap().unwrap(), b"mozilla/a.crt\nmozilla/b.crt\n");
        assert_eq!(tree.read("/etc/ssl/certs/a.pem").unwrap().unwrap(), b"-----BEGIN CERTIFICATE-----\nA\n");
        let path = ImagePath::parse(format!("{SHIPPED}/x.crt")).unwrap();
        tree.insert(&path, Inode::file(vec![0], Attributes::root(0o644)), Edit::Create).unwrap();
        assert!(update(&mut tree).is_err());
    }
}
