//! A request as a proxy receives it.

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// Method, as written.
    pub method: String,
    /// `http` or `https`: how it reached the proxy.
    pub scheme: Scheme,
    /// The Host header or `:authority`, verbatim.
    pub authority: String,
    /// Path with query, as sent.
    pub path: String,
    /// Headers in order; names lower-case, values trimmed.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first line of a header, by lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Puts a parameter behind the query.
    pub fn add_parameter(&mut self, name: &str, value: &str) {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        self.path = format!("{}{separator}{name}={value}", self.path);
    }

    /// All lines of a header, by lower-case name.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a cookie, without quotes (Envoy: `Http::Utility::parseCookieValue`).
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.lines("cookie").flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let (_, value) = { pairs }.find(|(key, _)| key.trim_start_matches(' ') == name)?;
        Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
    }
}

/// How a request reached the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// In clear.
    #[default]
    Http,
    /// By TLS that the proxy terminated.
    Https,
}

/// What a client dials, and how it opens the connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dial {
    /// Port: the service port at a sidecar, the server port at a gateway.
    pub port: u16,
    /// Address, if it matters; else the one that the authority resolves to.
    pub address: Option<String>,
    /// What the client says first.
    pub opening: Opening,
}

impl Dial {
    /// HTTP in clear to this port of the host that the authority names.
    #[must_use]
    pub fn http(port: u16) -> Self {
        Dial { port, address: None, opening: Opening::default() }
    }
}

/// What a client says first on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Opening {
    /// Something in clear.
    Clear(Inside),
    /// A TLS handshake.
    Tls(ClientTls),
}

impl Default for Opening {
    fn default() -> Self {
        Opening::Clear(Inside::Http)
    }
}

impl Opening {
    /// The client's TLS, if it speaks any.
    #[must_use]
    pub const fn tls(&self) -> Option<&ClientTls> {
        match self {
            Opening::Tls(tls) => Some(tls),
            Opening::Clear(_) => None,
        }
    }
}

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Inside {
    /// HTTP/1.1 requests.
    #[default]
    Http,
    /// Bytes that are no HTTP.
    Bytes,
    /// Nothing until the server speaks.
    Silence,
}

/// A client's side of a TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ClientTls {
    /// Server name; `None` sends none.
    pub server_name: Option<String>,
    /// Application protocols it offers, in order.
    pub alpn: Vec<String>,
    /// Whether it shows a certificate that the proxy trusts.
    pub certificate: bool,
    /// Whether it speaks TLS 1.2 at most.
    pub at_most_1_2: bool,
    /// What it sends inside.
    pub inside: Inside,
}

/// The random numbers of one decision. Told, never drawn here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chances {
    /// Envoy's per-stream value: the weighted cluster and the mirrors.
    pub stream: u64,
    /// Whether a fault delay applies.
    pub delay: u64,
    /// Whether a fault abort applies.
    pub abort: u64,
}

impl Chances {
    /// The chances of a request at one hop and attempt of its application.
    #[must_use]
    pub fn of(draw: crate::draw::Draw) -> Self {
        use crate::draw::Purpose;
        Chances {
            stream: draw.value(Purpose::Stream),
            delay: draw.value(Purpose::FaultDelay),
            abort: draw.value(Purpose::FaultAbort),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::request;

    #[test]
    fn the_first_cookie_of_a_name_counts_without_its_quotes() {
        for (lines, value) in [
            (&["a=b; sid=x"][..], Some("x")),
            (&["a=b", "sid=x"], Some("x")),
            (&["sid=1;sid=2", "sid=3"], Some("1")),
            (&["sid=\"q\""], Some("q")),
            (&["sid="], Some("")),
            (&["sid=a=b"], Some("a=b")),
            (&["xsid=1; SID=2; sid"], None),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            assert_eq!(request("GET", "/", &headers).cookie("sid"), value, "{lines:?}");
        }
    }
}
