//! Which pods are in the mesh, and with which proxy.

use super::input::{Input, PodView, entry, finding, items, labels_at, node_at, selects, string_at, text};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::resource::kubernetes::PodSpec;
use crate::resource::meta::ObjectMeta;
use crate::resource::{Body, Object};
use crate::source::{Span, Spanned};

const PROXY: &str = "istio-proxy";
const INJECTION: &str = "istio-injection";
const DATAPLANE: &str = "istio.io/dataplane-mode";
const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";
const INJECTOR: &str = "istio-sidecar-injector";

/// Namespaces of the cluster itself.
pub(super) fn is_system(namespace: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease" | "local-path-storage")
}

/// Whether pods of a workload are in the mesh, judged by the label of the namespace and their own.
pub(super) fn is_injected(input: &Input<'_>, namespace: &str, pod: &ObjectMeta) -> bool {
    match entry(&pod.labels, INJECT) {
        "" => is_enabled(input, namespace),
        wish => wish == "true",
    }
}

fn is_enabled(input: &Input<'_>, namespace: &str) -> bool {
    input.namespace(namespace).is_some_and(|object| entry(&object.meta.labels, INJECTION) == "enabled")
}

/// The values that the injector of a revision was installed with.
fn values(input: &Input<'_>, revision: &str) -> Option<serde_json::Value> {
    let name = if revision.is_empty() { INJECTOR.to_owned() } else { format!("{INJECTOR}-{revision}") };
    let map = input.config_maps().find(|map| map.object.name == name && map.object.namespace == input.root_namespace)?;
    serde_json::from_str(&map.spec.data.get("values")?.value).ok()
}

/// Namespaces without injection (`injection.Analyzer`, IST0102), with injection by default (IST0148),
/// and with two labels about it (IST0123).
pub(super) fn namespaces(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let by_default =
        values(input, "").is_some_and(|values| values["sidecarInjectorWebhook"]["enableNamespacesByDefault"] == true);
    for namespace in input.namespaces() {
        let object = namespace.object;
        if is_system(&object.name) || object.name == input.root_namespace {
            continue;
        }
        let labels = &object.meta.labels;
        several_labels(object, found);
        if entry(labels, DATAPLANE) == "ambient" {
            continue;
        }
        // An empty label asks for nothing.
        match (labels.get(INJECTION).filter(|value| !value.is_empty()), labels.get(REVISION)) {
            (None, None) if by_default => found.push(
                finding(Code::InjectedByDefault, object, Span::NOWHERE, "pods get sidecars, as this Istio injects by default")
                    .help(format!("label the namespace `{INJECTION}=disabled` to keep it out of the mesh")),
            ),
            (None, None) => found.push(
                finding(Code::NamespaceNotInjected, object, Span::NOWHERE, "pods get no sidecars, as no label asks for them")
                    .help(format!("label the namespace `{INJECTION}=enabled`, or `disabled` to say that this is meant")),
            ),
            _ => {}
        }
    }
}

/// Labels that ask for different data planes; `istio-injection: disabled` silences the others.
fn several_labels(namespace: &Object, found: &mut Vec<Diagnostic>) {
    let labels = &namespace.meta.labels;
    let injection = labels.get(INJECTION);
    if injection.is_some_and(|value| value.value != "enabled") {
        return;
    }
    let given: Vec<(&str, &Spanned<String>)> =
        [INJECTION, REVISION, DATAPLANE].into_iter().filter_map(|label| Some((label, labels.get(label)?))).collect();
    let [(first, value), (second, other), ..] = given.as_slice() else { return };
    let effect = match injection {
        Some(_) => format!("`{INJECTION}` wins"),
        None => "what happens is not defined".to_owned(),
    };
    let message = format!("`{first}` and `{second}` both say how pods join the mesh");
    found.push(
        finding(Code::SeveralInjectionLabels, namespace, value.span, message).also(other.span, "the other label").effect(effect),
    );
}

/// Pods without sidecar where every pod should have one (`injection.Analyzer`, IST0103).
pub(super) fn pods(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for pod in input.pods() {
        let Body::Pod(written) = &pod.object.body else { continue };
        let meta = pod.meta;
        let refuses = [&meta.labels, &meta.annotations].iter().any(|map| entry(map, INJECT).eq_ignore_ascii_case("false"));
        if refuses
            || pod.spec.host_network == Some(true)
            || proxy_image(pod.spec).is_some()
            || !is_enabled(input, pod.namespace())
        {
            continue;
        }
        let mut diagnostic =
            finding(Code::PodWithoutProxy, pod.object, Span::NOWHERE, "the pod has no sidecar, and its namespace asks for one")
                .effect("if it runs like this, it is not in the mesh")
                .help("sidecars are injected when pods are made: delete the pod so that its workload makes a new one");
        if written.status.phase.is_none() {
            diagnostic.severity = Severity::Note;
        }
        found.push(diagnostic);
    }
}

fn proxy_image(spec: &PodSpec) -> Option<&str> {
    let proxy = spec.containers.iter().chain(&spec.init_containers).find(|container| text(container.name.as_ref()) == PROXY)?;
    Some(text(proxy.image.as_ref()))
}

