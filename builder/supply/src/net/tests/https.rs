//! TLS with a certificate authority of our own: who is believed, and who is not.

use super::*;
use model::Result;

/// A server on 127.0.0.1 whose certificate is made out to `name`, and that certificate in PEM form.
pub(super) fn https(name: &str) -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = Server::start_over(
        |_, _, range| ok(b"over tls", range),
        move |stream| Some(Box::new(rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).ok()?, stream))),
    );
    (server, made.cert.pem())
}

fn get(server: &Server, ca: Option<&str>) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    if let Some(pem) = ca {
        std::fs::write(&path, pem).unwrap();
    }
    let client = Client::new(&ClientOptions { ca: ca.map(|_| path.as_path()), ..ClientOptions::default() })?;
    client.get(&Url::parse(&server.url("x").replace("http:", "https:")).unwrap(), 100)
}

#[test]
fn a_server_is_believed_only_with_an_authority_that_the_user_names() {
    let (server, own) = https("127.0.0.1");
    let (stranger, other) = https("127.0.0.1");
    assert_eq!(get(&server, Some(&own)).unwrap(), b"over tls");
    assert_eq!(get(&server, Some(&format!("{other}\n{own}"))).unwrap(), b"over tls");
    for (server, ca) in [(&server, None), (&server, Some(&other)), (&stranger, Some(&own))] {
        let error = get(server, ca.map(String::as_str)).unwrap_err();
        assert_eq!(error.kind(), Kind::Network);
        let text = format!("{error:#}");
        assert!(text.contains("certificate") && !text.contains("tries"), "asked once only: {text}");
    }
    assert_eq!(server.seen.lock().unwrap().len(), 2, "no request was sent to a server that is not believed");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (server, own) = https("elsewhere.invalid");
    let error = get(&server, Some(&own)).unwrap_err();
    assert!(format!("{error:#}").contains("certificate"), "{error:#}");
}

#[test]
fn a_file_without_certificates_is_a_fault_of_the_user() {
    let (server, _) = https("127.0.0.1");
    for text in ["", "not pem", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"] {
        let error = get(&server, Some(text)).unwrap_err();
        assert_eq!(error.kind(), Kind::Recipe, "{error}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
