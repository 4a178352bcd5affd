//! Reading configuration: files, directories and standard input, as kubectl takes them.
//!
//! All problems are collected, so that one invocation names all of them. What the texts say is the
//! library's business.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use meshsim::analysis::suppression::{self, Suppression};
use meshsim::diagnostic::{Code, Diagnostic};
use meshsim::resource::{self, Decoder, Objects};
use meshsim::source::{FileId, Sources, Span, Spanned};
use meshsim::staging::{self, StagingInput};
use meshsim::suite;
use meshsim::yaml::{self, Document, Limits, Node};
use rustc_hash::FxHashMap;

use super::context::Context;
use super::exit::Stop;
use super::scenario_files::{self, ScenarioFiles};

/// Larger files are refused. 100 MB of VirtualServices take 5.4 GB and 18 s with all their findings;
/// more would end in the memory of a build machine instead of in a message.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];

/// Files of a configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// File, directory or `-` for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "PATH", help_heading = "Input")]
    filenames: Vec<PathBuf>,
    /// Read directories of `-f` with everything below
    #[arg(short = 'R', long, help_heading = "Input")]
    recursive: bool,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default", help_heading = "Input")]
    namespace: String,
    /// File with the mesh configuration: a MeshConfig, or ConfigMap `istio`
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    mesh_config: Option<PathBuf>,
}

/// Configuration to work on.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    #[command(flatten)]
    files: Files,
    /// Scenario whose mesh files are read too, as its timeline has changed them
    #[arg(long, value_name = "SCENARIO", help_heading = "Input")]
    scenario: Option<PathBuf>,
    /// Time in the scenario, such as 90s, or name of a phase: after what happens then
    #[arg(long, value_name = "TIME|PHASE", default_value = "0s", requires = "scenario", help_heading = "Input")]
    at: String,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// All texts.
    pub(crate) sources: Sources,
    /// All objects in them.
    pub(crate) objects: Objects,
    /// Findings of reading and decoding.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Comments that suppress findings.
    pub(crate) suppressions: Vec<Suppression>,
    /// Where the texts came from; `None` if a scenario made them.
    pub(crate) origin: Option<Provenance>,
}

/// Where texts came from.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    /// Texts with objects.
    files: Vec<FileId>,
    /// Texts with the mesh configuration.
    mesh_config: Vec<FileId>,
    /// Real paths of texts that are files, which can be written again.
    pub(crate) paths: FxHashMap<FileId, PathBuf>,
}

impl Files {
    fn depth(&self) -> Depth {
        if self.recursive { Depth::All } else { Depth::One }
    }

    /// Reads everything named with `-f`. Gives the texts.
    pub(crate) fn read(&self, reader: &mut Reader) -> Vec<FileId> {
        self.filenames.iter().flat_map(|path| reader.read(path, self.depth())).collect()
    }

    /// Reads everything named with `-f` where it may have been read before. Gives the texts.
    pub(crate) fn read_again(&self, reader: &mut Reader) -> Vec<FileId> {
        self.filenames.iter().flat_map(|path| reader.read_again(path, self.depth())).collect()
    }

    /// Reads the file of `--mesh-config`. Gives its text, or none.
    pub(crate) fn read_mesh_config(&self, reader: &mut Reader) -> Vec<FileId> {
        self.mesh_config.iter().flat_map(|path| reader.read(path, Depth::One)).collect()
    }

    /// The namespace of objects that name none.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads everything named with `-f`, and `positional` paths, whose directories are read with
    /// everything below.
    pub(crate) fn load(&self, positional: &[PathBuf], cx: &mut Context) -> Result<Loaded, Stop> {
        if self.filenames.is_empty() && positional.is_empty() {
            return Err(Stop::Unusable(vec!["no input; name files or directories, or `-f -` for standard input".to_owned()]));
        }
        let mut reader = Reader::default();
        self.read(&mut reader);
        for path in positional {
            reader.read(path, Depth::All);
        }
        let mesh_config = self.read_mesh_config(&mut reader);
        let paths = reader.paths();
        let Texts { sources, files } = reader.finish(cx)?;
        let files: Vec<FileId> = files.into_iter().filter(|file| !mesh_config.contains(file)).collect();
        let loaded = self.decoded(sources, &files, &mesh_config);
        if loaded.diagnostics.iter().filter(|finding| finding.code == Code::NoDocuments).count() == files.len() {
            let names = loaded.sources.iter().map(|(_, source)| format!("{}: holds no document", source.name())).collect();
            return Err(Stop::Unusable(names));
        }
        Ok(Loaded { origin: Some(Provenance { files, mesh_config, paths }), ..loaded })
    }

