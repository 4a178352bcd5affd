//! TLS on both sides. Certificates are named as Istio names them and come over SDS, from the agent
//! beside the proxy.

use serde_json::{Value, json};

use super::wire::extension;
use crate::mesh::cluster::{TlsMode, UpstreamTls};
use crate::mesh::proxy::DownstreamTls;

/// The cluster that secrets come from.
pub(super) const SECRETS: &str = "sds-grpc";

/// The workload's own certificate.
const OWN: &str = "default";
/// What certificates of the mesh are signed by.
const MESH_ROOT: &str = "ROOTCA";

fn secret(name: &str) -> Value {
    json!({
        "name": name,
        "sds_config": {
            "api_config_source": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": SECRETS}}],
            },
            "initial_fetch_timeout": "0s",
            "resource_api_version": "V3",
        },
    })
}

/// TLS that a filter chain terminates.
pub(super) fn downstream(mode: DownstreamTls, is_http: bool) -> Value {
    let alpn: &[&str] = if is_http { &["h2", "http/1.1"] } else { &[] };
    let mut common = json!({
        "alpn_protocols": alpn,
        "tls_certificate_sds_secret_configs": [secret(OWN)],
    });
    if mode != DownstreamTls::Simple {
        common["validation_context_sds_secret_config"] = secret(MESH_ROOT);
    }
    let required = matches!(mode, DownstreamTls::Mutual | DownstreamTls::IstioMutual);
    let fields = json!({"common_tls_context": common, "require_client_certificate": required});
    let message = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    extension("envoy.transport_sockets.tls", message, fields)
}

/// TLS towards endpoints, as fields of a cluster.
pub(super) fn put_upstream(fields: &mut serde_json::Map<String, Value>, tls: &UpstreamTls) {
    match tls {
        UpstreamTls::Plaintext => {}
        UpstreamTls::Always { mode, sni, .. } => {
            fields.insert("transport_socket".to_owned(), upstream(*mode, sni.as_deref()));
        }
        UpstreamTls::Auto { sni } => {
            let matches = json!([
                {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": upstream(TlsMode::IstioMutual, Some(sni))},
                {"name": "tlsMode-disabled", "match": {}, "transport_socket": plaintext()},
            ]);
            fields.insert("transport_socket_matches".to_owned(), matches);
        }
    }
}

fn plaintext() -> Value {
    let message = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
    extension("envoy.transport_sockets.raw_buffer", message, json!({}))
}

fn upstream(mode: TlsMode, sni: Option<&str>) -> Value {
    let mut common = json!({});
    if mode != TlsMode::Simple {
        common["tls_certificate_sds_secret_configs"] = json!([secret(OWN)]);
    }
    if mode == TlsMode::IstioMutual {
        common["validation_context_sds_secret_config"] = secret(MESH_ROOT);
        common["alpn_protocols"] = json!(["istio-peer-exchange", "istio"]);
    }
    let mut fields = json!({ "common_tls_context": common });
    if let Some(sni) = sni {
        fields["sni"] = sni.into();
    }
    let message = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    extension("envoy.transport_sockets.tls", message, fields)
}
