//! A case as something that can be acted out.

use serde_json::Value as Json;

use super::super::case::Case;
use crate::mesh::{Mesh, PodId};
use crate::resource::{Body, Objects};
use crate::scenario::Scenario;
use crate::sim::{Phase, Plan, PlanInput, Stage, Whereabouts};
use crate::time::{Duration, Instant};
use crate::workload::{Action, Behaviour, Course, ListedRequest, Sequence};

/// A case ready to be acted out.
pub(super) struct Staged {
    pub(super) plan: Plan,
    /// All endpoints, in the order of the case.
    pub(super) endpoints: Vec<Endpoint>,
}

/// An endpoint with its name in records.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Endpoint {
    /// `service.namespace`, or the first host of a ServiceEntry.
    pub(super) host: String,
    /// `host/version/ordinal`.
    pub(super) name: String,
    pub(super) whereabouts: Whereabouts,
    labels: Vec<(String, String)>,
}

/// Connections that break off in the middle of an answer do so this long after its headers.
const BREAKS_AFTER: Duration = Duration::from_millis(30);

/// More repetitions of a request than this are a slip of the pen, and would fill the memory.
const REPEAT_MAX: u64 = 100_000;

/// Makes a plan of a case.
pub(super) fn stage(case: &Case, objects: &Objects, mesh: Mesh) -> Staged {
    let endpoints = endpoints(case, objects, &mesh);
    let scenario = Scenario::default();
    let stages = [Stage { at: Instant::ZERO, mesh: std::sync::Arc::new(mesh) }];
    let input = PlanInput { scenario: &scenario, apps: &[], stages: &stages, phases: &[Phase::default()], changes: &[] };
    let (plan, _) = Plan::resolve(&input);
    let plan = plan.with_requests(&requests(case)).with_behaviours(behaviours(case, &endpoints));
    Staged { plan, endpoints }
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn millis(value: &Json) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

/// The requests of a case, each repetition by itself, in the order of their instants.
fn requests(case: &Case) -> Vec<ListedRequest> {
    let mut all = Vec::new();
    for (asked, written) in case.requests.iter().zip(list(&case.whole["requests"])) {
        let (first, every) = (millis(&written["at_ms"]), millis(&written["every_ms"]));
        for nth in 0..written["repeat"].as_u64().unwrap_or(1).min(REPEAT_MAX) {
            all.push(ListedRequest {
                at: Instant::ZERO + first.unwrap_or_default() + every.unwrap_or_default().times(nth),
                from: asked.from.clone(),
                name: asked.id.clone(),
                number: nth + 1,
                port: asked.dial.port,
                request: asked.request.clone(),
                body_bytes: written["body_bytes"].as_u64().unwrap_or(0),
                body_after: millis(&written["body_after_ms"]).unwrap_or_default(),
                abort_after: millis(&written["abort_after_ms"]),
                connection: written["conn"].as_str().map(str::to_owned),
            });
        }
    }
    all.sort_by_key(|request| request.at);
    all
}

/// The endpoints of all services: those that are described, then those of the objects.
fn endpoints(case: &Case, objects: &Objects, mesh: &Mesh) -> Vec<Endpoint> {
    let mut all = Vec::new();
    let mut add = |host: &str, whereabouts: Whereabouts, labels: &[(String, String)]| {
        let version = |labels: &[(String, String)]| {
            labels.iter().find(|(key, _)| key == "version").map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
        };
        if all.iter().any(|other: &Endpoint| other.host == host && other.whereabouts == whereabouts) {
            return;
        }
        let own = version(labels);
        let ordinal = all.iter().filter(|other: &&Endpoint| other.host == host && version(&other.labels) == own).count();
        all.push(Endpoint {
            host: host.to_owned(),
            name: format!("{host}/{own}/{ordinal}"),
            whereabouts,
            labels: labels.to_vec(),
        });
    };
    for (described, pods) in case.endpoints.iter().zip(&mesh.described) {
        for pod in pods {
            add(&described.service, Whereabouts::Pod(*pod), &described.labels);
        }
    }
    for object in &objects.items {
        let Body::ServiceEntry(entry) = &object.body else { continue };
        let Some(host) = entry.hosts.first().map(|host| host.value.as_str()) else { continue };
        for endpoint in &entry.endpoints {
            let address = endpoint.address.as_ref().map_or(host, |address| address.value.as_str());
            let labels: Vec<(String, String)> =
                endpoint.labels.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect();
            add(host, Whereabouts::Host(address.to_owned()), &labels);
        }
        match &entry.workload_selector {
            Some(selector) => {
                for (pod, labels) in selected(mesh, &object.namespace, selector) {
                    add(host, Whereabouts::Pod(pod), labels);
                }
            }
            None if entry.endpoints.is_empty() => {
                entry.hosts.iter().for_each(|own| add(host, Whereabouts::Host(own.value.clone()), &[]));
            }
            None => {}
        }
    }
    all
}

/// The pods that a ServiceEntry selects.
fn selected<'m>(
    mesh: &'m Mesh,
    namespace: &str,
    selector: &crate::resource::networking::LabelsOnlySelector,
) -> Vec<(PodId, &'m [(String, String)])> {
    let wanted: Vec<(&str, &str)> =
        selector.labels.0.iter().map(|(key, value)| (key.value.as_str(), value.value.as_str())).collect();
    let fits = |labels: &[(String, String)]| {
        wanted.iter().all(|(key, value)| labels.iter().any(|(known, own)| known == key && own == value))
    };
    let workloads = mesh.workloads.iter().filter(|workload| workload.namespace == namespace && fits(&workload.labels));
    workloads.flat_map(|workload| workload.pods.iter().map(|pod| (*pod, workload.labels.as_slice()))).collect()
}

