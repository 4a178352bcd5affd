//! The request of a case, before and after it is known who sends it.

use super::format::Ask;
use crate::mesh::{Mesh, ProxyId};
use crate::routing::{ClientTls, Dial, Inside, Opening, Request, Scheme, resolve, sender};
use crate::source::Span;
use crate::workload::{Url, UrlKind};

/// A request and who sends it, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who sends it.
    pub from: Option<String>,
    /// Host that is dialled.
    pub host: String,
    /// Port that is dialled.
    pub port: u16,
    /// What is spoken.
    pub kind: UrlKind,
    /// The request.
    pub request: Request,
    /// Where it is written.
    pub span: Span,
}

/// A request at the proxy that sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The proxy.
    pub proxy: ProxyId,
    /// What is dialled.
    pub dial: Dial,
    /// The request.
    pub request: Request,
}

impl Question {
    /// Reads a request.
    ///
    /// # Errors
    /// Why this is no request, and where.
    pub(super) fn new(ask: &Ask, from: Option<&str>) -> Result<Self, (String, Span)> {
        let url = ask.url.as_ref().ok_or_else(|| ("the request needs a `url`".to_owned(), ask.span))?;
        let parsed = Url::parse(&url.value).map_err(|error| (format!("`{}`: {error}", url.value), url.span))?;
        let host = host_of(&parsed.authority).to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &ask.headers.0 {
            if !is_token(&name.value) {
                return Err((format!("`{}` is no name of a header", name.value), name.span));
            }
            headers.extend(value.as_ref().map(|value| (name.value.to_ascii_lowercase(), value.value.trim().to_owned())));
        }
        let method = ask.method.as_ref().map_or("GET", |method| method.value.as_str());
        if !is_token(method) {
            let span = ask.method.as_ref().map_or(ask.span, |method| method.span);
            return Err((format!("`{method}` is no method"), span));
        }
        if let Some(path) = ask.path.as_ref().filter(|path| !path.value.starts_with('/')) {
            return Err((format!("`{}`: a path begins with `/`", path.value), path.span));
        }
        let own_host = headers.iter().position(|(name, _)| name == "host").map(|at| headers.remove(at).1);
        let request = Request {
            method: method.to_owned(),
            scheme: if parsed.kind == UrlKind::Https { Scheme::Https } else { Scheme::Http },
            authority: ask.host.as_ref().map(|host| host.value.clone()).or(own_host).unwrap_or_else(|| without_default(&parsed)),
            path: ask.path.as_ref().map_or_else(|| parsed.path.clone(), |path| path.value.clone()),
            headers,
        };
        let from = ask.from.as_ref().map(|from| from.value.as_str()).or(from).map(str::to_owned);
        Ok(Question { from, host, port: parsed.port, kind: parsed.kind, request, span: ask.span })
    }

    /// The request at the proxy that sends it.
    ///
    /// # Errors
    /// Nobody in the mesh is meant.
    pub fn at(&self, mesh: &Mesh) -> Result<Asked, String> {
        let proxy = sender(mesh, self.from.as_deref(), &self.host, "`from`")?;
        let address = resolve(&mesh.proxies[proxy.index()], &self.host).unwrap_or(&self.host).to_owned();
        let opening = match self.kind {
            UrlKind::Http => Opening::default(),
            UrlKind::Tcp => Opening::Clear(Inside::Bytes),
            UrlKind::Https => Opening::Tls(ClientTls {
                server_name: Some(self.host.clone()),
                alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
                ..ClientTls::default()
            }),
        };
        let dial = Dial { port: self.port, address: Some(address), opening };
        Ok(Asked { proxy, dial, request: self.request.clone() })
    }
}

/// Clients leave the scheme's own port away.
fn without_default(url: &Url) -> String {
    let default = match url.kind {
        UrlKind::Http => ":80",
        UrlKind::Https => ":443",
        UrlKind::Tcp => "",
    };
    url.authority.strip_suffix(default).unwrap_or(&url.authority).to_owned()
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// Methods and names of headers are tokens (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
