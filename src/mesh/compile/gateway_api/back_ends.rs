//! Back ends, and the ReferenceGrants they need at gateways.

use rustc_hash::FxHashSet;

use super::conversion::Conversion;
use super::listeners::text;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::compile::context::Context;
use crate::resource::gateway_api::BackendRef;
use crate::resource::networking::{Destination, PortSelector};
use crate::source::Spanned;

/// References across namespaces that are allowed: kind and namespace of the route, namespace and
/// name of the Service; no name is all of them.
#[derive(Debug, Default)]
pub(super) struct Grants {
    allowed: FxHashSet<(String, String, String, Option<String>)>,
}

impl Grants {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        let mut grants = Grants::default();
        for item in &cx.reference_grants {
            for from in &item.spec.from {
                for to in &item.spec.to {
                    if !text(to.group.as_ref()).is_empty() || text(to.kind.as_ref()) != "Service" {
                        continue;
                    }
                    grants.allowed.insert((
                        text(from.kind.as_ref()).to_owned(),
                        text(from.namespace.as_ref()).to_owned(),
                        item.object.namespace.clone(),
                        to.name.as_ref().map(|name| name.value.clone()),
                    ));
                }
            }
        }
        grants
    }

    fn allows(&self, kind: &str, from: &str, to: &str, name: &str) -> bool {
        let key = |name: Option<String>| (kind.to_owned(), from.to_owned(), to.to_owned(), name);
        self.allowed.contains(&key(None)) || self.allowed.contains(&key(Some(name.to_owned())))
    }
}

/// The route that a back end belongs to.
#[derive(Clone, Copy)]
pub(super) struct Referrer<'a> {
    /// Kind of the route.
    pub(super) kind: &'a str,
    /// Namespace of the route.
    pub(super) namespace: &'a str,
    /// Whether it attaches in the mesh, where no grant is needed.
    pub(super) is_mesh: bool,
}

/// A mistake for which the whole route is left out.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Box<Diagnostic>);

impl From<Diagnostic> for Refused {
    fn from(finding: Diagnostic) -> Self {
        Refused(Box::new(finding))
    }
}

/// The destination that a back end means. A back end that may not be used, or whose kind is unknown,
/// is one without host, which answers 500.
pub(super) fn destination(
    back_end: &BackendRef,
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<Destination, Refused> {
    let name = text(back_end.name.as_ref());
    let namespace = back_end.namespace.as_ref().map_or(referrer.namespace, |ns| ns.value.as_str());
    let group = text(back_end.group.as_ref());
    let nowhere = Destination { span: back_end.span, ..Destination::default() };
    let is_foreign = namespace != referrer.namespace;
    if is_foreign && !referrer.is_mesh && !conversion.grants.allows(referrer.kind, referrer.namespace, namespace, name) {
        return Ok(nowhere);
    }
    let refuse = |why: &str| Err(Refused::from(Diagnostic::new(Code::InvalidBackEnd, why.to_owned()).at(back_end.span)));
    let host = match (group, back_end.kind.as_ref().map_or("Service", |kind| kind.value.as_str())) {
        ("" | "core", "Service") | ("multicluster.x-k8s.io", "ServiceImport") if name.contains('.') => {
            return refuse("a back end is named by its Service, not by a host");
        }
        ("" | "core", "Service") | ("multicluster.x-k8s.io", "ServiceImport") => {
            format!("{name}.{namespace}.svc.{}", conversion.cx.options.cluster_domain)
        }
        ("networking.istio.io", "Hostname") if back_end.namespace.is_some() => {
            return refuse("a back end of kind `Hostname` has no namespace");
        }
        ("networking.istio.io", "Hostname") => name.to_lowercase(),
        _ => return Ok(nowhere),
    };
    let Some(port) = back_end.port else { return refuse("a back end needs a port") };
    Ok(Destination {
        host: Some(Spanned::new(host, back_end.name.as_ref().map_or(back_end.span, |name| name.span))),
        port: Some(PortSelector { number: Some(port), span: port.span }),
        span: back_end.span,
        ..Destination::default()
    })
}

/// Whether a destination was found and may be used.
pub(super) fn exists(destination: &Destination, conversion: Conversion<'_>) -> bool {
    let cx = conversion.cx;
    let host = text(destination.host.as_ref());
    let is_service = |name: &str, namespace: &str| host == format!("{name}.{namespace}.svc.{}", cx.options.cluster_domain);
    !host.is_empty()
        && (cx.services.iter().any(|item| is_service(&item.object.name, &item.object.namespace))
            || cx.service_entries.iter().flat_map(|item| &item.spec.hosts).any(|own| own.eq_ignore_ascii_case(host)))
}

/// The weight of a back end; 1 if absent.
pub(super) fn weight(back_end: &BackendRef) -> i64 {
    back_end.weight.map_or(1, |weight| weight.value)
}
