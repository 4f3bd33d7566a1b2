//! Proxies as curl takes them from the environment: http_proxy (in lower case only, since a CGI server sets HTTP_PROXY from a request's header),
//! https_proxy, all_proxy and no_proxy.
//!
//! A plain http request goes to the proxy as a GET in absolute form (RFC 9112 section 3.2.2), an https one through a tunnel (CONNECT).

use crate::net::Url;
use crate::net::url::Credentials;
use model::{Error, Result, ResultJudged};
use std::fmt;
use std::net::IpAddr;

/// The values of the environment's variables; the first name that is set decides, and an empty value means no proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyEnvironment {
    /// Of `http_proxy` or `all_proxy`, and the variable's name.
    http: Option<(&'static str, String)>,
    /// Of `https_proxy` or `all_proxy`.
    https: Option<(&'static str, String)>,
    /// Of `no_proxy`.
    none: String,
}

impl ProxyEnvironment {
    /// Takes what it needs from `variable`, which returns an environment variable's value.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, variable(name)?)));
        let used = |found: Option<(&'static str, String)>| found.filter(|(_, value)| !value.trim().is_empty());
        ProxyEnvironment {
            http: used(first(&["http_proxy", "all_proxy", "ALL_PROXY"])),
            https: used(first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])),
            none: first(&["no_proxy", "NO_PROXY"]).map_or_else(String::new, |(_, value)| value),
        }
    }
}

/// Proxy URLs may hold passwords.
impl fmt::Debug for ProxyEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |found: &Option<(&'static str, String)>| found.as_ref().map(|(name, _)| *name);
        f.debug_struct("ProxyEnvironment").field("http", &name(&self.http)).field("https", &name(&self.https)).finish_non_exhaustive()
    }
}

/// One proxy, parsed.
#[derive(Clone)]
pub(super) struct ProxyServer {
    pub(super) proxy: ureq::Proxy,
    /// `HOST:PORT`, for messages.
    pub(super) shown: String,
    /// The value of Proxy-Authorization.
    pub(super) authorization: Option<String>,
}

impl ProxyServer {
    fn parse(name: &str, value: &str) -> Result<Self> {
        let wrong = || Error::recipe(format!("{name}: expected the URL of a proxy, such as http://HOST:3128 or socks5h://HOST:1080"));
        let value = value.trim();
        if value.chars().any(|c| c.is_control() || c == '\\') {
            return Err(wrong());
        }
        let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let parsed = url::Url::parse(&text).map_err(|e| wrong().source(e))?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let proxy = ureq::Proxy::new(parsed.as_str().trim_end_matches('/')).map_err(|e| wrong().source(e))?;
        let shown = format!("{host}:{}", proxy.port());
        let authorization = Credentials::of(&parsed).map(|credentials| credentials.basic());
        Ok(ProxyServer { proxy, shown, authorization })
    }

    /// Whether a plain http request is sent to it in absolute form.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.proxy.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https)
    }
}

/// Which proxy each URL goes through.
#[derive(Clone, Default)]
pub(super) struct Proxies {
    pub(super) http: Option<ProxyServer>,
    pub(super) https: Option<ProxyServer>,
    none: Vec<Exception>,
}

