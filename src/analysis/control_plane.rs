//! The control plane's own objects: webhooks, istiod, secrets, versions of the Gateway API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::input::{Input, Of, entry, finding, name_span, node_at, string_at, text};
use crate::diagnostic::{Code, Diagnostic};
use crate::resource::kubernetes::MetadataOnly;
use crate::resource::{Body, Object};
use crate::yaml::Node;

fn webhooks<'a>(input: &Input<'a>) -> impl Iterator<Item = (&'a Object, &'a Node)> {
    let of = |item: Of<'a, MetadataOnly>| item.spec.webhooks.iter().map(move |webhook| (item.object, webhook));
    input.mutating_webhooks().flat_map(of).chain(input.validating_webhooks().flat_map(of))
}

/// Istio's webhooks towards a Service that does not exist (`webhook.Analyzer`, IST0139).
pub(super) fn webhook_services(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for (object, webhook) in webhooks(input).filter(|(_, webhook)| string_at(webhook, &["name"]).ends_with("istio.io")) {
        let Some(service) = node_at(webhook, &["clientConfig", "service"]) else { continue };
        let (namespace, name) = (string_at(service, &["namespace"]), string_at(service, &["name"]));
        if input.service(namespace, name).is_some() {
            continue;
        }
        let message = format!("the webhook's Service `{namespace}/{name}` is not in the input");
        let mut diagnostic = finding(Code::InvalidWebhook, object, service.span, message).effect("calls of the webhook fail");
        if input.services().next().is_none() {
            diagnostic.severity = crate::diagnostic::Severity::Note;
        }
        found.push(diagnostic);
    }
}

/// Webhooks towards a control plane outside of the cluster (`externalcontrolplane.Analyzer`): an
/// address that is none (IST0163), or a number instead of a name (IST0164).
pub(super) fn webhook_addresses(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let is_istios = |object: &Object| {
        let name = object.name.as_str();
        match object.body {
            Body::ValidatingWebhook(_) => name.starts_with("istio-validator") || name == "istiod-default-validator",
            _ => name.starts_with("istio-sidecar-injector"),
        }
    };
    for (object, webhook) in webhooks(input).filter(|(object, _)| is_istios(object)) {
        let Some(client) = webhook.get("clientConfig") else { continue };
        let url = string_at(client, &["url"]);
        if url.is_empty() {
            if client.get("service").is_none() {
                found.push(
                    finding(Code::InvalidControlPlaneAddress, object, client.span, "the webhook has neither a Service nor a URL")
                        .effect("nobody answers its calls"),
                );
            }
            continue;
        }
        match host_of(url) {
            None => found.push(
                finding(Code::InvalidControlPlaneAddress, object, client.span, format!("`{url}` is no URL"))
                    .effect("nobody answers the webhook's calls"),
            ),
            Some(host) if host.parse::<std::net::IpAddr>().is_ok() => found.push(
                finding(
                    Code::ControlPlaneIp,
                    object,
                    client.span,
                    format!("the control plane is reached at the address `{host}`"),
                )
                .help("use a host name that outlives the address"),
            ),
            Some(_) => {}
        }
    }
}

/// The host of a URL; `None` if the text is none.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?.0,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    let is_clean = !host.is_empty() && !url.chars().any(|c| c.is_whitespace() || c.is_control());
    is_clean.then_some(host)
}

/// istiod that fetches keys for RequestAuthentications from anywhere
/// (`jwks.Analyzer`, IST0175).
pub(super) fn jwks_fetching(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    if input.request_authentications().next().is_none() {
        return;
    }
    for istiod in input.deployments().filter(|item| entry(&item.object.meta.labels, "app") == "istiod") {
        let containers = &istiod.spec.template.spec.containers;
        let variable = containers.iter().flat_map(|c| &c.env).find(|v| text(v.name.as_ref()) == "BLOCKED_CIDRS_IN_JWKS_URIS");
        if variable.is_none_or(|variable| text(variable.value.as_ref()).is_empty()) {
            found.push(
                finding(
                    Code::UnrestrictedJwks,
                    istiod.object,
                    name_span(istiod.object),
                    "istiod fetches the keys of any `jwksUri`",
                )
                .effect("who may write a RequestAuthentication can make istiod call addresses inside the cluster")
                .help("set `BLOCKED_CIDRS_IN_JWKS_URIS`"),
            );
        }
    }
}

/// Oldest versions of the Gateway API's definitions whose objects this Istio reads.
const OLDEST: &[(&str, (u64, u64, u64))] = &[("tlsroutes.gateway.networking.k8s.io", (1, 5, 0))];

/// Definitions of the Gateway API that are too old (`k8sgateway.CRDVersionAnalyzer`, IST0176).
pub(super) fn gateway_api_versions(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for object in input.objects.iter().filter(|object| matches!(object.body, Body::CustomResourceDefinition(_))) {
        let Some((_, oldest)) = OLDEST.iter().find(|(name, _)| *name == object.name) else { continue };
        let Some(written) = object.meta.annotations.get("gateway.networking.k8s.io/bundle-version") else { continue };
        if version(&written.value).is_some_and(|own| own < *oldest) {
            let message =
                format!("version {} of the Gateway API is older than v{}.{}.{}", written.value, oldest.0, oldest.1, oldest.2);
            found.push(
                finding(Code::OldGatewayApi, object, written.span, message)
                    .effect("Istio does not read objects of this kind")
                    .help("install a newer release of the Gateway API"),
            );
        }
    }
}

/// `v1.5.0`; a release candidate counts as the release.
fn version(text: &str) -> Option<(u64, u64, u64)> {
    let plain = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?))
}

/// Whether a Secret holds a certificate and its key in PEM.
pub(super) fn holds_certificate(secret: &MetadataOnly) -> bool {
    let value = |keys: [&str; 2]| {
        keys.into_iter().find_map(|key| {
            let encoded = secret.data.as_ref().and_then(|data| data.get(key)?.as_str()).map(|text| {
                let packed: String = text.split_whitespace().collect();
                String::from_utf8(STANDARD.decode(packed).unwrap_or_default()).unwrap_or_default()
            });
            encoded.or_else(|| secret.string_data.as_ref()?.get(key)?.as_str().map(str::to_owned))
        })
    };
    let certificate = value(["tls.crt", "cert"]).is_some_and(|pem| is_pem(&pem, "CERTIFICATE"));
    certificate && value(["tls.key", "key"]).is_some_and(|pem| is_pem(&pem, "PRIVATE KEY"))
}

/// Whether a text holds a PEM block whose label ends like this and whose content is a DER sequence.
fn is_pem(text: &str, label: &str) -> bool {
    let begin = format!("{label}-----");
    let Some((before, rest)) = text.split_once(&begin) else { return false };
    let body: String = rest.split("-----END").next().unwrap_or_default().split_whitespace().collect();
    before.contains("-----BEGIN") && STANDARD.decode(body).is_ok_and(|der| der.first() == Some(&0x30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_urls_that_are_urls() {
        for (url, host) in [
            ("https://192.0.2.14:15017/validate", Some("192.0.2.14")),
            ("https://[fd00::1]:15017/validate", Some("fd00::1")),
            ("https://istiod.example", Some("istiod.example")),
            ("https://istiod .example/x", None),
            ("istiod", None),
            ("https:///x", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn a_release_candidate_counts_as_its_release() {
        for (text, expected) in
            [("v1.1.0", Some((1, 1, 0))), ("v1.6.0-rc.1", Some((1, 6, 0))), ("1.5", Some((1, 5, 0))), ("main", None)]
        {
            assert_eq!(version(text), expected, "{text}");
        }
    }
}