    /// The same with other texts in the same files.
    pub(crate) fn again(&self, sources: Sources, origin: &Provenance) -> Loaded {
        Loaded { origin: Some(origin.clone()), ..self.decoded(sources, &origin.files, &origin.mesh_config) }
    }

    fn decoded(&self, mut sources: Sources, files: &[FileId], mesh_config: &[FileId]) -> Loaded {
        let mut diagnostics = Vec::new();
        let mut decoder = Decoder::new(&self.namespace);
        let mut suppressions = Vec::new();
        for file in files {
            let mut comments = Vec::new();
            let each = |document: Document| {
                comments.extend(suppression::comments(&document));
                // Tests lie beside the mesh and are no part of it.
                if suite::format_of(&document).is_none() {
                    decoder.read(&document);
                }
            };
            diagnostics.extend(parse(&mut sources, *file, each));
            suppressions.extend(comments.into_iter().filter_map(|comment| comment.resolved(&sources)));
        }
        let (mut objects, findings) = decoder.finish();
        diagnostics.extend(findings);
        diagnostics.extend(put_mesh_config(mesh_config, &mut sources, &mut objects));
        Loaded { sources, objects, diagnostics, suppressions, origin: None }
    }
}

impl Input {
    /// Reads everything named with `-f`. Gives the texts.
    pub(crate) fn read(&self, reader: &mut Reader) -> Vec<FileId> {
        self.files.read(reader)
    }

    /// Reads the file of `--mesh-config`. Gives its text, or none.
    pub(crate) fn read_mesh_config(&self, reader: &mut Reader) -> Vec<FileId> {
        self.files.read_mesh_config(reader)
    }

    /// Whether the mesh is that of a scenario.
    pub(crate) fn is_scenario(&self) -> bool {
        self.scenario.is_some()
    }

    /// The namespace of objects that name none.
    pub(crate) fn namespace(&self) -> &str {
        self.files.namespace()
    }

    /// The same files with other texts.
    pub(crate) fn again(&self, sources: Sources, origin: &Provenance) -> Loaded {
        self.files.again(sources, origin)
    }

    /// Reads everything named with `-f`, and `positional` paths, whose directories are read with
    /// everything below.
    pub(crate) fn load(&self, positional: &[PathBuf], cx: &mut Context) -> Result<Loaded, Stop> {
        match &self.scenario {
            Some(scenario) => self.load_scenario(scenario, positional, cx),
            None => self.files.load(positional, cx),
        }
    }

    /// Reads a scenario's mesh as it is at a time, with everything else that was named beside it.
    fn load_scenario(&self, scenario: &Path, positional: &[PathBuf], cx: &mut Context) -> Result<Loaded, Stop> {
        let further: Vec<PathBuf> =
            self.files.filenames.iter().chain(&self.files.mesh_config).chain(positional).cloned().collect();
        let paths = scenario_files::find(scenario, cx)?;
        let [path] = paths.as_slice() else {
            let message = format!("{}: holds {} scenarios; name one", scenario.display(), paths.len());
            return Err(Stop::Unusable(vec![message]));
        };
        let ScenarioFiles { sources, scenario, files, extra, mut diagnostics, .. } = scenario_files::load(path, &further, cx)?;
        let Some(mut scenario) = scenario else {
            return Err(Stop::Unusable(vec![format!("{}: no scenario; `meshsim run` says why", path.display())]));
        };
        scenario.namespace.get_or_insert_with(|| Spanned::made_up(self.namespace().to_owned()));
        let at = staging::instant(&scenario, &self.at).map_err(|why| Stop::Unusable(vec![format!("--at: {why}")]))?;
        let (objects, findings) = staging::objects_at(&StagingInput { scenario: &scenario, files: &files, extra: &extra }, at);
        diagnostics.extend(findings);
        Ok(Loaded { sources, objects, diagnostics, suppressions: Vec::new(), origin: None })
    }
}

