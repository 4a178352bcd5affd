//! The clusters of one proxy: one for each port of each visible service, and one more for each
//! subset of its DestinationRule (Istio: `ClusterBuilder`).

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cluster_settings as settings;
use super::destination_rule::{Rule, subset_name};
use super::endpoints::RegistryEndpoint;
use super::hash_policies;
use super::locality::{Client, Group, Plan};
use super::model::Model;
use super::policy::Policy;
use super::routes::ClusterNames;
use super::upstream_tls::{self, Facts};
use super::visibility::{ProxyView, VisibleService};
use crate::mesh::cluster::{Balancer, Cluster, ConnectionSettings, Discovery, Endpoint, Limits, UpstreamProtocol, UpstreamTls};
use crate::mesh::clusters::Clusters;
use crate::mesh::registry::{Protocol, Resolution, Service, ServicePort};
use crate::mesh::{Origin, ProxyKind, ServiceId};
use crate::resource::networking::Subset;

/// Where a sidecar sends what it knows nothing about.
pub(in crate::mesh) const PASSTHROUGH: &str = "PassthroughCluster";

/// Where nothing comes out.
pub(in crate::mesh) const BLACK_HOLE: &str = "BlackHoleCluster";

/// Labels that `trafficDistribution` compares, closest last.
const PREFERRED: &[&str] = &["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// Makes clusters, and makes each only once for all proxies that see it the same way.
#[derive(Debug)]
pub(super) struct ClusterBuilder<'a> {
    model: &'a Model<'a>,
    names: &'a ClusterNames,
    /// Keys of labels on which the clusters of a client depend; `None` if any label may matter.
    label_keys: Option<BTreeSet<&'a str>>,
    black_hole: Arc<Cluster>,
    passthrough: Arc<Cluster>,
    known: FxHashMap<Key, Built<'a>>,
    placed: FxHashMap<(Key, Client), Arc<Cluster>>,
    lists: FxHashMap<(usize, bool, Client), Arc<Clusters>>,
}

/// What a cluster depends on besides the client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    service: ServiceId,
    /// Service port.
    port: u16,
    /// Position of the subset in the rule.
    subset: Option<usize>,
    /// Identity of the merged rule; rules live as long as the model.
    rule: Option<usize>,
    kind: ProxyKind,
    mode: Mode,
}

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mode {
    /// Routes and TCP proxies.
    Normal,
    /// Gateways that pass TLS through by cluster name (AUTO_PASSTHROUGH).
    SniDnat,
}

/// A cluster before a client's place is applied.
#[derive(Debug)]
struct Built<'a> {
    /// `None` where Istio makes no cluster.
    cluster: Option<Arc<Cluster>>,
    groups: Vec<Group>,
    plan: Plan<'a>,
}

/// One cluster to make.
struct Request<'v, 'a> {
    service: &'v VisibleService<'a>,
    port: &'v ServicePort,
    rule: Option<&'v Arc<Rule<'a>>>,
    subset: Option<(usize, &'a Subset)>,
    kind: ProxyKind,
    mode: Mode,
}

impl<'a> ClusterBuilder<'a> {
    pub(super) fn new(model: &'a Model<'a>, names: &'a ClusterNames) -> Self {
        ClusterBuilder {
            model,
            names,
            label_keys: deciding_labels(model),
            black_hole: Arc::new(special(model, BLACK_HOLE, Discovery::Static)),
            passthrough: Arc::new(special(model, PASSTHROUGH, Discovery::OriginalDst)),
            known: FxHashMap::default(),
            placed: FxHashMap::default(),
            lists: FxHashMap::default(),
        }
    }

    /// The clusters of a proxy.
    pub(super) fn clusters(&mut self, view: &ProxyView<'a>) -> Arc<Clusters> {
        let matters = |key: &str| self.label_keys.as_ref().is_none_or(|keys| keys.contains(key));
        let client = Client::new(&view.spec.locality, &view.spec.labels).with_labels(matters);
        let passes_through = view.spec.kind == ProxyKind::Gateway && settings::passes_through(&self.model.cx, &view.spec.labels);
        // Views live as long as the model, so that their addresses tell them apart.
        let key = (Arc::as_ptr(&view.scope).addr(), passes_through, client);
        if let Some(known) = self.lists.get(&key) {
            return Arc::clone(known);
        }
        let list = self.list(view, passes_through, &key.2);
        let with_ids = list.into_iter().map(|cluster| (self.names.id(&cluster.name), cluster)).collect();
        let made = Arc::new(Clusters::new(with_ids));
        self.lists.insert(key, Arc::clone(&made));
        made
    }

