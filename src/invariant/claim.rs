//! What an invariant claims, and which routes break it.

use crate::change::Entry;
use crate::mesh::cluster::Cluster;
use crate::mesh::route::{AbortStatus, Action, ClusterRef, RouteMatch};
use crate::mesh::{Mesh, Proxy, ProxyKind};
use crate::routing::{Verdict, destination_name};
use crate::source::Span;
use crate::suite::DestinationPattern;

/// A claim about all requests of some kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Invariant {
    /// As it was written.
    pub text: String,
    /// Where.
    pub span: Span,
    /// The host, if it is about one.
    pub host: Option<String>,
    /// Who sends.
    pub scope: Scope,
    /// Which requests.
    pub requests: RouteMatch,
    /// Requests that it is not about.
    pub unless: Option<RouteMatch>,
    /// What must hold.
    pub claim: Claim,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every proxy.
    All,
    /// One by name.
    Proxy(String),
    /// Those of a namespace.
    Namespace(String),
    /// Gateways.
    Gateways,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No request reaches it.
    NeverReach(DestinationPattern),
    /// Every request reaches it.
    AlwaysReach(DestinationPattern),
    /// Forwarded requests stay in a namespace.
    NeverLeave(String),
    /// The proxy itself answers no error.
    NeverFail,
    /// No request gets this status.
    NeverGet(u16),
    /// Every request gets this status.
    AlwaysGet(u16),
}

impl Scope {
    /// Whether a proxy is meant.
    #[must_use]
    pub fn holds(&self, proxy: &Proxy) -> bool {
        let spec = &proxy.spec;
        match self {
            Scope::All => true,
            Scope::Proxy(name) => spec.name == *name || spec.name.strip_suffix(&format!(".{}", spec.namespace)) == Some(name),
            Scope::Namespace(namespace) => spec.namespace == *namespace,
            Scope::Gateways => spec.kind == ProxyKind::Gateway,
        }
    }
}

impl Claim {
    /// What requests of an entry do that breaks the claim, if any does.
    pub(super) fn broken_by(&self, mesh: &Mesh, proxy: &Proxy, entry: &Entry<'_>) -> Option<String> {
        let ends = Ends::of(proxy, entry);
        match self {
            Claim::NeverReach(pattern) => {
                let reached = ends.reached.iter().chain(&ends.copies).find(|name| pattern.is_meant(name, &proxy.spec));
                reached.map(|name| format!("reaches {}", destination_name(name)))
            }
            Claim::AlwaysReach(pattern) => {
                let other = ends.reached.iter().find(|name| !pattern.is_meant(name, &proxy.spec));
                let other = other.map(|name| format!("reaches {}", destination_name(name)));
                other.or_else(|| ends.answers.first().map(|(_, what)| what.clone()))
            }
            Claim::NeverLeave(namespace) => {
                let all = ends.reached.iter().chain(&ends.copies);
                let mut outside = all.filter(|name| namespace_of(mesh, proxy, name) != Some(namespace.as_str()));
                outside.next().map(|name| format!("reaches {}", destination_name(name)))
            }
            Claim::NeverFail => ends.answers.iter().find(|(status, _)| *status >= 400).map(|(_, what)| what.clone()),
            Claim::NeverGet(wanted) => {
                let answered = ends.answers.iter().find(|(status, _)| status == wanted).map(|(_, what)| what.clone());
                answered.or_else(|| {
                    (*wanted == 200).then(|| ends.reached.first().map(|name| format!("reaches {}", destination_name(name))))?
                })
            }
            Claim::AlwaysGet(wanted) => {
                let answered = ends.answers.iter().find(|(status, _)| status != wanted).map(|(_, what)| what.clone());
                answered.or_else(|| {
                    (*wanted != 200).then(|| ends.reached.first().map(|name| format!("reaches {}", destination_name(name))))?
                })
            }
        }
    }
}

fn namespace_of<'m>(mesh: &'m Mesh, proxy: &Proxy, cluster: &str) -> Option<&'m str> {
    let cluster = proxy.clusters.named(cluster)?;
    cluster.service.map(|service| mesh.services[service.index()].namespace.as_str())
}

/// Everything that may become of the requests of one entry.
#[derive(Default)]
struct Ends {
    /// Clusters that requests are sent to.
    reached: Vec<String>,
    /// Clusters that copies are sent to.
    copies: Vec<String>,
    /// Answers of the proxy itself, in words.
    answers: Vec<(u16, String)>,
}

impl Ends {
    fn of(proxy: &Proxy, entry: &Entry<'_>) -> Self {
        let mut ends = Ends::default();
        let Some(route) = entry.route else {
            ends.answers.push(match entry.verdict {
                Verdict::RequireTls { .. } => (301, "is redirected to HTTPS".to_owned()),
                _ => (404, "finds no route: 404".to_owned()),
            });
            return ends;
        };
        let abort = route.fault.as_ref().and_then(|fault| fault.abort).filter(|abort| abort.share.0 > 0);
        if let Some(abort) = abort {
            let status = match abort.status {
                AbortStatus::Http(status) => status,
                AbortStatus::Grpc(_) => 200,
            };
            ends.answers.push((status, format!("is aborted by a fault: {status}")));
            if abort.share.0 >= 1_000_000 {
                return ends;
            }
        }
        match &route.action {
            Action::Redirect(redirect) => ends.answers.push((redirect.status, format!("is redirected: {}", redirect.status))),
            Action::Direct(direct) => ends.answers.push((direct.status, format!("is answered at once: {}", direct.status))),
            Action::Forward(forward) => {
                for leg in forward.legs.all() {
                    match state(proxy, &leg.cluster) {
                        State::Works => ends.reached.push(leg.cluster.name.clone()),
                        State::Empty => {
                            ends.answers.push((503, format!("finds no endpoint of {}: 503", destination_name(&leg.cluster.name))))
                        }
                        State::Unknown => {
                            let status = forward.cluster_not_found_status;
                            ends.answers.push((status, format!("finds no {}: {status}", destination_name(&leg.cluster.name))));
                        }
                    }
                }
                let copies = forward.mirrors.iter().filter(|mirror| mirror.share.0 > 0 && !ends.reached.is_empty());
                let arriving = copies.filter(|mirror| matches!(state(proxy, &mirror.cluster), State::Works));
                ends.copies = arriving.map(|mirror| mirror.cluster.name.clone()).collect();
            }
        }
        ends
    }
}

enum State {
    Works,
    Empty,
    Unknown,
}

fn state(proxy: &Proxy, cluster: &ClusterRef) -> State {
    match proxy.clusters.get(cluster.id).map(Cluster::has_somewhere_to_go) {
        Some(true) => State::Works,
        Some(false) => State::Empty,
        None => State::Unknown,
    }
}
