//! An explanation as a tree.

use super::forwarding::{Destination, EndpointView, Forwarding};
use super::limits;
use super::page::{ActionView, Connection, OutcomeView, Page, RouteView, Share};
use super::server;
use crate::text::{Ink, Tree};

/// The tree.
pub(super) fn tree(page: &Page) -> Tree {
    let question = format!("{} from {} ({})", page.request.url, page.from.proxy, page.from.kind);
    let verb = if page.speaks_http() { page.request.method.as_str() } else { "connect" };
    let mut tree = Tree::new(Ink::Strong, verb, question);
    if let Some(path) = &page.request.normalised_path {
        tree.push(Tree::new(Ink::Plain, "path", format!("{path} (normalised)")));
    }
    if let Some(listener) = &page.listener {
        let chain = if listener.chain.is_empty() { String::new() } else { format!(", filter chain {}", listener.chain) };
        tree.push(Tree::new(Ink::Plain, "listener", format!("{}{chain}", listener.name)).at(line_of(listener.place.as_deref())));
    }
    connection(page, &mut tree);
    if let Some(host) = &page.virtual_host {
        let found = format!("{} (domain `{}`, table {})", host.name, host.domain, host.route_table);
        tree.push(Tree::new(Ink::Plain, "virtual host", found).at(line_of(host.place.as_deref())));
    }
    if !page.routes.is_empty() {
        tree.push(routes(page));
    }
    tree = tree.with(page.rate_limits.iter().map(limits::tree));
    match &page.action {
        Some(ActionView::Forward(forwarding)) => forward(forwarding, &mut tree),
        Some(ActionView::Redirect { status, location }) => {
            tree.push(Tree::new(Ink::Plain, "answer", format!("{status}, location {location}")));
        }
        Some(ActionView::Respond { status, body, why }) => {
            let body = if body.is_empty() { "no body".to_owned() } else { format!("body `{body}`") };
            let ink = if *status >= 400 { Ink::Odd } else { Ink::Plain };
            tree.push(Tree::new(ink, "answer", format!("{status}, {body}: {why}")));
        }
        None => {}
    }
    if !page.outcomes.is_empty() {
        tree.push(Tree::new(Ink::Plain, "outcomes", "").with(page.outcomes.iter().map(outcome)));
    }
    if page.servers.is_empty() {
        for refusal in &page.refused_by {
            tree.push(Tree::new(Ink::Bad, "refused", format!("by {refusal} (--server shows why)")));
        }
    }
    tree.with(page.servers.iter().map(server::tree))
}

fn connection(page: &Page, tree: &mut Tree) {
    match &page.connection {
        Connection::Http { tls_terminated: true } => tree.push(Tree::new(Ink::Plain, "TLS", "ends at the proxy")),
        Connection::Http { tls_terminated: false } => {}
        Connection::Refused { listening } => {
            let ports: Vec<String> = listening.iter().map(u16::to_string).collect();
            let open = match ports.as_slice() {
                [] => "the proxy listens on no port".to_owned(),
                [only] => format!("the proxy listens on port {only}"),
                _ => format!("the proxy listens on ports {}", ports.join(", ")),
            };
            tree.push(Tree::new(Ink::Bad, "refused", format!("nothing listens on this port; {open}")));
        }
        Connection::Ended { reason } => tree.push(Tree::new(Ink::Bad, "closed", *reason)),
        Connection::Tcp { clusters, client_tls } => {
            let how = match client_tls {
                Some("passthrough") => "the client's TLS unopened",
                Some(_) => "what was inside of the client's TLS",
                None => "bytes as they are, no HTTP routing",
            };
            let total: u64 = clusters.iter().map(|share| u64::from(share.weight)).sum();
            tree.push(Tree::new(Ink::Plain, "forwarded", how).with(clusters.iter().map(|part| connections(part, total))));
        }
    }
}

/// Where a share of the connections goes.
fn connections(part: &Share, total: u64) -> Tree {
    let state = match part {
        Share { exists: false, .. } => "does not exist: the connection is closed".to_owned(),
        Share { original_destination: true, .. } => "goes to the dialled address".to_owned(),
        Share { endpoints, .. } if endpoints.is_empty() => "no endpoint: the connection is closed".to_owned(),
        Share { endpoints, .. } => crate::text::plural(endpoints.len() as u64, "endpoint"),
    };
    // A part of nothing is nothing.
    let percent = f64::from(part.weight) * 100.0 / total.max(1) as f64;
    let mut tree = Tree::new(Ink::Plain, share(percent), part.cluster.as_str());
    let reached = part.exists && (part.original_destination || !part.endpoints.is_empty());
    tree.push(Tree::new(if reached { Ink::Plain } else { Ink::Bad }, "policy", state));
    tree.with(part.endpoints.iter().map(endpoint))
}

fn endpoint(endpoint: &EndpointView) -> Tree {
    let not_ready = if endpoint.ready { "" } else { " (not ready)" };
    let priority = if endpoint.priority == 0 { String::new() } else { format!(" (priority {})", endpoint.priority) };
    Tree::new(Ink::Faint, endpoint.address.as_str(), format!("{}{not_ready}{priority}", endpoint.pod))
}

fn routes(page: &Page) -> Tree {
    let mut tree = Tree::new(Ink::Plain, "routes", "").with(page.routes.iter().map(route));
    if page.routes_behind > 0 {
        tree.push(Tree::new(Ink::Faint, "…", format!("{} behind it, not looked at", page.routes_behind)));
    }
    tree
}