    /// The clusters of a client, sorted by name.
    fn list(&mut self, view: &ProxyView<'a>, passes_through: bool, client: &Client) -> Vec<Arc<Cluster>> {
        let kind = view.spec.kind;
        let modes: &[Mode] = if passes_through { &[Mode::Normal, Mode::SniDnat] } else { &[Mode::Normal] };
        let mut clusters = vec![Arc::clone(&self.black_hole)];
        if kind == ProxyKind::Sidecar {
            clusters.push(Arc::clone(&self.passthrough));
        }
        for service in view.scope.services.iter().filter(|service| service.resolution != Resolution::Alias) {
            let rule = view.destination_rule(&service.host);
            for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
                for mode in modes {
                    let whole = Request { service, port, rule, subset: None, kind, mode: *mode };
                    clusters.extend(self.cluster(&whole, client));
                    for (index, subset) in rule.iter().flat_map(|rule| rule.subsets.iter().enumerate()) {
                        let request = Request { subset: Some((index, subset.value)), ..whole };
                        clusters.extend(self.cluster(&request, client));
                    }
                }
            }
        }
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        // Of clusters with one name the control plane sends the first.
        clusters.dedup_by(|later, first| later.name == first.name);
        clusters
    }

    fn cluster(&mut self, request: &Request<'_, 'a>, client: &Client) -> Option<Arc<Cluster>> {
        let key = Key {
            service: request.service.id,
            port: request.port.port,
            subset: request.subset.map(|(index, _)| index),
            rule: request.rule.map(|rule| Arc::as_ptr(rule).addr()),
            kind: request.kind,
            mode: request.mode,
        };
        let model = self.model;
        let built = self.known.entry(key).or_insert_with(|| build(model, request));
        let cluster = built.cluster.as_ref()?;
        let Some(client) = built.plan.deciding(&built.groups, client) else { return Some(Arc::clone(cluster)) };
        let placed = self.placed.entry((key, client)).or_insert_with_key(|(_, client)| {
            let localities = built.plan.apply(&built.groups, client).into();
            Arc::new(Cluster { localities, ..Cluster::clone(cluster) })
        });
        Some(Arc::clone(placed))
    }
}

/// Keys of labels on which the clusters of a client depend; `None` if any label may matter, because
/// a DestinationRule is for some clients only.
fn deciding_labels<'a>(model: &'a Model<'a>) -> Option<BTreeSet<&'a str>> {
    if model.selects_clients() {
        return None;
    }
    let policies = model.cx.destination_rules.iter().map(|item| item.spec).flat_map(|rule| {
        let of_subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
        rule.traffic_policy.iter().chain(of_subsets)
    });
    let own = policies.flat_map(settings::locality_settings);
    let compared = own.chain(&model.cx.mesh_config.locality_lb_setting).flat_map(|setting| &setting.failover_priority);
    Some(compared.map(|label| label.value.as_str()).chain(PREFERRED.iter().copied()).collect())
}

/// A cluster that every proxy has.
fn special(model: &Model<'_>, name: &str, discovery: Discovery) -> Cluster {
    let limit = model.cx.options.profile.default_limit;
    Cluster {
        name: name.to_owned(),
        service: None,
        port: 0,
        subset: String::new(),
        discovery,
        balancer: if discovery == Discovery::Static { Balancer::RoundRobin } else { Balancer::Passthrough },
        connect_timeout: settings::connect_timeout(&model.cx.mesh_config, None),
        limits: Limits { connections_max: limit, pending_max: limit, requests_max: limit, retries_max: limit },
        outlier: None,
        tls: UpstreamTls::Plaintext,
        connection: ConnectionSettings { protocol: UpstreamProtocol::Downstream, ..ConnectionSettings::default() },
        panic_threshold_percent: None,
        hashes_client: false,
        locality_weighted: false,
        warm_up: None,
        retry_budget: None,
        localities: Vec::new().into(),
        origin: Origin::default(),
    }
}

impl Clone for Request<'_, '_> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Request<'_, '_> {}

