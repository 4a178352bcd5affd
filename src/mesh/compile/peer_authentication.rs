//! Which transport servers take: PeerAuthentication by mesh, namespace and workload (Istio:
//! `AuthenticationPolicies`, `ComposePeerAuthentication`).

use rustc_hash::FxHashMap;

use super::context::{Context, Item, labels, selects};
use crate::mesh::Origin;
use crate::mesh::transport::{InboundTls, PortTls, ServerTls};
use crate::resource::security::{MutualTls, PeerAuthentication};

/// All PeerAuthentications, by the level they apply at.
#[derive(Debug)]
pub(in crate::mesh) struct PeerAuthentications<'a> {
    mesh: Takes,
    namespaces: FxHashMap<&'a str, Takes>,
    workloads: FxHashMap<&'a str, Vec<WorkloadPolicy<'a>>>,
}

/// What servers take, and what says so.
type Takes = (ServerTls, Origin);

#[derive(Debug)]
struct WorkloadPolicy<'a> {
    selector: Vec<(String, String)>,
    item: Item<'a, PeerAuthentication>,
}

impl<'a> PeerAuthentications<'a> {
    /// Indexes the policies, which come oldest first: of several at one level the first counts.
    pub(in crate::mesh) fn new(cx: &Context<'a>) -> Self {
        let root = cx.root_namespace();
        let is_wide = |item: &&Item<'a, PeerAuthentication>| selector(item.spec).is_empty();
        let of_root = cx.peer_authentications.iter().filter(is_wide).find(|item| item.object.namespace == root);
        let mesh = of_root.and_then(takes).unwrap_or((ServerTls::Permissive, Origin::default()));
        let mut namespaces = FxHashMap::default();
        let mut workloads: FxHashMap<&str, Vec<WorkloadPolicy<'a>>> = FxHashMap::default();
        // A selector in the root namespace selects nothing.
        for item in cx.peer_authentications.iter().filter(|item| item.object.namespace != root) {
            let (namespace, selector) = (item.object.namespace.as_str(), selector(item.spec));
            if selector.is_empty() {
                namespaces.entry(namespace).or_insert_with(|| takes(item).unwrap_or(mesh));
            } else {
                workloads.entry(namespace).or_default().push(WorkloadPolicy { selector, item: *item });
            }
        }
        PeerAuthentications { mesh, namespaces, workloads }
    }

    /// What servers of a namespace take unless a policy for single workloads says otherwise.
    pub(in crate::mesh) fn of_namespace(&self, namespace: &str) -> ServerTls {
        self.inherited(namespace).0
    }

    fn inherited(&self, namespace: &str) -> Takes {
        self.namespaces.get(namespace).copied().unwrap_or(self.mesh)
    }

    /// What a workload takes on one of its own ports.
    pub(in crate::mesh) fn of_workload(&self, namespace: &str, labels: &[(String, String)], port: u16) -> ServerTls {
        self.inbound(namespace, labels).on_port(port)
    }

    /// What a workload takes on all of its ports.
    pub(in crate::mesh) fn inbound(&self, namespace: &str, labels: &[(String, String)]) -> InboundTls {
        let (mode, origin) = self.inherited(namespace);
        let own = self.workloads.get(namespace).and_then(|all| all.iter().find(|policy| selects(&policy.selector, labels)));
        let Some(WorkloadPolicy { item, .. }) = own else { return InboundTls { mode, origin, by_port: Vec::new() } };
        let (mode, origin) = takes(item).unwrap_or((mode, origin));
        let ports = item.spec.port_level_mtls.iter().flat_map(|ports| ports.iter());
        let of_port = |(port, mtls): (&str, &MutualTls)| {
            Some(PortTls { port: port.parse().ok()?, mode: said(Some(mtls))?, origin: item.origin(mtls.span) })
        };
        let mut by_port: Vec<PortTls> = ports.filter_map(of_port).collect();
        by_port.sort_unstable_by_key(|own| own.port);
        InboundTls { mode, origin, by_port }
    }
}

fn selector(spec: &PeerAuthentication) -> Vec<(String, String)> {
    spec.selector.as_ref().map(|selector| labels(&selector.match_labels)).unwrap_or_default()
}

/// What a policy says for all ports, or `None` if it is inherited.
fn takes(item: &Item<'_, PeerAuthentication>) -> Option<Takes> {
    let mtls = item.spec.mtls.as_ref()?;
    Some((said(Some(mtls))?, item.origin(mtls.span)))
}

/// The mode, or `None` if it is inherited.
fn said(mtls: Option<&MutualTls>) -> Option<ServerTls> {
    match mtls?.mode.as_ref()?.value.as_str() {
        "DISABLE" => Some(ServerTls::Disable),
        "PERMISSIVE" => Some(ServerTls::Permissive),
        "STRICT" => Some(ServerTls::Strict),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::compile::mesh::CompileOptions;
    use crate::mesh::compile::testing::objects;

    fn policy(name: &str, namespace: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn the_narrowest_level_that_says_something_counts() {
        let mesh = policy("default", "istio-system", "{mtls: {mode: STRICT}}");
        let namespace = policy("default", "a", "{mtls: {mode: DISABLE}}");
        let unset = policy("default", "a", "{mtls: {mode: UNSET}}");
        let workload = policy("web", "a", "{selector: {matchLabels: {app: web}}, mtls: {mode: PERMISSIVE}}");
        let port = policy("web", "a", "{selector: {matchLabels: {app: web}}, portLevelMtls: {'80': {mode: PERMISSIVE}}}");
        let of_root = policy("web", "istio-system", "{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}");
        let (strict, off, both) = (ServerTls::Strict, ServerTls::Disable, ServerTls::Permissive);
        for (yaml, on_80, on_81) in [
            (String::new(), both, both),
            (mesh.clone(), strict, strict),
            (format!("{mesh}{namespace}"), off, off),
            (format!("{mesh}{unset}"), strict, strict),
            (format!("{mesh}{namespace}{workload}"), both, both),
            (format!("{mesh}{namespace}{port}"), both, off),
            (format!("{mesh}{of_root}"), strict, strict),
            (format!("{mesh}{}{namespace}", policy("aaa", "a", "{mtls: {mode: PERMISSIVE}}")), both, both),
        ] {
            let (objects, options) = (objects(&yaml), CompileOptions::default());
            let policies = PeerAuthentications::new(&Context::new(&objects, &options));
            let labels = [("app".to_owned(), "web".to_owned())];
            let modes = [80, 81].map(|port| policies.of_workload("a", &labels, port));
            assert_eq!(modes, [on_80, on_81], "{yaml}");
        }
    }
}
