//! Which EnvoyFilters are for a proxy, and what they give it (Istio: `PushContext.EnvoyFilters`).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::patch::{Patch, read};
use super::protobuf::{at, items, text};
use super::service::service;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::authorization::Authorization;
use crate::mesh::compile::context::{Context, Item, selects};
use crate::mesh::rate_limit::{Limit, LimitFilter, LimitService, RateLimits, Traffic};
use crate::mesh::{ProxyKind, ProxySpec};
use crate::resource::kubernetes::MetadataOnly;
use crate::yaml::Node;

/// All EnvoyFilters, read once.
#[derive(Debug, Default)]
pub(in crate::mesh) struct EnvoyFilters {
    root: String,
    filters: Vec<Filter>,
    /// What the rate limit service was told, by domain.
    services: FxHashMap<String, Option<Arc<LimitService>>>,
}

#[derive(Debug)]
struct Filter {
    namespace: String,
    selector: Vec<(String, String)>,
    priority: i64,
    patches: Vec<Patch>,
}

impl EnvoyFilters {
    /// Reads them, and says what is not modelled.
    pub(in crate::mesh) fn new(cx: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut all = EnvoyFilters { root: cx.root_namespace().to_owned(), ..EnvoyFilters::default() };
        for item in &cx.envoy_filters {
            let filter = filter(item, diagnostics);
            for patch in &filter.patches {
                if let Patch::Filter(LimitFilter { limit: Limit::Global(limit), origin, .. }, _) = patch {
                    let known = all.services.entry(limit.domain.clone());
                    let found = known.or_insert_with(|| service(cx.objects, &limit.domain).map(Arc::new));
                    if found.is_none() {
                        diagnostics.push(
                            Diagnostic::new(
                                Code::NotModelled,
                                format!("no ConfigMap tells the rate limit service about the domain `{}`", limit.domain),
                            )
                            .at(origin.span)
                            .effect("nothing is limited there")
                            .about(item.object.reference()),
                        );
                    }
                }
            }
            all.filters.push(filter);
        }
        // Filters of the root namespace come first, each namespace by priority and then by age.
        let root = all.root.clone();
        all.filters.sort_by_key(|filter| (filter.namespace != root, filter.priority));
        all
    }

    /// What a proxy gets of them.
    pub(in crate::mesh) fn of(&self, proxy: &ProxySpec, authorization: &Authorization) -> Option<Arc<RateLimits>> {
        let mut limits = RateLimits::default();
        let is_for = |filter: &&Filter| {
            let from_here = filter.namespace == self.root || filter.namespace == proxy.namespace;
            from_here && selects(&filter.selector, &proxy.labels)
        };
        let patches: Vec<&Patch> = self.filters.iter().filter(is_for).flat_map(|filter| &filter.patches).collect();
        let suits = |traffic: Option<Traffic>| match proxy.kind {
            ProxyKind::Gateway => matches!(traffic, None | Some(Traffic::Gateway)),
            ProxyKind::Sidecar => traffic != Some(Traffic::Gateway),
        };
        let cluster = |name: &str| {
            let mut added = patches.iter().filter_map(|patch| match patch {
                Patch::Cluster(own, target) if own == name => Some(target.clone()),
                _ => None,
            });
            added.next().unwrap_or_else(|| name.to_owned())
        };
        for patch in &patches {
            match patch {
                Patch::Filter(filter, beside) if suits(filter.traffic) => {
                    let is_there = match beside.as_deref() {
                        Some("envoy.filters.http.jwt_authn") => !authorization.issuers.is_empty(),
                        Some("envoy.filters.http.rbac") => !authorization.http.is_empty(),
                        _ => true,
                    };
                    if !is_there {
                        continue;
                    }
                    let mut filter = filter.clone();
                    if let Limit::Global(limit) = &mut filter.limit {
                        limit.cluster = cluster(&limit.cluster);
                        limit.service = self.services.get(&limit.domain).cloned().flatten();
                    }
                    limits.filters.push(filter);
                }
                Patch::Routes(routes) if suits(routes.traffic) => limits.routes.push(routes.clone()),
                Patch::Filter(..) | Patch::Routes(_) | Patch::Cluster(..) => {}
            }
        }
        // What was inserted first at a place is pushed back by what comes after it.
        limits.filters.reverse();
        limits.filters.sort_by_key(|filter| filter.place);
        (!limits.filters.is_empty()).then(|| Arc::new(limits))
    }
}

fn filter(item: &Item<'_, MetadataOnly>, diagnostics: &mut Vec<Diagnostic>) -> Filter {
    let mut say = |what: &str, span| {
        let object = item.object.reference();
        diagnostics
            .push(Diagnostic::new(Code::NotModelled, format!("{what} of {object} is not modelled")).at(span).about(object));
    };
    let spec = item.spec.spec.as_ref();
    let mut selector: Vec<(String, String)> = spec
        .and_then(|spec| at(spec, &["workloadSelector", "labels"]))
        .and_then(Node::entries)
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, value)| Some((key.value.clone(), value.text()?.to_owned())))
        .collect();
    selector.sort();
    let mut patches = Vec::new();
    if let Some(targets) = spec.and_then(|spec| spec.get("targetRefs")) {
        say("`targetRefs`", targets.span);
        return Filter { namespace: item.object.namespace.clone(), selector, priority: 0, patches };
    }
    for (index, patch) in items(spec.and_then(|spec| spec.get("configPatches"))).iter().enumerate() {
        let mut unread = Vec::new();
        match read(patch, item.origin(patch.span), &mut unread) {
            Some(read) => {
                unread.iter().for_each(|(what, span)| say(what, *span));
                patches.push(read);
            }
            None => say(&format!("patch {index}"), patch.span),
        }
    }
    let priority = spec.and_then(|spec| text(spec, "priority")).and_then(|priority| priority.parse().ok()).unwrap_or(0);
    Filter { namespace: item.object.namespace.clone(), selector, priority, patches }
}