fn build<'a>(model: &'a Model<'a>, request: &Request<'_, 'a>) -> Built<'a> {
    let (service, port) = (request.service, request.port);
    let (cx, number) = (&model.cx, port.port);
    let rule = request.rule.map(Arc::as_ref);
    let of_rule = Policy::of_rule(rule, number);
    let policy = request.subset.map_or(of_rule, |(_, subset)| of_rule.with_subset(subset, number));
    let subset = request.subset.map_or("", |(_, subset)| subset_name(subset));

    let all: Vec<&RegistryEndpoint> = model.endpoints.of_port(&model.registry, service, &port.name).collect();
    // Of the cluster's own blocks, an entry for the port does not count here.
    let own = match request.subset {
        Some((_, subset)) => subset.traffic_policy.as_ref(),
        None => rule.and_then(|r| Some(r.traffic_policy?.value)),
    };
    let own_passthrough = settings::is_passthrough(own.and_then(|policy| policy.load_balancer.as_ref()));
    let discovery = match request.subset {
        Some(_) if own_passthrough => Discovery::OriginalDst,
        _ => discovery(service, request.kind, &of_rule, &policy),
    };
    let sni = format!("outbound_.{number}_.{subset}_.{}", service.host);
    let facts = Facts {
        service,
        discovery,
        sni: sni.clone(),
        auto_mtls: upstream_tls::is_automatic(&cx.options.profile, cx.mesh_config.enable_auto_mtls.as_ref()),
        selects_clients: rule.is_some_and(|rule| rule.selector.is_some()),
        is_sidecar: request.kind == ProxyKind::Sidecar,
        endpoints: &all,
    };
    let is_dnat = request.mode == Mode::SniDnat;
    let tls = match request.mode {
        Mode::Normal => upstream_tls::upstream_tls(&policy, &facts, own_passthrough, &model.servers),
        // TLS is passed through as it comes.
        Mode::SniDnat => UpstreamTls::Plaintext,
    };

    // Where clients dial addresses themselves, subsets do not limit what they can dial.
    let wanted =
        request.subset.filter(|_| discovery != Discovery::OriginalDst).map(|(_, subset)| settings::subset_labels(subset));
    // A panic threshold would send requests to pods that are not ready.
    let may_panic = policy.outlier.and_then(|o| o.min_health_percent.as_ref()).is_some_and(|percent| percent.value > 0);
    let tells_unready = cx.options.profile.unready_endpoints && !may_panic;
    let marks = super::policy::tls_of_marks(rule, request.subset.map(|(_, subset)| subset), number);
    let groups = groups(&all, |endpoint| {
        let mutual_tls = upstream_tls::takes_mutual_tls(endpoint, marks, &model.servers);
        let in_subset = wanted.as_ref().is_none_or(|wanted| super::context::selects(wanted, &endpoint.labels));
        let is_told = endpoint.ready || tells_unready;
        // Endpoints that are told have addresses; names are for DNS.
        let is_tellable = discovery != Discovery::Eds || endpoint.has_address();
        (in_subset && is_told && is_tellable && (mutual_tls || !is_dnat)).then_some(mutual_tls)
    });
    let outlier = settings::outlier_detection(&cx.mesh_config, &policy);
    let plan = Plan {
        setting: settings::locality_setting(&cx.mesh_config, &policy),
        preferred: if service.prefers_close && settings::own_locality_setting(&policy).is_none() { PREFERRED } else { &[] },
        fails_over: outlier.is_some(),
    };
    // DNS and static clusters without endpoints are not made at all.
    let needs_endpoints = matches!(discovery, Discovery::StrictDns | Discovery::LogicalDns | Discovery::Static);
    if needs_endpoints && groups.is_empty() {
        return Built { cluster: None, groups, plan };
    }
    let name = if is_dnat { sni } else { format!("outbound|{number}|{subset}|{}", service.host) };
    let pool = settings::connection_pool(&cx.mesh_config, &policy);
    let cluster = Cluster {
        name,
        service: Some(service.id),
        port: number,
        subset: subset.to_owned(),
        discovery,
        balancer: settings::balancer(policy.load_balancer, discovery, &cx.options.profile),
        connect_timeout: settings::connect_timeout(&cx.mesh_config, pool),
        limits: settings::limits(pool, &cx.options.profile),
        outlier: outlier.map(|outlier| settings::outlier_policy(outlier, &cx.options.profile)),
        tls,
        connection: settings::connection(pool, port, request.kind, &cx.mesh_config),
        panic_threshold_percent: settings::panic_threshold(outlier, &cx.options.profile),
        hashes_client: hash_policies::hashes_client(
            rule.and_then(|rule| rule.traffic_policy).map(|part| part.value),
            request.subset.and_then(|(_, subset)| subset.traffic_policy.as_ref()),
        ),
        locality_weighted: plan.is_weighted(),
        warm_up: settings::warm_up(policy.load_balancer, discovery),
        retry_budget: policy.retry_budget.map(settings::retry_budget),
        localities: plan.apply(&groups, &Client::new("", &[])).into(),
        origin: origin(request),
    };
    Built { cluster: Some(Arc::new(cluster)), groups, plan }
}

