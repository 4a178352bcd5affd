//! Finding tests and the meshes they are about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use meshsim::diagnostic::{Diagnostic, Severity};
use meshsim::resource::{Decoder, Objects};
use meshsim::source::{FileId, Sources};
use meshsim::suite::router_check::{Routes, read_text_format};
use meshsim::suite::{self, Case, TestFile};
use meshsim::yaml::Document;

use super::context::Context;
use super::exit::Stop;
use super::input::{self, Depth, Input, Reader, Texts};

/// Cases that are about one mesh.
pub(crate) struct TestSet {
    /// The mesh.
    pub(crate) objects: Objects,
    /// The cases.
    pub(crate) cases: Vec<Case>,
    /// The routes that the cases are about instead of the mesh.
    pub(crate) routes: Option<Arc<Routes>>,
}

/// Everything that was read.
pub(crate) struct TestFiles {
    /// All texts.
    pub(crate) sources: Sources,
    /// Cases by mesh.
    pub(crate) sets: Vec<TestSet>,
    /// Findings about tests.
    pub(crate) test_findings: Vec<Diagnostic>,
    /// Findings about meshes.
    pub(crate) mesh_findings: Vec<Diagnostic>,
}

/// Reads tests and meshes. Documents are told apart by what they hold, so files need no special names.
pub(crate) fn load(paths: &[PathBuf], route_config: Option<&Path>, input: &Input, cx: &mut Context) -> Result<TestFiles, Stop> {
    if input.is_scenario() {
        return Err(Stop::Unusable(vec!["tests name mesh files; they are not about the mesh of a scenario".to_owned()]));
    }
    let mut reader = Reader::default();
    let named = input.read(&mut reader);
    let mesh_config = input.read_mesh_config(&mut reader);
    let route_config: Vec<FileId> = route_config.iter().flat_map(|path| reader.read(path, Depth::One)).collect();
    let beside: Vec<FileId> = paths.iter().flat_map(|path| reader.read(path, Depth::All)).collect();
    if paths.is_empty() {
        return Err(Stop::Unusable(vec!["no tests; name files or directories".to_owned()]));
    }
    let mut tests: Vec<(FileId, TestFile)> = Vec::new();
    let (mut test_findings, mut mesh_findings) = (Vec::new(), Vec::new());
    let mut test_findings_of_routes = Vec::new();
    let (mut common, mut lying) = (Vec::new(), Vec::new());
    // The reader keeps its texts until all are read; the tests say which.
    let mut sources = reader.sources().clone();
    let mut routes = None;
    for file in &route_config {
        test_findings.extend(input::parse(&mut sources, *file, |document| {
            let (read, findings) = Routes::read(&document);
            test_findings_of_routes.extend(findings);
            routes = Some(Arc::new(read));
        }));
    }
    test_findings.append(&mut test_findings_of_routes);
    if !route_config.is_empty() && routes.is_none() && test_findings.iter().all(|finding| finding.severity != Severity::Error) {
        let names = route_config.iter().filter_map(|file| sources.get(*file)).map(|source| source.name().to_owned());
        return Err(Stop::Unusable(names.map(|name| format!("{name}: holds no route configuration")).collect()));
    }
    for file in named.iter().chain(&beside) {
        let mut documents = Vec::new();
        let is_text_format = sources.get(*file).is_some_and(|source| is_text_format(source.name()));
        let findings = match is_text_format {
            true => match read_text_format(&sources, *file) {
                Ok(document) => {
                    documents.push(document);
                    Vec::new()
                }
                Err(finding) => {
                    test_findings.push(*finding);
                    continue;
                }
            },
            false => input::parse(&mut sources, *file, |document| documents.push(document)),
        };
        let mut holds_tests = false;
        for document in documents {
            match suite::format_of(&document) {
                Some(format) => {
                    holds_tests = true;
                    let (read, findings) = suite::read(&document, format);
                    tests.push((*file, read));
                    test_findings.extend(findings);
                }
                None if named.contains(file) => common.push(document),
                None => lying.push(document),
            }
        }
        if holds_tests { test_findings.extend(findings) } else { mesh_findings.extend(findings) }
    }
    let mut sets = Vec::new();
    if let Some(routes) = routes {
        let (about, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(|(_, test)| test.is_about_routes());
        let cases = about.into_iter().flat_map(|(_, test)| test.cases).map(|case| case.about(&routes)).collect();
        sets.push(TestSet { objects: Objects::default(), cases, routes: Some(routes) });
        tests = others;
    }
    let mut groups: Vec<(Vec<FileId>, Vec<Case>)> = Vec::new();
    for (file, test) in tests {
        let folder = sources.get(file).map_or_else(PathBuf::new, |source| folder_of(source.name()));
        let files: Vec<FileId> =
            test.mesh.iter().flat_map(|path| reader.read_again(&folder.join(&path.value), Depth::One)).collect();
        match groups.iter_mut().find(|(known, _)| *known == files) {
            Some((_, cases)) => cases.extend(test.cases),
            None => groups.push((files, test.cases)),
        }
    }
    let Texts { sources: texts, .. } = reader.finish(cx)?;
    let mut sources = texts;
    for (files, cases) in groups {
        let mut documents: Vec<Document> = common.clone();
        for file in &files {
            mesh_findings.extend(input::parse(&mut sources, *file, |document| documents.push(document)));
        }
        if files.is_empty() {
            documents.extend(lying.iter().cloned());
        }
        let mut decoder = Decoder::new(input.namespace());
        documents.iter().filter(|document| suite::format_of(document).is_none()).for_each(|document| decoder.read(document));
        let (mut objects, findings) = decoder.finish();
        mesh_findings.extend(findings);
        mesh_findings.extend(input::put_mesh_config(&mesh_config, &mut sources, &mut objects));
        sets.push(TestSet { objects, cases, routes: None });
    }
    if sets.iter().all(|set| set.cases.is_empty()) && test_findings.is_empty() {
        return Err(Stop::Unusable(vec!["no test in these files".to_owned()]));
    }
    Ok(TestFiles { sources, sets, test_findings, mesh_findings })
}

/// Whether a file is in the text format of protocol buffers, in which router_check_tool takes tests too.
fn is_text_format(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("pb_text" | "textproto" | "txtpb" | "pbtxt"))
}

fn folder_of(name: &str) -> PathBuf {
    Path::new(name).parent().map_or_else(PathBuf::new, Path::to_owned)
}
