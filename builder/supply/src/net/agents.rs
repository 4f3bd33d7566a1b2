//! The connections: direct, through a tunnel of a proxy, or to a proxy that gets the whole URL.
//!
//! ureq knows tunnels (CONNECT) alone, which proxies refuse for port 80. A plain http request is therefore sent over a transport of ours
//! that makes its request line absolute.

use crate::net::Url;
use crate::net::limits::Limits;
use crate::net::proxy::{Proxies, ProxyEnvironment, ProxyServer};
use model::Result;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};

/// One pool of connections for each way to a server.
#[derive(Clone)]
pub(super) struct Agents {
    direct: ureq::Agent,
    http: Option<(ureq::Agent, ProxyServer)>,
    https: Option<(ureq::Agent, ProxyServer)>,
    proxies: Proxies,
}

/// How one URL is asked for.
pub(super) struct Route<'a> {
    pub(super) agent: &'a ureq::Agent,
    pub(super) proxy: Option<&'a ProxyServer>,
    /// Whether the proxy reads the request itself, so that its credentials belong to the request's headers.
    pub(super) is_absolute: bool,
}

impl Agents {
    pub(super) fn new(roots: ureq::tls::RootCerts, limits: &Limits, environment: &ProxyEnvironment) -> Result<Self> {
        let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
        let config = |proxy: Option<ureq::Proxy>| {
            ureq::Agent::config_builder()
                .tls_config(tls.clone())
                // Redirects are followed by us: they must not lead to plain http, nor carry credentials elsewhere.
                .max_redirects(0)
                .http_status_as_error(false)
                .user_agent(concat!("atomic-image/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(limits.connect))
                .timeout_connect(Some(limits.connect))
                .timeout_recv_response(Some(limits.response))
                .timeout_recv_body(Some(limits.body))
                .timeout_per_read(Some(limits.speed_window))
                // ureq would read the environment by rules of its own.
                .proxy(proxy)
                .build()
        };
        let proxies = Proxies::of(environment)?;
        let direct = ureq::Agent::new_with_config(config(None));
        let through = |server: &ProxyServer| {
            let connector = AbsoluteFormConnector { to_proxy: config(None), others: DefaultConnector::new() };
            ureq::Agent::with_parts(config(Some(server.proxy.clone())), connector, DefaultResolver::default())
        };
        let pair = |server: &Option<ProxyServer>| server.as_ref().map(|server| (through(server), server.clone()));
        Ok(Agents { direct, http: pair(&proxies.http), https: pair(&proxies.https), proxies })
    }

    pub(super) fn route(&self, url: &Url) -> Route<'_> {
        let found = if url.is_https() { &self.https } else { &self.http };
        match found {
            Some((agent, server)) if !self.proxies.excepts(url) => {
                Route { agent, proxy: Some(server), is_absolute: !url.is_https() && server.is_http() }
            }
            _ => Route { agent: &self.direct, proxy: None, is_absolute: false },
        }
    }
}

/// Connects to an HTTP proxy for plain http; leaves everything else to ureq's own connectors.
#[derive(Debug)]
struct AbsoluteFormConnector {
    /// Of the connection to the proxy itself: without a proxy.
    to_proxy: ureq::config::Config,
    others: DefaultConnector,
}

impl Connector<()> for AbsoluteFormConnector {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        let is_http = |proxy: &&ureq::Proxy| matches!(proxy.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https);
        let Some(proxy) = details.config.proxy().filter(is_http).filter(|_| !details.needs_tls()) else {
            return self.others.connect(details, chained);
        };
        let authority = details.uri.authority().ok_or(ureq::Error::HostNotFound)?;
        let proxy_details = ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), details.config, details.timeout)?,
            config: &self.to_proxy,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let to_proxy = (details.run_connector)(&proxy_details)?;
        Ok(Some(Box::new(AbsoluteForm { to_proxy, prefix: format!("http://{authority}") })))
    }
}

/// Writes `GET http://host/path` where ureq writes `GET /path`.
#[derive(Debug)]
struct AbsoluteForm {
    to_proxy: Box<dyn Transport>,
    /// Scheme and authority.
    prefix: String,
}

impl Transport for AbsoluteForm {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.to_proxy.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        const METHOD: &[u8] = b"GET ";
        let output = self.to_proxy.buffers().output();
        let mut length = amount;
        // A request begins with its line, and ours have no body: nothing else begins with a method and a slash.
        if output.get(..amount).is_some_and(|bytes| bytes.starts_with(b"GET /")) {
            length += self.prefix.len();
            let (from, to) = (METHOD.len(), METHOD.len() + self.prefix.len());
            if output.len() < length {
                return Err(ureq::Error::Io(std::io::Error::other("the request is too long for the buffer")));
            }
            output.copy_within(from..amount, to);
            if let Some(place) = output.get_mut(from..to) {
                place.copy_from_slice(self.prefix.as_bytes());
            }
        }
        self.to_proxy.transmit_output(length, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.to_proxy.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.to_proxy.is_open()
    }
}
