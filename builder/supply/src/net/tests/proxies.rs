//! Proxies: absolute requests for http, tunnels for https, exceptions, and proxies that are not there.

use super::https::https;
use super::*;
use crate::net::ProxyEnvironment;

fn environment(pairs: &[(&str, &str)]) -> ProxyEnvironment {
    ProxyEnvironment::read(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn through(pairs: &[(&str, &str)]) -> Client {
    client_with(|options| options.proxies = environment(pairs))
}

/// Opens tunnels until it is dropped with its process; returns its port, and the head of each request.
fn tunnels() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, heads) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let log = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut near = stream;
            let Some((_, _, head)) = request(&mut near) else { continue };
            let target = head.split(' ').nth(1).unwrap_or("").to_owned();
            log.lock().unwrap().push(head);
            let Ok(mut far) = TcpStream::connect(target) else { continue };
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let (mut near_copy, mut far_copy) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut near_copy, &mut far_copy).is_ok());
            std::thread::spawn(move || std::io::copy(&mut far, &mut near).is_ok());
        }
    });
    (port, heads)
}

#[test]
fn a_plain_request_goes_to_the_proxy_whole() {
    let proxy = Server::start(|_, path, range| ok(path.as_bytes(), range));
    let address = proxy.url("").replace("http://", "").replace('/', "");
    let url = Url::parse("http://user:pass@repo.example.invalid:8080/a b+c?x=y").unwrap();
    for value in [format!("http://pro%20xy:s%40cret@{address}/"), address.clone()] {
        let got = through(&[("http_proxy", &value)]).get(&url, 1000).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), "http://repo.example.invalid:8080/a%20b%2Bc?x=y");
    }
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.starts_with("GET http://repo.example.invalid:8080/a%20b%2Bc?x=y HTTP/1.1\n")), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("host: repo.example.invalid:8080\n")), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("authorization: Basic dXNlcjpwYXNz\n")), "{heads:?}");
    let with_password: Vec<bool> = heads.iter().map(|head| head.contains("proxy-authorization: Basic cHJvIHh5OnNAY3JldA==\n")).collect();
    assert_eq!(with_password, [true, false]);
}

#[test]
fn hosts_of_no_proxy_are_asked_directly_and_see_nothing_of_the_proxy() {
    let proxy = Server::start(|_, _, range| ok(b"proxy", range));
    let server = Server::start(|_, _, range| ok(b"server", range));
    for (none, expected) in [("", "proxy"), ("127.0.0.1", "server"), ("localhost,127.0.0.0/8", "server"), ("example.com", "proxy")] {
        let client = through(&[("http_proxy", &proxy.url("")), ("no_proxy", none)]);
        assert_eq!(client.get(&server.at("x"), 10).unwrap(), expected.as_bytes(), "{none}");
    }
    assert!(server.heads().iter().all(|head| head.starts_with("GET /x HTTP/1.1\n")), "{:?}", server.heads());
    let shouted = through(&[("HTTP_PROXY", &proxy.url(""))]);
    assert_eq!(shouted.get(&server.at("x"), 10).unwrap(), b"server", "HTTP_PROXY in capitals is none");
}

#[test]
fn https_goes_through_a_tunnel_that_sees_neither_path_nor_password() {
    let (server, pem) = https("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let (port, heads) = tunnels();
    let value = format!("http://u:p%40@127.0.0.1:{port}");
    let options = ClientOptions { ca: Some(&ca), proxies: environment(&[("https_proxy", &value)]), ..ClientOptions::default() };
    let client = Client::new(&options).unwrap();
    let url = Url::parse(&server.url("secret/path").replace("http://", "https://name:word@")).unwrap();
    assert_eq!(client.get(&url, 100).unwrap(), b"over tls");
    let heads = heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT 127.0.0.1:") && heads[0].contains("Proxy-Authorization: Basic dTpwQA=="), "{heads:?}");
    assert!(!heads[0].contains("secret") && !heads[0].contains("bmFtZTp3b3Jk"), "{heads:?}");
    assert!(server.heads()[0].contains("authorization: Basic bmFtZTp3b3Jk"), "{:?}", server.heads());
}

#[test]
fn a_proxy_that_is_not_there_is_told_as_the_proxy() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let value = format!("http://u:secret@127.0.0.1:{port}");
    for scheme in ["http", "https"] {
        let client = through(&[("all_proxy", &value)]).impatient();
        let url = Url::parse(&format!("{scheme}://repo.example.invalid/x")).unwrap();
        let error = client.get(&url, 10).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(&format!("proxy 127.0.0.1:{port}")) && text.contains("refused"), "{text}");
        assert!(!text.contains("secret") && error.hint_text().is_some_and(|hint| hint.contains("no_proxy")), "{text}");
    }
}
