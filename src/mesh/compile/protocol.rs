//! Which protocol a port speaks, from what its declaration says (Istio: `ConvertProtocol`).

use crate::mesh::profile::Profile;
use crate::mesh::registry::Protocol;

/// Words that name a protocol: in `appProtocol`, before the first `-` of a port's name, and in the
/// `protocol` of ServiceEntries, Sidecars and Gateways.
const WORDS: &[(&str, Protocol)] = &[
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("grpc", Protocol::Grpc),
    ("grpc-web", Protocol::GrpcWeb),
    ("http", Protocol::Http),
    ("http_proxy", Protocol::HttpProxy),
    ("http2", Protocol::Http2),
    ("https", Protocol::Https),
    ("tls", Protocol::Tls),
    ("mongo", Protocol::Mongo),
    ("redis", Protocol::Redis),
    ("mysql", Protocol::MySql),
];

/// `appProtocol` values of Kubernetes itself.
const KUBERNETES_APP_PROTOCOLS: &[(&str, Protocol)] =
    &[("kubernetes.io/h2c", Protocol::Http2), ("kubernetes.io/ws", Protocol::Http), ("kubernetes.io/wss", Protocol::Https)];

/// Ports that are TCP although nothing says so: their servers speak first, which would stall
/// protocol detection.
const SERVER_FIRST_PORTS: &[i64] = &[25, 53, 3306, 27017];

/// The protocol of a Service's port.
pub(super) fn of_service_port(transport: &str, app_protocol: Option<&str>, name: &str, port: i64, profile: &Profile) -> Protocol {
    if transport == "UDP" {
        return Protocol::Udp;
    }
    let declared = match app_protocol {
        Some(app_protocol) => of_app_protocol(app_protocol),
        None => of_name(name),
    };
    match declared {
        Some(protocol) => protocol,
        None if SERVER_FIRST_PORTS.contains(&port) => Protocol::Tcp,
        None => unknown(profile),
    }
}

/// The protocol of a port that names it in a field of its own.
pub(super) fn of_word(word: &str, profile: &Profile) -> Protocol {
    parse(word).unwrap_or_else(|| unknown(profile))
}

fn unknown(profile: &Profile) -> Protocol {
    if profile.protocol_sniffing { Protocol::Sniffed } else { Protocol::Tcp }
}

fn of_app_protocol(app_protocol: &str) -> Option<Protocol> {
    let known = KUBERNETES_APP_PROTOCOLS.iter().find(|(word, _)| *word == app_protocol);
    known.map(|(_, protocol)| *protocol).or_else(|| of_name(app_protocol))
}

fn of_name(name: &str) -> Option<Protocol> {
    let is_grpc_web = name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case("grpc-web"));
    if is_grpc_web {
        return Some(Protocol::GrpcWeb);
    }
    parse(name.split('-').next().unwrap_or_default())
}

fn parse(word: &str) -> Option<Protocol> {
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, protocol)| *protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_protocol_overrides_the_name_and_the_name_overrides_the_number() {
        for (transport, app_protocol, name, port, protocol) in [
            ("TCP", None, "http", 80, Protocol::Http),
            ("TCP", None, "HTTP-web", 80, Protocol::Http),
            ("TCP", None, "http2-web", 80, Protocol::Http2),
            ("TCP", None, "grpc-web", 80, Protocol::GrpcWeb),
            ("TCP", None, "grpc-webby", 80, Protocol::GrpcWeb),
            ("TCP", None, "grpc-api", 80, Protocol::Grpc),
            ("TCP", None, "httpfoo", 80, Protocol::Sniffed),
            ("TCP", None, "web", 80, Protocol::Sniffed),
            ("TCP", None, "", 80, Protocol::Sniffed),
            ("TCP", None, "", 3306, Protocol::Tcp),
            ("TCP", None, "web", 27017, Protocol::Tcp),
            ("TCP", None, "http", 3306, Protocol::Http),
            ("UDP", Some("http"), "http", 80, Protocol::Udp),
            ("TCP", Some("tcp"), "http", 80, Protocol::Tcp),
            ("TCP", Some("kubernetes.io/h2c"), "tcp", 80, Protocol::Http2),
            ("TCP", Some("kubernetes.io/ws"), "tcp", 80, Protocol::Http),
            ("TCP", Some("kubernetes.io/wss"), "tcp", 80, Protocol::Https),
            ("TCP", Some("example.com/thing"), "http", 80, Protocol::Sniffed),
            ("TCP", None, "mysql-db", 3307, Protocol::MySql),
        ] {
            let actual = of_service_port(transport, app_protocol, name, port, &Profile::latest());
            assert_eq!(actual, protocol, "{transport} {app_protocol:?} {name} {port}");
        }
    }

    #[test]
    fn without_sniffing_an_unknown_protocol_is_bytes() {
        let old = Profile::of_version("1.1").unwrap();
        assert_eq!(of_service_port("TCP", None, "web", 80, &old), Protocol::Tcp);
        assert_eq!(of_word("HTTP", &old), Protocol::Http);
        assert_eq!(of_word("whatever", &old), Protocol::Tcp);
    }
}