/// Gives objects the mesh configuration of these texts, if there are any. Gives findings about it.
pub(crate) fn put_mesh_config(files: &[FileId], sources: &mut Sources, objects: &mut Objects) -> Vec<Diagnostic> {
    let (mut documents, mut diagnostics) = (Vec::new(), Vec::new());
    for file in files {
        diagnostics.extend(parse(sources, *file, |document| documents.push(document)));
    }
    if !documents.is_empty() {
        let (config, findings) = resource::decode_mesh_config(&documents);
        diagnostics.extend(findings);
        objects.mesh_config = config.or(objects.mesh_config.take());
    }
    diagnostics
}

/// Reads the documents of one text, and says so if there are none.
pub(crate) fn parse(sources: &mut Sources, file: FileId, mut each: impl FnMut(Document)) -> Vec<Diagnostic> {
    let (mut is_empty, mut origins) = (true, Vec::new());
    let mut findings = yaml::parse_each(sources, file, Limits::default(), |mut document| {
        is_empty = false;
        let origin = document.origin.take().or_else(|| kustomize_origin(&document.root));
        origins.extend(origin.map(|origin| (document.root.span, origin)));
        each(document);
    });
    if is_empty && findings.is_empty() {
        let start = Span { file, start: 0, end: 0 };
        findings.push(Diagnostic::new(Code::NoDocuments, "the file holds no document").at(start));
    }
    for (span, origin) in origins {
        sources.set_origin(span, origin);
    }
    findings
}

/// The file that kustomize built an object from: `path: base/reviews.yaml` in an annotation.
fn kustomize_origin(root: &Node) -> Option<String> {
    let origin = root.get("metadata")?.get("annotations")?.get("config.kubernetes.io/origin")?.as_str()?;
    origin.lines().find_map(|line| line.strip_prefix("path: ")).map(|path| path.trim().to_owned())
}

/// How deep to read a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The files in it.
    One,
    /// And everything below.
    All,
}

/// Texts by path, and what went wrong on the way.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    sources: Sources,
    files: Vec<FileId>,
    seen: FxHashMap<PathBuf, FileId>,
    /// What the current path gave, texts that were read before included.
    given: Vec<FileId>,
    errors: Vec<InputError>,
    notes: Vec<String>,
    /// Notes about paths that were named before.
    repeats: Vec<String>,
}

/// All texts of an invocation.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The texts.
    pub(crate) sources: Sources,
    /// Their ids, in the order they were read.
    pub(crate) files: Vec<FileId>,
}

/// Why a path cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{}: no such file or directory{}", path.display(), near.as_ref().map(|near| format!("; did you mean `{}`?", near.display())).unwrap_or_default())]
    Missing { path: PathBuf, near: Option<PathBuf> },
    #[error("{}: {}", path.display(), plain(error))]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: larger than {} MiB; split it", path.display(), FILE_BYTES_MAX / 1024 / 1024)]
    TooLarge { path: PathBuf },
    #[error("{}: not YAML but {what}", path.display())]
    NotText { path: PathBuf, what: String },
    #[error("{}: no .yaml, .yml or .json file in this directory{}", path.display(), if *deeper { "; use -R to read the directories below" } else { "" })]
    NothingInDirectory { path: PathBuf, deeper: bool },
    #[error("standard input can be read only once")]
    StdinTwice,
}

/// The operating system's words without its error number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}

