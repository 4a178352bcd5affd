//! Scenarios acted out in memory: YAML in, report out.

use std::path::Path;

use meshsim::diagnostic::{Code, Diagnostic, Severity};
use meshsim::record::RunReport;
use meshsim::scenario::{self, Scenario};
use meshsim::sim::{Control, Plan, simulate};
use meshsim::source::Sources;
use meshsim::staging::{Files, StagingInput, files, stage};
use meshsim::yaml::{Document, Limits, parse};

/// A scenario and the files it names.
pub(crate) struct Play {
    pub(crate) sources: Sources,
    pub(crate) scenario: Scenario,
    pub(crate) files: Files,
}

impl Play {
    /// A scenario whose mesh files are given by name.
    pub(crate) fn of(text: &str, mesh: &[(&str, &str)]) -> Play {
        let mut sources = Sources::new();
        let scenario = decode(&mut sources, "scenario.yaml", text);
        let files = mesh.iter().map(|(name, text)| ((*name).to_owned(), documents(&mut sources, name, text))).collect();
        Play { sources, scenario, files }
    }

    /// A scenario of this repository.
    pub(crate) fn read(path: &str) -> Play {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut sources = Sources::new();
        let scenario = decode(&mut sources, &path.display().to_string(), &text);
        let mut read = Files::default();
        for name in files(&scenario) {
            let text = std::fs::read_to_string(path.with_file_name(name.as_str())).unwrap();
            read.insert(name.value.clone(), documents(&mut sources, name, &text));
        }
        Play { sources, scenario, files: read }
    }

    /// The plan, with all findings up to it.
    pub(crate) fn plan(&mut self) -> (Plan, Vec<Diagnostic>) {
        let input = StagingInput { scenario: &self.scenario, files: &self.files, extra: &[] };
        let (staged, mut findings) = stage(&input, &mut self.sources);
        let (plan, found) = Plan::resolve(&staged.plan_input(&self.scenario));
        findings.extend(found);
        (plan, findings)
    }

    /// The report of a run without mistakes in the scenario. Mistakes in the mesh are what some runs
    /// are about.
    pub(crate) fn run(&mut self) -> RunReport {
        let (plan, mut findings) = self.plan();
        let (report, found) = simulate(&plan, &Control::new());
        findings.extend(found);
        let of_scenario = |f: &&Diagnostic| matches!(f.code, Code::ScenarioInvalid | Code::ScenarioReference);
        let errors: Vec<_> = findings.iter().filter(of_scenario).filter(|f| f.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        report
    }
}

fn decode(sources: &mut Sources, name: &str, text: &str) -> Scenario {
    let documents = documents(sources, name, text);
    let (scenario, findings) = scenario::decode(&documents[0]);
    assert!(findings.is_empty(), "{findings:#?}");
    scenario.unwrap()
}

fn documents(sources: &mut Sources, name: &str, text: &str) -> Vec<Document> {
    let file = sources.add(name, text);
    let (documents, findings) = parse(sources, file, Limits::default());
    assert!(findings.is_empty(), "{findings:#?}");
    documents
}
