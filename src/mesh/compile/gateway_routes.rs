//! The route tables of a gateway: for each host that a server and a VirtualService have in common,
//! the routes of all such VirtualServices (Istio: `buildGatewayHTTPRouteConfig`).

use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::gateway_hosts;
use super::gateway_servers::Bound;
use super::routes::{self, RouteScope};
use super::virtual_service::{VirtualService, VirtualServices};
use crate::mesh::route::{Route, RouteTable, VirtualHost};
use crate::mesh::{Origin, host};

/// A virtual host in the making.
struct Draft {
    name: String,
    domains: Vec<String>,
    /// Positions among the lists of routes that were made, in the order they were appended. Hosts
    /// with the same lists share one virtual host.
    parts: Vec<usize>,
    require_tls: bool,
    origin: Origin,
}

/// The routes of VirtualServices: those of one Gateway are made once, with its first server's port.
#[derive(Default)]
struct RouteLists {
    lists: Vec<Vec<Route>>,
    known: FxHashMap<(String, String, String), usize>,
}

impl RouteLists {
    /// The position of the routes of a VirtualService at a Gateway, if it has any.
    fn of(&mut self, vs: &VirtualService, scope: &RouteScope<'_>) -> Option<usize> {
        let key = (scope.gateway.to_owned(), vs.namespace.clone(), vs.name.clone());
        if let Some(index) = self.known.get(&key) {
            return Some(*index);
        }
        let routes = routes::routes(vs, scope);
        if routes.is_empty() {
            return None;
        }
        self.lists.push(routes);
        self.known.insert(key, self.lists.len() - 1);
        Some(self.lists.len() - 1)
    }
}

