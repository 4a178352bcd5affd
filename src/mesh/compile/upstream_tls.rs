//! TLS that proxies add towards endpoints: what the DestinationRule asks for, else automatic mutual
//! TLS (Istio: `buildUpstreamTLSSettings`, `mtlsChecker`).

use super::endpoints::RegistryEndpoint;
use super::peer_authentication::PeerAuthentications;
use super::policy::Policy;
use crate::mesh::Profile;
use crate::mesh::cluster::{Discovery, TlsMode, UpstreamTls};
use crate::mesh::registry::{Resolution, Service};
use crate::mesh::transport::ServerTls;
use crate::resource::networking::ClientTlsSettings;
use crate::source::Spanned;

/// What decides about TLS besides the policy.
pub(super) struct Facts<'a> {
    pub(super) service: &'a Service,
    pub(super) discovery: Discovery,
    /// The name by which sidecars know the cluster, sent as server name.
    pub(super) sni: String,
    /// Whether the mesh uses automatic mutual TLS.
    pub(super) auto_mtls: bool,
    /// Whether the rule is for selected clients; others may not use credentials at sidecars.
    pub(super) selects_clients: bool,
    pub(super) is_sidecar: bool,
    /// The endpoints of the port, whatever their labels.
    pub(super) endpoints: &'a [&'a RegistryEndpoint],
}

/// Whether the mesh uses automatic mutual TLS.
pub(super) fn is_automatic(profile: &Profile, setting: Option<&Spanned<bool>>) -> bool {
    profile.auto_mtls && setting.is_none_or(|enabled| enabled.value)
}

/// The TLS of a cluster. `own_passthrough` says whether the cluster's own block (not an inherited
/// one) asks for the address that the client dialled.
pub(super) fn upstream_tls(
    policy: &Policy<'_>,
    facts: &Facts<'_>,
    own_passthrough: bool,
    servers: &PeerAuthentications<'_>,
) -> UpstreamTls {
    match policy.tls {
        Some(settings) => by_rule(settings, facts),
        None => automatic(facts, own_passthrough, servers),
    }
}

/// The mode that a block asks for; one that names none asks for plaintext.
fn mode(settings: &ClientTlsSettings) -> &str {
    settings.mode.as_ref().map_or("DISABLE", |mode| mode.value.as_str())
}

fn by_rule(settings: &ClientTlsSettings, facts: &Facts<'_>) -> UpstreamTls {
    let is_set = |field: &Option<Spanned<String>>| field.as_ref().is_some_and(|f| !f.value.is_empty());
    let sni = settings.sni.as_ref().map(|sni| sni.value.clone()).filter(|sni| !sni.is_empty());
    // A sidecar may not read another workload's secrets, so it sends plaintext.
    let names_secret =
        settings.credential_name.as_ref().is_some_and(|n| !n.value.is_empty() && !n.value.starts_with("configmap://"));
    let may_use_secret = !facts.is_sidecar || facts.selects_clients;
    let skips_verification = settings.insecure_skip_verify.is_some_and(|skips| skips.value);
    let verifies_host = sni.is_none() && settings.subject_alt_names.is_empty() && !skips_verification;
    match mode(settings) {
        "ISTIO_MUTUAL" => istio_mutual(sni.unwrap_or_else(|| facts.sni.clone())),
        "SIMPLE" | "MUTUAL" if names_secret && !may_use_secret => UpstreamTls::Plaintext,
        "SIMPLE" => UpstreamTls::Always { mode: TlsMode::Simple, sni, verifies_host },
        "MUTUAL" if names_secret || (is_set(&settings.client_certificate) && is_set(&settings.private_key)) => {
            UpstreamTls::Always { mode: TlsMode::Mutual, sni, verifies_host }
        }
        _ => UpstreamTls::Plaintext,
    }
}

fn istio_mutual(sni: String) -> UpstreamTls {
    UpstreamTls::Always { mode: TlsMode::IstioMutual, sni: Some(sni), verifies_host: false }
}

fn automatic(facts: &Facts<'_>, own_passthrough: bool, servers: &PeerAuthentications<'_>) -> UpstreamTls {
    let service = facts.service;
    if service.external || !facts.auto_mtls {
        return UpstreamTls::Plaintext;
    }
    // Nothing tells endpoints apart where the client picks the address.
    let is_passthrough = service.resolution == Resolution::Passthrough || own_passthrough;
    let all_take_tls = !facts.endpoints.is_empty() && facts.endpoints.iter().all(|endpoint| endpoint.mutual_tls);
    if is_passthrough && !all_take_tls {
        return UpstreamTls::Plaintext;
    }
    if servers.of_namespace(&service.namespace) == ServerTls::Disable {
        return UpstreamTls::Plaintext;
    }
    let sni = facts.sni.clone();
    match facts.discovery {
        Discovery::OriginalDst => istio_mutual(sni),
        _ => UpstreamTls::Auto { sni },
    }
}

/// Whether an endpoint of a cluster is marked as taking mutual TLS: its pod does, and the rule's
/// settings ask for it or, where there are none, the server's policy allows it.
pub(super) fn takes_mutual_tls(
    endpoint: &RegistryEndpoint,
    settings: Option<&ClientTlsSettings>,
    servers: &PeerAuthentications<'_>,
) -> bool {
    let allowed = || servers.of_workload(&endpoint.namespace, &endpoint.labels, endpoint.port) != ServerTls::Disable;
    endpoint.mutual_tls && settings.map_or_else(allowed, |settings| mode(settings) == "ISTIO_MUTUAL")
}
