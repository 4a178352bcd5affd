//! Runs a case and counts what agrees.

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::answer::{Answer, answer};
use super::case::{Case, CaseRequest};
use super::difference::{Difference, first, first_in_sets};
use super::policy::effective_policy;
use super::server::{policy_order, server_answer};
use super::timed;
use crate::analysis;
use crate::diagnostic::{Diagnostic, ObjectRef};
use crate::mesh::{Mesh, admission};
use crate::resource::{Body, Objects};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Requests.
    Requests,
    /// Effective cluster settings, and the authorization filters of servers.
    Policies,
    /// Verdicts of validation.
    Verdicts,
    /// Findings of `istioctl analyze`.
    Findings,
    /// Timed cases, each as a whole.
    Timed,
}

impl Aspect {
    /// All of them, in the order they are reported.
    pub const ALL: [Aspect; 5] = [Aspect::Requests, Aspect::Policies, Aspect::Verdicts, Aspect::Findings, Aspect::Timed];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Aspect::Requests => "requests",
            Aspect::Policies => "policies",
            Aspect::Verdicts => "verdicts",
            Aspect::Findings => "findings",
            Aspect::Timed => "cases",
        }
    }
}

/// How many agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// That agree.
    pub agree: usize,
    /// That were compared.
    pub total: usize,
}

impl Tally {
    fn count(&mut self, agrees: bool) {
        self.total += 1;
        self.agree += usize::from(agrees);
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.agree += other.agree;
        self.total += other.total;
    }
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// What was compared.
    pub aspect: Aspect,
    /// Group of the case.
    pub group: String,
    /// The case.
    pub case: String,
    /// Request, proxy and cluster, or object.
    pub item: String,
    /// The first differing field.
    pub difference: Difference,
}

/// The result of one or more cases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    /// Tallies by group; in the order of [`Aspect::ALL`].
    pub groups: IndexMap<String, [Tally; 5]>,
    /// What does not agree, in the order of cases.
    pub disagreements: Vec<Disagreement>,
}

impl Score {
    /// The sum over all groups.
    #[must_use]
    pub fn total(&self, aspect: Aspect) -> Tally {
        let mut sum = Tally::default();
        self.groups.values().for_each(|tallies| sum += tallies[aspect as usize]);
        sum
    }

    /// Whether everything agrees.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.disagreements.is_empty()
    }

    /// Adds the result of further cases.
    pub fn add(&mut self, other: Score) {
        for (group, tallies) in other.groups {
            let sums = self.groups.entry(group).or_default();
            sums.iter_mut().zip(tallies).for_each(|(sum, tally)| *sum += tally);
        }
        self.disagreements.extend(other.disagreements);
    }

    fn count(&mut self, case: &Case, aspect: Aspect, item: &str, difference: Option<Difference>) {
        self.groups.entry(case.group.clone()).or_default()[aspect as usize].count(difference.is_none());
        if let Some(difference) = difference {
            self.disagreements.push(Disagreement {
                aspect,
                group: case.group.clone(),
                case: case.name.clone(),
                item: item.to_owned(),
                difference,
            });
        }
    }
}

/// Whether a case is about time: its requests have instants.
fn is_timed(case: &Case) -> bool {
    case.whole["requests"].as_array().is_some_and(|requests| requests.iter().any(|request| !request["at_ms"].is_null()))
}

/// Runs one case. `aspects` says what is compared.
#[must_use]
pub fn run(case: &Case, aspects: &[Aspect]) -> Score {
    let mut score = Score::default();
    let (objects, mesh, findings) = case.compiled();
    score.groups.entry(case.group.clone()).or_default();
    for aspect in aspects {
        match aspect {
            Aspect::Requests => requests(case, &mesh, &mut score),
            Aspect::Policies => policies(case, &mesh, &mut score),
            Aspect::Verdicts => verdicts(case, &objects, &findings, &mut score),
            Aspect::Findings => {
                let all = analysis::analyze(&objects, &mesh, findings.clone());
                analyzer_findings(case, &objects, &all, &mut score);
            }
            Aspect::Timed => acted_out(case, &objects, &mesh, &mut score),
        }
    }
    score
}