/// The route table of some servers. `scope` holds everything but gateway, port and TLS.
pub(super) fn route_table(
    name: &str,
    servers: &[Bound<'_>],
    virtual_services: &VirtualServices,
    scope: &RouteScope<'_>,
) -> RouteTable {
    let mut lists = RouteLists::default();
    let mut drafts: IndexMap<String, Draft> = IndexMap::new();
    for Bound { gateway, server, .. } in servers {
        let scope = RouteScope { gateway: &gateway.reference, port: server.port, tls: server.tls.is_some(), ..*scope };
        for vs in virtual_services.for_gateway(scope.client_namespace, &gateway.reference) {
            let ours = gateway_hosts::for_namespace(&server.hosts, &vs.namespace);
            let theirs: Vec<&str> = vs.hosts.iter().map(|host| host.value.as_str()).collect();
            let common = gateway_hosts::intersection(&ours, &theirs);
            if common.is_empty() {
                continue;
            }
            let Some(part) = lists.of(vs, &scope) else { continue };
            for host in common {
                let draft = draft(&mut drafts, host.to_lowercase(), server.port, vs.origin);
                draft.parts.push(part);
                draft.require_tls |= server.redirects();
            }
        }
        if server.redirects() {
            // Redirects answer for hosts without routes, too.
            for host in &server.hosts {
                draft(&mut drafts, host.to_lowercase(), server.port, server.origin).require_tls = true;
            }
        }
    }
    let port = servers.first().map_or(0, |bound| bound.server.port);
    let virtual_hosts = if drafts.is_empty() { vec![blackhole(port)] } else { finish(drafts, &lists.lists) };
    RouteTable::new(name.to_owned(), virtual_hosts, true)
}

fn draft(drafts: &mut IndexMap<String, Draft>, host: String, port: u16, origin: Origin) -> &mut Draft {
    let name = format!("{host}:{port}");
    let domains = vec![host.clone()];
    drafts.entry(host).or_insert(Draft { name, domains, parts: Vec::new(), require_tls: false, origin })
}

/// A table without hosts answers 404 to all.
fn blackhole(port: u16) -> VirtualHost {
    VirtualHost {
        name: format!("blackhole:{port}"),
        domains: vec!["*".to_owned()],
        routes: Arc::default(),
        require_tls: false,
        origin: Origin::default(),
    }
}

/// Lets hosts with the same routes share a virtual host, named after the most specific of them, and
/// moves catch-alls to the end of each list.
fn finish(mut drafts: IndexMap<String, Draft>, lists: &[Vec<Route>]) -> Vec<VirtualHost> {
    drafts.sort_by(|a, _, b, _| host::specific_first(a, b));
    let mut shared: IndexMap<(Vec<usize>, bool), Draft> = IndexMap::new();
    for draft in drafts.into_values() {
        match shared.entry((draft.parts.clone(), draft.require_tls)) {
            indexmap::map::Entry::Occupied(mut known) => known.get_mut().domains.extend(draft.domains),
            indexmap::map::Entry::Vacant(slot) => {
                slot.insert(draft);
            }
        }
    }
    let mut virtual_hosts: Vec<VirtualHost> = shared
        .into_values()
        .map(|draft| VirtualHost {
            name: draft.name,
            domains: draft.domains,
            routes: catch_alls_last(draft.parts.iter().flat_map(|part| lists[*part].iter().cloned())).into(),
            require_tls: draft.require_tls,
            origin: draft.origin,
        })
        .collect();
    virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
    virtual_hosts
}

fn catch_alls_last(routes: impl Iterator<Item = Route>) -> Vec<Route> {
    let (catch_alls, mut others): (Vec<Route>, Vec<Route>) = routes.partition(|route| routes::is_catch_all(&route.matcher));
    others.extend(catch_alls);
    others
}

#[cfg(test)]
mod tests {
    use super::super::testing::{described, proxy, virtual_hosts};
    use crate::mesh::{Mesh, ProxyKind};

    const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.shop.test', www.other.test]}]
---
apiVersion: v1
kind: Service
metadata: {name: one, namespace: shop}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: shop}
spec: {ports: [{name: http, port: 8080}, {name: http-alt, port: 9090}]}
";

    fn mesh(rules: &[(&str, &str)]) -> Mesh {
        let object = |(name, spec): &(&str, &str)| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
            )
        };
        let yaml = format!("{GATEWAY}{}", rules.iter().map(object).collect::<String>());
        described(&yaml, vec![proxy(ProxyKind::Gateway, "ingress", "edge", "istio=ingress")], Vec::new())
    }

    fn hosts(rules: &[(&str, &str)]) -> Vec<String> {
        virtual_hosts(&mesh(rules).proxies[0], "http.80")
    }

    fn answering(hosts: &str, rules: &str) -> String {
        format!("{{gateways: [edge/gw], hosts: [{hosts}], http: [{rules}]}}")
    }

    #[test]
    fn rules_of_several_virtual_services_are_merged_with_catch_alls_last() {
        let old = answering(
            "a.shop.test",
            "{match: [{uri: {prefix: /old}}], directResponse: {status: 201}}, {directResponse: {status: 202}}",
        );
        let young = answering("a.shop.test", "{match: [{uri: {prefix: /young}}], directResponse: {status: 203}}");
        let regex = answering("a.shop.test", "{match: [{uri: {regex: '/.*'}}], directResponse: {status: 204}}");
        assert_eq!(hosts(&[("a", &old), ("b", &young)]), ["a.shop.test:80: direct 201, direct 203, direct 202"]);
        // Only `.*` itself is taken for a catch-all.
        assert_eq!(hosts(&[("a", &regex), ("b", &young)]), ["a.shop.test:80: direct 204, direct 203"]);
    }

    #[test]
    fn hosts_are_what_server_and_virtual_service_have_in_common() {
        let ok = "{directResponse: {status: 200}}";
        for (own, served) in [
            ("a.shop.test", vec!["a.shop.test:80: direct 200"]),
            ("'*'", vec!["www.other.test:80: direct 200"]),
            ("'*.shop.test'", vec!["*.shop.test:80: direct 200"]),
            ("foreign.test", vec!["blackhole:80: "]),
            // Hosts with the same routes share the virtual host of the most specific one.
            ("'b.shop.test', 'longer.shop.test'", vec!["longer.shop.test:80: direct 200"]),
        ] {
            assert_eq!(hosts(&[("a", &answering(own, ok))]), served, "{own}");
        }
    }

    #[test]
    fn a_destination_without_port_takes_the_services_only_one_else_the_servers() {
        let to = |host: &str| answering("a.shop.test", &format!("{{route: [{{destination: {{host: {host}}}}}]}}"));
        for (host, cluster) in
            [("one", "outbound|8080||one.shop.svc.cluster.local"), ("two", "outbound|80||two.shop.svc.cluster.local")]
        {
            assert_eq!(hosts(&[("a", &to(host))]), [format!("a.shop.test:80: {cluster}")]);
        }
    }

    #[test]
    fn gateways_see_what_is_exported_to_them() {
        let spec = |export_to: &str| {
            format!(
                "{{exportTo: [{export_to}], gateways: [edge/gw], hosts: [a.shop.test], http: [{{directResponse: {{status: 200}}}}]}}"
            )
        };
        for (export_to, served) in [("'*'", true), ("edge", true), ("'.'", false)] {
            assert_eq!(hosts(&[("a", &spec(export_to))])[0].starts_with("a.shop.test"), served, "{export_to}");
        }
    }
}
