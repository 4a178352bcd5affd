//! Weights that do not do what they look like.

use super::conflicts::is_in_mesh;
use super::input::{Input, Of, finding, text};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::host;
use crate::resource::networking::{DestinationRule, HttpRouteDestination, Subset, VirtualService};
use rustc_hash::{FxHashMap, FxHashSet};

/// Resolved host and subset of a destination.
type Target<'a> = (String, &'a str);

fn target<'a>(leg: &'a HttpRouteDestination, namespace: &str) -> Option<Target<'a>> {
    let destination = leg.destination.as_ref()?;
    let name = host::resolve_short_name(text(destination.host.as_ref()), namespace, "cluster.local");
    Some((name, text(destination.subset.as_ref())))
}

/// Legs that get a share, where more than one does.
fn split(legs: &[HttpRouteDestination]) -> Vec<&HttpRouteDestination> {
    let shares: Vec<_> = legs.iter().filter(|leg| leg.weight.is_some_and(|weight| weight.value > 0)).collect();
    if shares.len() > 1 { shares } else { Vec::new() }
}

/// Rules that split, with the legs that get a share.
fn splits<'a>(input: &Input<'a>) -> impl Iterator<Item = (Of<'a, VirtualService>, Vec<&'a HttpRouteDestination>)> {
    let rules = input.virtual_services().flat_map(|vs| vs.spec.http.iter().map(move |rule| (vs, split(&rule.route))));
    rules.filter(|(_, legs)| !legs.is_empty())
}

/// Subsets by host and name.
fn subsets<'a>(input: &Input<'a>) -> FxHashMap<Target<'a>, (Of<'a, DestinationRule>, &'a Subset)> {
    let mut all = FxHashMap::default();
    for rule in input.destination_rules() {
        let name = host::resolve_short_name(text(rule.spec.host.as_ref()), &rule.object.namespace, "cluster.local");
        for subset in &rule.spec.subsets {
            all.entry((name.clone(), text(subset.name.as_ref()))).or_insert((rule, subset));
        }
    }
    all
}

/// Two legs that are the same endpoints: the same destination twice, or subsets with the same labels.
pub(super) fn onto_one_version(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let subsets = subsets(input);
    for (vs, legs) in splits(input) {
        let port = |leg: &HttpRouteDestination| {
            let destination = leg.destination.as_ref();
            destination.and_then(|destination| destination.port.as_ref()).and_then(|port| port.number).map(|number| number.value)
        };
        // Different operations on headers are a reason to name a destination twice.
        let plain: Vec<_> = legs.into_iter().filter(|leg| leg.headers.is_none()).collect();
        for (index, leg) in plain.iter().enumerate() {
            let Some(own) = target(leg, &vs.object.namespace) else { continue };
            let labels = |target: &Target<'_>| {
                let (_, subset) = subsets.get(target)?;
                let mut labels: Vec<(&str, &str)> =
                    subset.labels.iter().map(|(key, value)| (key, value.value.as_str())).collect();
                labels.sort_unstable();
                Some(labels)
            };
            let same = plain[..index].iter().find(|earlier| {
                let Some(other) = target(earlier, &vs.object.namespace) else { return false };
                let alike = labels(&other).is_some_and(|other| labels(&own) == Some(other));
                port(earlier) == port(leg) && other.0 == own.0 && (other.1 == own.1 || alike)
            });
            if let Some(same) = same {
                let message = "the weight goes to the same endpoints as another one";
                found.push(
                    finding(Code::SplitOntoOneVersion, vs.object, leg.span, message)
                        .also(same.span, "the same endpoints")
                        .effect("the split changes nothing")
                        .help("name another subset, or give the subset labels of its own"),
                );
            }
        }
    }
}

