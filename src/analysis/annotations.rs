//! Istio's annotations on Kubernetes objects (`annotations.K8sAnalyzer`): unknown (IST0108), on the
//! wrong kind (IST0107), with a wrong value (IST0125), deprecated (IST0135).

use std::net::IpAddr;

use super::input::{Input, finding};
use crate::diagnostic::{Code, Diagnostic};
use crate::resource::{Body, Object};
use crate::source::Spanned;

/// What the value of an annotation must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Anything,
    Mode,
    Port,
    Number,
    Boolean,
    Quantity,
    /// Networks; the flag allows `*`.
    Networks(bool),
    /// Port numbers; the flag allows `*`.
    Ports(bool),
}

/// Kinds, annotations without further rules; a kind of `Any` fits everything.
const PLAIN: &[(&str, &str)] = &[
    (
        "Any",
        "galley.istio.io/analyze-suppress install.operator.istio.io/chart-owner install.operator.istio.io/owner-generation \
         install.operator.istio.io/version",
    ),
    ("AuthorizationPolicy", "istio.io/dry-run"),
    (
        "Gateway",
        "gateway.istio.io/controller-version gateway.istio.io/name-override gateway.istio.io/service-account \
         networking.istio.io/address-type networking.istio.io/service-type",
    ),
    ("GatewayClass", "ambient.istio.io/waypoint-inbound-binding"),
    ("Ingress", "kubernetes.io/ingress.class"),
    ("Namespace", "topology.istio.io/controlPlaneClusters"),
    (
        "Pod",
        "ambient.istio.io/bypass-inbound-capture ambient.istio.io/dns-capture ambient.istio.io/redirection \
         inject.istio.io/templates istio.io/reroute-virtual-interfaces istio.io/rev proxy.istio.io/config \
         proxy.istio.io/overrides readiness.status.sidecar.istio.io/applicationPorts sidecar.istio.io/agentLogLevel \
         sidecar.istio.io/bootstrapOverride sidecar.istio.io/componentLogLevel sidecar.istio.io/enableCoreDump \
         sidecar.istio.io/extraStatTags sidecar.istio.io/logLevel sidecar.istio.io/nativeSidecar sidecar.istio.io/proxyImage \
         sidecar.istio.io/rewriteAppHTTPProbers sidecar.istio.io/statsCompression sidecar.istio.io/statsHistogramBuckets \
         sidecar.istio.io/status sidecar.istio.io/userVolume sidecar.istio.io/userVolumeMount \
         traffic.sidecar.istio.io/excludeInterfaces",
    ),
    ("Service", "networking.istio.io/exportTo networking.istio.io/traffic-distribution traffic.istio.io/nodeSelector"),
    ("WorkloadEntry", "istio.io/autoRegistrationGroup istio.io/connectedAt istio.io/disconnectedAt istio.io/workloadController"),
];

/// Annotations of Pods whose value is checked.
const CHECKED: &[(&str, Holds)] = &[
    ("prometheus.istio.io/merge-metrics", Holds::Boolean),
    ("readiness.status.sidecar.istio.io/failureThreshold", Holds::Number),
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", Holds::Number),
    ("readiness.status.sidecar.istio.io/periodSeconds", Holds::Number),
    ("sidecar.istio.io/interceptionMode", Holds::Mode),
    ("sidecar.istio.io/proxyCPU", Holds::Quantity),
    ("sidecar.istio.io/proxyCPULimit", Holds::Quantity),
    ("sidecar.istio.io/proxyMemory", Holds::Quantity),
    ("sidecar.istio.io/proxyMemoryLimit", Holds::Quantity),
    ("status.sidecar.istio.io/port", Holds::Port),
    ("traffic.sidecar.istio.io/excludeInboundPorts", Holds::Ports(false)),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", Holds::Networks(false)),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", Holds::Ports(false)),
    ("traffic.sidecar.istio.io/includeInboundPorts", Holds::Ports(true)),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", Holds::Networks(true)),
    ("traffic.sidecar.istio.io/includeOutboundPorts", Holds::Ports(false)),
];

/// Deprecated annotations: name, kind, what to use instead.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("alpha.istio.io/canonical-serviceaccounts", "Service", ""),
    ("alpha.istio.io/identity", "Pod", ""),
    ("alpha.istio.io/kubernetes-serviceaccounts", "Service", ""),
    ("sidecar.istio.io/controlPlaneAuthPolicy", "Pod", ""),
    ("sidecar.istio.io/discoveryAddress", "Pod", "`discoveryAddress` of annotation `proxy.istio.io/config`"),
    ("sidecar.istio.io/inject", "Pod", "the label of the same name"),
    ("sidecar.istio.io/statsInclusionPrefixes", "Pod", "`proxyStatsMatcher` of annotation `proxy.istio.io/config`"),
    ("sidecar.istio.io/statsInclusionRegexps", "Pod", "`proxyStatsMatcher` of annotation `proxy.istio.io/config`"),
    ("sidecar.istio.io/statsInclusionSuffixes", "Pod", "`proxyStatsMatcher` of annotation `proxy.istio.io/config`"),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", "Pod", "`istio.io/reroute-virtual-interfaces`"),
];

/// What is known about an annotation.
struct Known {
    kind: &'static str,
    holds: Holds,
    /// What replaces it, if it is deprecated.
    instead: Option<&'static str>,
}

