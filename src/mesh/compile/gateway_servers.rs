//! Gateways and their servers, and which servers of a proxy's Gateways stand side by side on one port
//! (Istio: `mergeGateways`).

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Context, Item, labels, selects};
use super::gateway_hosts;
use super::protocol;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::Origin;
use crate::mesh::proxy::DownstreamTls;
use crate::mesh::registry::Protocol;
use crate::resource::networking::{self, IstioGateway};

/// A Gateway: Istio's own, or one listener of the Gateway API.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mesh) struct Gateway {
    /// `namespace/name`, as VirtualServices refer to it.
    pub(in crate::mesh) reference: String,
    /// Name.
    pub(in crate::mesh) name: String,
    /// Namespace.
    pub(in crate::mesh) namespace: String,
    /// Creation time, comparable as text.
    pub(in crate::mesh) created: String,
    /// Which gateways it is for.
    pub(in crate::mesh) audience: Audience,
    /// Servers in order.
    pub(in crate::mesh) servers: Vec<Server>,
    /// The object.
    pub(in crate::mesh) origin: Origin,
}

/// Which gateways a Gateway is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mesh) enum Audience {
    /// Workloads with these labels; none means every gateway.
    Labels(Vec<(String, String)>),
    /// Workloads behind one of these services of the Gateway's namespace (Gateway API).
    Services(Vec<String>),
}

/// A server of a Gateway.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mesh) struct Server {
    /// Port, as clients of the gateway's service dial it.
    pub(in crate::mesh) port: u16,
    /// Name of the port.
    pub(in crate::mesh) port_name: String,
    /// Protocol.
    pub(in crate::mesh) protocol: Protocol,
    /// Address to bind to; empty for every address.
    pub(in crate::mesh) bind: String,
    /// Hosts: `host` or `namespace/host`.
    pub(in crate::mesh) hosts: Vec<String>,
    /// TLS settings.
    pub(in crate::mesh) tls: Option<ServerTls>,
    /// Where it is written.
    pub(in crate::mesh) origin: Origin,
}

/// TLS settings of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mesh) struct ServerTls {
    /// Whether clear requests are redirected.
    pub(in crate::mesh) https_redirect: bool,
    /// Mode.
    pub(in crate::mesh) mode: ServerTlsMode,
}

/// Mode of TLS at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::mesh) enum ServerTlsMode {
    /// Handed on unopened, by server name.
    Passthrough,
    /// Handed on unopened to the cluster that the server name spells.
    AutoPassthrough,
    /// Opened here.
    Terminate(DownstreamTls),
}

impl Server {
    /// Whether HTTP is read here: HTTP itself, or HTTPS that is opened.
    pub(super) fn is_http(&self) -> bool {
        self.protocol.is_http() || self.terminates_https()
    }

    /// Whether HTTPS is opened here.
    pub(super) fn terminates_https(&self) -> bool {
        self.protocol == Protocol::Https && self.terminates().is_some()
    }

    /// The TLS that is opened here.
    pub(super) fn terminates(&self) -> Option<DownstreamTls> {
        match self.tls?.mode {
            ServerTlsMode::Terminate(tls) => Some(tls),
            ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => None,
        }
    }

    /// Whether it is for TLS in whatever mode.
    fn is_tls(&self) -> bool {
        self.tls.is_some() && !self.protocol.is_http()
    }

    /// Whether clear requests are redirected to HTTPS.
    pub(super) fn redirects(&self) -> bool {
        self.tls.is_some_and(|tls| tls.https_redirect)
    }

    /// The name of its route table at a resolved port; empty if no HTTP is read.
    fn route_name(&self, resolved: u16, gateway: &Gateway) -> String {
        let bind = if self.bind.is_empty() { String::new() } else { format!(".{}", self.bind) };
        match () {
            () if self.protocol.is_http() => format!("http.{resolved}{bind}"),
            () if self.terminates_https() => {
                format!("https.{}.{}.{}.{}{bind}", self.port, self.port_name, gateway.name, gateway.namespace)
            }
            () => String::new(),
        }
    }
}

/// Istio's Gateways of the input, oldest first.
pub(super) fn istio_gateways(cx: &Context<'_>) -> Vec<Gateway> {
    cx.istio_gateways.iter().map(|item| istio_gateway(cx, item)).collect()
}

fn istio_gateway(cx: &Context<'_>, item: &Item<'_, IstioGateway>) -> Gateway {
    let object = item.object;
    Gateway {
        reference: format!("{}/{}", object.namespace, object.name),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        created: item.created().to_owned(),
        audience: Audience::Labels(item.spec.selector.as_ref().map(labels).unwrap_or_default()),
        servers: item.spec.servers.iter().filter_map(|server| istio_server(cx, item, server)).collect(),
        origin: item.origin(object.span),
    }
}

