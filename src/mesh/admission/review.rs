//! The review of one object, and of all of them.

use super::{
    authorization, destination_rule, envoy_filter, gateway, policies, service_entry, sidecar, telemetry, virtual_service,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::profile::Profile;
use crate::resource::{Body, Object, Objects};
use crate::source::{Span, Spanned};
use crate::time::Duration;

/// Where the rules of a kind report.
pub(super) struct Review<'a> {
    pub(super) object: &'a Object,
    pub(super) profile: &'a Profile,
    findings: Vec<Diagnostic>,
    /// Whether warnings are lost here, as istiod loses them below a policy's top level.
    pub(super) errors_only: bool,
}

impl Review<'_> {
    /// The object is refused.
    pub(super) fn reject(&mut self, span: Span, why: impl Into<String>) {
        self.report(Code::RejectedObject, span, why);
    }

    /// The object is refused unless `holds`.
    pub(super) fn require(&mut self, holds: bool, span: Span, why: impl Into<String>) {
        if !holds {
            self.reject(span, why);
        }
    }

    /// The object is accepted with a warning.
    pub(super) fn warn(&mut self, span: Span, why: impl Into<String>) {
        if !self.errors_only {
            self.report(Code::AdmissionWarning, span, why);
        }
    }

    /// What is only warned of in here is lost, as istiod loses it.
    pub(super) fn without_warnings(&mut self, check: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.errors_only, true);
        check(self);
        self.errors_only = outer;
    }

    /// The object is accepted with the warning that a rule is never used.
    pub(super) fn redundant_rule(&mut self, span: Span, why: impl Into<String>) {
        self.report(Code::RedundantRule, span, why);
    }

    /// The object is accepted with the warning that a match is never used.
    pub(super) fn redundant_match(&mut self, span: Span, why: impl Into<String>) {
        self.report(Code::RedundantMatch, span, why);
    }

    /// A field that the kind had in an earlier release.
    pub(super) fn unknown_field(&mut self, span: Span, why: impl Into<String>) {
        self.report(Code::UnknownField, span, why);
    }

    fn report(&mut self, code: Code, span: Span, why: impl Into<String>) {
        let span = if span.is_somewhere() { span } else { self.object.span };
        self.findings.push(Diagnostic::new(code, why).at(span).about(self.object.reference()));
    }

    /// A duration of at least a millisecond in whole milliseconds.
    pub(super) fn whole_milliseconds(&mut self, time: Option<&Spanned<Duration>>, what: &str) {
        let Some(time) = time else { return };
        if time.value < Duration::from_millis(1) {
            self.reject(time.span, format!("{what} must be at least 1ms"));
        } else if time.nanos() % 1_000_000 != 0 {
            self.reject(time.span, format!("{what} must be a whole number of milliseconds"));
        }
    }
}

/// Whether the webhook looks at objects of this one's kind: those of Istio's own API groups.
#[must_use]
pub fn is_reviewed(object: &Object) -> bool {
    object.api_version.split_once('/').is_some_and(|(group, _)| group.ends_with(".istio.io"))
}

/// What the webhook says about one object.
#[must_use]
pub fn review(object: &Object, profile: &Profile) -> Vec<Diagnostic> {
    let mut review = Review { object, profile, findings: Vec::new(), errors_only: false };
    match &object.body {
        Body::VirtualService(spec) => virtual_service::check(spec, &mut review),
        Body::DestinationRule(spec) => destination_rule::check(spec, &mut review),
        Body::IstioGateway(spec) => gateway::check(spec, &mut review),
        Body::ServiceEntry(spec) => service_entry::check(spec, &mut review),
        Body::WorkloadEntry(spec) => service_entry::check_workload_entry(spec, &mut review),
        Body::Sidecar(spec) => sidecar::check(spec, &mut review),
        Body::PeerAuthentication(spec) => policies::check_peer_authentication(spec, &mut review),
        Body::RequestAuthentication(spec) => policies::check_request_authentication(spec, &mut review),
        Body::AuthorizationPolicy(spec) => authorization::check(spec, &mut review),
        Body::Telemetry(spec) => telemetry::check(spec, &mut review),
        Body::EnvoyFilter(spec) => envoy_filter::check(spec, &mut review),
        _ => return Vec::new(),
    }
    reserved_annotations(&mut review);
    review.findings
}

/// Annotations that only the control plane itself may set, or that refuse everything.
const RESERVED: &[&str] =
    &["internal.istio.io/parents", "internal.istio.io/parent-namespace", "internal.istio.io/webhook-always-reject"];

fn reserved_annotations(review: &mut Review<'_>) {
    let object = review.object;
    for (key, value) in &object.meta.annotations.0 {
        if RESERVED.contains(&key.value.as_str()) {
            review.reject(key.span, format!("annotation `{}` is reserved for the control plane", key.value));
        }
        if key.value == "istio.io/dry-run" {
            dry_run(value, review);
        }
    }
}

fn dry_run(value: &Spanned<String>, review: &mut Review<'_>) {
    let Body::AuthorizationPolicy(policy) = &review.object.body else {
        review.reject(value.span, "annotation `istio.io/dry-run` is for AuthorizationPolicies only");
        return;
    };
    let action = policy.action.as_ref().map_or("ALLOW", |a| a.value.as_str());
    review.require(matches!(action, "ALLOW" | "DENY"), value.span, "dry-run is possible with ALLOW and DENY only");
    let boolean = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
    review.require(boolean.contains(&value.value.as_str()), value.span, format!("`{}` is not a boolean", value.value));
}

/// The objects that the webhook accepts, and what it says about all of them.
#[must_use]
pub fn admit(objects: &Objects, profile: &Profile) -> (Objects, Vec<Diagnostic>) {
    let mut admitted = objects.clone();
    let mut findings = Vec::new();
    admitted.items.retain(|object| {
        let said = review(object, profile);
        let accepted = said.iter().all(|finding| finding.code != Code::RejectedObject);
        findings.extend(said);
        accepted
    });
    (admitted, findings)
}