impl Reader {
    /// Reads a file, the files of a directory, or standard input (`-`). Gives the texts that are new.
    pub(crate) fn read(&mut self, path: &Path, depth: Depth) -> Vec<FileId> {
        let before = self.files.len();
        self.given.clear();
        let outcome = if path == Path::new("-") {
            self.stdin()
        } else {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => self.directory(path, depth),
                Ok(_) => self.file(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(InputError::Missing { path: path.to_owned(), near: nearest_sibling(path) })
                }
                Err(error) => Err(InputError::Unreadable { path: path.to_owned(), error }),
            }
        };
        self.errors.extend(outcome.err());
        self.files[before..].to_vec()
    }

    /// Reads a file or the files of a directory where naming one again is no mistake. Gives all texts,
    /// whether they are new or were read before.
    pub(crate) fn read_again(&mut self, path: &Path, depth: Depth) -> Vec<FileId> {
        let repeats = self.repeats.len();
        self.read(path, depth);
        self.repeats.truncate(repeats);
        self.given.clone()
    }

    /// Takes a text that was read elsewhere.
    pub(crate) fn add_text(&mut self, name: String, text: String) -> FileId {
        let file = self.sources.add(name, text);
        self.files.push(file);
        file
    }

    /// The texts so far.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The real paths of texts that are files: not of pipes and standard input.
    pub(crate) fn paths(&self) -> FxHashMap<FileId, PathBuf> {
        self.seen.iter().filter(|(path, _)| path.is_file()).map(|(path, file)| (*file, path.clone())).collect()
    }

    /// All texts, or all problems.
    pub(crate) fn finish(self, cx: &mut Context) -> Result<Texts, Stop> {
        for note in self.notes.iter().chain(&self.repeats) {
            cx.note(note);
        }
        if !self.errors.is_empty() {
            return Err(Stop::Unusable(self.errors.iter().map(ToString::to_string).collect()));
        }
        Ok(Texts { sources: self.sources, files: self.files })
    }

    fn stdin(&mut self) -> Result<(), InputError> {
        let path = PathBuf::from("-");
        if self.seen.contains_key(&path) {
            return Err(InputError::StdinTwice);
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            self.notes.push("read standard input from the terminal".to_owned());
        }
        let text = text_of(stdin.lock(), Path::new("<stdin>"))?;
        self.add(path, "<stdin>".to_owned(), text);
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), InputError> {
        // One file under two names (`-f mesh -f mesh/vs.yaml`) is one file.
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(file) = self.seen.get(&identity) {
            self.given.push(*file);
            self.repeats.push(format!("{}: named twice, read once", path.display()));
            return Ok(());
        }
        let unreadable = |error| InputError::Unreadable { path: path.to_owned(), error };
        let text = text_of(fs::File::open(path).map_err(unreadable)?, path)?;
        self.add(identity, shown(path), text);
        Ok(())
    }

    fn add(&mut self, identity: PathBuf, name: String, text: String) {
        let file = self.sources.add(name, text);
        self.seen.insert(identity, file);
        self.given.push(file);
        self.files.push(file);
    }

    fn directory(&mut self, path: &Path, depth: Depth) -> Result<(), InputError> {
        let mut walk = WalkBuilder::new(path);
        // What git ignores still gets applied, so no ignore files; but `.git` and `.github` hold no mesh.
        walk.standard_filters(false).hidden(true).sort_by_file_name(std::ffi::OsStr::cmp);
        if depth == Depth::One {
            walk.max_depth(Some(1));
        }
        let (mut found, mut skipped, mut deeper) = (0, Vec::new(), false);
        for entry in walk.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("cannot be listed"));
                    self.errors.push(InputError::Unreadable { path: path.to_owned(), error });
                    continue;
                }
            };
            if entry.depth() == 0 {
                continue;
            }
            let is_wanted = holds_objects(entry.path());
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => deeper |= depth == Depth::One,
                Ok(metadata) if is_wanted && metadata.is_file() => {
                    found += 1;
                    let outcome = self.file(entry.path());
                    self.errors.extend(outcome.err());
                }
                Ok(_) => skipped.push(entry.file_name().to_string_lossy().into_owned()),
                Err(error) => self.errors.push(InputError::Unreadable { path: entry.path().to_owned(), error }),
            }
        }
        if !skipped.is_empty() {
            self.notes.push(format!("{}: skipped {}", path.display(), skipped.join(", ")));
        }
        if found == 0 {
            return Err(InputError::NothingInDirectory { path: path.to_owned(), deeper });
        }
        Ok(())
    }
}

/// Whether a file found in a directory is for Kubernetes: YAML or JSON, and neither a scenario of
/// this program nor kustomize's list of files. Files that are named are read in any case.
pub(crate) fn holds_objects(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
        && !(stem == "kustomization" || stem == "scenario" || stem.ends_with(".scenario"))
}

/// A path as findings print it: as it was given, without a leading `./`.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn text_of(from: impl Read, path: &Path) -> Result<String, InputError> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| InputError::Unreadable { path: path.to_owned(), error })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(InputError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let what = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "text in UTF-16; convert it to UTF-8".to_owned(),
            [0x1f, 0x8b, ..] => "compressed by gzip; unpack it".to_owned(),
            _ => format!("binary: byte 0x{:02x} at offset {at} is not UTF-8", bytes[at]),
        };
        InputError::NotText { path: path.to_owned(), what }
    })
}

/// The file beside a missing one whose name is most like it.
fn nearest_sibling(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let parent = path.parent()?;
    let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let mut names: Vec<String> =
        fs::read_dir(listed).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    yaml::nearest(wanted, names.iter().map(String::as_str)).map(|name| parent.join(name))
}