/// What endpoints do. One that is not listed answers 200 at once, like all others.
fn behaviours(case: &Case, endpoints: &[Endpoint]) -> Vec<(Whereabouts, Behaviour)> {
    let mut all: Vec<(Whereabouts, Behaviour)> =
        endpoints.iter().map(|endpoint| (endpoint.whereabouts.clone(), Behaviour::default())).collect();
    for (host, items) in case.whole["upstreams"].as_object().into_iter().flatten() {
        for item in list(items) {
            let labels: Vec<(&str, &str)> = item["subset_labels"].as_object().map_or_else(Vec::new, |labels| {
                labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
            });
            let is_meant = |endpoint: &Endpoint| {
                let has = |(key, value): &(&str, &str)| endpoint.labels.iter().any(|(k, v)| k == key && v == value);
                endpoint.host == *host && labels.iter().all(has)
            };
            let meant = (0..endpoints.len()).filter(|index| is_meant(&endpoints[*index]));
            let ordinal = item["ordinal"].as_u64().and_then(|ordinal| usize::try_from(ordinal).ok());
            let chosen: Vec<usize> = match ordinal {
                Some(ordinal) => meant.skip(ordinal).take(1).collect(),
                None => meant.collect(),
            };
            for index in chosen {
                all[index].1 = behaviour(item);
            }
        }
    }
    all
}

fn behaviour(item: &Json) -> Behaviour {
    let paths = item["by_path"].as_object().into_iter().flatten();
    let instant = |value: &Json| Instant::ZERO + millis(value).unwrap_or_default();
    Behaviour {
        by_path: paths.map(|(path, value)| (path.clone(), sequence(value))).collect(),
        otherwise: if item["script"].is_null() && item["then"].is_null() { Sequence::default() } else { sequence(item) },
        down: list(&item["down"]).iter().map(|window| (instant(&window[0]), instant(&window[1]))).collect(),
    }
}

/// An action that is always done, or a script with what is done afterwards.
fn sequence(value: &Json) -> Sequence {
    if value["script"].is_null() && value["then"].is_null() {
        return Sequence { script: Vec::new(), then: action(value) };
    }
    let then = if value["then"].is_null() { Action::default() } else { action(&value["then"]) };
    Sequence { script: list(&value["script"]).iter().map(action).collect(), then }
}

fn action(value: &Json) -> Action {
    let is_set = |key: &str| value[key].as_bool() == Some(true);
    let breaks = |key: &str| !value[key].is_null() && value[key].as_bool() != Some(false);
    let course = if let Some(pause) = millis(&value["headers_then_stall_ms"]) {
        Course::Stalls(pause)
    } else if breaks("headers_then_reset") || breaks("headers_then_close") {
        Course::BreaksOff(BREAKS_AFTER)
    } else if is_set("reset") || is_set("close") {
        Course::HangsUp
    } else if is_set("garbage") {
        Course::Babbles
    } else if is_set("refuse") {
        Course::Refuses
    } else if is_set("blackhole") {
        Course::Ignores
    } else if is_set("close_after") {
        Course::AnswersAndCloses
    } else {
        Course::Answers
    };
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let headers = value["headers"].as_object().into_iter().flatten();
    let number = |value: &Json| value.as_u64().and_then(|status| u16::try_from(status).ok());
    Action {
        delay: millis(&value["delay_ms"]).unwrap_or_default(),
        informational: list(&value["informational"]).iter().filter_map(number).collect(),
        status: number(&value["status"]).unwrap_or(200),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect(),
        body_bytes: value["body_bytes"].as_u64().unwrap_or(Action::default().body_bytes),
        course,
    }
}