fn route(route: &RouteView) -> Tree {
    let name = if route.name.is_empty() { String::new() } else { format!(" {}", route.name) };
    let (ink, mark) = if route.matched { (Ink::Good, '✓') } else { (Ink::Faint, '✗') };
    let label = format!("{mark} {}{name}", route.index);
    let asked = || route.conditions.iter().filter(|condition| !condition.asks_nothing);
    let text = match route.conditions.first() {
        Some(failed) if !route.matched => format!("{}, but {}", failed.text, failed.seen_text),
        _ if asked().next().is_none() => "takes every request".to_owned(),
        _ => asked().map(|condition| condition.text.as_str()).collect::<Vec<_>>().join("; "),
    };
    let written = || route.conditions.iter().find_map(|condition| condition.place.as_deref());
    let place = if route.matched { route.place.as_deref().or_else(written) } else { written().or(route.place.as_deref()) };
    Tree::new(ink, label, text).at(line_of(place))
}

fn forward(forwarding: &Forwarding, tree: &mut Tree) {
    let line = |label: &str, text: String| Tree::new(Ink::Plain, label, text);
    for fault in &forwarding.faults {
        let text = format!("{} for {} of requests", fault.what, share(fault.percent));
        tree.push(Tree::new(Ink::Odd, "fault", text).at(line_of(forwarding.fault_place.as_deref())));
    }
    if let Some(cors) = forwarding.cors {
        tree.push(line("CORS", cors.to_owned()));
    }
    tree.push(Tree::new(Ink::Plain, "clusters", "").with(forwarding.destinations.iter().map(destination)));
    tree.push(line("timeout", forwarding.timeout.clone()));
    tree.push(line("retries", forwarding.retries.clone().unwrap_or_else(|| "none".to_owned())));
    for mirror in &forwarding.mirrors {
        let absent = if mirror.exists { "" } else { " (does not exist, so nothing is copied)" };
        let text = format!("{} of requests to {}{absent}", share(mirror.percent), mirror.cluster);
        tree.push(line("mirror", text).at(line_of(mirror.place.as_deref())));
    }
    for (label, texts) in [
        ("hash", &forwarding.hash),
        ("rewrite", &forwarding.rewrites),
        ("request", &forwarding.request_headers),
        ("response", &forwarding.response_headers),
    ] {
        if !texts.is_empty() {
            tree.push(line(label, texts.join(", ")));
        }
    }
}

fn destination(destination: &Destination) -> Tree {
    let state = match destination {
        Destination { exists: false, absent_status, .. } => format!("does not exist: {absent_status}, flag NC"),
        Destination { original_destination: true, .. } => "goes to the dialled address".to_owned(),
        Destination { endpoints, .. } if endpoints.is_empty() => "no endpoint: 503, flag UH".to_owned(),
        Destination { endpoints, balancer, .. } => {
            format!("{}, {}", crate::text::plural(endpoints.len() as u64, "endpoint"), balancer.unwrap_or_default())
        }
    };
    let ink = if destination.exists { Ink::Plain } else { Ink::Bad };
    let mut tree =
        Tree::new(ink, share(destination.percent), destination.cluster.as_str()).at(line_of(destination.place.as_deref()));
    tree.push(Tree::new(Ink::Plain, "policy", state).at(line_of(destination.cluster_place.as_deref())));
    if let Some(hashed) = &destination.hashed {
        tree.push(Tree::new(Ink::Plain, "hash", hashed.as_str()));
    }
    let mut tree = tree.with(destination.endpoints.iter().map(endpoint));
    if !destination.headers.is_empty() {
        tree.push(Tree::new(Ink::Plain, "headers", destination.headers.join(", ")));
    }
    tree
}

fn outcome(outcome: &OutcomeView) -> Tree {
    let label = match (&outcome.probability, outcome.percent) {
        (Some(fraction), Some(percent)) => format!("{} ({fraction})", share(percent)),
        _ => "this draw".to_owned(),
    };
    let mut words = Vec::new();
    if let Some(delay) = outcome.delay_ms {
        words.push(format!("after {} ms", trimmed(delay)));
    }
    match (&outcome.upstream, &outcome.cluster) {
        (Some(_), Some(cluster)) => words.push(format!("to {cluster}")),
        (None, Some(cluster)) => words.push(format!("{} {} instead of {cluster}", outcome.status, outcome.details)),
        (_, None) => words.push(format!("{} {}", outcome.status, outcome.details)),
    }
    if outcome.flags != "-" {
        words.push(format!("flags {}", outcome.flags));
    }
    if let Some(location) = &outcome.location {
        words.push(format!("location {location}"));
    }
    if !outcome.mirrored.is_empty() {
        words.push(format!("copied to {}", outcome.mirrored.join(", ")));
    }
    let ink = if outcome.status >= 500 { Ink::Bad } else { Ink::Plain };
    Tree::new(ink, label, words.join(", "))
}

/// A place without its column: the line is what an editor is opened at.
pub(super) fn line_of(place: Option<&str>) -> Option<&str> {
    place.and_then(|place| place.rsplit_once(':')).map(|(line, _)| line)
}

/// A share in percent with as many digits as it needs, up to four.
fn share(percent: f64) -> String {
    format!("{} %", trimmed(percent))
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
