//! What hash policies make of a request (Envoy: `HashPolicyImpl`).

use smallvec::SmallVec;
use xxhash_rust::xxh64::xxh64;

use crate::mesh::ProxyKind;
use crate::mesh::route::HashPolicy;
use crate::routing::{Headers, Request, split_query};

/// The hash of a request, as far as the request alone decides it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHash(SmallVec<[Part; 2]>);

/// What one policy contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This, whoever sends the request.
    Told(u64),
    /// A hash of the client's address.
    SourceIp,
    /// A cookie that is generated for the client's connection.
    Generated,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// The client's address.
    pub ip: &'a str,
    /// Its port, which tells its connections apart.
    pub port: u16,
    /// Address and port that it dialled.
    pub dialled: &'a str,
}

impl RequestHash {
    /// What policies make of a request, as it was received and as it is forwarded: routes change it
    /// before it is hashed. A sidecar takes the last entry of `x-forwarded-for` for the client, a
    /// gateway whoever is connected (Envoy: `use_remote_address`).
    #[must_use]
    pub fn of(policies: &[HashPolicy], kind: ProxyKind, received: &Request, forwarded: &Request) -> RequestHash {
        if policies.is_empty() {
            return RequestHash::default();
        }
        let believes = kind == ProxyKind::Sidecar;
        let headers = Headers::arrived(&forwarded.headers);
        let part = |policy: &HashPolicy| match policy {
            HashPolicy::Header(name) => header(name, &headers, forwarded).map(Part::Told),
            HashPolicy::Cookie { name, ttl, .. } => match forwarded.cookie(name).filter(|value| !value.is_empty()) {
                Some(value) => Some(Part::Told(xxh64(value.as_bytes(), 0))),
                None => ttl.map(|_| Part::Generated),
            },
            HashPolicy::SourceIp => {
                let lines = Headers::arrived(&received.headers);
                Some(match lines.first("x-forwarded-for").filter(|_| believes).and_then(last_address) {
                    Some(address) => Part::Told(xxh64(address.as_bytes(), 0)),
                    None => Part::SourceIp,
                })
            }
            HashPolicy::Nothing => None,
            HashPolicy::Query(name) => query(name, &forwarded.path).map(|value| Part::Told(xxh64(value.as_bytes(), 0))),
        };
        RequestHash(policies.iter().filter_map(part).collect())
    }

    /// The hash of a connection that is routed as bytes, where the client's address is hashed.
    #[must_use]
    pub fn of_client() -> RequestHash {
        RequestHash(SmallVec::from_slice(&[Part::SourceIp]))
    }

    /// The hash of the request of a client; `None` if no policy found anything to hash.
    #[must_use]
    pub fn value(&self, client: &Client<'_>) -> Option<u64> {
        let hashes = self.0.iter().map(|part| match part {
            Part::Told(hash) => *hash,
            Part::SourceIp => xxh64(client.ip.as_bytes(), 0),
            Part::Generated => xxh64(client.cookie().as_bytes(), 0),
        });
        // Turning the bits keeps equal policies from cancelling each other out.
        hashes.fold(None, |sum: Option<u64>, hash| Some(sum.map_or(0, |sum| sum.rotate_left(1)) ^ hash))
    }

    /// The hash, if it does not depend on who sends the request.
    #[must_use]
    pub fn told(&self) -> Option<u64> {
        let nobody = Client { ip: "", port: 0, dialled: "" };
        self.value(&nobody).filter(|_| !self.depends_on_client())
    }

    /// Whether the hash depends on who sends the request.
    #[must_use]
    pub fn depends_on_client(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Told(_)))
    }

    /// Whether there is nothing to hash, so that the host is left to chance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the hash changes with the client's connection.
    #[must_use]
    pub fn is_of_connection(&self) -> bool {
        self.0.contains(&Part::Generated)
    }
}

impl Client<'_> {
    /// The value of a cookie that a proxy generates for this connection.
    #[must_use]
    pub fn cookie(&self) -> String {
        format!("{:016x}", xxh64(format!("{}:{}{}", self.ip, self.port, self.dialled).as_bytes(), 0))
    }
}

/// All lines of a header, in the order of their values.
fn header(name: &str, headers: &Headers, request: &Request) -> Option<u64> {
    let mut values: SmallVec<[&str; 4]> = match name {
        ":path" => SmallVec::from_slice(&[request.path.as_str()]),
        ":method" => SmallVec::from_slice(&[request.method.as_str()]),
        ":authority" | "host" => SmallVec::from_slice(&[request.authority.as_str()]),
        _ => headers.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect(),
    };
    if values.is_empty() {
        return None;
    }
    values.sort_unstable();
    Some(values.iter().fold(0, |seed, value| xxh64(value.as_bytes(), seed)))
}

/// The first value of a parameter, as it is sent.
fn query<'p>(name: &str, path: &'p str) -> Option<&'p str> {
    let mut pairs = split_query(path).1.strip_prefix('?')?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The last entry of `x-forwarded-for`, if it is an address.
fn last_address(line: &str) -> Option<String> {
    let last = line.rsplit(',').next()?.trim();
    last.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
}