fn lookup(name: &str) -> Option<Known> {
    if let Some((_, kind, instead)) = DEPRECATED.iter().find(|(own, ..)| *own == name) {
        return Some(Known { kind, holds: Holds::Anything, instead: Some(instead) });
    }
    if let Some((_, holds)) = CHECKED.iter().find(|(own, _)| *own == name) {
        return Some(Known { kind: "Pod", holds: *holds, instead: None });
    }
    let (kind, _) = PLAIN.iter().find(|(_, names)| names.split_whitespace().any(|own| own == name))?;
    Some(Known { kind, holds: Holds::Anything, instead: None })
}

fn all_names() -> impl Iterator<Item = &'static str> {
    let plain = PLAIN.iter().flat_map(|(_, names)| names.split_whitespace());
    plain.chain(CHECKED.iter().map(|(name, _)| *name)).chain(DEPRECATED.iter().map(|(name, ..)| *name))
}

/// Looks at Namespaces, Services, Pods and Deployments, as `istioctl analyze` does.
pub(super) fn check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for object in input.objects {
        if matches!(object.body, Body::Namespace(_) | Body::Service(_) | Body::Pod(_) | Body::Deployment(_)) {
            for (key, value) in &object.meta.annotations.0 {
                if is_istios(&key.value) {
                    annotation(object, key, value, found);
                }
            }
        }
    }
}

fn is_istios(name: &str) -> bool {
    name == "kubernetes.io/ingress.class" || name.split_once('/').is_some_and(|(prefix, _)| prefix.ends_with("istio.io"))
}

fn annotation(object: &Object, key: &Spanned<String>, value: &Spanned<String>, found: &mut Vec<Diagnostic>) {
    let (name, kind) = (key.value.as_str(), object.body.kind());
    let Some(known) = lookup(name) else {
        let diagnostic = finding(Code::UnknownAnnotation, object, key.span, format!("Istio has no annotation `{name}`"));
        found.push(match crate::yaml::nearest(name, all_names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        });
        return;
    };
    let has_label = object.meta.labels.get(name).is_some();
    if let Some(instead) = known.instead.filter(|_| !has_label) {
        let diagnostic = finding(Code::DeprecatedAnnotation, object, key.span, format!("annotation `{name}` is deprecated"));
        found.push(if instead.is_empty() { diagnostic } else { diagnostic.help(format!("use {instead}")) });
    }
    if known.kind == "Any" {
        return;
    }
    if known.kind != kind {
        let message = format!("annotation `{name}` has no effect on a {kind}");
        let diagnostic = finding(Code::MisplacedAnnotation, object, key.span, message);
        found.push(match (known.kind, kind) {
            ("Pod", "Deployment") => diagnostic.help("write it under `spec.template.metadata.annotations`"),
            (right, _) => diagnostic.help(format!("it is for objects of kind {right}")),
        });
    } else if let Some(wanted) = wrong(known.holds, &value.value) {
        let message = format!("`{}` is not {wanted}, as annotation `{name}` wants", value.value);
        found.push(finding(Code::InvalidAnnotation, object, value.span, message).effect("the pod is not injected"));
    }
}

/// What a value should have been; `None` if it is right.
fn wrong(holds: Holds, value: &str) -> Option<&'static str> {
    let port = |text: &str| text.trim().parse::<u16>().is_ok();
    let list = |text: &str, item: &dyn Fn(&str) -> bool| text.trim().is_empty() || text.split(',').all(item);
    let (good, wanted) = match holds {
        Holds::Anything => (true, ""),
        Holds::Mode => (matches!(value, "REDIRECT" | "TPROXY" | "NONE"), "`REDIRECT`, `TPROXY` or `NONE`"),
        Holds::Port => (port(value), "a port number"),
        Holds::Number => (value.parse::<u32>().is_ok(), "a whole number"),
        Holds::Boolean => {
            let words = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
            (words.contains(&value), "a boolean")
        }
        Holds::Quantity => (is_quantity(value), "a quantity such as `100m` or `128Mi`"),
        Holds::Networks(star) => (star && value == "*" || list(value, &is_network), "a list of networks in CIDR notation"),
        Holds::Ports(star) => (star && value == "*" || list(value, &port), "a list of port numbers separated by commas"),
    };
    (!good).then_some(wanted)
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// A Kubernetes quantity: a decimal number with a binary, decimal or exponent suffix.
fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = unsigned.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (digits, suffix) = unsigned.split_at(unsigned.len() - number.len());
    let is_number = digits.bytes().any(|b| b.is_ascii_digit()) && digits.matches('.').count() <= 1;
    let units = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|power| power.parse::<i16>().is_ok());
    is_number && (units.contains(&suffix) || is_exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_as_the_injector_checks_them() {
        for (holds, value, good) in [
            (Holds::Ports(false), "80,443", true),
            (Holds::Ports(false), "80;443", false),
            (Holds::Ports(false), "*", false),
            (Holds::Ports(true), "*", true),
            (Holds::Ports(true), "", true),
            (Holds::Networks(true), "10.0.0.0/8,fd00::/8", true),
            (Holds::Networks(true), "10.0.0.0/33", false),
            (Holds::Networks(false), "*", false),
            (Holds::Port, "0", true),
            (Holds::Port, "70000", false),
            (Holds::Mode, "redirect", false),
            (Holds::Quantity, "128Mi", true),
            (Holds::Quantity, "1e3", true),
            (Holds::Quantity, "0.5", true),
            (Holds::Quantity, "lots", false),
            (Holds::Quantity, "", false),
            (Holds::Boolean, "yes", false),
        ] {
            assert_eq!(wrong(holds, value).is_none(), good, "{holds:?} {value}");
        }
    }
}
