//! Findings: what is wrong or worth knowing about the user's files, and where.
//!
//! A [`Diagnostic`] is data; `report` draws it. Every kind of finding has one row in the table of
//! `codes!` below: a stable code, the name it is selected by, its severity and, where `istioctl
//! analyze` or Kiali report the same thing, their code as a cross-reference.

mod explanation;
mod fix;

use crate::source::Span;
pub use explanation::{Example, Explanation};
pub use fix::{Edit, Fix, Patch, joined, patched};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Accepted, and probably not what was meant.
    Warning,
    /// Rejected by the mesh, or traffic fails.
    Error,
}

impl Severity {
    /// The word findings print.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A place with a few words about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is to be seen there; may be empty.
    pub text: String,
}

/// The object a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Kind, such as `VirtualService`.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding.
    pub code: Code,
    /// How bad; usually [`Code::severity`].
    pub severity: Severity,
    /// What is wrong, in one lower-case sentence without a full stop; names in backticks.
    pub message: String,
    /// Where; `None` only for findings about the whole input.
    pub primary: Option<Label>,
    /// Other places that matter.
    pub secondary: Vec<Label>,
    /// What it does to traffic.
    pub effect: Option<String>,
    /// What to try.
    pub help: Option<String>,
    /// The object it is about.
    pub object: Option<ObjectRef>,
    /// What settles it, if that can be said as a change of the text.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A finding of this kind with the kind's usual severity.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            effect: None,
            help: None,
            object: None,
            fix: None,
        }
    }

    /// The same finding, pointing at `span`.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        self.labelled(span, "")
    }

    /// The same finding, pointing at `span` with a few words beside it.
    #[must_use]
    pub fn labelled(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = span.is_somewhere().then(|| Label { span, text: text.into() });
        self
    }

    /// The same finding with another place that matters.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        if span.is_somewhere() {
            self.secondary.push(Label { span, text: text.into() });
        }
        self
    }

    /// The same finding with its effect on traffic.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// The same finding with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding about this object.
    #[must_use]
    pub fn about(mut self, object: ObjectRef) -> Self {
        self.object = Some(object);
        self
    }

    /// The same finding with a change that settles it.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// The findings without those of the webhook that repeat what the schema says at the same place.
#[must_use]
pub fn without_repeats(findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let schema = [Code::SchemaRule, Code::MissingField, Code::WrongType, Code::InvalidValue];
    let places: std::collections::BTreeSet<Span> = findings
        .iter()
        .filter(|finding| schema.contains(&finding.code))
        .filter_map(|finding| finding.primary.as_ref().map(|label| label.span))
        .collect();
    let repeats = |finding: &Diagnostic| {
        finding.code == Code::RejectedObject && finding.primary.as_ref().is_some_and(|label| places.contains(&label.span))
    };
    findings.into_iter().filter(|finding| !repeats(finding)).collect()
}

/// Declares the table of codes: variant, stable code, selectable name, severity, IST
/// cross-references, Kiali's if there are any, one sentence.
macro_rules! codes {
    ($($variant:ident $code:literal $name:literal $severity:ident [$($ist:literal),*] $(kia [$($kia:literal),*])? $summary:literal;)*) => {
        /// The kinds of findings. Codes are stable; retired ones are not reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// All kinds, in the order of their codes.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The stable code, such as `MSH0101`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// The name in words, such as `unknown-field`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The usual severity.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)* }
            }

            /// The codes of `istioctl analyze` for the same thing.
            #[must_use]
            pub const fn ist(self) -> &'static [&'static str] {
                match self { $(Code::$variant => &[$($ist),*],)* }
            }

            /// Kiali's codes for the same thing.
            #[must_use]
            pub const fn kia(self) -> &'static [&'static str] {
                match self { $(Code::$variant => &[$($($kia),*)?],)* }
            }

            /// What the finding means, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Code::$variant => $summary,)* }
            }
        }
    };
}

