//! Gateways that run although the input holds no workload for them: the ones that Istio installs
//! (`istio-ingressgateway`, `istio-egressgateway`) and the ones that it deploys for Gateways of the
//! Gateway API.

use super::context::{Context, Item, labels, selects};
use super::protocol;
use super::workloads::{Draft, PodDraft};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::registry::{Resolution, Service, ServicePort, TargetPort, Workload};
use crate::mesh::transport::InboundTls;
use crate::mesh::{Origin, Profile};
use crate::resource::gateway_api::KubeGateway;
use crate::resource::networking::IstioGateway;
use crate::source::Span;

/// Label of the pods that serve a Gateway of the Gateway API.
pub(in crate::mesh) const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Who implements Istio's gateway classes.
const CONTROLLER: &str = "istio.io/gateway-controller";

/// Labels of the gateways that Istio's charts install.
const INSTALLED: &[(&str, &[(&str, &str)])] = &[
    ("istio-ingressgateway", &[("app", "istio-ingressgateway"), ("istio", "ingressgateway")]),
    ("istio-egressgateway", &[("app", "istio-egressgateway"), ("istio", "egressgateway")]),
];

/// Marks workloads that Istio Gateways select.
pub(super) fn mark_selected(cx: &Context<'_>, drafts: &mut [Draft]) {
    let selectors: Vec<Vec<(String, String)>> = cx.istio_gateways.iter().map(|gateway| selector(gateway.spec)).collect();
    for workload in drafts.iter_mut().map(|draft| &mut draft.workload) {
        let is_selected = selectors.iter().any(|wanted| !wanted.is_empty() && selects(wanted, &workload.labels));
        workload.gateway |= is_selected;
        workload.proxied |= is_selected;
    }
}

/// Adds the gateways that the input asks for and does not hold, with a Service for each.
pub(super) fn add_missing(
    cx: &Context<'_>,
    drafts: &mut Vec<Draft>,
    services: &mut Vec<Service>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut added: Vec<Added> = Vec::new();
    for item in &cx.istio_gateways {
        let wanted = selector(item.spec);
        let serves = |workload: &Workload| workload.gateway && selects(&wanted, &workload.labels);
        if drafts.iter().any(|draft| serves(&draft.workload)) {
            continue;
        }
        let position = added.iter().position(|gateway| selects(&wanted, &gateway.labels)).unwrap_or_else(|| {
            let gateway = Added::for_selector(cx, item, &wanted);
            diagnostics.push(assumption(item, &gateway));
            added.push(gateway);
            added.len() - 1
        });
        added[position].add_ports(
            &cx.options.profile,
            item.spec.servers.iter().filter_map(|server| {
                let port = server.port.as_ref()?;
                Some((port.name.as_ref()?.value.as_str(), port.number.as_ref()?.value, port.span))
            }),
        );
    }
    for item in &cx.kube_gateways {
        added.extend(deployed(cx, item, services));
    }
    for gateway in added {
        let has_service = services
            .iter()
            .any(|s| s.namespace == gateway.namespace && !s.selector.is_empty() && selects(&s.selector, &gateway.labels));
        if !has_service {
            services.push(gateway.service(&cx.options.cluster_domain));
        }
        drafts.push(gateway.draft());
    }
}

fn selector(gateway: &IstioGateway) -> Vec<(String, String)> {
    gateway.selector.as_ref().map(labels).unwrap_or_default()
}

fn assumption(item: &Item<'_, IstioGateway>, gateway: &Added) -> Diagnostic {
    Diagnostic::new(
        Code::AssumedGateway,
        format!("no workload of the input has the labels that this Gateway selects; a gateway `{}` is assumed", gateway.name),
    )
    .at(item.spec.selector.as_ref().and_then(|s| s.0.first()).map_or(item.object.span, |(key, _)| key.span))
    .about(item.object.reference())
    .help("add the Deployment and the Service of the gateway to the input if they differ from what Istio installs")
}

/// A gateway that is not in the input.
#[derive(Debug)]
struct Added {
    name: String,
    namespace: String,
    labels: Vec<(String, String)>,
    ports: Vec<ServicePort>,
    origin: Origin,
}

impl Added {
    fn for_selector(cx: &Context<'_>, item: &Item<'_, IstioGateway>, wanted: &[(String, String)]) -> Self {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let origin = item.origin(item.object.span);
        let installed = INSTALLED.iter().map(|(name, pairs)| (*name, owned(pairs))).find(|(_, pairs)| selects(wanted, pairs));
        if let Some((name, labels)) = installed {
            let namespace = cx.root_namespace().to_owned();
            return Added { name: name.to_owned(), namespace, labels, ports: Vec::new(), origin };
        }
        let name = ["app", "istio"].iter().find_map(|key| wanted.iter().find(|(k, _)| k == key)).or(wanted.first());
        let name = name.map_or_else(|| item.object.name.clone(), |(_, value)| value.clone());
        Added { name, namespace: item.object.namespace.clone(), labels: wanted.to_vec(), ports: Vec::new(), origin }
    }