/// A timed case agrees as a whole; every request and figure that does not is named.
fn acted_out(case: &Case, objects: &Objects, mesh: &Mesh, score: &mut Score) {
    if !is_timed(case) {
        return;
    }
    let wrong = timed::run(case, objects, mesh.clone());
    score.groups.entry(case.group.clone()).or_default()[Aspect::Timed as usize].count(wrong.is_empty());
    score.disagreements.extend(wrong.into_iter().map(|(item, difference)| Disagreement {
        aspect: Aspect::Timed,
        group: case.group.clone(),
        case: case.name.clone(),
        item,
        difference,
    }));
}

fn requests(case: &Case, mesh: &Mesh, score: &mut Score) {
    if is_timed(case) {
        return;
    }
    let Some(expected) = case.expect["requests"].as_object() else { return };
    for (id, record) in expected {
        let difference = match case.requests.iter().find(|request| request.id == *id) {
            Some(asked) if !asked.to.is_empty() => {
                let ours = server_answer(case, mesh, asked).unwrap_or(Json::Null);
                first("", &normal(record), &normal(&ours))
            }
            Some(asked) => request_difference(mesh, asked, record, Recorded::by(case)),
            None => Some(Difference::new("id", Some(&json!(id)), None)),
        };
        score.count(case, Aspect::Requests, id, difference);
    }
}

/// What the records of a group hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// HTTP; of other connections only the cluster, and TLS towards upstreams was off.
    Http,
    /// Everything about connections too.
    Connections,
}

impl Recorded {
    fn by(case: &Case) -> Self {
        if case.group == "tls" { Recorded::Connections } else { Recorded::Http }
    }
}

fn request_difference(mesh: &Mesh, asked: &CaseRequest, record: &Json, recorded: Recorded) -> Option<Difference> {
    let Some(proxy) = mesh.proxy_named(&asked.from) else {
        return Some(Difference::new("from", Some(&json!(asked.from)), None));
    };
    let mut ours = answer(mesh, proxy, asked);
    if recorded == Recorded::Http {
        leave_out_connections(&mut ours);
    }
    let (expected, seen) = without_outcomes(record);
    first("", &normal(&expected), &normal(&ours.record)).or_else(|| outcomes_difference(&seen, &ours))
}

fn leave_out_connections(ours: &mut Answer) {
    if let Some(fields) = ours.record.as_object_mut().filter(|fields| fields.contains_key("tcp")) {
        fields.retain(|field, _| field == "tcp");
    }
    for (outcome, _) in &mut ours.outcomes {
        if let Some(upstream) = outcome.get_mut("upstream").and_then(Json::as_object_mut) {
            upstream.shift_remove("tls");
        }
    }
}

/// An outcome rarer than this need not have been seen in the hundreds of tries of a record.
const SEEN_FOR_SURE: f64 = 0.02;

fn outcomes_difference(seen: &[Json], ours: &Answer) -> Option<Difference> {
    let records: Vec<Json> = ours.outcomes.iter().map(|(record, _)| record.clone()).collect();
    first_in_sets("outcomes", seen, &records, |index| ours.outcomes[index].1.as_f64() < SEEN_FOR_SURE)
}

fn without_outcomes(record: &Json) -> (Json, Vec<Json>) {
    let mut rest = record.clone();
    let outcomes = rest.as_object_mut().and_then(|fields| fields.shift_remove("outcomes"));
    (rest, outcomes.and_then(|outcomes| outcomes.as_array().cloned()).unwrap_or_default())
}

/// What tells nothing apart is made equal: `reset` and `closed` differ by unread bytes only, a lone
/// cluster may stand for its list, what the client saw on the wire is no decision, and a fault
/// without percentage never fires, as one of 0 % does.
fn normal(record: &Json) -> Json {
    let mut record = record.clone();
    let Some(fields) = record.as_object_mut() else { return record };
    if fields.shift_remove("reset").is_some() {
        fields.insert("closed".to_owned(), json!(true));
    }
    for wire in ["client_sees", "answer"] {
        fields.shift_remove(wire);
    }
    if let Some(Json::String(cluster)) = fields.get("tcp") {
        let clusters = json!({"clusters": {cluster: 100}});
        fields.insert("tcp".to_owned(), clusters);
    }
    for part in ["delay", "abort"] {
        if let Some(share) = fields.get_mut("fault").and_then(|fault| fault.get_mut(part)?.get_mut("per_million"))
            && share.is_null()
        {
            *share = json!(0);
        }
    }
    record
}

