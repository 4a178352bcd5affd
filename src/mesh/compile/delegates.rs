//! Delegation: a rule of a root VirtualService takes the rules of another one, which has no hosts
//! (Istio: `mergeVirtualServices`).

use super::virtual_service::HttpRule;
use crate::resource::networking::{HttpMatchRequest, HttpRoute, StringMatch};
use crate::source::Spanned;
use crate::yaml::Map;

/// The rules of a delegate, narrowed to what the root's rule lets through. Rules that contradict the
/// root in every block are dropped.
pub(super) fn merge(root: &HttpRoute, delegate: &[HttpRule]) -> Vec<HttpRule> {
    delegate.iter().filter_map(|leaf| Some(HttpRule { spec: merge_rule(root, &leaf.spec)?, ..leaf.clone() })).collect()
}

fn merge_rule(root: &HttpRoute, leaf: &HttpRoute) -> Option<HttpRoute> {
    let inherited = leaf.clone();
    Some(HttpRoute {
        matches: merge_blocks(&root.matches, &leaf.matches)?,
        name: joined(root.name.as_ref(), leaf.name.as_ref()),
        direct_response: inherited.direct_response.or_else(|| root.direct_response.clone()),
        rewrite: inherited.rewrite.or_else(|| root.rewrite.clone()),
        timeout: inherited.timeout.or(root.timeout),
        retries: inherited.retries.or_else(|| root.retries.clone()),
        fault: inherited.fault.or_else(|| root.fault.clone()),
        mirror: inherited.mirror.or_else(|| root.mirror.clone()),
        mirrors: if inherited.mirrors.is_empty() { root.mirrors.clone() } else { inherited.mirrors },
        mirror_percent: inherited.mirror_percent.or(root.mirror_percent),
        mirror_percent_camel: inherited.mirror_percent_camel.or(root.mirror_percent_camel),
        mirror_percentage: inherited.mirror_percentage.or_else(|| root.mirror_percentage.clone()),
        cors_policy: inherited.cors_policy.or_else(|| root.cors_policy.clone()),
        headers: inherited.headers.or_else(|| root.headers.clone()),
        ..leaf.clone()
    })
}

fn joined(root: Option<&Spanned<String>>, leaf: Option<&Spanned<String>>) -> Option<Spanned<String>> {
    let text = |name: Option<&Spanned<String>>| name.map_or("", |n| n.value.as_str()).to_owned();
    match (text(root), text(leaf)) {
        (_, own) if own.is_empty() => root.cloned(),
        (outer, _) if outer.is_empty() => leaf.cloned(),
        (outer, own) => leaf.map(|leaf| Spanned::new(format!("{outer}-{own}"), leaf.span)),
    }
}

