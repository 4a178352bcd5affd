//! The two sides of a comparison: files, folders, or git revisions.

use std::path::{Path, PathBuf};

use meshsim::diagnostic::Diagnostic;
use meshsim::resource::{Decoder, Objects};
use meshsim::source::{FileId, Sources};
use meshsim::suite;

use super::context::Context;
use super::exit::Stop;
use super::git;
use super::input::{self, Depth, Files, Reader};

/// One side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    /// Its objects.
    pub(crate) objects: Objects,
    /// Findings of reading them.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Where a side comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Files and folders.
    Files(Vec<PathBuf>),
    /// A git revision, and paths in it.
    Revision(String, Vec<String>),
}

/// What two sides the words of a command line mean: `BASE HEAD`, or `BASE..HEAD PATH…`. One place
/// alone is both sides.
pub(crate) fn places(words: &[String], paths: &[String]) -> Result<(Place, Place), Stop> {
    let exists = |word: &str| Path::new(word).exists();
    let one = |word: &String| place(std::slice::from_ref(word), paths);
    match words {
        [range, below @ ..] if !exists(range) && range.contains("..") => {
            let (base, head) = range.split_once("..").unwrap_or((range, ""));
            let head = head.trim_start_matches('.');
            let mut unknown = Vec::new();
            for revision in [base, head].into_iter().filter(|revision| !revision.is_empty()) {
                if !git::is_revision(revision) {
                    unknown.push(format!("`{revision}` is no git revision"));
                }
            }
            if !unknown.is_empty() {
                return Err(Stop::Unusable(unknown));
            }
            let or_head = |revision: &str| if revision.is_empty() { "HEAD".to_owned() } else { revision.to_owned() };
            let paths = [below, paths].concat();
            Ok((in_revision(&or_head(base), &paths), in_revision(&or_head(head), &paths)))
        }
        [both] => one(both).map(|place| (place.clone(), place)),
        [base, head] => Ok((one(base)?, one(head)?)),
        _ => Err(Stop::Unusable(vec!["name two sides: `BASE HEAD`, or `BASE..HEAD [PATH…]`".to_owned()])),
    }
}

/// The side that words of a command line mean: files and folders, or one git revision.
pub(crate) fn place(words: &[String], paths: &[String]) -> Result<Place, Stop> {
    if let [word] = words
        && !Path::new(word).exists()
    {
        return match git::is_revision(word) {
            true => Ok(in_revision(word, paths)),
            false => Err(Stop::Unusable(vec![format!("`{word}` is neither a file nor a git revision")])),
        };
    }
    Ok(Place::Files(words.iter().map(PathBuf::from).collect()))
}

fn in_revision(revision: &str, paths: &[String]) -> Place {
    let paths = if paths.is_empty() { vec![".".to_owned()] } else { paths.to_vec() };
    Place::Revision(revision.to_owned(), paths)
}

/// Reads both sides into one set of texts. What is common to both comes first.
pub(crate) fn load(base: &Place, head: &Place, common: &Files, cx: &mut Context) -> Result<(Sources, Side, Side), Stop> {
    let mut reader = Reader::default();
    let shared = common.read_again(&mut reader);
    let mesh_config = common.read_mesh_config(&mut reader);
    let before = [shared.clone(), read(base, &mut reader)?].concat();
    let after = if base == head { before.clone() } else { [shared, read(head, &mut reader)?].concat() };
    let mut sources = reader.finish(cx)?.sources;
    let mut side = |files: &[FileId]| {
        let mut side = decoded(&mut sources, files, common.namespace());
        side.diagnostics.extend(input::put_mesh_config(&mesh_config, &mut sources, &mut side.objects));
        side
    };
    let one = side(&before);
    let other = if base == head { one.clone() } else { side(&after) };
    Ok((sources, one, other))
}

fn read(place: &Place, reader: &mut Reader) -> Result<Vec<FileId>, Stop> {
    match place {
        Place::Files(paths) => Ok(paths.iter().flat_map(|path| reader.read_again(path, Depth::All)).collect()),
        Place::Revision(revision, paths) => {
            let files = git::files(revision, paths)?;
            Ok(files.into_iter().map(|(name, text)| reader.add_text(name, text)).collect())
        }
    }
}

fn decoded(sources: &mut Sources, files: &[FileId], namespace: &str) -> Side {
    let mut decoder = Decoder::new(namespace);
    let mut diagnostics = Vec::new();
    for file in files {
        diagnostics.extend(input::parse(sources, *file, |document| {
            if suite::format_of(&document).is_none() {
                decoder.read(&document);
            }
        }));
    }
    let (objects, findings) = decoder.finish();
    diagnostics.extend(findings);
    Side { objects, diagnostics }
}
