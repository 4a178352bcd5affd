//! VirtualServices as they apply: names resolved, delegates merged, Gateway API routes converted.
//!
//! This is the one form that visibility, route tables and listeners read. Which of them a proxy
//! sees is the business of visibility; the index here only knows gateways and `exportTo`.

use rustc_hash::FxHashMap;

use crate::mesh::{ObjectId, Origin};
use crate::resource::networking::{HttpRoute, TcpRoute, TlsRoute};
use crate::source::Spanned;

/// The name that `gateways` uses for all sidecars.
pub(in crate::mesh) const MESH_GATEWAY: &str = "mesh";

/// A VirtualService with resolved names.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mesh) struct VirtualService {
    /// Name of the object, or of the internal object that a Gateway API route becomes.
    pub(in crate::mesh) name: String,
    /// Namespace.
    pub(in crate::mesh) namespace: String,
    /// Creation time, comparable as text; empty is earliest.
    pub(in crate::mesh) created: String,
    /// Hosts, fully qualified, possibly wildcards.
    pub(in crate::mesh) hosts: Vec<Spanned<String>>,
    /// `mesh` or `namespace/name`; never empty.
    pub(in crate::mesh) gateways: Vec<String>,
    /// `exportTo` as written; empty means the mesh's default.
    pub(in crate::mesh) export_to: Vec<String>,
    /// HTTP rules with delegates merged.
    pub(in crate::mesh) http: Vec<HttpRule>,
    /// TLS rules.
    pub(in crate::mesh) tls: Vec<TlsRoute>,
    /// TCP rules.
    pub(in crate::mesh) tcp: Vec<TcpRoute>,
    /// Whose rules of matching apply.
    pub(in crate::mesh) semantics: Semantics,
    /// The object.
    pub(in crate::mesh) origin: Origin,
}

/// One HTTP rule; a delegate's rule belongs to another object than the VirtualService it is in.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mesh) struct HttpRule {
    /// The object that the rule's text is in.
    pub(in crate::mesh) object: ObjectId,
    /// The rule, with resolved hosts and gateways.
    pub(in crate::mesh) spec: HttpRoute,
}

/// Whose rules of matching apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::mesh) enum Semantics {
    /// Istio's own API.
    Istio,
    /// The Gateway API: prefixes end at segments, a missing back end answers 500.
    GatewayApi,
    /// The same, from a TLSRoute, whose `tls` rules also serve servers that terminate TLS.
    TlsRoute,
}

impl Semantics {
    /// Whether the Gateway API's rules apply.
    pub(in crate::mesh) const fn is_gateway_api(self) -> bool {
        matches!(self, Semantics::GatewayApi | Semantics::TlsRoute)
    }
}

/// All VirtualServices by gateway and visibility (Istio: `initVirtualServices`).
#[derive(Debug, Clone, Default)]
pub(in crate::mesh) struct VirtualServices {
    /// All of them, ordered by creation time, name and namespace.
    all: Vec<VirtualService>,
    /// By gateway.
    by_gateway: FxHashMap<String, Audience>,
}

/// The VirtualServices of one gateway, by who sees them; positions in [`VirtualServices::all`].
#[derive(Debug, Clone, Default)]
struct Audience {
    private: FxHashMap<String, Vec<usize>>,
    exported: FxHashMap<String, Vec<usize>>,
    public: Vec<usize>,
}

impl VirtualServices {
    /// Sorts and indexes. `default_export_to` is the mesh's `defaultVirtualServiceExportTo`; empty
    /// means `*`.
    pub(in crate::mesh) fn new(mut all: Vec<VirtualService>, default_export_to: &[String]) -> Self {
        all.sort_by(|a, b| (&a.created, &a.name, &a.namespace).cmp(&(&b.created, &b.name, &b.namespace)));
        let mut by_gateway: FxHashMap<String, Audience> = FxHashMap::default();
        for (index, vs) in all.iter().enumerate() {
            let export_to = if vs.export_to.is_empty() { default_export_to } else { &vs.export_to };
            for gateway in &vs.gateways {
                by_gateway.entry(gateway.clone()).or_default().add(index, &vs.namespace, export_to);
            }
        }
        VirtualServices { all, by_gateway }
    }

    /// All of them, oldest first.
    pub(in crate::mesh) fn all(&self) -> &[VirtualService] {
        &self.all
    }

    /// Those that are bound to a gateway (`mesh` or `namespace/name`) and visible in a namespace, in
    /// order of precedence: private ones, those exported to the namespace, public ones; in each,
    /// oldest first. Public Gateway API routes of the namespace itself precede other public ones.
    pub(in crate::mesh) fn for_gateway(&self, namespace: &str, gateway: &str) -> Vec<&VirtualService> {
        let Some(audience) = self.by_gateway.get(gateway) else { return Vec::new() };
        let list = |map: &FxHashMap<String, Vec<usize>>| map.get(namespace).cloned().unwrap_or_default();
        let is_own_route = |index: &usize| {
            let vs = &self.all[*index];
            vs.semantics.is_gateway_api() && vs.namespace == namespace
        };
        let (own, others): (Vec<usize>, Vec<usize>) = audience.public.iter().partition(|index| is_own_route(index));
        let order = list(&audience.private).into_iter().chain(list(&audience.exported)).chain(own).chain(others);
        order.map(|index| &self.all[index]).collect()
    }
}

impl Audience {
    fn add(&mut self, index: usize, own_namespace: &str, export_to: &[String]) {
        if export_to.is_empty() || export_to.iter().any(|e| e == "*") {
            self.public.push(index);
            return;
        }
        for target in export_to {
            match target.as_str() {
                "~" => {}
                target if target == "." || target == own_namespace => {
                    self.private.entry(own_namespace.to_owned()).or_default().push(index);
                }
                target => self.exported.entry(target.to_owned()).or_default().push(index),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, namespace: &str, created: &str, export_to: &[&str], semantics: Semantics) -> VirtualService {
        VirtualService {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            created: created.to_owned(),
            hosts: Vec::new(),
            gateways: vec![MESH_GATEWAY.to_owned()],
            export_to: export_to.iter().map(|e| (*e).to_owned()).collect(),
            http: Vec::new(),
            tls: Vec::new(),
            tcp: Vec::new(),
            semantics,
            origin: Origin::default(),
        }
    }

    #[test]
    fn private_precedes_exported_precedes_public_and_each_is_oldest_first() {
        let all = vec![
            service("public-young", "b", "2024-01-02", &[], Semantics::Istio),
            service("public-old", "b", "2024-01-01", &["*"], Semantics::Istio),
            service("exported", "b", "2024-01-03", &["a"], Semantics::Istio),
            service("private", "a", "2024-01-04", &["."], Semantics::Istio),
            service("foreign", "b", "2024-01-01", &["."], Semantics::Istio),
            service("hidden", "a", "2024-01-01", &["~"], Semantics::Istio),
            service("route", "a", "2024-01-09", &[], Semantics::GatewayApi),
        ];
        let index = VirtualServices::new(all, &[]);
        let names = |namespace, gateway| -> Vec<&str> {
            index.for_gateway(namespace, gateway).iter().map(|vs| vs.name.as_str()).collect()
        };
        assert_eq!(names("a", "mesh"), ["private", "exported", "route", "public-old", "public-young"]);
        assert_eq!(names("b", "mesh"), ["foreign", "public-old", "public-young", "route"]);
        assert!(names("a", "a/gateway").is_empty());
    }
}
