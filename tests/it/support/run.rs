//! Runs of scenarios: files of `scenarios/`, each once for all tests, and texts with files of their
//! own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use meshsim::diagnostic::Severity;
use meshsim::record::{self, RunReport};
use meshsim::scenario::{self, Scenario};
use meshsim::sim::{Control, Plan, simulate};
use meshsim::source::{Sources, Span, Spanned};
use meshsim::staging::{self, Files, StagingInput};
use meshsim::yaml::{self, Document, Limits};

/// A scenario that is going to be run.
#[derive(Clone)]
pub(crate) struct Story {
    folder: String,
    text: String,
    /// Texts in place of files, by path from the folder.
    files: Vec<(String, String)>,
    more_mesh: Vec<String>,
    istio: Option<String>,
    seed: Option<u64>,
}

/// A scenario from a text; its mesh files are those of a folder of `scenarios/`.
pub(crate) fn story(folder: &str, text: &str) -> Story {
    Story { folder: folder.to_owned(), text: text.to_owned(), files: Vec::new(), more_mesh: Vec::new(), istio: None, seed: None }
}

impl Story {
    /// The same with a text in place of a file.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// The same with one more mesh file, after the others.
    pub(crate) fn with_mesh(mut self, path: &str, text: &str) -> Self {
        self.more_mesh.push(path.to_owned());
        self.file(path, text)
    }

    /// The same on another release.
    pub(crate) fn istio(mut self, release: &str) -> Self {
        self.istio = Some(release.to_owned());
        self
    }

    /// The same with another seed.
    pub(crate) fn with_seed(&self, seed: u64) -> Self {
        Story { seed: Some(seed), ..self.clone() }
    }

    /// Acts it out.
    #[track_caller]
    pub(crate) fn run(&self) -> RunReport {
        let mut sources = Sources::new();
        let mut scenario = self.scenario(&mut sources);
        let spanned = |value| Spanned { value, span: Span::default() };
        scenario.mesh.extend(self.more_mesh.iter().cloned().map(spanned));
        if let Some(istio) = &self.istio {
            scenario.istio = Some(Spanned { value: istio.clone(), span: Span::default() });
        }
        if let Some(seed) = self.seed {
            scenario.seed = Some(Spanned { value: seed, span: Span::default() });
        }
        let files = staging::files(&scenario).map(|path| (path.value.clone(), self.documents(&path.value, &mut sources)));
        let files: Files = files.collect();
        let input = StagingInput { scenario: &scenario, files: &files, extra: &[] };
        let (staged, found) = staging::stage(&input, &mut sources);
        let (plan, more) = Plan::resolve(&staged.plan_input(&scenario));
        let errors: Vec<_> = found.iter().chain(&more).filter(|finding| stops_a_run(finding)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let (mut report, _) = simulate(&plan, &Control::new());
        report.expectations = record::evaluate(&scenario.expect, &report);
        report
    }

    fn scenario(&self, sources: &mut Sources) -> Scenario {
        let file = sources.add("scenario.yaml", self.text.as_str());
        let (documents, found) = yaml::parse(sources, file, Limits::default());
        assert!(found.is_empty(), "{found:#?}\n{}", self.text);
        let (scenario, found) = scenario::decode(&documents[0]);
        assert!(found.is_empty(), "{found:#?}\n{}", self.text);
        scenario.expect("a scenario")
    }

    fn documents(&self, path: &str, sources: &mut Sources) -> Vec<Document> {
        let text = match self.files.iter().rev().find(|(name, _)| name == path) {
            Some((_, text)) => text.clone(),
            None => super::lab::text_of(&format!("{}/{path}", self.folder)),
        };
        let file = sources.add(path, text);
        let (documents, found) = yaml::parse(sources, file, Limits::default());
        assert!(found.is_empty(), "{path}: {found:#?}");
        documents
    }
}

/// Findings about the mesh are often what a scenario is about; only findings about the scenario
/// itself stop it.
fn stops_a_run(finding: &meshsim::diagnostic::Diagnostic) -> bool {
    finding.severity == Severity::Error && finding.code.id().starts_with("MSH04")
}

/// The report of a scenario of `scenarios/`; each is run once for all tests.
pub(crate) fn scenario(path: &str) -> &'static RunReport {
    static RUNS: Mutex<BTreeMap<String, &'static OnceLock<RunReport>>> = Mutex::new(BTreeMap::new());
    // A test that fails in here poisons the lock, and the others are none the worse for it.
    let mut runs = RUNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let run: &'static OnceLock<RunReport> = runs.entry(path.to_owned()).or_insert_with(|| Box::leak(Box::default()));
    drop(runs);
    run.get_or_init(|| from_file(path).run())
}

/// A scenario of `scenarios/`, not run yet.
pub(crate) fn from_file(path: &str) -> Story {
    let (folder, _) = path.rsplit_once('/').expect("scenarios lie in folders");
    story(folder, &super::lab::text_of(path))
}

/// The paths of all scenarios below `scenarios/`, sorted.
pub(crate) fn all_scenarios() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut folders = vec![root.clone()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("scenarios can be listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with("scenario.yaml") {
                paths.push(path.strip_prefix(&root).expect("it was found below").to_string_lossy().replace('\\', "/"));
            }
        }
    }
    paths.sort();
    paths
}

/// The JSON of a report.
pub(crate) fn json(report: &RunReport) -> String {
    meshsim::report::run_json(report, &Sources::new())
}

/// The JSON of a new run of a scenario on a pool of threads.
pub(crate) fn json_on_threads(path: &str, threads: usize) -> String {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
    pool.install(|| json(&from_file(path).run()))
}

/// The same mesh with a Deployment of its own for each pod, so that reports tell pods apart.
pub(crate) fn one_pod_each(text: &str) -> String {
    let documents = text.split("\n---\n");
    let split = |document: &str| -> Vec<String> {
        let replicas =
            document.lines().find_map(|line| line.strip_prefix("  replicas: ")).map_or(1, |n| n.parse().expect("a number"));
        if replicas == 1 || !document.contains("kind: Deployment") {
            return vec![document.to_owned()];
        }
        let name = document.lines().find_map(|line| line.strip_prefix("  name: ")).expect("a Deployment has a name");
        let pod = |n: u32| {
            let own = document.replacen(&format!("  name: {name}\n"), &format!("  name: {name}-{n}\n"), 1);
            own.replace(&format!("  replicas: {replicas}\n"), "  replicas: 1\n")
        };
        (1..=replicas).map(pod).collect()
    };
    documents.flat_map(split).collect::<Vec<_>>().join("\n---\n")
}