/// Weights between versions of one service that only a gateway applies.
pub(super) fn at_gateways_only(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let in_mesh: FxHashSet<String> = input
        .virtual_services()
        .filter(|vs| is_in_mesh(vs.spec))
        .flat_map(|vs| vs.spec.hosts.iter().map(move |own| host::resolve_short_name(own, &vs.object.namespace, "cluster.local")))
        .collect();
    for (vs, legs) in splits(input).filter(|(vs, _)| !is_in_mesh(vs.spec)) {
        let targets: Vec<Target<'_>> = legs.iter().filter_map(|leg| target(leg, &vs.object.namespace)).collect();
        let [(first, _), rest @ ..] = targets.as_slice() else { continue };
        let one_service = rest.iter().all(|(name, _)| name == first) && targets.iter().all(|(_, subset)| !subset.is_empty());
        if one_service && !in_mesh.contains(first) {
            let message = format!("the weights between versions of `{first}` are for gateways only");
            found.push(
                finding(Code::GatewayOnlySplit, vs.object, legs[0].span, message)
                    .effect("clients in the mesh reach all versions, each as often as it has endpoints")
                    .help("add `mesh` to `gateways` and the service to `hosts`"),
            );
        }
    }
}

/// Weights between subsets of a host whose policy hashes.
pub(super) fn across_hashes(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let subsets = subsets(input);
    for (vs, legs) in splits(input) {
        let targets: Vec<Target<'_>> = legs.iter().filter_map(|leg| target(leg, &vs.object.namespace)).collect();
        let [(first, _), rest @ ..] = targets.as_slice() else { continue };
        if !rest.iter().all(|(name, _)| name == first) {
            continue;
        }
        let hash = targets.iter().find_map(|target| {
            let (rule, subset) = subsets.get(target)?;
            let policies = [subset.traffic_policy.as_ref(), rule.spec.traffic_policy.as_ref()];
            let balancer = policies.into_iter().flatten().find_map(|policy| policy.load_balancer.as_ref())?;
            balancer.consistent_hash.as_ref().map(|hash| hash.span)
        });
        if let Some(hash) = hash {
            let message = format!("weights draw the version of `{first}` anew for each request, whatever is hashed");
            found.push(
                finding(Code::HashAcrossVersions, vs.object, legs[0].span, message)
                    .also(hash, "keeps a client on an endpoint of one version only")
                    .effect("a client goes back and forth between versions")
                    .help("to keep a user on a version, match on a header or cookie instead"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::all;
    use super::*;

    /// The findings of this file about a VirtualService with these fields beside its hosts; the
    /// service has subsets v1 and v2, and `twin` with the labels of v1.
    fn told(fields: &str, policy: &str) -> Vec<Code> {
        let own = [Code::SplitOntoOneVersion, Code::GatewayOnlySplit, Code::HashAcrossVersions];
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: app, namespace: shop}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: app, namespace: shop}}\nspec: {{host: app, {policy}subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}, {{name: twin, labels: {{version: v1}}}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app, namespace: shop}}\nspec: {{hosts: [app], {fields}}}\n"
        );
        all(&text).iter().map(|finding| finding.code).filter(|code| own.contains(code)).collect()
    }

    fn halves(first: &str, second: &str) -> String {
        let leg = |subset: &str| format!("{{destination: {{host: app, subset: {subset}}}, weight: 50}}");
        format!("http: [{{route: [{}, {}]}}]", leg(first), leg(second))
    }

    #[test]
    fn weights_that_change_nothing_are_told() {
        let hash = "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}, ";
        for (fields, policy, codes) in [
            (halves("v1", "v2"), "", vec![]),
            (halves("v1", "v1"), "", vec![Code::SplitOntoOneVersion]),
            (halves("v1", "twin"), "", vec![Code::SplitOntoOneVersion]),
            (format!("gateways: [edge], {}", halves("v1", "v2")), "", vec![Code::GatewayOnlySplit]),
            (format!("gateways: [edge, mesh], {}", halves("v1", "v2")), "", vec![]),
            (halves("v1", "v2"), hash, vec![Code::HashAcrossVersions]),
            ("http: [{route: [{destination: {host: app, subset: v1}, weight: 100}]}]".to_owned(), hash, vec![]),
        ] {
            assert_eq!(told(&fields, policy), codes, "{fields} {policy}");
        }
    }
}
