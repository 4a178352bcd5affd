//! Finding and reading scenarios with the mesh files that they name.

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::diagnostic::{Code, Diagnostic};
use meshsim::scenario::{self, Scenario};
use meshsim::source::{FileId, Sources};
use meshsim::staging::{self, Files};
use meshsim::yaml::Document;

use super::context::Context;
use super::exit::Stop;
use super::input::{self, Depth, Reader};

const FILE: &str = "scenario.yaml";
const FILE_ENDINGS: &[&str] = &[".scenario.yaml", ".scenario.yml"];

/// A scenario as it was read.
#[derive(Debug)]
pub(crate) struct ScenarioFiles {
    /// All texts.
    pub(crate) sources: Sources,
    /// The text of the scenario.
    pub(crate) file: FileId,
    /// The folder it lies in, as findings print it; empty for the working directory.
    pub(crate) folder: String,
    /// The scenario; `None` if it is no scenario at all.
    pub(crate) scenario: Option<Scenario>,
    /// The mesh files it names.
    pub(crate) files: Files,
    /// The documents of further mesh files.
    pub(crate) extra: Vec<Document>,
    /// Findings of reading.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The scenario files that a path stands for: itself, `scenario.yaml` in it, or every
/// `*.scenario.yaml` in it by name.
pub(crate) fn find(path: &Path, cx: &mut Context) -> Result<Vec<PathBuf>, Stop> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| Stop::Unusable(vec![format!("{}: {error}", path.display())]);
    let mut named: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let is_scenario = name.to_str().is_some_and(|name| FILE_ENDINGS.iter().any(|ending| name.ends_with(ending)));
        if is_scenario {
            named.push(path.join(name));
        }
    }
    named.sort_unstable();
    let main = path.join(FILE);
    match (main.is_file(), named.as_slice()) {
        (true, []) => Ok(vec![main]),
        (true, others) => {
            let names: Vec<String> =
                others.iter().filter_map(|other| Some(other.file_name()?.to_string_lossy().into_owned())).collect();
            cx.detail(&format!("{} holds more scenarios: {}", path.display(), names.join(", ")));
            Ok(vec![main])
        }
        (false, []) => {
            let message =
                format!("{}: neither {FILE} nor a file ending in {} in this directory", path.display(), FILE_ENDINGS[0]);
            Err(Stop::Unusable(vec![message]))
        }
        (false, _) => Ok(named),
    }
}

/// Reads a scenario, every mesh file it names, and further ones. Everything that cannot be read is
/// named at once.
pub(crate) fn load(path: &Path, further: &[PathBuf], cx: &mut Context) -> Result<ScenarioFiles, Stop> {
    let mut reader = Reader::default();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let given = reader.read(path, Depth::One);
    let Some(file) = given.first().copied() else {
        return Err(reader.finish(cx).err().unwrap_or_else(|| Stop::Unusable(vec![format!("{}: no scenario", path.display())])));
    };
    let mut documents = Vec::new();
    let mut diagnostics = {
        // The reader keeps its texts until all are read; the scenario says which.
        let mut sources = reader.sources().clone();
        input::parse(&mut sources, file, |document| documents.push(document))
    };
    if documents.is_empty() && diagnostics.iter().all(|finding| finding.code == Code::NoDocuments) {
        return Err(Stop::Unusable(vec![format!("{}: holds no document", path.display())]));
    }
    let mut scenario = None;
    for (index, document) in documents.iter().enumerate() {
        if index > 0 && scenario.is_none() {
            // What follows on something that is no scenario is no second one.
            break;
        }
        if index > 0 {
            let finding =
                Diagnostic::new(Code::ScenarioInvalid, "a scenario is one document; this is another").at(document.root.span);
            diagnostics.push(finding.help("put mesh objects into files of their own and name them under `mesh`"));
            continue;
        }
        let (read, findings) = scenario::decode(document);
        scenario = read;
        diagnostics.extend(findings);
    }
    let mut ids: Vec<(String, Vec<FileId>)> = Vec::new();
    for named in scenario.iter().flat_map(staging::files) {
        if ids.iter().all(|(path, _)| *path != named.value) {
            ids.push((named.value.clone(), reader.read_again(&folder.join(&named.value), Depth::One)));
        }
    }
    let extra_ids: Vec<FileId> = further.iter().flat_map(|path| reader.read(path, Depth::One)).collect();
    let mut sources = reader.finish(cx)?.sources;
    let mut read: Vec<(FileId, Vec<Document>)> = Vec::new();
    for id in ids.iter().flat_map(|(_, ids)| ids).chain(&extra_ids) {
        if read.iter().all(|(known, _)| known != id) {
            let mut documents = Vec::new();
            diagnostics.extend(input::parse(&mut sources, *id, |document| documents.push(document)));
            read.push((*id, documents));
        }
    }
    let of = |ids: &[FileId]| -> Vec<Document> {
        let documents = ids.iter().filter_map(|id| read.iter().find(|(known, _)| known == id));
        documents.flat_map(|(_, documents)| documents.iter().cloned()).collect()
    };
    let files = ids.iter().map(|(path, ids)| (path.clone(), of(ids))).collect();
    let extra = of(&extra_ids);
    let folder = folder.strip_prefix(".").unwrap_or(&folder).display().to_string();
    Ok(ScenarioFiles { sources, file, folder, scenario, files, extra, diagnostics })
}
