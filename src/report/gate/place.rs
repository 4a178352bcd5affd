//! Where a finding is, in the terms of other tools.

use crate::diagnostic::{Diagnostic, Label};
use crate::source::{Position, Sources};

/// A range in a file. Lines and columns count from 1; the end is one past the last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) start: Position,
    pub(super) end: Position,
}

/// The place of a label. A range of several lines ends with its first, which is enough to find it
/// and does not paint half a file.
pub(super) fn of_label<'a>(sources: &'a Sources, label: &Label) -> Option<Place<'a>> {
    let source = sources.get(label.span.file)?;
    let start = source.position(label.span.start);
    let line_end = u32::try_from(source.line_range(start.line).end).unwrap_or(u32::MAX);
    let end = source.position(label.span.end.min(line_end).max(label.span.start));
    Some(Place { file: source.name(), start, end })
}

/// The place of a finding.
pub(super) fn of<'a>(sources: &'a Sources, finding: &Diagnostic) -> Option<Place<'a>> {
    of_label(sources, finding.primary.as_ref()?)
}

/// What stays the same when lines move, for tools that remember findings. `nth` tells equal ones
/// apart.
pub(super) fn fingerprint(finding: &Diagnostic, file: &str, nth: usize) -> String {
    let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}|{file}|{object}|{}|{nth}", finding.code.id(), finding.message)
}

/// Fingerprints of all findings, in their order.
pub(super) fn fingerprints(sources: &Sources, findings: &[Diagnostic]) -> Vec<String> {
    let mut seen = std::collections::BTreeMap::new();
    let mut all = Vec::with_capacity(findings.len());
    for finding in findings {
        let file = of(sources, finding).map_or("", |place| place.file);
        let nth = seen.entry(fingerprint(finding, file, 0)).or_insert(0_usize);
        all.push(fingerprint(finding, file, *nth));
        *nth += 1;
    }
    all
}

/// Message, effect and advice.
pub(super) fn whole_text(finding: &Diagnostic) -> String {
    let mut text = finding.message.clone();
    for (word, more) in [("effect", &finding.effect), ("help", &finding.help)] {
        if let Some(more) = more {
            text.push_str(&format!("\n{word}: {more}"));
        }
    }
    text
}