/// All pairs of blocks that do not contradict each other; `None` if a block of the delegate
/// contradicts every one of the root.
fn merge_blocks(root: &[HttpMatchRequest], leaf: &[HttpMatchRequest]) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(leaf.to_vec());
    }
    if leaf.is_empty() {
        return Some(root.to_vec());
    }
    let mut merged = Vec::new();
    for inner in leaf {
        let before = merged.len();
        merged.extend(root.iter().filter(|outer| !contradict(outer, inner)).map(|outer| merge_block(outer, inner)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_block(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    let own = leaf.clone();
    let is_empty = |text: &Option<Spanned<String>>| text.as_ref().is_none_or(|t| t.is_empty());
    HttpMatchRequest {
        name: joined(root.name.as_ref(), leaf.name.as_ref()),
        uri: own.uri.or_else(|| root.uri.clone()),
        scheme: own.scheme.or_else(|| root.scheme.clone()),
        method: own.method.or_else(|| root.method.clone()),
        authority: own.authority.or_else(|| root.authority.clone()),
        headers: union(&root.headers, own.headers),
        without_headers: union(&root.without_headers, own.without_headers),
        query_params: union(&root.query_params, own.query_params),
        port: own.port.filter(|port| port.value != 0).or(root.port),
        source_labels: union(&root.source_labels, own.source_labels),
        source_namespace: if is_empty(&own.source_namespace) { root.source_namespace.clone() } else { own.source_namespace },
        gateways: if own.gateways.is_empty() { root.gateways.clone() } else { own.gateways },
        stat_prefix: if is_empty(&own.stat_prefix) { root.stat_prefix.clone() } else { own.stat_prefix },
        ..leaf.clone()
    }
}

/// Both mappings; the delegate's value stands where both have a key.
fn union<T: Clone>(root: &Map<T>, leaf: Map<T>) -> Map<T> {
    let mut entries: Vec<_> = root.0.iter().filter(|(key, _)| leaf.get(key).is_none()).cloned().collect();
    entries.extend(leaf.0);
    Map(entries)
}

fn contradict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let number = |port: &Option<Spanned<i64>>| port.as_ref().map_or(0, |p| p.value);
    let text = |value: &Option<Spanned<String>>| value.as_ref().map_or("", |v| v.value.as_str()).to_owned();
    let fields =
        [(&root.uri, &leaf.uri), (&root.scheme, &leaf.scheme), (&root.method, &leaf.method), (&root.authority, &leaf.authority)];
    let maps = [
        (&root.headers, &leaf.headers),
        (&root.without_headers, &leaf.without_headers),
        (&root.query_params, &leaf.query_params),
    ];
    let foreign_gateway = |gateway: &Spanned<String>| root.gateways.iter().all(|known| known.value != gateway.value);
    fields.into_iter().any(|(outer, inner)| values_contradict(outer.as_ref(), inner.as_ref()))
        || maps.into_iter().any(|(outer, inner)| {
            inner.iter().any(|(key, value)| values_contradict(outer.get(key).and_then(Option::as_ref), value.as_ref()))
        })
        || root.ignore_uri_case.unwrap_or(false) != leaf.ignore_uri_case.unwrap_or(false)
        || (number(&root.port) > 0 && number(&leaf.port) > 0 && number(&root.port) != number(&leaf.port))
        || (!text(&root.source_namespace).is_empty() && text(&root.source_namespace) != text(&leaf.source_namespace))
        || leaf
            .source_labels
            .iter()
            .any(|(key, value)| root.source_labels.get(key).is_some_and(|outer| outer.value != value.value))
        || (!root.gateways.is_empty() && leaf.gateways.iter().any(foreign_gateway))
}

/// Whether a delegate's value is not known to lie within the root's. Regular expressions and
/// presence are never compared, so they contradict whatever is there.
fn values_contradict(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> bool {
    let (Some(root), Some(leaf)) = (root, leaf) else { return false };
    let text = |value: &Option<Spanned<String>>| value.as_ref().map_or("", |v| v.value.as_str()).to_owned();
    if !text(&root.regex).is_empty() || !text(&leaf.regex).is_empty() {
        return true;
    }
    let (exact, prefix) = (text(&leaf.exact), text(&leaf.prefix));
    if !text(&root.exact).is_empty() {
        return !prefix.is_empty() || exact != text(&root.exact);
    }
    let outer = text(&root.prefix);
    let inner = if prefix.is_empty() { exact } else { prefix };
    outer.is_empty() || inner.is_empty() || !inner.starts_with(&outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::ObjectId;

    fn text(value: &str) -> Option<Spanned<String>> {
        Some(Spanned::made_up(value.to_owned()))
    }

    fn exact(value: &str) -> Option<StringMatch> {
        Some(StringMatch { exact: text(value), ..StringMatch::default() })
    }

    fn prefix(value: &str) -> Option<StringMatch> {
        Some(StringMatch { prefix: text(value), ..StringMatch::default() })
    }

    fn regex(value: &str) -> Option<StringMatch> {
        Some(StringMatch { regex: text(value), ..StringMatch::default() })
    }

    #[test]
    fn a_value_must_lie_within_the_roots() {
        let present = || Some(StringMatch::default());
        for (root, leaf, contradicts) in [
            (None, prefix("/a"), false),
            (prefix("/a"), None, false),
            (prefix("/a"), prefix("/a/b"), false),
            (prefix("/a"), exact("/abc"), false),
            (prefix("/a/b"), prefix("/a"), true),
            (exact("/a"), exact("/a"), false),
            (exact("/a"), prefix("/a"), true),
            (regex("/a"), regex("/a"), true),
            (present(), exact("x"), true),
            (exact("x"), present(), true),
            (prefix("/a"), present(), true),
        ] {
            assert_eq!(values_contradict(root.as_ref(), leaf.as_ref()), contradicts, "{root:?} {leaf:?}");
        }
    }

    fn rule(name: &str, uris: &[Option<StringMatch>]) -> HttpRoute {
        let block = |uri: &Option<StringMatch>| HttpMatchRequest { uri: uri.clone(), ..HttpMatchRequest::default() };
        HttpRoute { name: text(name), matches: uris.iter().map(block).collect(), ..HttpRoute::default() }
    }

    #[test]
    fn blocks_are_combined_in_pairs_and_a_lost_block_loses_its_rule() {
        let root = rule("root", &[prefix("/a"), prefix("/b")]);
        let leaf = |name, uris: &[Option<StringMatch>]| HttpRule { object: ObjectId(7), spec: rule(name, uris) };
        let delegate = [leaf("both", &[prefix("/a/x"), None]), leaf("lost", &[prefix("/a/x"), prefix("/c")]), leaf("all", &[])];
        let merged = merge(&root, &delegate);
        let names: Vec<&str> = merged.iter().map(|r| r.spec.name.as_ref().unwrap().as_str()).collect();
        assert_eq!(names, ["root-both", "root-all"]);
        assert_eq!(merged[0].spec.matches.len(), 3);
        assert_eq!(merged[1].spec.matches.len(), 2);
        assert_eq!(merged[0].object, ObjectId(7));
    }
}
