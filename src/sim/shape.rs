//! Requests by what is in them. A run has few different ones, however many it sends, so everything
//! that follows from a request's text is computed once for each.

use indexmap::IndexSet;

use crate::routing::{Dial, Inside, Opening, Request, Scheme};
use crate::workload::{Url, UrlKind};

/// What is sent where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// What is spoken.
    pub(super) kind: UrlKind,
    /// Port that is dialled.
    pub(super) port: u16,
    pub(super) request: Request,
}

impl Shape {
    /// A request to this address. A header `host` takes the place of the address's authority, which
    /// then only says what is dialled.
    pub(super) fn new(url: &Url, method: Option<&str>, mut headers: Vec<(String, String)>) -> Shape {
        let host = headers.iter().position(|(name, _)| name == "host").map(|index| headers.remove(index).1);
        Shape {
            kind: url.kind,
            port: url.port,
            request: Request {
                method: method.unwrap_or("GET").to_owned(),
                scheme: if url.kind == UrlKind::Https { Scheme::Https } else { Scheme::Http },
                authority: host.unwrap_or_else(|| url.authority.clone()),
                path: url.path.clone(),
                headers,
            },
        }
    }

    /// How the connection is opened. TLS that an application speaks itself carries its host name and
    /// hides its requests.
    pub(super) fn dial(&self) -> Dial {
        let opening = match self.kind {
            UrlKind::Http => Opening::default(),
            UrlKind::Tcp => Opening::Clear(Inside::Bytes),
            UrlKind::Https => Opening::Tls(crate::routing::ClientTls {
                server_name: Some(crate::routing::without_port(&self.request.authority).to_owned()),
                alpn: vec!["http/1.1".to_owned()],
                certificate: false,
                at_most_1_2: false,
                inside: Inside::Http,
            }),
        };
        Dial { port: self.port, address: None, opening }
    }

    /// The value of a cookie, from all `cookie` headers.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.request.lines("cookie").flat_map(|line| line.split(';'));
        pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Arguments of `meshsim route` that ask for this request.
    pub(super) fn explain(&self, from: &str) -> Vec<String> {
        let scheme = match self.kind {
            UrlKind::Http => "http",
            UrlKind::Https => "https",
            UrlKind::Tcp => "tcp",
        };
        let host = crate::routing::without_port(&self.request.authority);
        let default_port = matches!((self.kind, self.port), (UrlKind::Http, 80) | (UrlKind::Https, 443));
        let authority = if default_port { self.request.authority.clone() } else { format!("{host}:{}", self.port) };
        let mut arguments = vec!["--from".to_owned(), from.to_owned()];
        arguments.push(format!("{scheme}://{authority}{}", self.request.path));
        if self.request.method != "GET" {
            arguments.extend(["-X".to_owned(), self.request.method.clone()]);
        }
        for (name, value) in &self.request.headers {
            arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
        }
        arguments
    }
}

/// All shapes that were met, by number.
#[derive(Debug, Default)]
pub(super) struct Shapes(IndexSet<Shape, rustc_hash::FxBuildHasher>);

impl Shapes {
    pub(super) fn number(&mut self, shape: Shape) -> u32 {
        let (index, _) = self.0.insert_full(shape);
        u32::try_from(index).expect("shapes come from the configuration, which is small")
    }

    pub(super) fn get(&self, number: u32) -> &Shape {
        &self.0[number as usize]
    }
}

/// Headers and cookies as scenarios write them, in the form in which they are sent.
pub(super) fn headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    cookies: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        headers.into_iter().map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    let cookies: Vec<String> = cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !cookies.is_empty() {
        all.push(("cookie".to_owned(), cookies.join("; ")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(url: &str, all: Vec<(String, String)>) -> Shape {
        Shape::new(&Url::parse(url).unwrap(), None, all)
    }

    #[test]
    fn a_request_is_explained_by_the_command_that_asks_for_it() {
        let headers = headers([("End-User", " jason ")], [("a", "1"), ("b", "2")]);
        let shape = shape("http://reviews:9080/reviews/0", headers);
        assert_eq!(
            shape.explain("productpage-v1").join(" "),
            "--from productpage-v1 http://reviews:9080/reviews/0 -H end-user: jason -H cookie: a=1; b=2"
        );
        assert_eq!((shape.cookie("b"), shape.cookie("c")), (Some("2"), None));
    }

    #[test]
    fn equal_requests_have_one_number() {
        let mut shapes = Shapes::default();
        let first = shapes.number(shape("http://a/", Vec::new()));
        assert_ne!(first, shapes.number(shape("http://a:81/", Vec::new())));
        assert_eq!(first, shapes.number(shape("http://a/", Vec::new())));
    }
}
