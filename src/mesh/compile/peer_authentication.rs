//! Which transport servers take: PeerAuthentication by mesh, namespace and workload (Istio:
//! `AuthenticationPolicies`, `ComposePeerAuthentication`).

use rustc_hash::FxHashMap;

use super::context::{Context, Item, labels, selects};
use crate::mesh::transport::{InboundTls, ServerTls};
use crate::resource::security::{MutualTls, PeerAuthentication};

/// All PeerAuthentications, by the level they apply at.
#[derive(Debug)]
pub(in crate::mesh) struct PeerAuthentications<'a> {
    mesh: ServerTls,
    namespaces: FxHashMap<&'a str, ServerTls>,
    workloads: FxHashMap<&'a str, Vec<WorkloadPolicy<'a>>>,
}

#[derive(Debug)]
struct WorkloadPolicy<'a> {
    selector: Vec<(String, String)>,
    spec: &'a PeerAuthentication,
}

impl<'a> PeerAuthentications<'a> {
    /// Indexes the policies, which come oldest first: of several at one level the first counts.
    pub(in crate::mesh) fn new(cx: &Context<'a>) -> Self {
        let root = cx.root_namespace();
        let is_wide = |item: &&Item<'a, PeerAuthentication>| selector(item.spec).is_empty();
        let of_root = cx.peer_authentications.iter().filter(is_wide).find(|item| item.object.namespace == root);
        let mesh = of_root.and_then(|item| mode(item.spec.mtls.as_ref())).unwrap_or(ServerTls::Permissive);
        let mut namespaces = FxHashMap::default();
        let mut workloads: FxHashMap<&str, Vec<WorkloadPolicy<'a>>> = FxHashMap::default();
        // A selector in the root namespace selects nothing.
        for item in cx.peer_authentications.iter().filter(|item| item.object.namespace != root) {
            let (namespace, selector) = (item.object.namespace.as_str(), selector(item.spec));
            if selector.is_empty() {
                namespaces.entry(namespace).or_insert_with(|| mode(item.spec.mtls.as_ref()).unwrap_or(mesh));
            } else {
                workloads.entry(namespace).or_default().push(WorkloadPolicy { selector, spec: item.spec });
            }
        }
        PeerAuthentications { mesh, namespaces, workloads }
    }

    /// What servers of a namespace take unless a policy for single workloads says otherwise.
    pub(in crate::mesh) fn of_namespace(&self, namespace: &str) -> ServerTls {
        self.namespaces.get(namespace).copied().unwrap_or(self.mesh)
    }

    /// What a workload takes on one of its own ports.
    pub(in crate::mesh) fn of_workload(&self, namespace: &str, labels: &[(String, String)], port: u16) -> ServerTls {
        self.inbound(namespace, labels).on_port(port)
    }

    /// What a workload takes on all of its ports.
    pub(in crate::mesh) fn inbound(&self, namespace: &str, labels: &[(String, String)]) -> InboundTls {
        let inherited = self.of_namespace(namespace);
        let own = self.workloads.get(namespace).and_then(|all| all.iter().find(|policy| selects(&policy.selector, labels)));
        let Some(WorkloadPolicy { spec, .. }) = own else { return InboundTls { mode: inherited, by_port: Vec::new() } };
        let ports = spec.port_level_mtls.iter().flat_map(|ports| ports.iter());
        let mut by_port: Vec<(u16, ServerTls)> =
            ports.filter_map(|(port, mtls)| Some((port.parse().ok()?, mode(Some(mtls))?))).collect();
        by_port.sort_unstable_by_key(|(port, _)| *port);
        InboundTls { mode: mode(spec.mtls.as_ref()).unwrap_or(inherited), by_port }
    }
}

fn selector(spec: &PeerAuthentication) -> Vec<(String, String)> {
    spec.selector.as_ref().map(|selector| labels(&selector.match_labels)).unwrap_or_default()
}

/// The mode, or `None` if it is inherited.
fn mode(mtls: Option<&MutualTls>) -> Option<ServerTls> {
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
