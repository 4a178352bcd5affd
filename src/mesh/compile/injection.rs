//! Which pods have a sidecar (Istio: `injectRequired` of the injection webhook).

use rustc_hash::FxHashMap;

use super::context::Context;
use crate::resource::meta::ObjectMeta;

/// Label (formerly annotation) of a pod that asks for a sidecar or refuses it.
const INJECT: &str = "sidecar.istio.io/inject";

/// Annotation that names what is injected; `gateway` makes the pod a gateway.
const TEMPLATES: &str = "inject.istio.io/templates";

/// Label that picks a revision of Istio, and so asks for a sidecar.
const REVISION: &str = "istio.io/rev";

/// Namespaces that the webhook never touches.
const IGNORED_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// What the namespaces of the input say about injection.
#[derive(Debug)]
pub(super) struct Injection {
    root_namespace: String,
    namespaces: FxHashMap<String, Policy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Every pod that does not refuse.
    Enabled,
    /// No pod.
    Disabled,
    /// Pods that ask.
    OnDemand,
}

impl Injection {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        let namespaces =
            cx.namespaces.iter().map(|item| (item.object.name.clone(), namespace_policy(&item.object.meta))).collect();
        Injection { root_namespace: cx.root_namespace().to_owned(), namespaces }
    }

    /// Whether a pod gets a sidecar. A namespace that is not in the input is taken for one with
    /// injection: files of applications seldom hold their Namespace.
    pub(super) fn applies(&self, namespace: &str, pod: &ObjectMeta, host_network: bool) -> bool {
        if host_network || IGNORED_NAMESPACES.contains(&namespace) {
            return false;
        }
        let policy = match self.namespaces.get(namespace) {
            Some(policy) => *policy,
            None if namespace == self.root_namespace => Policy::OnDemand,
            None => Policy::Enabled,
        };
        let asks = wish(pod).or_else(|| pod.labels.get(REVISION).map(|_| true));
        match policy {
            Policy::Disabled => false,
            Policy::Enabled => asks != Some(false),
            Policy::OnDemand => asks == Some(true),
        }
    }
}

fn namespace_policy(meta: &ObjectMeta) -> Policy {
    match meta.labels.get("istio-injection").map(|l| l.value.as_str()) {
        Some("enabled") => Policy::Enabled,
        Some(_) => Policy::Disabled,
        None if meta.labels.get(REVISION).is_some() => Policy::Enabled,
        None => Policy::OnDemand,
    }
}

fn wish(pod: &ObjectMeta) -> Option<bool> {
    let word = pod.labels.get(INJECT).or_else(|| pod.annotations.get(INJECT))?;
    Some(matches!(word.value.to_lowercase().as_str(), "true" | "y" | "yes" | "on"))
}

/// Whether what is injected into a pod makes it a gateway.
pub(super) fn is_gateway_template(pod: &ObjectMeta) -> bool {
    let template = pod.annotations.get(TEMPLATES).or_else(|| pod.labels.get(TEMPLATES));
    template.is_some_and(|names| names.value.split(',').any(|name| name.trim() == "gateway"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Spanned;
    use crate::yaml::Map;

    fn map(pairs: &[(&str, &str)]) -> Map<Spanned<String>> {
        let made_up = |text: &str| Spanned::made_up(text.to_owned());
        Map(pairs.iter().map(|(key, value)| (made_up(key), made_up(value))).collect())
    }

    #[test]
    fn pods_overrule_namespaces_except_disabled_ones() {
        let meta = |labels: &[(&str, &str)]| ObjectMeta { labels: map(labels), ..ObjectMeta::default() };
        let namespaces = [
            ("on", meta(&[("istio-injection", "enabled")])),
            ("off", meta(&[("istio-injection", "disabled")])),
            ("revision", meta(&[("istio.io/rev", "stable")])),
            ("silent", meta(&[])),
        ];
        let injection = Injection {
            root_namespace: "istio-system".to_owned(),
            namespaces: namespaces.iter().map(|(name, meta)| ((*name).to_owned(), namespace_policy(meta))).collect(),
        };
        let (plain, yes, no) = (meta(&[]), meta(&[(INJECT, "true")]), meta(&[(INJECT, "false")]));
        for (namespace, of_plain, of_yes, of_no) in [
            ("on", true, true, false),
            ("off", false, false, false),
            ("revision", true, true, false),
            ("silent", false, true, false),
            ("absent", true, true, false),
            ("istio-system", false, true, false),
            ("kube-system", false, false, false),
        ] {
            assert_eq!(injection.applies(namespace, &plain, false), of_plain, "{namespace}");
            assert_eq!(injection.applies(namespace, &yes, false), of_yes, "{namespace} asking");
            assert_eq!(injection.applies(namespace, &no, false), of_no, "{namespace} refusing");
            assert!(!injection.applies(namespace, &yes, true), "{namespace} on the host network");
        }
        let annotated = ObjectMeta { annotations: map(&[(INJECT, "false")]), ..ObjectMeta::default() };
        assert!(!injection.applies("on", &annotated, false));
    }
}