// MSH00xx reading, MSH01xx schema, MSH02xx validation, MSH03xx references and meaning,
// MSH04xx scenarios, MSH05xx not modelled, MSH06xx analysis.
codes! {
    YamlSyntax "MSH0001" "yaml-syntax" Error ["IST0106"] "A document is not well-formed YAML; it is left out, the others are read.";
    YamlDuplicateKey "MSH0002" "yaml-duplicate-key" Error [] "A mapping has the same key twice; strict clients refuse it, others keep the last.";
    YamlTooBig "MSH0003" "yaml-too-big" Error [] "A document expands or nests beyond the limits; it is left out.";
    UnrenderedTemplate "MSH0004" "unrendered-template" Error [] "The file is a template that has not been rendered.";
    NotYaml "MSH0005" "not-yaml" Error [] "The file is not text in UTF-8.";
    NoDocuments "MSH0006" "no-documents" Warning [] "The input has no document.";
    NotAnObject "MSH0101" "not-an-object" Error ["IST0106"] "A document is no Kubernetes object: `apiVersion`, `kind` or `metadata.name` is missing.";
    UnknownKind "MSH0102" "unknown-kind" Note [] "Objects of kinds that do not concern traffic routing; they are ignored.";
    UnknownField "MSH0103" "unknown-field" Warning ["IST0106"] "A field that its kind does not have; strict clients refuse it, others drop it silently.";
    WrongType "MSH0104" "wrong-type" Error ["IST0106"] "A value has a type that the API server refuses.";
    MissingField "MSH0105" "missing-field" Error ["IST0106"] "A required field is absent.";
    InvalidValue "MSH0106" "invalid-value" Error ["IST0106"] "A value is outside of what its field may hold.";
    UnservedVersion "MSH0107" "unserved-version" Warning [] "The API version of an object is not served by current clusters.";
    DuplicateObject "MSH0108" "duplicate-object" Warning [] "Two documents define the same object; the later one replaces the earlier.";
    NoSuchKind "MSH0109" "no-such-kind" Error [] "An API group does not have a kind; the object is left out.";
    SchemaRule "MSH0110" "schema-rule" Error ["IST0106"] "The API server's schema refuses the value.";
    RejectedObject "MSH0201" "rejected-object" Error ["IST0106"] "Istio's admission webhook refuses the object, so it is no part of the mesh.";
    AdmissionWarning "MSH0202" "admission-warning" Warning ["IST0133"] "Istio's admission webhook accepts the object with a warning.";
    RedundantRule "MSH0203" "redundant-rule" Warning ["IST0130"] "A rule that istiod's webhook knows to be unused.";
    RedundantMatch "MSH0204" "redundant-match" Note ["IST0131"] "A match that istiod's webhook knows to be unused.";
    UndefinedSubset "MSH0301" "undefined-subset" Error ["IST0101"] kia ["KIA1107"] "A route names a subset that no DestinationRule defines.";
    UndefinedHost "MSH0302" "undefined-host" Error ["IST0101"] kia ["KIA1101"] "A route names a host that is not in the registry.";
    UndefinedGateway "MSH0303" "undefined-gateway" Error ["IST0101", "IST0132"] kia ["KIA1102"] "A VirtualService names a Gateway that does not exist.";
    UndefinedPort "MSH0304" "undefined-port" Error ["IST0101"] "A route names a port that the destination does not have.";
    EmptySubset "MSH0305" "empty-subset" Warning ["IST0173"] kia ["KIA0203"] "A subset selects no endpoint.";
    ConflictingHost "MSH0306" "conflicting-host" Warning ["IST0109"] kia ["KIA1106"] "Several VirtualServices claim one host in the mesh; only one of them is used.";
    UnreachableRule "MSH0307" "unreachable-rule" Warning ["IST0130"] "A rule that no request can reach.";
    UnselectedGateway "MSH0308" "unselected-gateway" Error ["IST0101"] kia ["KIA0302"] "A Gateway selects no workload.";
    ConflictingServer "MSH0309" "conflicting-server" Warning ["IST0145"] kia ["KIA0301"] "A server of a Gateway cannot stand beside an older one on its port; it is left out.";
    InvalidBackEnd "MSH0310" "invalid-back-end" Error [] kia ["KIA1402"] "A Gateway API route has a back end or filter that Istio does not take; the whole route is left out.";
    RefusedListener "MSH0311" "refused-listener" Error [] "The proxy refuses to load a listener because two of its filter chains match the same connections.";
    ReservedName "MSH0312" "reserved-name" Error [] "An object has a name that means something else in rules.";
    CompetingCatchAll "MSH0313" "competing-catch-all" Warning [] "Several VirtualServices take every request for one host at one gateway; only one of them is used.";
    AssumedGateway "MSH0330" "assumed-gateway" Note [] "A Gateway selects no workload of the input, so the gateway that Istio would have installed is assumed.";
    ConflictingService "MSH0331" "conflicting-service" Warning [] "Several services claim one host; each client uses only one of them.";
    ServiceWithoutPods "MSH0332" "service-without-pods" Warning [] "The selector of a Service matches no pod of the input.";
    UnknownTargetPort "MSH0333" "unknown-target-port" Warning [] "A Service names a target port that no container of its pods declares.";
    RuleWithoutHost "MSH0334" "rule-without-host" Note ["IST0174"] kia ["KIA0202"] "A DestinationRule is for a host that is not in the registry; it has no effect.";
    DuplicateSubset "MSH0335" "duplicate-subset" Warning [] kia ["KIA0201"] "Several DestinationRules for one host define the same subset; only the oldest counts.";
    IgnoredCredential "MSH0336" "ignored-credential" Warning [] "A DestinationRule names a secret that sidecars may not read, so they send plaintext.";
    ScenarioInvalid "MSH0401" "scenario-invalid" Error [] "A scenario asks for something that cannot be simulated.";
    ScenarioReference "MSH0402" "scenario-reference" Error [] "A scenario names something that does not exist.";
    ScenarioUnused "MSH0403" "scenario-unused" Warning [] "A part of a scenario has no effect.";
    TestInvalid "MSH0410" "test-invalid" Error [] "A routing test asks for something that cannot be tested.";
    TestUndecided "MSH0411" "test-undecided" Warning [] "A rule has a condition that the format of a test cannot ask for.";
    UnreadableLogLine "MSH0420" "unreadable-log-line" Warning [] "A line of an access log is in no format that is known.";
    InvalidInvariant "MSH0421" "invalid-invariant" Error [] "An invariant says something that has no meaning.";
    NotModelled "MSH0501" "not-modelled" Warning [] "A field or object that the mesh honours and this program does not; the result may differ.";
    UnknownDelegate "MSH0601" "unknown-delegate" Error [] "A rule delegates to a VirtualService that does not exist.";
    HostNotOnGateway "MSH0602" "host-not-on-gateway" Warning ["IST0132"] "No server of a Gateway is for the hosts of a VirtualService bound to it.";
    InternalGateway "MSH0603" "internal-gateway" Warning ["IST0165"] "A VirtualService names a Gateway that Istio makes for itself.";
    UnknownSecret "MSH0604" "unknown-secret" Error ["IST0101"] "A Gateway names a Secret that does not exist where its pods are.";
    InvalidCredential "MSH0605" "invalid-credential" Error ["IST0161"] "A Gateway's Secret holds no certificate.";
    UnknownNamespace "MSH0606" "unknown-namespace" Error ["IST0101"] kia ["KIA0101"] "A policy names a namespace that does not exist.";
    UnmatchedSelector "MSH0607" "unmatched-selector" Error ["IST0101"] kia ["KIA0004"] "A selector finds no pod.";
    UnmatchedPolicy "MSH0608" "unmatched-policy" Warning ["IST0127"] kia ["KIA0004"] "A policy's selector finds no pod.";
    UnstatedPort "MSH0609" "unstated-port" Warning ["IST0112"] "A destination names none of its service's ports.";
    UnexposedServer "MSH0610" "unexposed-server" Warning ["IST0162"] "A Gateway has a server on a port that no Service of its pods has.";
    ConflictingSidecars "MSH0611" "conflicting-sidecars" Error ["IST0110"] kia ["KIA0003"] "Several Sidecars select the same pods.";
    SeveralDefaultSidecars "MSH0612" "several-default-sidecars" Error ["IST0111"] kia ["KIA0002"] "A namespace has several Sidecars without selector.";
    SharedCertificate "MSH0613" "shared-certificate" Warning ["IST0138"] "Several Gateways of the same pods have one certificate.";
    ConflictingTelemetries "MSH0614" "conflicting-telemetries" Error ["IST0159"] kia ["KIA0003"] "Several Telemetries select the same pods.";
    SeveralDefaultTelemetries "MSH0615" "several-default-telemetries" Error ["IST0160"] kia ["KIA0002"] "A namespace has several Telemetries without selector.";
    ConflictingProtocol "MSH0616" "conflicting-protocol" Warning ["IST0177"] kia ["KIA1212"] "ServiceEntries give one port of one host different protocols.";
    UnclearPortName "MSH0617" "unclear-port-name" Note ["IST0118"] kia ["KIA0601"] "The name of a port does not say its protocol.";
    ExternalNamePort "MSH0618" "external-name-port" Warning ["IST0150"] "A port of an ExternalName service is named for TCP.";
    UnaddressedPort "MSH0619" "unaddressed-port" Warning ["IST0134"] "A TCP port of a ServiceEntry has no address.";
    ConflictingTransport "MSH0620" "conflicting-transport" Warning ["IST0116"] "Services of one Deployment give one port different transport protocols.";
    ConflictingTarget "MSH0621" "conflicting-target" Warning ["IST0137"] "Services of one Deployment give one target port different numbers.";
    UnverifiedServer "MSH0622" "unverified-server" Warning ["IST0128"] "TLS towards a host does not say who vouches for the server.";
    UnverifiedServerPort "MSH0623" "unverified-server-port" Warning ["IST0129"] "TLS towards a port does not say who vouches for the server.";
    BypassedRules "MSH0624" "bypassed-rules" Warning ["IST0140"] "A gateway does not apply the rules of the host that it sends to.";
    Deprecated "MSH0625" "deprecated" Warning ["IST0002"] "A field is deprecated.";
    NamespaceNotInjected "MSH0626" "namespace-not-injected" Note ["IST0102"] "A namespace does not ask for sidecars.";
    InjectedByDefault "MSH0627" "injected-by-default" Note ["IST0148"] "A namespace gets sidecars because this Istio injects by default.";
    SeveralInjectionLabels "MSH0628" "several-injection-labels" Warning ["IST0123"] "A namespace has two labels about injection.";
    PodWithoutProxy "MSH0629" "pod-without-proxy" Warning ["IST0103"] "A pod has no sidecar although its namespace asks for one.";
    DifferentProxyImage "MSH0630" "different-proxy-image" Warning ["IST0158"] "Pods have another proxy than is injected now.";
    AutoImageNotInjected "MSH0631" "auto-image-not-injected" Warning ["IST0146"] "A proxy's image is left to an injector that does not take its pods.";
    AutoImagePod "MSH0632" "auto-image-pod" Error ["IST0147"] "A pod's proxy was never injected.";
    ProxyUser "MSH0633" "proxy-user" Warning ["IST0144"] "An application runs as the proxy's user.";
    UnknownAnnotation "MSH0634" "unknown-annotation" Warning ["IST0108"] "Istio has no such annotation.";
    MisplacedAnnotation "MSH0635" "misplaced-annotation" Warning ["IST0107"] "An annotation has no effect on this kind of object.";
    InvalidAnnotation "MSH0636" "invalid-annotation" Warning ["IST0125"] "The value of an annotation is wrong.";
    DeprecatedAnnotation "MSH0637" "deprecated-annotation" Note ["IST0135"] "An annotation is deprecated.";
    IneffectiveSelector "MSH0638" "ineffective-selector" Warning ["IST0166"] "A selector means pods that policies are attached to otherwise.";
    NoTelemetryProvider "MSH0639" "no-telemetry-provider" Warning ["IST0157"] "A Telemetry names no provider.";
    UncheckedClaim "MSH0640" "unchecked-claim" Error ["IST0149"] "A rule asks for a claim of a token that nobody checks.";
    RelativePatch "MSH0641" "relative-patch" Warning ["IST0151"] "A patch depends on what other EnvoyFilters did before.";
    MisusedReplace "MSH0642" "misused-replace" Error ["IST0152"] "REPLACE has no effect where it is.";
    MisusedAdd "MSH0643" "misused-add" Error ["IST0153"] "ADD has no effect where it is.";
    MisusedRemove "MSH0644" "misused-remove" Error ["IST0154"] "REMOVE has no effect where it is.";
    RelativePatchOfVersion "MSH0645" "relative-patch-of-version" Warning ["IST0155"] "A patch depends on what other EnvoyFilters did before, and on the proxy's release.";
    InvalidWebhook "MSH0646" "invalid-webhook" Error ["IST0139"] "A webhook's Service does not exist.";
    InvalidControlPlaneAddress "MSH0647" "invalid-control-plane-address" Warning ["IST0163"] "A webhook has no usable address of the control plane.";
    ControlPlaneIp "MSH0648" "control-plane-ip" Note ["IST0164"] "A webhook names the control plane by address.";
    UnrestrictedJwks "MSH0649" "unrestricted-jwks" Warning ["IST0175"] "istiod fetches keys from any address.";
    OldGatewayApi "MSH0650" "old-gateway-api" Warning ["IST0176"] "A definition of the Gateway API is too old.";
    NegativeCondition "MSH0651" "negative-condition" Warning ["IST0171"] "The cluster says that something is wrong with an object.";
    CoveredMatch "MSH0660" "covered-match" Warning [] "An earlier match takes every request from this one.";
    UnknownRuleHost "MSH0661" "unknown-rule-host" Warning [] kia ["KIA1101"] "A rule is for a host that no service has.";
    RulesWithoutHttp "MSH0662" "rules-without-http" Warning [] "HTTP rules are for a service without HTTP ports.";
    PlaintextToStrict "MSH0663" "plaintext-to-strict" Error [] kia ["KIA0204"] "Clients send plaintext to servers that take mutual TLS only.";
    UnknownExportTarget "MSH0664" "unknown-export-target" Warning [] kia ["KIA0005"] "An object is exported to a namespace that does not exist.";
    NeverMatchingMethod "MSH0665" "never-matching-method" Warning [] kia ["KIA0102"] "A policy names a method in lower case.";
    UnusedPortException "MSH0666" "unused-port-exception" Warning [] "A policy has an exception for a port that its workloads do not have.";
    UnknownPrincipal "MSH0667" "unknown-principal" Note [] kia ["KIA0106"] "A policy names a service account that runs nothing.";
    UnattachedRoute "MSH0668" "unattached-route" Warning [] kia ["KIA1401"] "A route of the Gateway API does not fit its parent.";
    RepeatedRouteMatch "MSH0669" "repeated-route-match" Warning [] "An older route has the same match for the same hostname.";
    UnknownBackEnd "MSH0670" "unknown-back-end" Warning [] kia ["KIA1402"] "A route of the Gateway API names a back end that it cannot use.";
    WeightlessRule "MSH0671" "weightless-rule" Warning [] "All back ends of a rule have weight 0.";
    UnmetPort "MSH0672" "unmet-port" Warning [] "A match is for a port that none of the rule's hosts has.";
    EmptyAbort "MSH0673" "empty-abort" Warning [] "A fault aborts requests with no status, which does nothing.";
    ShutTcpPort "MSH0674" "shut-tcp-port" Warning [] "Every rule that would allow connections to a TCP port needs HTTP, so the port is shut.";
    IdentityInClear "MSH0675" "identity-in-clear" Warning [] "A rule asks for an identity where mutual TLS is off.";
    UnknownAuthorizer "MSH0676" "unknown-authorizer" Warning [] "A policy's external authorizer cannot be asked, so what its rules match is denied.";
    RepeatedServer "MSH0677" "repeated-server" Warning ["IST0145"] "Two Gateways of the same pods have one host on one port.";
    ImpossibleMatch "MSH0680" "impossible-match" Warning [] "The conditions of a match exclude each other.";
    UndecidedMatch "MSH0681" "undecided-match" Note [] "It is not decided whether a request gets to a match.";
    AccidentalOr "MSH0682" "accidental-or" Warning [] "A match list has a dash too many: its items are alternatives, and one of them alone takes nearly everything.";
    PerTryAboveTimeout "MSH0683" "per-try-above-timeout" Warning [] "The timeout of each try is not below the route's timeout, so no try is ever given up.";
    RetriesCutShort "MSH0684" "retries-cut-short" Note [] "The route's timeout ends before all tries have had their time.";
    IdleFault "MSH0685" "idle-fault" Warning [] "A fault is for no request at all.";
    FaultBeforeRetries "MSH0686" "fault-before-retries" Note [] "Faults are injected before timeouts and retries begin, which do not see them.";
    SplitOntoOneVersion "MSH0687" "split-onto-one-version" Warning [] kia ["KIA1105"] "Weights split traffic between destinations that are the same endpoints.";
    GatewayOnlySplit "MSH0688" "gateway-only-split" Note [] "Weights apply at a gateway only; clients in the mesh are split by the number of endpoints.";
    HashAcrossVersions "MSH0689" "hash-across-versions" Note [] "A consistent hash keeps a client on an endpoint, but weights draw its version anew for each request.";
    RedirectLoop "MSH0690" "redirect-loop" Warning [] "A redirect leads to where it came from.";
    LooseDot "MSH0691" "loose-dot" Note [] "A dot in a regular expression for a host stands for any character.";
    PlainRegex "MSH0692" "plain-regex" Note [] "A regular expression matches one text only; it is no prefix.";
    EmptyDestination "MSH0693" "empty-destination" Warning [] "A route sends to a Service that selects no pod.";
    UnusedSuppression "MSH0701" "unused-suppression" Warning [] "A comment or annotation suppresses nothing.";
    UnknownSuppression "MSH0702" "unknown-suppression" Warning [] "A comment suppresses findings by a word that is no code.";
    RepeatedSuppression "MSH0703" "repeated-suppression" Note [] "A finding is suppressed twice; one of the two can go.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_ascending() {
        let ids: Vec<_> = Code::ALL.iter().map(|c| c.id()).collect();
        assert!(ids.windows(2).all(|w| w[0] < w[1]), "{ids:?}");
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ids.len());
    }
}