fn origin(request: &Request<'_, '_>) -> Origin {
    let Some(rule) = request.rule else { return request.service.origin };
    match request.subset.and_then(|(_, subset)| rule.subset(subset_name(subset))) {
        Some(part) => Origin { object: Some(part.object), span: part.value.span },
        None => rule.traffic_policy.map_or(rule.origin, |part| Origin { object: Some(part.object), span: part.value.span }),
    }
}

/// How endpoints are found. PASSTHROUGH for the host holds for its subsets too, whatever they say.
fn discovery(service: &Service, kind: ProxyKind, of_rule: &Policy<'_>, policy: &Policy<'_>) -> Discovery {
    if settings::is_passthrough(of_rule.load_balancer) || settings::is_passthrough(policy.load_balancer) {
        return Discovery::OriginalDst;
    }
    match service.resolution {
        Resolution::ClientSide | Resolution::Alias => Discovery::Eds,
        // Nobody dials through a gateway.
        Resolution::Passthrough if kind == ProxyKind::Gateway => Discovery::Eds,
        Resolution::Passthrough => Discovery::OriginalDst,
        Resolution::Dns => Discovery::StrictDns,
        Resolution::DnsRoundRobin => Discovery::LogicalDns,
        Resolution::DynamicDns => Discovery::DynamicDns,
    }
}