fn policies(case: &Case, mesh: &Mesh, score: &mut Score) {
    for (place, record) in case.expect["policy_order"].as_object().into_iter().flatten() {
        let ours = policy_order(case, mesh, place).unwrap_or(Json::Null);
        score.count(case, Aspect::Policies, place, first("", record, &ours));
    }
    for (proxy, clusters) in case.expect["policies"].as_object().into_iter().flatten() {
        for (cluster, record) in clusters.as_object().into_iter().flatten() {
            let ours =
                mesh.proxy_named(proxy).map_or(Json::Null, |id| effective_policy(mesh, &mesh.proxies[id.index()], cluster));
            score.count(case, Aspect::Policies, &format!("{proxy} {cluster}"), first("", record, &ours));
        }
    }
}

/// Each recorded verdict must be one of ours. A record of the schema alone says nothing of the
/// webhook, and the other way round.
fn verdicts(case: &Case, objects: &Objects, findings: &[Diagnostic], score: &mut Score) {
    for entry in case.expect["validation"].as_array().map_or(&[][..], Vec::as_slice) {
        let object = entry["object"].as_str().unwrap_or_default();
        let about = findings.iter().filter(|finding| names(finding.object.as_ref(), object));
        let reviewed = objects.items.iter().any(|o| names(Some(&o.reference()), object) && admission::is_reviewed(o));
        let ours: Vec<&str> = admission::verdicts(about, reviewed).into_iter().map(admission::Verdict::word).collect();
        let agreed = entry["verdict"].as_str().is_some_and(|verdict| ours.contains(&verdict));
        let difference = (!agreed).then(|| Difference::new("verdict", Some(&entry["verdict"]), Some(&json!(ours.join(" and ")))));
        score.count(case, Aspect::Verdicts, object, difference);
    }
}

fn names(found: Option<&ObjectRef>, wanted: &str) -> bool {
    let Some(found) = found else { return false };
    let parts: Vec<&str> = wanted.split('/').collect();
    match parts.as_slice() {
        [kind, name] => found.kind == *kind && found.name == *name,
        [kind, namespace, name] => found.kind == *kind && found.namespace == *namespace && found.name == *name,
        _ => false,
    }
}

fn analyzer_findings(case: &Case, objects: &Objects, findings: &[Diagnostic], score: &mut Score) {
    if case.tags.iter().any(|tag| tag == "false-alarm") {
        return;
    }
    let key = if case.expect["istio_analyzers"].is_array() { "istio_analyzers" } else { "istioctl_analyze" };
    for entry in case.expect[key].as_array().map_or(&[][..], Vec::as_slice) {
        let (code, object) = (entry["code"].as_str().unwrap_or_default(), entry["object"].as_str().unwrap_or_default());
        let object = &maker(objects, object).unwrap_or_else(|| object.to_owned());
        let matched = findings.iter().any(|f| f.code.ist().contains(&code) && names(f.object.as_ref(), object));
        let difference = (!matched).then(|| Difference::new(code, Some(&entry["object"]), None));
        score.count(case, Aspect::Findings, object, difference);
    }
}

/// The Deployment whose pod a record names although the configuration does not hold it: where a
/// cluster ran, it made pods, called `DEPLOYMENT-HASH-SUFFIX`.
fn maker(objects: &Objects, object: &str) -> Option<String> {
    let (namespace, pod) = object.strip_prefix("Pod/")?.split_once('/')?;
    if objects.items.iter().any(|own| names(Some(&own.reference()), object)) {
        return None;
    }
    let (name, _) = pod.rsplit_once('-')?.0.rsplit_once('-')?;
    let is_maker = |own: &&crate::resource::Object| {
        matches!(own.body, Body::Deployment(_)) && own.namespace == namespace && own.name == name
    };
    objects.items.iter().find(is_maker).map(|own| format!("Deployment/{}/{}", own.namespace, own.name))
}
