//! From policies to RBAC filters: one for each action, those of external authorizers first (Istio:
//! `authz/builder`).

use std::collections::{BTreeMap, BTreeSet};

use super::rule::{self, Made};
use crate::mesh::authorization::{DroppedRule, RbacAction, RbacFilter, RbacRule, RuleSet};
use crate::mesh::compile::context::Item;
use crate::mesh::registry::Service;
use crate::resource::security::AuthorizationPolicy;
use crate::yaml::Node;

type Policy<'a> = Item<'a, AuthorizationPolicy>;

/// What a filter sees of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    /// HTTP requests.
    Http,
    /// Bytes.
    Bytes,
}

/// External authorizers that the mesh configuration defines and that exist.
#[derive(Debug)]
pub(super) struct Providers {
    /// Name, and whether it can be asked about bytes.
    known: BTreeMap<String, bool>,
}

impl Providers {
    /// Reads `extensionProviders`. One whose service is not in the registry is as good as none.
    pub(super) fn of(nodes: &[Node], services: &[Service]) -> Self {
        let mut known = BTreeMap::new();
        for node in nodes {
            let Some(name) = node.get("name").and_then(Node::as_str) else { continue };
            let (http, grpc) = (node.get("envoyExtAuthzHttp"), node.get("envoyExtAuthzGrpc"));
            let service = http.or(grpc).and_then(|provider| provider.get("service")).and_then(Node::as_str).unwrap_or("");
            let host = service.rsplit_once('/').map_or(service, |(_, host)| host);
            if services.iter().any(|service| service.host == host) {
                known.insert(name.to_owned(), http.is_none());
            }
        }
        Providers { known }
    }
}

/// The filters that the policies of a proxy become.
pub(super) fn filters(policies: &[Policy<'_>], providers: &Providers, trust_domains: &[String], sees: Sees) -> Vec<RbacFilter> {
    let mut filters = external(policies, providers, trust_domains, sees);
    for (word, action) in [("AUDIT", RbacAction::Audit), ("DENY", RbacAction::Deny), ("ALLOW", RbacAction::Allow)] {
        let own = policies.iter().filter(|policy| action_of(policy) == word);
        let maker = Maker { action, custom: false, sees, trust_domains, name: &plain_name };
        filters.extend(maker.filter(own));
    }
    filters
}

fn action_of<'a>(policy: &Policy<'a>) -> &'a str {
    policy.spec.action.as_ref().map_or("ALLOW", |action| action.value.as_str())
}

fn provider_of<'a>(policy: &Policy<'a>) -> &'a str {
    policy.spec.provider.as_ref().and_then(|provider| provider.get("name")).and_then(Node::as_str).unwrap_or("")
}

/// CUSTOM policies, a filter for each provider. Where the provider cannot be asked, what the rules
/// match is denied; several providers are too many. A provider that knows HTTP only is left out
/// where there is none.
fn external(policies: &[Policy<'_>], providers: &Providers, trust_domains: &[String], sees: Sees) -> Vec<RbacFilter> {
    let custom = || policies.iter().filter(|policy| action_of(policy) == "CUSTOM");
    let named: BTreeSet<&str> = custom().map(provider_of).collect();
    let mut filters = Vec::new();
    for provider in &named {
        let own = custom().filter(|policy| provider_of(policy) == *provider);
        let usable = providers.known.get(*provider).copied().filter(|_| named.len() == 1);
        let prefix = if provider.is_empty() { "istio-ext-authz".to_owned() } else { format!("istio-ext-authz-{provider}") };
        match usable {
            Some(false) if sees == Sees::Bytes => {}
            Some(_) => {
                let name = |policy: &Policy<'_>, rule: usize| format!("{prefix}-{}", plain_name(policy, rule));
                let action = RbacAction::External((*provider).to_owned());
                let maker = Maker { action, custom: true, sees, trust_domains, name: &name };
                filters.extend(maker.filter(own));
            }
            None => {
                let name = |policy: &Policy<'_>, rule: usize| {
                    format!("{prefix}-{}-deny-due-to-bad-CUSTOM-action", plain_name(policy, rule))
                };
                let maker = Maker { action: RbacAction::Deny, custom: true, sees, trust_domains, name: &name };
                // Dry runs of providers that cannot be asked record nothing.
                filters.extend(maker.filter(own).map(|filter| RbacFilter {
                    enforced: Some(filter.enforced.unwrap_or_default()),
                    shadow: None,
                    ..filter
                }));
            }
        }
    }
    filters
}

fn plain_name(policy: &Policy<'_>, rule: usize) -> String {
    format!("ns[{}]-policy[{}]-rule[{rule}]", policy.object.namespace, policy.object.name)
}

/// Makes the filter of one action.
struct Maker<'m> {
    action: RbacAction,
    custom: bool,
    sees: Sees,
    trust_domains: &'m [String],
    name: &'m dyn Fn(&Policy<'_>, usize) -> String,
}

impl Maker<'_> {
    fn filter<'p, 'a: 'p>(&self, policies: impl Iterator<Item = &'p Policy<'a>>) -> Option<RbacFilter> {
        let mut filter = RbacFilter { action: self.action.clone(), custom: self.custom, enforced: None, shadow: None };
        for policy in policies {
            let set = if is_dry_run(policy) { &mut filter.shadow } else { &mut filter.enforced };
            self.add(policy, set.get_or_insert_default());
        }
        for set in [&mut filter.enforced, &mut filter.shadow].into_iter().flatten() {
            set.rules.sort_by(|a, b| a.name.cmp(&b.name));
        }
        (filter.enforced.is_some() || filter.shadow.is_some()).then_some(filter)
    }

    fn add(&self, policy: &Policy<'_>, set: &mut RuleSet) {
        if policy.spec.rules.is_empty() {
            // A rule that never matches stands for the policy.
            set.rules.push(RbacRule {
                name: (self.name)(policy, 0),
                permissions: Vec::new(),
                principals: Vec::new(),
                ignored: Vec::new(),
                origin: policy.origin(policy.spec.span),
            });
        }
        for (index, written) in policy.spec.rules.iter().enumerate() {
            let name = (self.name)(policy, index);
            let strict = self.action == RbacAction::Allow;
            match rule::rule(written, &policy.object.namespace, self.sees, strict, self.trust_domains) {
                Made::Rule { permissions, principals, ignored } => {
                    set.rules.push(RbacRule { name, permissions, principals, ignored, origin: policy.origin(written.span) });
                }
                Made::Nothing { field, span } => set.dropped.push(DroppedRule { name, field, span }),
            }
        }
    }
}

/// What Go takes for true in `istio.io/dry-run`.
fn is_dry_run(policy: &Policy<'_>) -> bool {
    let annotation = policy.object.meta.annotations.iter().find(|(key, _)| *key == "istio.io/dry-run");
    annotation.is_some_and(|(_, value)| matches!(value.value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}
