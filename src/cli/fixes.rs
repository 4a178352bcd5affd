//! `meshsim check --fix`: changes of the text that settle findings.
//!
//! A fix counts only if the check, done again on the changed texts, finds nothing that it did not find
//! before. What came from standard input, a pipe or a generator is not written.

use std::collections::BTreeMap;
use std::fs;

use meshsim::change;
use meshsim::diagnostic::{self, Diagnostic, Fix, Patch};
use meshsim::report;
use meshsim::source::{FileId, Sources};
use meshsim::text::{Style, plural};

use super::context::Context;
use super::exit::Stop;
use super::input::{Input, Loaded};
use super::result_file;

/// Rounds after which nothing more is tried; a fix may make room for another one.
const ROUNDS_MAX: usize = 8;
/// Fixes that are tried one by one where all of them together find something new.
const SINGLY_MAX: usize = 50;

/// Which fixes are made.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fixes")]
pub(crate) struct FixArgs {
    /// Change the files where that settles findings and is safe
    #[arg(long)]
    fix: bool,
    /// Also make changes that are guesses at what was meant
    #[arg(long)]
    unsafe_fixes: bool,
    /// Print what `--fix` would change as a patch, and change nothing; exit code 1 if there is something
    #[arg(long, conflicts_with = "fix")]
    diff: bool,
}

/// What was done.
pub(crate) struct Fixed {
    /// The input as it is now.
    pub(crate) loaded: Loaded,
    /// How many findings were settled.
    pub(crate) count: usize,
    /// The difference, if that was asked for.
    pub(crate) patch: Option<String>,
}

impl FixArgs {
    /// Whether there is nothing to do.
    pub(crate) fn is_off(&self) -> bool {
        !self.fix && !self.diff
    }

    /// Whether a preview was asked for.
    pub(crate) fn is_preview(&self) -> bool {
        self.diff
    }

    /// Whether guesses were asked for and nothing that would make them.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.unsafe_fixes && self.is_off()
    }

    /// Fixes what can be fixed. `find` gives the findings that count.
    pub(crate) fn run(
        &self,
        input: &Input,
        loaded: Loaded,
        find: impl Fn(&Loaded) -> Vec<Diagnostic>,
        cx: &mut Context,
    ) -> Result<Fixed, Stop> {
        let Some(files) = loaded.origin.clone() else {
            return Err(Stop::Unusable(vec!["the texts of a scenario are not changed; name the files".to_owned()]));
        };
        let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
        let before = loaded.sources.clone();
        let (mut now, mut count) = (loaded, 0);
        for round in 0..ROUNDS_MAX {
            let findings = find(&now);
            let mut fixes: Vec<&Fix> = Vec::new();
            for finding in &findings {
                let Some(fix) = finding.fix.as_ref().filter(|fix| fix.safe || self.unsafe_fixes) else { continue };
                let Some(patches) = fix.patches(&now.sources).filter(|patches| !patches.is_empty()) else { continue };
                match patches.iter().find(|patch| !(files.paths.contains_key(&patch.file) && is_own(&now.sources, patch))) {
                    Some(patch) if round == 0 => {
                        let name = now.sources.get(patch.file).map(|source| source.name().to_owned()).unwrap_or_default();
                        *skipped.entry(name).or_default() += 1;
                    }
                    Some(_) => {}
                    None => fixes.push(fix),
                }
            }
            let again = |patches: &[Patch]| input.again(diagnostic::patched(&now.sources, patches), &files);
            let is_good = |loaded: &Loaded| {
                let after = find(loaded);
                after.len() < findings.len() && change::findings_delta(&findings, &after).introduced.is_empty()
            };
            let next = attempt(&now.sources, &fixes, again, is_good);
            let Some((next, settled)) = next else { break };
            (now, count) = (next, count + settled);
        }
        for (name, count) in skipped {
            let findings = plural(count as u64, "finding");
            cx.note(&format!("{name} is no file of its own: what would fix {findings} in it is left alone"));
        }
        let changed = |file: FileId| {
            let (old, new) = (before.get(file)?, now.sources.get(file)?);
            (old.text() != new.text()).then_some((old, new))
        };
        if self.diff {
            let style = Style { colour: cx.color(), ..Style::PLAIN };
            let differences = before.iter().filter_map(|(file, _)| {
                let (old, new) = changed(file)?;
                Some(report::patch(old.name(), old.text(), new.text(), style))
            });
            let patch = Some(differences.collect());
            return Ok(Fixed { loaded: now, count, patch });
        }
        let mut writes = Vec::new();
        for (file, path) in &files.paths {
            let Some((old, new)) = changed(*file) else { continue };
            if fs::read_to_string(path).ok().as_deref() != Some(old.text()) {
                return Err(Stop::Unusable(vec![format!("{}: was changed meanwhile; nothing was written", old.name())]));
            }
            writes.push((path.as_path(), new.text()));
        }
        writes.sort_unstable();
        result_file::rewrite(&writes)?;
        Ok(Fixed { loaded: now, count, patch: None })
    }
}

/// Whether a part of a text was written here, and not generated from another file.
fn is_own(sources: &Sources, patch: &Patch) -> bool {
    sources.origin(patch.span()).is_none()
}

/// The input after all fixes; if that is not good, after those that are good one by one.
fn attempt(
    sources: &Sources,
    fixes: &[&Fix],
    again: impl Fn(&[Patch]) -> Loaded,
    is_good: impl Fn(&Loaded) -> bool,
) -> Option<(Loaded, usize)> {
    let made = |fixes: &[&Fix]| {
        let patches = diagnostic::joined(sources, fixes);
        let is_made = |fix: &&&Fix| fix.patches(sources).is_some_and(|own| own.iter().all(|patch| patches.contains(patch)));
        let count = fixes.iter().filter(is_made).count();
        (count > 0).then(|| (again(&patches), count)).filter(|(loaded, _)| is_good(loaded))
    };
    if let Some(all) = made(fixes) {
        return Some(all);
    }
    if fixes.len() < 2 {
        return None;
    }
    let good: Vec<&Fix> = fixes.iter().take(SINGLY_MAX).copied().filter(|fix| made(&[*fix]).is_some()).collect();
    made(&good).or_else(|| good.iter().find_map(|fix| made(&[*fix])))
}
