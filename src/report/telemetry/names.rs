//! Identifiers that logs and traces share. All follow from the seed and the request, so that a
//! second run writes the same ones.

use crate::draw::{KeyStream, Purpose};
use crate::record::{Directory, Exchange, PlaceId, RequestId, Upstream};

/// The stream of identifiers; those of clients are hashes of names.
const STREAM: u64 = 1;

/// A number for a request that looks random.
pub(super) fn trace_id(seed: u64, request: RequestId) -> u128 {
    let draw = KeyStream::new(seed, STREAM ^ (u64::from(request.group.0) << 1)).draw(request.number);
    let half = |n: u64| u128::from(draw.nth(Purpose::Identity, n));
    (half(0) << 64 | half(1)).max(1)
}

/// `x-request-id`: a UUID of version 4.
pub(super) fn request_id(seed: u64, request: RequestId) -> String {
    let id = trace_id(seed, request) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{id:032x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// Address of a pod or host, without port.
pub(super) fn address(directory: &Directory, place: PlaceId) -> Option<&str> {
    directory.addresses.get(place.0 as usize).map(String::as_str).filter(|address| !address.is_empty())
}

/// The destination of an exchange; none for a mirror's copy, whose cluster is not the route's.
pub(super) fn upstream<'a>(directory: &'a Directory, exchange: &Exchange) -> Option<&'a Upstream> {
    directory.hops[exchange.hop.index()].sent.upstreams.get(usize::from(exchange.leg))
}

/// Address and port of the endpoint that was tried last.
pub(super) fn upstream_host(directory: &Directory, exchange: &Exchange) -> Option<String> {
    let port = upstream(directory, exchange).map_or(directory.hops[exchange.hop.index()].sent.port, |upstream| upstream.port);
    address(directory, exchange.place).map(|address| format!("{address}:{port}"))
}

/// Whether the proxies at both ends speak mutual TLS.
pub(super) fn mutual_tls(directory: &Directory, exchange: &Exchange) -> bool {
    upstream(directory, exchange).is_some_and(|upstream| upstream.mutual_tls)
}