    fn add_ports<'p>(&mut self, profile: &Profile, ports: impl Iterator<Item = (&'p str, i64, Span)>) {
        for (name, number, span) in ports {
            let Ok(port) = u16::try_from(number) else { continue };
            if self.ports.iter().all(|known| known.port != port) {
                let protocol = protocol::of_service_port("TCP", None, name, number, profile);
                let (name, target) = (name.to_owned(), TargetPort::Number(port));
                self.ports.push(ServicePort { name, port, protocol, target, span });
            }
        }
    }

    fn service(&self, cluster_domain: &str) -> Service {
        Service {
            host: format!("{}.{}.svc.{cluster_domain}", self.name, self.namespace),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ports: self.ports.clone(),
            addresses: Vec::new(),
            resolution: Resolution::ClientSide,
            kubernetes: true,
            external: false,
            alias_of: None,
            export_to: vec!["*".to_owned()],
            created: String::new(),
            selector: self.labels.clone(),
            prefers_close: false,
            publish_not_ready: false,
            origin: self.origin,
        }
    }

    fn draft(self) -> Draft {
        Draft {
            pods: vec![PodDraft::ready(format!("{}-0", self.name), String::new())],
            workload: Workload {
                kind: "Deployment".to_owned(),
                service_account: format!("{}-service-account", self.name),
                name: self.name,
                namespace: self.namespace,
                labels: self.labels,
                proxied: true,
                gateway: true,
                mutual_tls: true,
                inbound_tls: InboundTls::default(),
                ports: self.ports.iter().map(|port| (port.name.clone(), port.port)).collect(),
                pods: Vec::new(),
                origin: self.origin,
            },
        }
    }
}

/// The gateway that Istio deploys for a Gateway of one of its classes: `<gateway>-<class>`. A
/// Gateway whose address names a Service of the input uses that one's pods instead.
fn deployed(cx: &Context<'_>, item: &Item<'_, KubeGateway>, services: &[Service]) -> Option<Added> {
    let (object, spec) = (item.object, item.spec);
    let class = spec.gateway_class_name.as_ref()?.value.as_str();
    let is_istio = match cx.gateway_classes.iter().find(|c| c.object.name == class) {
        Some(known) => known.spec.controller_name.as_ref().is_some_and(|c| c.value == CONTROLLER),
        None => class == "istio",
    };
    let uses_service = spec.addresses.iter().filter_map(|address| address.value.as_ref()).any(|value| {
        let host = cx.resolve(&value.value, &object.namespace);
        services.iter().any(|service| service.host == host)
    });
    if !is_istio || uses_service {
        return None;
    }
    let mut labels = vec![(GATEWAY_NAME.to_owned(), object.name.clone())];
    let infrastructure = spec.infrastructure.as_ref().and_then(|node| node.get("labels")).and_then(|node| node.entries());
    let more = infrastructure.unwrap_or_default().iter();
    labels.extend(more.filter_map(|(key, value)| Some((key.value.clone(), value.as_str()?.to_owned()))));
    labels.sort();
    let mut gateway = Added {
        name: format!("{}-{class}", object.name),
        namespace: object.namespace.clone(),
        labels,
        ports: Vec::new(),
        origin: item.origin(object.span),
    };
    gateway.add_ports(
        &cx.options.profile,
        spec.listeners
            .iter()
            .filter_map(|listener| Some((listener.name.as_ref()?.value.as_str(), listener.port.as_ref()?.value, listener.span))),
    );
    Some(gateway)
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Code;
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::testing::{codes, compiled};

    fn gateway(name: &str, selector: &str, port: u16) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  selector: {selector}\n  \
             servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]\n"
        )
    }

    const OWN: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec: {selector: {matchLabels: {app: edge}}, template: {metadata: {labels: {app: edge}}, spec: {containers: [{name: c}]}}}
";

    #[test]
    fn the_gateway_that_istio_installs_is_assumed_where_none_is_selected() {
        for (input, name, namespace, ports, findings) in [
            (gateway("g", "{istio: ingressgateway}", 80), "istio-ingressgateway", "istio-system", vec![80], 1),
            (gateway("g", "{istio: egressgateway}", 443), "istio-egressgateway", "istio-system", vec![443], 1),
            (gateway("g", "{app: mine}", 80), "mine", "default", vec![80], 1),
            // Both select the same pods, so there is one gateway with the ports of both.
            (
                gateway("g", "{istio: ingressgateway}", 80) + &gateway("h", "{app: istio-ingressgateway}", 81),
                "istio-ingressgateway",
                "istio-system",
                vec![80, 81],
                1,
            ),
        ] {
            let (mesh, found) = compiled(&input);
            let gateways: Vec<_> = mesh.proxies.iter().filter(|p| p.spec.kind == ProxyKind::Gateway).collect();
            assert_eq!(gateways.len(), 1, "{input}");
            assert_eq!(gateways[0].spec.name, format!("{name}.{namespace}"));
            let service = mesh.services.iter().find(|s| s.name == name && s.namespace == namespace).unwrap();
            assert_eq!(service.ports.iter().map(|p| p.port).collect::<Vec<_>>(), ports);
            assert_eq!(codes(&found).iter().filter(|code| **code == Code::AssumedGateway).count(), findings);
        }
    }

    #[test]
    fn a_selected_workload_of_the_input_is_the_gateway() {
        let (mesh, found) = compiled(&(gateway("g", "{app: edge}", 80) + OWN));
        assert_eq!(mesh.proxies.len(), 1);
        assert_eq!((mesh.proxies[0].spec.kind, mesh.proxies[0].spec.name.as_str()), (ProxyKind::Gateway, "edge.default"));
        assert!(!codes(&found).contains(&Code::AssumedGateway));
    }

    #[test]
    fn a_gateway_of_the_gateway_api_gets_pods_of_its_own() {
        let input = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
";
        let (mesh, _) = compiled(input);
        let labels = vec![("gateway.networking.k8s.io/gateway-name".to_owned(), "web".to_owned())];
        assert_eq!((mesh.proxies[0].spec.name.as_str(), &mesh.proxies[0].spec.labels), ("web-istio.shop", &labels));
        assert_eq!(mesh.services[0].host, "web-istio.shop.svc.cluster.local");
        assert!(compiled(&input.replace("istio,", "other,")).0.proxies.is_empty());
    }
}