fn istio_server(cx: &Context<'_>, item: &Item<'_, IstioGateway>, server: &networking::Server) -> Option<Server> {
    let port = server.port.as_ref()?;
    let text = |field: &Option<crate::source::Spanned<String>>| field.as_ref().map_or("", |f| f.value.as_str()).to_owned();
    Some(Server {
        port: u16::try_from(port.number.as_ref()?.value).ok()?,
        port_name: text(&port.name),
        protocol: protocol::of_word(&text(&port.protocol), &cx.options.profile),
        bind: text(&server.bind),
        hosts: gateway_hosts::sanitize(server.hosts.iter().map(|host| host.value.to_lowercase()), &item.object.namespace),
        tls: server.tls.as_ref().map(|tls| ServerTls {
            https_redirect: tls.https_redirect.as_ref().is_some_and(|redirect| redirect.value),
            mode: tls_mode(&text(&tls.mode)),
        }),
        origin: item.origin(server.span),
    })
}

fn tls_mode(word: &str) -> ServerTlsMode {
    match word {
        "SIMPLE" => ServerTlsMode::Terminate(DownstreamTls::Simple),
        "MUTUAL" => ServerTlsMode::Terminate(DownstreamTls::Mutual),
        "OPTIONAL_MUTUAL" => ServerTlsMode::Terminate(DownstreamTls::OptionalMutual),
        "ISTIO_MUTUAL" => ServerTlsMode::Terminate(DownstreamTls::IstioMutual),
        "AUTO_PASSTHROUGH" => ServerTlsMode::AutoPassthrough,
        _ => ServerTlsMode::Passthrough,
    }
}

/// A service that leads to a gateway proxy: its host and namespace, and for each of its ports the
/// one that the proxy listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GatewayService {
    pub(super) host: String,
    pub(super) namespace: String,
    pub(super) ports: Vec<(u16, u16)>,
}

/// A server with the Gateway it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Bound<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) server: &'a Server,
    /// Its route table; empty if it reads no HTTP.
    pub(super) route_table: String,
}

/// Servers that share a port, an address and a kind of protocol.
#[derive(Debug, Clone)]
pub(super) struct MergedServers<'a> {
    /// The port that the proxy listens on.
    pub(super) port: u16,
    /// Address; empty for every address.
    pub(super) bind: String,
    /// The protocol word that set it up; HTTP groups share one route table.
    pub(super) protocol: Protocol,
    /// Servers in order.
    pub(super) servers: Vec<Bound<'a>>,
}

/// All servers of a gateway proxy, by port.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged<'a> {
    /// Groups in the order in which they were set up.
    pub(super) groups: Vec<MergedServers<'a>>,
    /// The servers of each route table, in order.
    pub(super) route_tables: Vec<(String, Vec<Bound<'a>>)>,
    /// Ports that are taken.
    taken: FxHashSet<u16>,
    /// The latest group of clear servers of each port.
    clear: FxHashMap<u16, usize>,
    /// Hosts of servers with TLS settings, by port, with the address they are bound to.
    tls_hosts: FxHashMap<u16, FxHashMap<String, String>>,
}

impl<'a> Merged<'a> {
    /// Merges the Gateways that are for a proxy. `gateways` are all of them, oldest first.
    pub(super) fn new(
        gateways: &'a [Gateway],
        proxy_labels: &[(String, String)],
        services: &[GatewayService],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut merged = Merged::default();
        for gateway in gateways {
            let Some(services) = services_of(gateway, proxy_labels, services) else { continue };
            for server in &gateway.servers {
                for port in resolved_ports(gateway, server.port, &services) {
                    let route_table = server.route_name(port, gateway);
                    merged.add(Bound { gateway, server, route_table }, port, diagnostics);
                }
            }
        }
        merged
    }

    fn add(&mut self, bound: Bound<'a>, port: u16, diagnostics: &mut Vec<Diagnostic>) {
        let server = bound.server;
        if server.tls.is_some() && self.has_duplicate_host(server, port) {
            push_once(diagnostics, conflict(&bound, "another server of this port has one of its hosts"));
            return;
        }
        let is_first = self.taken.insert(port);
        match self.clear.get(&port).copied() {
            Some(clear) => self.add_beside_clear(clear, bound, port, diagnostics),
            None if is_first || !server.is_tls() => self.add_apart(bound, port),
            None => self.add_beside_tls(bound, port, diagnostics),
        }
    }

    /// A server that shares nothing with others. A clear one is what later servers of the port are
    /// compared with.
    fn add_apart(&mut self, bound: Bound<'a>, port: u16) {
        if !bound.server.is_tls() {
            self.clear.insert(port, self.groups.len());
        }
        if bound.server.is_http() {
            self.route_tables.retain(|(name, _)| *name != bound.route_table);
            self.route_tables.push((bound.route_table.clone(), vec![bound.clone()]));
        }
        self.push_group(bound, port);
    }

