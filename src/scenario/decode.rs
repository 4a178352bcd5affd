//! From a document to a scenario.

use super::amount::Spread;
use super::app::App;
use super::client::Client;
use super::expectation::Expectation;
use super::timeline::Step;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::{Cx, Decode, Document};

crate::record! {
    /// A scenario: a mesh, what its applications do, who sends which requests, what changes, and
    /// what must have happened.
    pub struct Scenario {
        /// Name; the file's folder or name if absent.
        pub name: Option<Spanned<String>> = "name",
        /// What it shows, in one or two sentences.
        pub description: Option<Spanned<String>> = "description",
        /// Release of Istio whose behaviour applies, such as `1.1`; `latest` if absent.
        pub istio: Option<Spanned<String>> = "istio",
        /// Seed of all randomness; 1 if absent.
        pub seed: Option<Spanned<u64>> = "seed",
        /// Mesh files and folders that are there from the start, relative to the scenario's file.
        pub mesh: Vec<Spanned<String>> = "mesh",
        /// Namespace of objects that name none; `default` if absent.
        pub namespace: Option<Spanned<String>> = "namespace",
        /// Ready-made applications: `bookinfo`, `voting`, `website`, `nginx`.
        pub ready_made: Vec<Spanned<String>> = "readyMade",
        /// The scenario's own applications. A workload without any answers 200 at once.
        pub apps: Vec<App> = "apps",
        /// Time on the way, once in each direction of every hop between two pods.
        pub hop_latency: Spread = "hopLatency",
        /// Time after an apply until a proxy has it, drawn once for each proxy and apply.
        pub propagation: Spread = "propagation",
        /// What happens to work whose caller has gone: see `CancelPropagation`.
        pub cancel: Option<CancelPropagation> = "cancelPropagation",
        /// Worker threads of a proxy, each with its own round-robin position; 1 if absent.
        pub proxy_workers: Option<Spanned<u32>> = "proxyWorkers",
        /// Who sends requests.
        pub clients: Vec<Client> = "clients",
        /// What changes.
        pub timeline: Vec<Step> = "timeline",
        /// When the run ends if traffic does not end by itself.
        pub until: Option<Spanned<Duration>> = "until",
        /// What must have happened.
        pub expect: Vec<Expectation> = "expect",
        /// The request whose waterfall is drawn; the slowest of the run if absent.
        pub waterfall: Option<Waterfall> = "waterfall",
    }

    /// A request to draw.
    pub struct Waterfall {
        /// Client.
        pub client: Spanned<String> = "client",
        /// Class of users; any if absent.
        pub user: Option<Spanned<String>> = "user",
        /// Phase; any if absent.
        pub phase: Option<Spanned<String>> = "phase",
        /// Which of these, from 1; the first if absent.
        pub request: Option<Spanned<u64>> = "request",
    }
}

crate::choice! {
    /// What happens to work whose caller has gone.
    pub enum CancelPropagation {
        /// Nothing is cancelled.
        None = "none",
        /// The caller's proxies stop; the application that was called goes on. The default.
        Proxy = "proxy",
        /// The application that was called stops too.
        Full = "full",
    }
}

/// Reads a scenario. No field is overlooked: a scenario with a misspelt one asks for something else
/// than was meant, so that is an error.
#[must_use]
pub fn decode(document: &Document) -> (Option<Scenario>, Vec<Diagnostic>) {
    if let Some(finding) = mesh_object(document) {
        return (None, vec![finding]);
    }
    let mut diagnostics = Vec::new();
    let scenario = Scenario::decode(&document.root, &mut Cx::new(&mut diagnostics));
    for finding in diagnostics.iter_mut().filter(|finding| finding.code == Code::UnknownField) {
        finding.severity = Severity::Error;
    }
    (scenario, diagnostics)
}

/// A Kubernetes object has none of a scenario's fields, and a finding for each of its own would hide
/// that the wrong file was named.
fn mesh_object(document: &Document) -> Option<Diagnostic> {
    document.root.get("apiVersion")?;
    let kind = document.root.get("kind")?;
    let what = format!("this is a mesh object, `{}`, and no scenario", kind.as_str()?);
    let help = "name the file under `mesh` of a scenario; `meshsim check` and `meshsim route` read it as it is";
    Some(Diagnostic::new(Code::ScenarioInvalid, what).at(kind.span).help(help))
}

/// The JSON Schema of scenario files.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut definitions = serde_json::Map::new();
    let root = Scenario::schema(&mut definitions);
    serde_json::json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "meshsim scenario",
        "allOf": [root],
        "definitions": definitions,
    })
}
