//! DestinationRules as they apply: merged per host within a namespace, and found for a service and a
//! client (Istio: `mergeDestinationRule`, `PushContext.destinationRule`).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::context::{Context, Item, labels, selects, texts};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::{ObjectId, Origin, ProxySpec, host};
use crate::resource::networking::{DestinationRule, Subset, TrafficPolicy};

/// The DestinationRules of one namespace and host, merged as far as Istio merges them.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct Rule<'a> {
    /// Host, fully qualified, possibly a wildcard.
    pub(in crate::mesh) host: String,
    /// Namespace.
    pub(in crate::mesh) namespace: String,
    /// The objects it was merged from, the first one first.
    pub(in crate::mesh) objects: Vec<ObjectId>,
    /// Labels of the clients it is for; `None` is every client.
    pub(in crate::mesh) selector: Option<Vec<(String, String)>>,
    /// Policy for the whole host: the first one that any of the objects has.
    pub(in crate::mesh) traffic_policy: Option<Part<'a, TrafficPolicy>>,
    /// Subsets by the first definition of each name.
    pub(in crate::mesh) subsets: Vec<Part<'a, Subset>>,
    /// Where the first object stands.
    pub(in crate::mesh) origin: Origin,
    /// `exportTo` as written, sorted; empty is the mesh's default.
    export_to: Vec<String>,
}

/// A part of an object, with the object.
#[derive(Debug)]
pub(in crate::mesh) struct Part<'a, T> {
    /// The object.
    pub(in crate::mesh) object: ObjectId,
    /// The part.
    pub(in crate::mesh) value: &'a T,
}

impl<T> Clone for Part<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Part<'_, T> {}

impl<'a> Rule<'a> {
    fn new(
        host: String,
        item: &Item<'a, DestinationRule>,
        selector: Option<Vec<(String, String)>>,
        export_to: Vec<String>,
    ) -> Self {
        let spec = item.spec;
        let mut rule = Rule {
            host,
            namespace: item.object.namespace.clone(),
            objects: vec![item.id],
            selector,
            traffic_policy: spec.traffic_policy.as_ref().map(|value| Part { object: item.id, value }),
            subsets: Vec::new(),
            origin: item.origin(item.object.span),
            export_to,
        };
        rule.add_subsets(item);
        rule
    }

    /// Adds the subsets whose names are new, and gives those whose names are not.
    fn add_subsets(&mut self, item: &Item<'a, DestinationRule>) -> Vec<(Part<'a, Subset>, &'a Subset)> {
        let mut duplicates = Vec::new();
        for value in &item.spec.subsets {
            match self.subset(subset_name(value)) {
                Some(first) => duplicates.push((first, value)),
                None => self.subsets.push(Part { object: item.id, value }),
            }
        }
        duplicates
    }

    /// The subset with this name.
    pub(in crate::mesh) fn subset(&self, name: &str) -> Option<Part<'a, Subset>> {
        self.subsets.iter().find(|part| subset_name(part.value) == name).copied()
    }

    fn is_exported_to(&self, namespace: &str) -> bool {
        self.export_to.is_empty() || self.export_to.iter().any(|target| target == "*" || target == namespace)
    }
}

/// The name of a subset; validation refuses one without.
pub(in crate::mesh) fn subset_name(subset: &Subset) -> &str {
    subset.name.as_ref().map_or("", |name| name.value.as_str())
}

/// Rules by host.
#[derive(Debug, Default)]
struct Pool<'a> {
    by_host: FxHashMap<String, Vec<Rule<'a>>>,
}

/// Rules of a pool that never changes again.
#[derive(Debug, Default)]
struct SealedPool<'a> {
    by_host: FxHashMap<String, Vec<Arc<Rule<'a>>>>,
}

/// All DestinationRules, by who looks for them where.
#[derive(Debug)]
pub(in crate::mesh) struct DestinationRules<'a> {
    root_namespace: String,
    /// For clients of the rules' own namespace.
    local: FxHashMap<String, SealedPool<'a>>,
    /// For clients of other namespaces.
    exported: FxHashMap<String, SealedPool<'a>>,
    /// Private rules of the root namespace, for clients in it.
    root_local: SealedPool<'a>,
}