    /// Beside a clear server only clear HTTP joins clear HTTP, unless it is bound elsewhere.
    fn add_beside_clear(&mut self, clear: usize, bound: Bound<'a>, port: u16, diagnostics: &mut Vec<Diagnostic>) {
        let group = if self.groups[clear].bind == bound.server.bind {
            if !(bound.server.protocol.is_http() && self.groups[clear].protocol.is_http()) {
                push_once(diagnostics, conflict(&bound, "the port is taken by a server with another protocol"));
                return;
            }
            clear
        } else {
            match self.group_of(bound.server, port) {
                Some(group) => group,
                None => return self.add_apart(bound, port),
            }
        };
        self.groups[group].servers.push(bound.clone());
        match self.route_tables.iter_mut().find(|(name, _)| *name == bound.route_table) {
            Some((_, servers)) => servers.push(bound),
            None if bound.route_table.is_empty() => {}
            None => self.route_tables.push((bound.route_table.clone(), vec![bound])),
        }
    }

    /// Beside TLS, TLS is told apart by server name.
    fn add_beside_tls(&mut self, bound: Bound<'a>, port: u16, diagnostics: &mut Vec<Diagnostic>) {
        if bound.server.is_http() {
            if self.route_tables.iter().any(|(name, _)| *name == bound.route_table) {
                push_once(diagnostics, conflict(&bound, "another server of this port has the same route table"));
                return;
            }
            self.route_tables.push((bound.route_table.clone(), vec![bound.clone()]));
        }
        match self.group_of(bound.server, port) {
            Some(group) => self.groups[group].servers.push(bound),
            None => self.push_group(bound, port),
        }
    }

    fn has_duplicate_host(&mut self, server: &Server, port: u16) -> bool {
        let known = self.tls_hosts.entry(port).or_default();
        if server.hosts.iter().any(|host| known.get(host).is_some_and(|bind| *bind == server.bind)) {
            return true;
        }
        known.extend(server.hosts.iter().map(|host| (host.clone(), server.bind.clone())));
        false
    }

    fn push_group(&mut self, bound: Bound<'a>, port: u16) {
        let Server { bind, protocol, .. } = bound.server;
        self.groups.push(MergedServers { port, bind: bind.clone(), protocol: *protocol, servers: vec![bound] });
    }

    /// The group of a server's own port, address and kind of protocol.
    fn group_of(&self, server: &Server, port: u16) -> Option<usize> {
        let same =
            |group: &MergedServers<'a>| group.port == port && group.bind == server.bind && group.protocol == server.protocol;
        self.groups.iter().position(same)
    }
}

/// Every proxy of a Gateway finds the same conflicts.
fn push_once(diagnostics: &mut Vec<Diagnostic>, finding: Diagnostic) {
    if !diagnostics.contains(&finding) {
        diagnostics.push(finding);
    }
}

fn conflict(bound: &Bound<'_>, why: &str) -> Diagnostic {
    let server = bound.server;
    Diagnostic::new(
        Code::ConflictingServer,
        format!(
            "server `{}` on port {} of Gateway `{}` is left out: {why}",
            server.port_name, server.port, bound.gateway.reference
        ),
    )
    .at(server.origin.span)
    .effect("its hosts are not served on this port")
}

/// The services through which a Gateway reaches a proxy; `None` if it is not for the proxy.
fn services_of<'s>(
    gateway: &Gateway,
    proxy_labels: &[(String, String)],
    services: &'s [GatewayService],
) -> Option<Vec<&'s GatewayService>> {
    match &gateway.audience {
        Audience::Labels(wanted) => selects(wanted, proxy_labels).then(|| services.iter().collect()),
        Audience::Services(hosts) => {
            let own: Vec<&GatewayService> = services
                .iter()
                .filter(|service| service.namespace == gateway.namespace && hosts.contains(&service.host))
                .collect();
            (!own.is_empty()).then_some(own)
        }
    }
}

/// The ports that the proxy listens on for a server's port. Without a service that has the port, an
/// Istio Gateway's is taken as it is.
fn resolved_ports(gateway: &Gateway, port: u16, services: &[&GatewayService]) -> Vec<u16> {
    let mut resolved: Vec<u16> = Vec::new();
    for service in services {
        for (_, target) in service.ports.iter().filter(|(number, _)| *number == port) {
            if !resolved.contains(target) {
                resolved.push(*target);
            }
        }
    }
    if resolved.is_empty() && matches!(gateway.audience, Audience::Labels(_)) {
        resolved.push(port);
    }
    resolved
}