/// Pods whose proxy is not the one that the injector would give them now
/// (`injection.ImageAnalyzer`, IST0158), one finding for each namespace.
pub(super) fn images(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for namespace in input.namespaces() {
        let object = namespace.object;
        let revision = match entry(&object.meta.labels, INJECTION) {
            "enabled" => "",
            "" => entry(&object.meta.labels, REVISION),
            _ => continue,
        };
        if revision.is_empty() && entry(&object.meta.labels, INJECTION).is_empty() {
            continue;
        }
        let Some(image) = values(input, revision).as_ref().and_then(injected_image) else { continue };
        let differs = |pod: &&PodView<'_>| {
            matches!(pod.object.body, Body::Pod(_))
                && pod.namespace() == object.name
                && entry(&pod.meta.annotations, "sidecar.istio.io/proxyImage").is_empty()
                && proxy_image(pod.spec).is_some_and(|own| own != image && own != "auto")
        };
        let mut names: Vec<&str> = input.pods().iter().filter(differs).map(|pod| pod.object.name.as_str()).collect();
        names.sort_unstable();
        if !names.is_empty() {
            let message = format!("the proxies of `{}` are not `{image}`, which is injected now", names.join("`, `"));
            found.push(
                finding(Code::DifferentProxyImage, object, Span::NOWHERE, message)
                    .effect("they behave like the release they were made with")
                    .help("restart their workloads"),
            );
        }
    }
}

fn injected_image(values: &serde_json::Value) -> Option<String> {
    let global = &values["global"];
    let image = global["proxy"]["image"].as_str()?;
    if image.contains('/') {
        return Some(image.to_owned());
    }
    Some(format!("{}/{image}:{}", global["hub"].as_str()?, global["tag"].as_str()?))
}

fn has_auto_image(spec: &PodSpec) -> bool {
    proxy_image(spec) == Some("auto")
}

/// Proxies with image `auto` that nobody injects (`injection.ImageAutoAnalyzer`, IST0146 for
/// Deployments, IST0147 for Pods).
pub(super) fn auto_images(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for pod in input.pods().iter().filter(|pod| has_auto_image(pod.spec)) {
        match &pod.object.body {
            Body::Pod(_) => found.push(
                finding(Code::AutoImagePod, pod.object, Span::NOWHERE, "the pod's proxy has the image `auto`")
                    .effect("`auto` is no image, and a pod that is there is not injected any more")
                    .help("delete the pod so that its workload makes a new one"),
            ),
            Body::Deployment(_) => {
                let Some(namespace) = input.namespace(&pod.object.namespace) else { continue };
                if is_webhook_asked(input, namespace, pod.meta) {
                    continue;
                }
                let mut diagnostic = finding(
                    Code::AutoImageNotInjected,
                    pod.object,
                    Span::NOWHERE,
                    "the proxy's image is `auto`, and no injector of the input takes these pods",
                )
                .effect("`auto` is no image, so the pods do not start")
                .help("label the namespace or the pods so that they are injected");
                if input.mutating_webhooks().next().is_none() && is_injected(input, &namespace.name, pod.meta) {
                    diagnostic.severity = Severity::Note;
                }
                found.push(diagnostic);
            }
            _ => {}
        }
    }
}

fn is_webhook_asked(input: &Input<'_>, namespace: &Object, pod: &ObjectMeta) -> bool {
    let istios = input.mutating_webhooks().flat_map(|item| &item.spec.webhooks);
    istios.filter(|webhook| string_at(webhook, &["name"]).ends_with("istio.io")).any(|webhook| {
        matches_selector(webhook.get("namespaceSelector"), &namespace.meta.labels)
            && matches_selector(webhook.get("objectSelector"), &pod.labels)
    })
}

/// A Kubernetes label selector in a part of an object that is kept as it is.
fn matches_selector(selector: Option<&crate::yaml::Node>, labels: &super::input::Labels) -> bool {
    let Some(selector) = selector else { return true };
    let requirements = items(selector.get("matchExpressions"));
    selects(&labels_at(selector, &["matchLabels"]), labels)
        && requirements.iter().all(|requirement| {
            let own = labels.get(string_at(requirement, &["key"])).map(|value| value.value.as_str());
            let listed = || own.is_some_and(|own| items(requirement.get("values")).iter().any(|value| value.text() == Some(own)));
            match string_at(requirement, &["operator"]) {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => own.is_some(),
                "DoesNotExist" => own.is_none(),
                _ => false,
            }
        })
}

/// Applications that run as the proxy's user (`deployment.ApplicationUIDAnalyzer`, IST0144): their
/// traffic passes by the sidecar.
pub(super) fn users(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for pod in input.pods().iter().filter(|pod| matches!(pod.object.body, Body::Pod(_) | Body::Deployment(_))) {
        let own = pod.spec.containers.iter().filter(|container| text(container.name.as_ref()) != PROXY);
        let contexts = pod.spec.security_context.iter().chain(own.filter_map(|container| container.security_context.as_ref()));
        let proxys = contexts.filter_map(|context| node_at(context, &["runAsUser"])).find(|user| user.text() == Some("1337"));
        if let Some(user) = proxys {
            found.push(
                finding(Code::ProxyUser, pod.object, user.span, "the application runs as user 1337, which is the proxy's")
                    .effect("its traffic is not redirected to the sidecar"),
            );
        }
    }
}