impl<'a> DestinationRules<'a> {
    /// Merges and indexes the rules, which come oldest first.
    pub(in crate::mesh) fn new(cx: &Context<'a>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut local: FxHashMap<String, Pool<'a>> = FxHashMap::default();
        let mut exported: FxHashMap<String, Pool<'a>> = FxHashMap::default();
        let mut root_local = Pool::default();
        let private_by_default = texts(&cx.mesh_config.default_destination_rule_export_to).iter().any(|e| e == ".");
        for item in &cx.destination_rules {
            let Some(host) = &item.spec.host else { continue };
            let namespace = &item.object.namespace;
            let host = cx.resolve(&host.value, namespace);
            let selector = item.spec.workload_selector.as_ref().map(|s| labels(&s.match_labels));
            // A rule for some clients of its namespace is for nobody else.
            let mut export_to = if selector.is_some() { vec![".".to_owned()] } else { texts(&item.spec.export_to) };
            export_to.sort();
            export_to.dedup();
            let is_own = |target: &String| target == "." || target == namespace;
            let rule = Rule::new(host, item, selector, export_to);
            if rule.export_to.is_empty() || rule.export_to.iter().any(|target| target == "*" || is_own(target)) {
                let duplicates = local.entry(namespace.clone()).or_default().add(&rule, item);
                diagnostics.extend(duplicates.iter().map(|(first, second)| duplicate_subset(item, first, second)));
            }
            let is_private = match rule.export_to.as_slice() {
                [] => private_by_default,
                [only] => is_own(only),
                _ => false,
            };
            if !is_private {
                exported.entry(namespace.clone()).or_default().add(&rule, item);
            } else if namespace == cx.root_namespace() {
                root_local.add(&rule, item);
            }
        }
        let seal = |pools: FxHashMap<String, Pool<'a>>| pools.into_iter().map(|(ns, pool)| (ns, pool.seal())).collect();
        DestinationRules {
            root_namespace: cx.root_namespace().to_owned(),
            local: seal(local),
            exported: seal(exported),
            root_local: root_local.seal(),
        }
    }

    /// The rules for a service, seen from a client's namespace: those of the client's namespace, else
    /// of the service's, else of the root namespace. Levels never merge. Several are left only where
    /// some of them are for selected clients; see [`for_client`].
    pub(in crate::mesh) fn candidates(&self, client_namespace: &str, host: &str, service_namespace: &str) -> Vec<Arc<Rule<'a>>> {
        let own = if client_namespace == self.root_namespace { Some(&self.root_local) } else { self.local.get(client_namespace) };
        if let Some(rules) = own.and_then(|pool| pool.most_specific(host)) {
            return rules.to_vec();
        }
        for namespace in [service_namespace, &self.root_namespace] {
            let Some(rules) = self.exported.get(namespace).and_then(|pool| pool.most_specific(host)) else { continue };
            let visible: Vec<_> = rules.iter().filter(|rule| rule.is_exported_to(client_namespace)).cloned().collect();
            if !visible.is_empty() {
                return visible;
            }
        }
        Vec::new()
    }
}

/// The rule of a client among the candidates: the first whose selector fits, else the last one that
/// has none.
pub(in crate::mesh) fn for_client<'r, 'a>(candidates: &'r [Arc<Rule<'a>>], client: &ProxySpec) -> Option<&'r Arc<Rule<'a>>> {
    let fits = |rule: &&Arc<Rule<'_>>| {
        rule.namespace == client.namespace && rule.selector.as_ref().is_some_and(|s| selects(s, &client.labels))
    };
    candidates.iter().find(fits).or_else(|| candidates.iter().rfind(|rule| rule.selector.is_none()))
}

impl<'a> Pool<'a> {
    /// Merges a rule into those of its host, or adds it; gives the subsets that were dropped.
    ///
    /// A rule whose `exportTo` includes an older rule's, or which has a selector where the older one
    /// has none, adds its subsets to the older one *and* stands for itself.
    fn add(&mut self, rule: &Rule<'a>, item: &Item<'a, DestinationRule>) -> Vec<(Part<'a, Subset>, &'a Subset)> {
        let rules = self.by_host.entry(rule.host.clone()).or_default();
        let mut stands_alone = true;
        let mut duplicates = Vec::new();
        for older in rules.iter_mut() {
            stands_alone = true;
            let includes = |target: &String| rule.export_to.contains(target);
            let is_superset = !older.export_to.is_empty() && older.export_to.iter().all(includes);
            if rule.export_to != older.export_to && !is_superset {
                continue;
            }
            let same_clients = rule.selector == older.selector;
            if rule.selector.is_some() && older.selector.is_some() && !same_clients {
                continue;
            }
            stands_alone = !same_clients;
            duplicates.extend(older.add_subsets(item));
            older.objects.push(item.id);
            older.traffic_policy = older.traffic_policy.or(rule.traffic_policy);
        }
        if stands_alone {
            rules.push(rule.clone());
        }
        duplicates
    }

    fn seal(self) -> SealedPool<'a> {
        let seal = |rules: Vec<Rule<'a>>| rules.into_iter().map(Arc::new).collect();
        SealedPool { by_host: self.by_host.into_iter().map(|(host, rules)| (host, seal(rules))).collect() }
    }
}

impl<'a> SealedPool<'a> {
    fn most_specific(&self, host: &str) -> Option<&[Arc<Rule<'a>>]> {
        let exact = self.by_host.get(host);
        exact.or_else(|| host::wildcards_over(host).find_map(|wildcard| self.by_host.get(&wildcard))).map(Vec::as_slice)
    }
}

