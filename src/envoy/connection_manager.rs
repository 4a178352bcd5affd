//! The network filters at the end of a filter chain: HTTP connection manager and TCP proxy.

use serde_json::{Value, json};

use super::filters::http_filters;
use super::route_table::route_table;
use super::wire::extension;
use crate::mesh::ProxyKind;
use crate::mesh::proxy::TcpLegs;
use crate::mesh::route::RouteTable;

/// Istio's default text format.
const ACCESS_LOG: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
    %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
    \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% \
    %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// HTTP routed by a table.
pub(super) fn http(table: &RouteTable, kind: ProxyKind, stat_prefix: &str) -> Value {
    let is_edge = kind == ProxyKind::Gateway;
    let fields = json!({
        "stat_prefix": stat_prefix,
        "route_config": route_table(table),
        "http_filters": http_filters(),
        "use_remote_address": is_edge,
        "forward_client_cert_details": if is_edge { "SANITIZE_SET" } else { "SANITIZE" },
        "normalize_path": true,
        "merge_slashes": false,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "access_log": access_log(),
    });
    let message = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    extension("envoy.filters.network.http_connection_manager", message, fields)
}

/// Bytes to one of several clusters.
pub(super) fn tcp(legs: &TcpLegs) -> Value {
    let stat_prefix = legs.legs.first().map_or("tcp", |(cluster, _, _)| cluster.name.as_str());
    let mut fields = json!({"stat_prefix": stat_prefix, "access_log": access_log()});
    match legs.legs.as_slice() {
        [(lone, _, _)] => fields["cluster"] = lone.name.as_str().into(),
        several => {
            let legs: Vec<Value> =
                several.iter().map(|(cluster, weight, _)| json!({"name": cluster.name, "weight": weight})).collect();
            fields["weighted_clusters"] = json!({ "clusters": legs });
        }
    }
    extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", fields)
}

fn access_log() -> Value {
    let fields = json!({"path": "/dev/stdout", "log_format": {"text_format_source": {"inline_string": ACCESS_LOG}}});
    json!([extension("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", fields)])
}