impl Proxies {
    pub(super) fn of(environment: &ProxyEnvironment) -> Result<Self> {
        let parse =
            |found: &Option<(&'static str, String)>| found.as_ref().map(|(name, value)| ProxyServer::parse(name, value)).transpose();
        let none = environment.none.split([',', ' ', '\t']).filter_map(Exception::parse).collect();
        Ok(Proxies { http: parse(&environment.http)?, https: parse(&environment.https)?, none })
    }

    /// Whether the URL's host is asked directly, by `no_proxy`.
    pub(super) fn excepts(&self, url: &Url) -> bool {
        let (host, port) = url.host_and_port();
        self.none.iter().any(|exception| exception.covers(host, port))
    }
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// `*`
    All,
    /// A host and all below it; with a port, on that port alone.
    Name(String, Option<u16>),
    /// An address, or with a shorter prefix a network.
    Network(IpAddr, u32, Option<u16>),
}

impl Exception {
    /// `None` for an empty entry.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Exception::All);
        }
        if let Some((network, prefix)) = text.split_once('/')
            && let (Some(address), Ok(prefix)) = (address(network), prefix.parse::<u32>())
        {
            return (prefix <= width(address)).then_some(Exception::Network(address, prefix, None));
        }
        if let Some(address) = address(&text) {
            return Some(Exception::Network(address, width(address), None));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (text.as_str(), None),
            },
            None => (text.as_str(), None),
        };
        if let Some(address) = address(name) {
            return Some(Exception::Network(address, width(address), port));
        }
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        (!name.is_empty()).then(|| Exception::Name(name.to_owned(), port))
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Exception::All => true,
            Exception::Name(name, on) => {
                let below = host.strip_suffix(name.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'));
                below && address(&host).is_none() && on.is_none_or(|on| on == port)
            }
            Exception::Network(network, prefix, on) => {
                address(&host).is_some_and(|host| in_network(host, *network, *prefix)) && on.is_none_or(|on| on == port)
            }
        }
    }
}

/// An address, with brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().none_because("what is no address is a host name")
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn in_network(host: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    };
    let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
    host.is_ipv4() == network.is_ipv4() && bits(host) & mask == bits(network) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> ProxyEnvironment {
        ProxyEnvironment::read(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        for (pairs, http, https) in [
            (&[("http_proxy", "p:1"), ("https_proxy", "q:2")][..], Some("p:1"), Some("q:2")),
            (&[("HTTP_PROXY", "p:1"), ("HTTPS_PROXY", "q:2")], None, Some("q:2")),
            (&[("all_proxy", "socks5h://p")], Some("p:1080"), Some("p:1080")),
            (&[("http_proxy", ""), ("ALL_PROXY", "https://p")], None, Some("p:443")),
            (&[("https_proxy", "http://us er:p%40@[::1]:3128/"), ("HTTPS_PROXY", "other")], None, Some("[::1]:3128")),
            (&[], None, None),
        ] {
            let proxies = Proxies::of(&environment(pairs)).unwrap();
            let shown = |proxy: &Option<ProxyServer>| proxy.as_ref().map(|proxy| proxy.shown.clone());
            assert_eq!((shown(&proxies.http).as_deref(), shown(&proxies.https).as_deref()), (http, https), "{pairs:?}");
        }
        for value in ["http://", "gopher://p:70", "p:99999", "http://u:secret@h ost:x"] {
            let error = Proxies::of(&environment(&[("http_proxy", value)])).err().unwrap();
            assert!(error.to_string().starts_with("http_proxy: ") && !error.to_string().contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", environment(&[("http_proxy", "http://u:secret@p")])).contains("secret"));
    }

    #[test]
    fn no_proxy_names_hosts_domains_networks_and_ports() {
        for (list, url, excepted) in [
            ("host", "http://host/", true),
            ("host", "http://sub.host/", true),
            (".host", "http://host/", true),
            ("*.host", "http://a.b.HOST./", true),
            ("host", "http://nothost/", false),
            ("a, b  c", "http://c/", true),
            ("*", "http://anything/", true),
            ("", "http://anything/", false),
            ("host:8080", "http://host:8080/", true),
            ("host:8080", "http://host/", false),
            ("127.0.0.1", "http://127.0.0.1:99/", true),
            ("0.0.1", "http://127.0.0.1/", false),
            ("127.0.0.1:99", "http://127.0.0.1:98/", false),
            ("10.0.0.0/8", "http://10.200.0.1/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/33", "http://10.0.0.0/", false),
            ("::1", "http://[::1]:80/", true),
            ("[::1]:81", "http://[::1]:81/", true),
            ("fd00::/16", "https://[fd00::7]/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("0.0.0.0/0", "http://name/", false),
        ] {
            let proxies = Proxies::of(&environment(&[("no_proxy", list)])).unwrap();
            assert_eq!(proxies.excepts(&Url::parse(url).unwrap()), excepted, "{list:?} {url}");
        }
    }
}
