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

/// How a request reached the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// In clear.
    #[default]
    Http,
    /// By TLS that the proxy terminated.
    Https,
}

/// What a client dials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dial {
    /// Port: the service port at a sidecar, the server port at a gateway.
    pub port: u16,
    /// Address, if it matters; else the one that the authority resolves to.
    pub address: Option<String>,
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