/// Groups endpoints by locality, in alphabetical order. `take` says whether an endpoint belongs to
/// the cluster, and then whether it takes mutual TLS.
fn groups(endpoints: &[&RegistryEndpoint], take: impl Fn(&RegistryEndpoint) -> Option<bool>) -> Vec<Group> {
    let mut groups: std::collections::BTreeMap<&str, Vec<super::locality::Labelled>> = std::collections::BTreeMap::new();
    for endpoint in endpoints {
        let Some(mutual_tls) = take(endpoint) else { continue };
        let address = match endpoint.address.contains(':') {
            true => format!("[{}]:{}", endpoint.address, endpoint.port),
            false => format!("{}:{}", endpoint.address, endpoint.port),
        };
        let made = Endpoint {
            address,
            port: endpoint.port,
            weight: endpoint.weight,
            healthy: endpoint.ready,
            mutual_tls,
            pod: endpoint.pod,
        };
        groups.entry(&endpoint.locality).or_default().push((made, Arc::clone(&endpoint.labels)));
    }
    groups.into_iter().map(|(locality, endpoints)| Group { locality: locality.to_owned(), endpoints }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::cluster::{OutlierPolicy, TlsMode};
    use crate::mesh::compile::mesh::{CompileOptions, ProxySelection, compile};
    use crate::mesh::compile::testing::{self, described, objects, pods, proxy};
    use crate::mesh::{Mesh, Profile};
    use crate::time::Duration;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
                           spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: grpc, port: 81}, {port: 82}]}\n";

    fn rule(spec: &str) -> String {
        format!(
            "{SERVICE}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web}}\nspec: {spec}\n"
        )
    }

    fn mesh(yaml: &str) -> Mesh {
        let proxies = vec![proxy(ProxyKind::Sidecar, "client", "default", ""), proxy(ProxyKind::Gateway, "gw", "default", "")];
        let plain = pods("web.default", "app=web version=v1", 1, 80);
        let meshed = pods("web.default", "app=web version=v2 security.istio.io/tlsMode=istio", 1, 80);
        described(yaml, proxies, vec![plain, meshed])
    }

    fn cluster<'m>(mesh: &'m Mesh, port: u16, subset: &str) -> &'m Cluster {
        testing::cluster(&mesh.proxies[0], &format!("outbound|{port}|{subset}|web.default.svc.cluster.local"))
    }

    #[test]
    fn a_setting_for_the_port_replaces_the_whole_policy() {
        let mesh = mesh(&rule(
            "{host: web, trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {connectTimeout: 1s}}, tls: {mode: SIMPLE}, \
             portLevelSettings: [{port: {number: 81}, connectionPool: {tcp: {maxConnections: 7}}}]}, \
             subsets: [{name: plain}, {name: own, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}, \
             {name: port, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}]}",
        ));
        let row = |port, subset| {
            let c = cluster(&mesh, port, subset);
            let tls = match c.tls {
                UpstreamTls::Plaintext => "plain",
                UpstreamTls::Auto { .. } => "auto",
                UpstreamTls::Always { .. } => "always",
            };
            (c.balancer, c.connect_timeout.millis(), c.limits.connections_max, tls)
        };
        let none = u32::MAX;
        for (port, subset, expected) in [
            (80, "", (Balancer::Random, 1_000, none, "always")),
            (81, "", (Balancer::LeastRequest, 10_000, 7, "auto")),
            (80, "plain", (Balancer::Random, 1_000, none, "always")),
            (81, "plain", (Balancer::LeastRequest, 10_000, 7, "auto")),
            (80, "own", (Balancer::RoundRobin, 1_000, none, "always")),
            (80, "port", (Balancer::LeastRequest, 10_000, none, "plain")),
            (81, "port", (Balancer::RoundRobin, 10_000, 7, "auto")),
        ] {
            assert_eq!(row(port, subset), expected, "{port} {subset}");
        }
    }

    #[test]
    fn passthrough_for_the_host_holds_for_its_subsets() {
        let mesh = mesh(&rule(
            "{host: web, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}, \
             subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]}",
        ));
        for subset in ["", "v1"] {
            let cluster = cluster(&mesh, 80, subset);
            assert_eq!((cluster.discovery, cluster.balancer), (Discovery::OriginalDst, Balancer::Passthrough));
            assert_eq!(cluster.endpoints().count(), 2);
        }
    }

    #[test]
    fn subsets_have_the_endpoints_that_their_labels_select() {
        let mesh = mesh(&rule(
            "{host: web, subsets: [{name: all}, {name: v1, labels: {version: v1}}, {name: none, labels: {version: v9}}]}",
        ));
        for (subset, count) in [("", 2), ("all", 2), ("v1", 1), ("none", 0)] {
            assert_eq!(cluster(&mesh, 80, subset).endpoints().count(), count, "{subset}");
        }
        assert!(mesh.proxies[0].clusters.named("outbound|80|v2|web.default.svc.cluster.local").is_none());
    }

    #[test]
    fn tls_is_what_the_rule_asks_for_else_automatic() {
        let auto = UpstreamTls::Auto { sni: "outbound_.80_._.web.default.svc.cluster.local".to_owned() };
        let always =
            |mode, sni: Option<&str>, verifies_host| UpstreamTls::Always { mode, sni: sni.map(str::to_owned), verifies_host };
        let own = Some("outbound_.80_._.web.default.svc.cluster.local");
        for (settings, expected) in [
            ("{loadBalancer: {simple: RANDOM}}", auto.clone()),
            ("{tls: {}}", UpstreamTls::Plaintext),
            ("{tls: {mode: DISABLE}}", UpstreamTls::Plaintext),
            ("{tls: {mode: SIMPLE}}", always(TlsMode::Simple, None, true)),
            ("{tls: {mode: SIMPLE, sni: a.test}}", always(TlsMode::Simple, Some("a.test"), false)),
            ("{tls: {mode: SIMPLE, insecureSkipVerify: true}}", always(TlsMode::Simple, None, false)),
            ("{tls: {mode: SIMPLE, credentialName: c}}", UpstreamTls::Plaintext),
            ("{tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}}", always(TlsMode::Mutual, None, true)),
            ("{tls: {mode: ISTIO_MUTUAL}}", always(TlsMode::IstioMutual, own, false)),
        ] {
            let mesh = mesh(&rule(&format!("{{host: web, trafficPolicy: {settings}}}")));
            assert_eq!(cluster(&mesh, 80, "").tls, expected, "{settings}");
        }
        let marks = |yaml: &str| -> Vec<bool> { cluster(&mesh(yaml), 80, "").endpoints().map(|e| e.mutual_tls).collect() };
        assert_eq!(marks(SERVICE), [false, true]);
        assert_eq!(marks(&rule("{host: web, trafficPolicy: {tls: {mode: SIMPLE}}}")), [false, false]);
        let disabled = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: DISABLE}}\n";
        assert_eq!(cluster(&mesh(&format!("{SERVICE}{disabled}")), 80, "").tls, UpstreamTls::Plaintext);
    }

    #[test]
    fn gateways_balance_headless_services_and_may_read_credentials() {
        let headless = SERVICE.replace("selector", "clusterIP: None, selector");
        let mesh = mesh(&headless);
        let name = "outbound|80||web.default.svc.cluster.local";
        assert_eq!(testing::cluster(&mesh.proxies[0], name).discovery, Discovery::OriginalDst);
        assert_eq!(testing::cluster(&mesh.proxies[1], name).discovery, Discovery::Eds);
        assert!(mesh.proxies[0].clusters.named(PASSTHROUGH).is_some() && mesh.proxies[1].clusters.named(PASSTHROUGH).is_none());
        let secret = self::mesh(&rule("{host: web, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}}"));
        assert!(matches!(testing::cluster(&secret.proxies[1], name).tls, UpstreamTls::Always { .. }));
    }

    #[test]
    fn the_protocol_towards_endpoints_follows_port_and_policy() {
        let upgrade = rule("{host: web, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}");
        let keep = rule("{host: web, trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}}");
        let (one, two, any) = (UpstreamProtocol::Default, UpstreamProtocol::Http2, UpstreamProtocol::Downstream);
        for (yaml, expected) in [(SERVICE, [one, two, any]), (&upgrade, [two, two, any]), (&keep, [any, any, any])] {
            let mesh = mesh(yaml);
            assert_eq!([80, 81, 82].map(|port| cluster(&mesh, port, "").connection.protocol), expected);
        }
    }

    #[test]
    fn outlier_detection_keeps_what_is_not_written_open() {
        let open = OutlierPolicy {
            consecutive_5xx: None,
            consecutive_gateway: None,
            split_local_origin: false,
            consecutive_local_origin: None,
            interval: None,
            base_ejection_time: None,
            max_ejection_percent: None,
        };
        let second = Duration::from_secs(1);
        for (written, expected, panic) in [
            ("{}", open, 0),
            ("{consecutive5xxErrors: 0}", OutlierPolicy { consecutive_5xx: Some(0), ..open }, 0),
            (
                "{consecutiveGatewayErrors: 3, interval: 1s}",
                OutlierPolicy { consecutive_gateway: Some(3), interval: Some(second), ..open },
                0,
            ),
            ("{maxEjectionPercent: 0, minHealthPercent: 40}", open, 40),
            (
                "{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}",
                OutlierPolicy { split_local_origin: true, consecutive_local_origin: Some(2), ..open },
                0,
            ),
            ("{consecutiveErrors: 4}", open, 0),
        ] {
            let mesh = mesh(&rule(&format!("{{host: web, trafficPolicy: {{outlierDetection: {written}}}}}")));
            let cluster = cluster(&mesh, 80, "");
            assert_eq!((cluster.outlier, cluster.panic_threshold_percent), (Some(expected), Some(panic)), "{written}");
        }
    }

    #[test]
    fn releases_differ_in_balancer_limits_tls_and_panic() {
        let yaml = rule("{host: web, trafficPolicy: {outlierDetection: {consecutiveErrors: 4}}}");
        let of = |version: &str| {
            let options = CompileOptions {
                profile: Profile::of_version(version).unwrap(),
                proxies: ProxySelection::Described(vec![proxy(ProxyKind::Sidecar, "client", "default", "")]),
                ..CompileOptions::default()
            };
            let (mesh, _) = compile(&objects(&yaml), &options);
            let cluster = cluster(&mesh, 80, "");
            let outlier = cluster.outlier.unwrap();
            let is_automatic = matches!(cluster.tls, UpstreamTls::Auto { .. });
            (
                cluster.balancer,
                cluster.limits.retries_max,
                is_automatic,
                outlier.consecutive_gateway,
                cluster.panic_threshold_percent,
            )
        };
        assert_eq!(of("1.1"), (Balancer::RoundRobin, 1024, false, Some(4), None));
        assert_eq!(of("1.5"), (Balancer::RoundRobin, u32::MAX, true, Some(4), Some(0)));
        assert_eq!(of("latest"), (Balancer::LeastRequest, u32::MAX, true, None, Some(0)));
    }

    #[test]
    fn proxies_that_see_a_service_alike_share_its_cluster() {
        let proxies = ["a", "b"].map(|namespace| proxy(ProxyKind::Sidecar, "client", namespace, "")).to_vec();
        let mesh = described(SERVICE, proxies, Vec::new());
        let of = |index: usize| mesh.proxies[index].clusters.iter().find(|c| c.service.is_some()).unwrap();
        assert!(Arc::ptr_eq(of(0), of(1)));
    }
}
