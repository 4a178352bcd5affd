//! Which policies are for a proxy (Istio: `WorkloadPolicyMatcher`).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::filters::{self, Providers};
use super::issuers;
use crate::mesh::ProxySpec;
use crate::mesh::authorization::Authorization;
use crate::mesh::compile::context::{Context, Item, labels, selects};
use crate::mesh::registry::Service;
use crate::resource::networking::WorkloadSelectorMatch;
use crate::resource::security::{AuthorizationPolicy, PolicyTargetRef, RequestAuthentication};

/// The label by which the pods of a gateway of the Gateway API name it.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// All policies, and what they made for the proxies so far.
#[derive(Debug)]
pub(in crate::mesh) struct AuthorizationPolicies<'a> {
    root: String,
    policies: Vec<Selected<'a, AuthorizationPolicy>>,
    authentications: Vec<Selected<'a, RequestAuthentication>>,
    providers: Providers,
    trust_domains: Vec<String>,
    /// By the positions of the policies that a proxy has.
    made: FxHashMap<(Vec<usize>, Vec<usize>), Arc<Authorization>>,
}

/// A policy with what selects workloads for it.
#[derive(Debug)]
struct Selected<'a, T> {
    item: Item<'a, T>,
    selector: Vec<(String, String)>,
    targets: Vec<&'a PolicyTargetRef>,
}

impl<'a, T> Selected<'a, T> {
    fn new(
        item: Item<'a, T>,
        selector: Option<&WorkloadSelectorMatch>,
        targets: &'a [PolicyTargetRef],
        target: Option<&'a PolicyTargetRef>,
    ) -> Self {
        let selector = selector.map(|selector| labels(&selector.match_labels)).unwrap_or_default();
        let targets = if targets.is_empty() { target.into_iter().collect() } else { targets.iter().collect() };
        Selected { item, selector, targets }
    }

    /// Policies of the root namespace are for everyone. `targetRefs` are for gateways of the Gateway
    /// API (and waypoints); any other proxy goes by labels and ignores policies that have them.
    fn is_for(&self, proxy: &ProxySpec, root: &str) -> bool {
        let namespace = self.item.object.namespace.as_str();
        if namespace != root && namespace != proxy.namespace {
            return false;
        }
        if self.targets.is_empty() {
            return selects(&self.selector, &proxy.labels);
        }
        let gateway = proxy.labels.iter().find(|(key, _)| key == GATEWAY_NAME).map(|(_, name)| name.as_str());
        let is = |field: Option<&crate::source::Spanned<String>>, wanted: &str| field.is_some_and(|own| own.value == wanted);
        namespace == proxy.namespace
            && self.targets.iter().any(|target| {
                is(target.group.as_ref(), "gateway.networking.k8s.io")
                    && is(target.kind.as_ref(), "Gateway")
                    && target.name.as_ref().map(|name| name.value.as_str()) == gateway
                    && target.namespace.as_ref().is_none_or(|own| own.value == namespace || own.value.is_empty())
            })
    }
}

impl<'a> AuthorizationPolicies<'a> {
    /// Indexes the policies.
    pub(in crate::mesh) fn new(cx: &Context<'a>, services: &[Service]) -> Self {
        let policies = cx.authorization_policies.iter().map(|item| {
            let spec = item.spec;
            Selected::new(*item, spec.selector.as_ref(), &spec.target_refs, spec.target_ref.as_ref())
        });
        let authentications = cx.request_authentications.iter().map(|item| {
            let spec = item.spec;
            Selected::new(*item, spec.selector.as_ref(), &spec.target_refs, spec.target_ref.as_ref())
        });
        AuthorizationPolicies {
            root: cx.root_namespace().to_owned(),
            policies: policies.collect(),
            authentications: authentications.collect(),
            providers: Providers::of(&cx.mesh_config.extension_providers, services),
            trust_domains: cx.trust_domains(),
            made: FxHashMap::default(),
        }
    }

    /// What a proxy has; proxies with the same policies share it.
    pub(in crate::mesh) fn of(&mut self, proxy: &ProxySpec) -> Arc<Authorization> {
        let key = (self.positions(&self.policies, proxy), self.positions(&self.authentications, proxy));
        if let Some(known) = self.made.get(&key) {
            return Arc::clone(known);
        }
        let policies: Vec<_> = key.0.iter().map(|index| self.policies[*index].item).collect();
        let authentications = key.1.iter().map(|index| self.authentications[*index].item);
        let mut issuers: Vec<_> = authentications.flat_map(|item| issuers::issuers(&item)).collect();
        issuers.sort_by(|one, other| one.name.cmp(&other.name));
        let made = Arc::new(Authorization {
            issuers,
            http: filters::filters(&policies, &self.providers, &self.trust_domains, filters::Sees::Http),
            tcp: filters::filters(&policies, &self.providers, &self.trust_domains, filters::Sees::Bytes),
        });
        self.made.insert(key, Arc::clone(&made));
        made
    }

    /// Root namespace first, each namespace oldest first.
    fn positions<T>(&self, all: &[Selected<'a, T>], proxy: &ProxySpec) -> Vec<usize> {
        let mut found: Vec<usize> = (0..all.len()).filter(|index| all[*index].is_for(proxy, &self.root)).collect();
        found.sort_by_key(|index| all[*index].item.object.namespace != self.root);
        found
    }
}