fn duplicate_subset(item: &Item<'_, DestinationRule>, first: &Part<'_, Subset>, second: &Subset) -> Diagnostic {
    let place = |subset: &Subset| subset.name.as_ref().map_or(subset.span, |name| name.span);
    Diagnostic::new(Code::DuplicateSubset, format!("subset `{}` is already defined for this host", subset_name(second)))
        .at(place(second))
        .also(place(first.value), "the first definition, which counts")
        .about(item.object.reference())
        .effect("this definition is ignored")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::mesh::CompileOptions;
    use crate::mesh::compile::testing::{codes, objects, proxy};

    /// A rule named `name.namespace` whose subset has the rule's name.
    fn rule(name: &str, namespace: &str, host: &str, more: &str) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec:\n  host: '{host}'\n  subsets: [{{name: {name}}}]\n{more}"
        )
    }

    /// Subsets of the rule that a client of `namespace` with `labels` gets for `web.shop`.
    fn chosen(yaml: &str, namespace: &str, labels: &str) -> (Vec<String>, Vec<Code>) {
        let (objects, options) = (objects(yaml), CompileOptions::default());
        let cx = Context::new(&objects, &options);
        let mut findings = Vec::new();
        let rules = DestinationRules::new(&cx, &mut findings);
        let candidates = rules.candidates(namespace, "web.shop.svc.cluster.local", "shop");
        let client = proxy(ProxyKind::Sidecar, "client", namespace, labels);
        let subsets =
            for_client(&candidates, &client).map(|rule| rule.subsets.iter().map(|s| subset_name(s.value).to_owned()).collect());
        (subsets.unwrap_or_default(), codes(&findings))
    }

    #[test]
    fn the_first_level_that_has_a_rule_wins() {
        let service = rule("service", "shop", "web", "");
        let client = rule("client", "desk", "web.shop.svc.cluster.local", "");
        let root = rule("root", "istio-system", "*.local", "");
        let hidden = |yaml: &str| format!("{yaml}  exportTo: ['.']\n");
        for (yaml, namespace, subsets) in [
            (format!("{root}{service}{client}"), "desk", vec!["client"]),
            (format!("{root}{service}{client}"), "shop", vec!["service"]),
            (format!("{root}{service}{client}"), "other", vec!["service"]),
            (format!("{root}{client}"), "other", vec!["root"]),
            (format!("{root}{}", hidden(&service)), "other", vec!["root"]),
            (format!("{root}{}", hidden(&service)), "shop", vec!["service"]),
            // A client in the root namespace: a public root rule ranks below the service's.
            (format!("{root}{service}"), "istio-system", vec!["service"]),
            (format!("{}{service}", hidden(&root)), "istio-system", vec!["root"]),
            (hidden(&client), "other", vec![]),
            (format!("{service}  exportTo: [desk]\n"), "desk", vec!["service"]),
            (format!("{service}  exportTo: [desk]\n"), "other", vec![]),
        ] {
            assert_eq!(chosen(&yaml, namespace, "").0, subsets, "{namespace}: {yaml}");
        }
    }

    #[test]
    fn exact_hosts_hide_wildcards_and_longer_wildcards_hide_shorter_ones() {
        let exact = rule("exact", "shop", "web", "");
        let long = rule("long", "shop", "*.shop.svc.cluster.local", "");
        let short = rule("short", "shop", "*.local", "");
        for (yaml, subsets) in [
            (format!("{short}{long}{exact}"), vec!["exact"]),
            (format!("{short}{long}"), vec!["long"]),
            (short.clone(), vec!["short"]),
        ] {
            assert_eq!(chosen(&yaml, "shop", "").0, subsets);
        }
    }

    #[test]
    fn rules_for_one_host_are_merged_in_order_of_age_and_the_first_subset_of_a_name_stays() {
        let old = "  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n";
        let yaml = format!("{}{}{}", rule("b", "shop", "web", ""), rule("a", "shop", "web", old), rule("c", "shop", "web", ""));
        assert_eq!(chosen(&yaml, "shop", "").0, ["a", "b", "c"]);
        let again = yaml.replace("{name: c}", "{name: a, labels: {x: y}}");
        let (subsets, findings) = chosen(&again, "shop", "");
        assert_eq!((subsets, findings), (vec!["a".to_owned(), "b".to_owned()], vec![Code::DuplicateSubset]));
    }

    #[test]
    fn a_rule_for_selected_clients_outranks_the_rule_for_all() {
        let selected = rule("some", "shop", "web", "  workloadSelector: {matchLabels: {app: till}}\n");
        let yaml = format!("{}{selected}", rule("all", "shop", "web", ""));
        for (namespace, labels, subsets) in
            [("shop", "app=till", vec!["some"]), ("shop", "app=desk", vec!["all"]), ("other", "app=till", vec!["all"])]
        {
            assert_eq!(chosen(&yaml, namespace, labels).0, subsets, "{namespace} {labels}");
        }
    }
}
