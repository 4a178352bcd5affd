//! Destinations as tests and invariants name them.

use crate::mesh::{ProxyKind, ProxySpec};

/// A destination, or several: `reviews`, `reviews.default:9080/v2`, `*.ops`, `*`, or the name of a
/// cluster as Envoy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationPattern {
    text: String,
    host: String,
    port: Option<u16>,
    subset: Option<String>,
}

impl DestinationPattern {
    /// Reads `HOST[:PORT][/SUBSET]` or the name of a cluster.
    ///
    /// # Errors
    /// The port is no number, or the host is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('|') {
            return Ok(DestinationPattern { text: text.to_owned(), host: String::new(), port: None, subset: None });
        }
        let (place, subset) = match text.split_once('/') {
            Some((place, subset)) => (place, Some(subset.to_owned())),
            None => (text, None),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| format!("`{text}`: `{port}` is no port"))?)),
            None => (place, None),
        };
        if host.is_empty() {
            return Err(format!("`{text}`: write `HOST[:PORT][/SUBSET]`"));
        }
        Ok(DestinationPattern { text: text.to_owned(), host: host.to_ascii_lowercase(), port, subset })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a cluster is meant by the clients of a proxy. A short name is a service of a sidecar's own
    /// namespace; at a gateway, whose own rarely has services, it is one of any.
    #[must_use]
    pub fn is_meant(&self, cluster: &str, proxy: &ProxySpec) -> bool {
        self.means(cluster, (proxy.kind == ProxyKind::Sidecar).then_some(proxy.namespace.as_str()))
    }

    fn means(&self, cluster: &str, namespace: Option<&str>) -> bool {
        if self.text == cluster {
            return true;
        }
        let mut parts = cluster.splitn(4, '|');
        let (Some("outbound"), Some(port), Some(subset), Some(host)) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return self.host == "*" && self.port.is_none() && self.subset.is_none();
        };
        self.port.is_none_or(|own| port == own.to_string())
            && self.subset.as_ref().is_none_or(|own| own == subset)
            && self.is_host(host, namespace)
    }

    fn is_host(&self, host: &str, namespace: Option<&str>) -> bool {
        if self.host == "*" || self.host == host {
            return true;
        }
        if let Some(suffix) = self.host.strip_prefix('*') {
            return host.len() > suffix.len() && host.ends_with(suffix)
                || host.split_once('.').is_some_and(|(_, rest)| {
                    rest.strip_prefix(suffix.trim_start_matches('.')).is_some_and(|rest| rest.starts_with(".svc."))
                });
        }
        let Some(rest) = host.strip_prefix(self.host.as_str()).and_then(|rest| rest.strip_prefix('.')) else { return false };
        match self.host.matches('.').count() {
            0 => match namespace {
                Some(namespace) => rest.strip_prefix(namespace).is_some_and(|rest| rest.starts_with(".svc.")),
                None => rest.split_once('.').is_some_and(|(_, rest)| rest.starts_with("svc.")),
            },
            1 => rest.starts_with("svc."),
            _ => self.host.ends_with(".svc"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_named_as_routes_name_them() {
        let reviews = "outbound|9080|v2|reviews.default.svc.cluster.local";
        for (text, cluster, expected) in [
            ("reviews", reviews, true),
            ("reviews/v2", reviews, true),
            ("reviews/v1", reviews, false),
            ("reviews:9080/v2", reviews, true),
            ("reviews:80", reviews, false),
            ("reviews.default", reviews, true),
            ("reviews.other", reviews, false),
            ("reviews.default.svc", reviews, true),
            ("reviews.default.svc.cluster.local", reviews, true),
            ("review", reviews, false),
            (reviews, reviews, true),
            ("*.default", reviews, true),
            ("*.ops", reviews, false),
            ("*", reviews, true),
            ("*", "PassthroughCluster", true),
            ("PassthroughCluster", "PassthroughCluster", true),
            ("reviews", "PassthroughCluster", false),
            ("*.example.com", "outbound|443||api.example.com", true),
            ("api.example.com", "outbound|443||api.example.com", true),
            ("reviews", "outbound|80||reviews.other.svc.cluster.local", false),
        ] {
            assert_eq!(DestinationPattern::parse(text).unwrap().means(cluster, Some("default")), expected, "{text} {cluster}");
        }
        for (text, expected) in [("reviews", true), ("reviews/v2", true), ("review", false), ("default", false)] {
            assert_eq!(DestinationPattern::parse(text).unwrap().means(reviews, None), expected, "{text} from a gateway");
        }
        assert!(DestinationPattern::parse("a:b").is_err() && DestinationPattern::parse("/v1").is_err());
    }
}
