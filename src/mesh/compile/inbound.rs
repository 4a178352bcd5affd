//! The server side of each proxy: ports that Services or a Sidecar declare, transport and
//! authorization (Istio: `buildInboundListeners`).

use rustc_hash::FxHashMap;

use super::authorization::AuthorizationPolicies;
use super::context::selects;
use super::model::Model;
use super::protocol;
use super::visibility::ProxyView;
use crate::mesh::inbound::{Inbound, InboundPort};
use crate::mesh::registry::{Protocol, TargetPort};
use crate::mesh::{ObjectId, Origin, ProxyKind, ServiceId, WorkloadId};
use crate::resource::networking::Sidecar;

/// Makes the server side of proxies.
#[derive(Debug)]
pub(in crate::mesh) struct InboundBuilder<'a> {
    model: &'a Model<'a>,
    policies: AuthorizationPolicies<'a>,
    /// Services that select workloads, oldest first.
    services: FxHashMap<&'a str, Vec<ServiceId>>,
}

impl<'a> InboundBuilder<'a> {
    /// Indexes the policies.
    pub(in crate::mesh) fn new(model: &'a Model<'a>) -> Self {
        let mut services: FxHashMap<&str, Vec<ServiceId>> = FxHashMap::default();
        for id in model.registry.by_age() {
            let service = model.registry.service(*id);
            if !service.selector.is_empty() {
                services.entry(&service.namespace).or_default().push(*id);
            }
        }
        InboundBuilder { model, policies: AuthorizationPolicies::new(&model.cx, &model.registry.services), services }
    }

    /// The server side of a proxy.
    pub(in crate::mesh) fn inbound(&mut self, view: &ProxyView<'a>, workload: Option<WorkloadId>) -> Inbound {
        let authorization = self.policies.of(view.spec);
        if view.spec.kind == ProxyKind::Gateway {
            return Inbound { authorization, ..Inbound::default() };
        }
        let tls = match workload {
            Some(workload) => self.model.registry.workload(workload).inbound_tls.clone(),
            None => self.model.servers.inbound(&view.spec.namespace, &view.spec.labels),
        };
        Inbound { ports: self.ports(view, workload), tls, authorization }
    }

    /// Of several declarations of one port the oldest Service's counts. A Sidecar that declares any
    /// port declares all.
    fn ports(&self, view: &ProxyView<'a>, workload: Option<WorkloadId>) -> Vec<InboundPort> {
        let declared = match view.scope.sidecar.filter(|sidecar| !sidecar.spec.ingress.is_empty()) {
            Some(sidecar) => self.declared_by_sidecar(sidecar.id, sidecar.spec),
            None => {
                let services = self.services.get(view.spec.namespace.as_str());
                services.into_iter().flatten().flat_map(|id| self.declared_by_service(*id, view, workload)).collect()
            }
        };
        let mut ports: Vec<InboundPort> = Vec::with_capacity(declared.len());
        for port in declared {
            if ports.iter().all(|known| known.number != port.number) {
                ports.push(port);
            }
        }
        ports.sort_by_key(|port| port.number);
        ports
    }

    fn declared_by_sidecar(&self, object: ObjectId, spec: &Sidecar) -> Vec<InboundPort> {
        let port = |listener: &crate::resource::networking::SidecarIngress| {
            let port = listener.port.as_ref()?;
            let word = port.protocol.as_ref().map_or("", |protocol| protocol.value.as_str());
            Some(InboundPort {
                number: u16::try_from(port.number.as_ref()?.value).ok()?,
                protocol: protocol::of_word(word, &self.model.cx.options.profile),
                origin: Origin { object: Some(object), span: listener.span },
            })
        };
        spec.ingress.iter().filter_map(port).collect()
    }

    fn declared_by_service(&self, id: ServiceId, view: &ProxyView<'a>, workload: Option<WorkloadId>) -> Vec<InboundPort> {
        let service = self.model.registry.service(id);
        if !selects(&service.selector, &view.spec.labels) {
            return Vec::new();
        }
        let named = |name: &str| {
            let workload = self.model.registry.workload(workload?);
            workload.ports.iter().find(|(own, _)| own == name).map(|(_, number)| *number)
        };
        let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Udp);
        let declared = ports.filter_map(|port| {
            let number = match &port.target {
                TargetPort::Number(number) => Some(*number),
                TargetPort::Name(name) => named(name),
            };
            let origin = Origin { object: service.origin.object, span: port.span };
            number.map(|number| InboundPort { number, protocol: port.protocol, origin })
        });
        declared.collect()
    }
}
