//! Findings as text: in the look of rustc with an excerpt, or one line each.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use anstyle::{AnsiColor, Style};

use crate::diagnostic::{Code, Diagnostic, Label, Severity};
use crate::source::{Source, Sources, Span};
use crate::text::plural;

/// Sorts findings by file, then by place. Findings without a place come last, and after them the
/// note about kinds that do not matter.
pub fn order(findings: &mut [Diagnostic]) {
    findings.sort_by_key(|finding| {
        let place = finding.primary.as_ref().map_or(Span::NOWHERE, |label| label.span);
        (finding.code == Code::UnknownKind, place.file, place.start, finding.code)
    });
}

/// All findings with their excerpts, in the order given. Ends with an empty line unless there are
/// none.
#[must_use]
pub fn findings(sources: &Sources, findings: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for finding in findings {
        let groups: Vec<Group<'_>> = std::iter::once(group(sources, finding)).chain(fix(sources, finding)).collect();
        text.push_str(&renderer.render(&groups));
        text.push_str("\n\n");
    }
    text
}

/// One line for each finding: `file:line:column: error[MSH0301] message`.
#[must_use]
pub fn findings_concise(sources: &Sources, findings: &[Diagnostic], color: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        if let Some(place) = finding.primary.as_ref().and_then(|label| sources.locate(label.span)) {
            let _ = write!(text, "{place}: ");
        }
        let style = if color { style(finding.severity) } else { Style::new() };
        let _ = writeln!(text, "{style}{}[{}]{style:#} {}", finding.severity.word(), finding.code.id(), finding.message);
    }
    text
}

/// How many findings there are: `3 errors, 1 warning in 2 files`.
#[must_use]
pub fn findings_summary(sources: &Sources, findings: &[Diagnostic]) -> String {
    let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (severity.word(), findings.iter().filter(|f| f.severity == severity).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| plural(count as u64, word))
        .collect();
    if counts.is_empty() {
        return format!("no findings in {}\n", plural(sources.iter().count() as u64, "file"));
    }
    let files: BTreeSet<_> = findings.iter().filter_map(|f| f.primary.as_ref()).map(|label| label.span.file).collect();
    match files.len() {
        0 => format!("{}\n", counts.join(", ")),
        files => format!("{} in {}\n", counts.join(", "), plural(files as u64, "file")),
    }
}

fn style(severity: Severity) -> Style {
    let color = match severity {
        Severity::Error => AnsiColor::BrightRed,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::BrightGreen,
    };
    Style::new().bold().fg_color(Some(color.into()))
}

fn group<'a>(sources: &'a Sources, finding: &'a Diagnostic) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(finding.message.as_str()).id(finding.code.id()));
    for excerpt in excerpts(sources, finding) {
        group = match excerpt.origin {
            Some(origin) => group.element(origin).element(excerpt.snippet),
            None => group.element(excerpt.snippet),
        };
    }
    let origin = finding.primary.as_ref().and_then(|label| sources.origin(label.span));
    let remarks = [
        ("object", finding.object.as_ref().map(ToString::to_string)),
        ("origin", origin.map(str::to_owned)),
        ("effect", finding.effect.clone()),
        ("help", finding.help.clone()),
    ];
    for (name, text) in remarks {
        if let Some(text) = text {
            group = group.element(Level::NOTE.with_name(name).message(text));
        }
    }
    group
}

/// What a fix would make of the text.
fn fix<'a>(sources: &'a Sources, finding: &'a Diagnostic) -> Option<Group<'a>> {
    const BYTES_SHOWN_MAX: usize = 600;
    let fix = finding.fix.as_ref()?;
    let patches = fix.patches(sources)?;
    let file = patches.first()?.file;
    let source = sources.get(file)?;
    let text = source.text();
    let line_of = |offset: u32| source.position(offset).line;
    let line = line_of(patches.iter().map(|patch| patch.span().start).min()?);
    let first = source.line_range(line);
    let last = source.line_range(line_of(patches.iter().map(|patch| patch.span().end).max()?));
    let shown = first.start..last.end;
    if shown.len() > BYTES_SHOWN_MAX || patches.iter().any(|patch| patch.file != file) {
        return None;
    }
    let title = if fix.safe { fix.message.clone() } else { format!("{} (a guess: `--unsafe-fixes`)", fix.message) };
    let inside = |offset: usize| offset.clamp(shown.start, shown.end) - shown.start;
    let patches = patches.into_iter().map(|patch| Patch::new(inside(patch.range.start)..inside(patch.range.end), patch.text));
    let snippet = Snippet::source(&text[shown.clone()]).line_start(line as usize).patches(patches);
    Some(Group::with_title(Level::HELP.with_name("fix").secondary_title(title)).element(snippet))
}

struct Excerpt<'a> {
    /// The place, where it cannot be told from the snippet because that is a part of a line.
    origin: Option<Origin<'a>>,
    snippet: Snippet<'a, Annotation<'a>>,
}

/// A label whose place has been looked up.
struct Mark<'a> {
    source: &'a Source,
    file: crate::source::FileId,
    label: &'a Label,
    kind: AnnotationKind,
    /// Line of the label, from 1.
    line: u32,
    /// The part of the label that is on its first line.
    bytes: Range<usize>,
}

/// The places of a finding, those that are close together in one excerpt. The excerpt with the
/// primary label comes first.
fn excerpts<'a>(sources: &'a Sources, finding: &'a Diagnostic) -> Vec<Excerpt<'a>> {
    let primary = finding.primary.iter().map(|label| (label, AnnotationKind::Primary));
    let secondary = finding.secondary.iter().map(|label| (label, AnnotationKind::Context));
    let mut clusters: Vec<Vec<Mark<'a>>> = Vec::new();
    for mark in primary.chain(secondary).filter_map(|(label, kind)| mark(sources, label, kind)) {
        let near = clusters.iter_mut().find(|cluster| cluster.iter().any(|other| is_near(other, &mark)));
        match near {
            Some(cluster) => cluster.push(mark),
            None => clusters.push(vec![mark]),
        }
    }
    clusters.iter().map(|cluster| excerpt(cluster)).collect()
}

fn mark<'a>(sources: &'a Sources, label: &'a Label, kind: AnnotationKind) -> Option<Mark<'a>> {
    let source = sources.get(label.span.file)?;
    let text = source.text();
    let start = boundary(text, label.span.start as usize);
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |i| start + i);
    let end = boundary(text, label.span.end as usize).clamp(start, line_end);
    let line = source.position(label.span.start).line;
    Some(Mark { source, file: label.span.file, label, kind, line, bytes: start..end })
}

fn is_near(a: &Mark<'_>, b: &Mark<'_>) -> bool {
    const LINES_APART_MAX: u32 = 30;
    a.file == b.file && a.line.abs_diff(b.line) <= LINES_APART_MAX
}

fn excerpt<'a>(marks: &[Mark<'a>]) -> Excerpt<'a> {
    let source = marks[0].source;
    let text = source.text();
    let first = marks.iter().map(|mark| mark.line).min().unwrap_or(1);
    let last = marks.iter().map(|mark| mark.line).max().unwrap_or(1);
    let whole = source.line_range(first).start..source.line_range(last).end;
    let shown = if first == last { window(text, &whole, &marks[0].bytes) } else { whole.clone() };
    let inside = |offset: usize| offset.clamp(shown.start, shown.end) - shown.start;
    let annotations = marks.iter().map(|mark| {
        let annotation = mark.kind.span(inside(mark.bytes.start)..inside(mark.bytes.end));
        if mark.label.text.is_empty() { annotation } else { annotation.label(mark.label.text.as_str()) }
    });
    let snippet = Snippet::source(&text[shown.clone()]).line_start(first as usize).annotations(annotations);
    if shown == whole {
        return Excerpt { origin: None, snippet: snippet.path(source.name()) };
    }
    let position = source.position(marks[0].label.span.start);
    let origin = Origin::path(source.name()).line(position.line as usize).char_column(position.column as usize);
    Excerpt { origin: Some(origin), snippet }
}

/// The part of one line that is worth showing: JSON without line breaks is one line of megabytes.
fn window(text: &str, line: &Range<usize>, mark: &Range<usize>) -> Range<usize> {
    const BYTES_AROUND: usize = 200;
    if line.len() <= 3 * BYTES_AROUND {
        return line.clone();
    }
    let start = boundary(text, mark.start.saturating_sub(BYTES_AROUND)).max(line.start);
    let end = boundary(text, mark.end + BYTES_AROUND).min(line.end);
    start..end
}

/// The last character boundary at or before `offset`.
fn boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::ObjectRef;
    use crate::source::FileId;

    const RULES: &str =
        "kind: VirtualService\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination: {host: reviews, subset: v9}\n";
    const SUBSETS: &str = "kind: DestinationRule\r\nspec:\r\n  subsets:\r\n  - name: ü1\r\n  - name: ü2\r\n";

    fn sources() -> (Sources, FileId, FileId) {
        let mut sources = Sources::new();
        let rules = sources.add("mesh/rules.yaml", RULES);
        let subsets = sources.add("mesh/subsets.yaml", SUBSETS);
        (sources, rules, subsets)
    }

    fn place(sources: &Sources, file: FileId, words: &str) -> Span {
        let start = sources.get(file).and_then(|source| source.text().find(words)).expect("the words are there") as u32;
        Span { file, start, end: start + words.len() as u32 }
    }

    fn some(sources: &mut Sources, rules: FileId, subsets: FileId) -> Vec<Diagnostic> {
        let whole = Span { file: rules, start: 0, end: RULES.len() as u32 };
        sources.set_origin(Span { start: 3, ..whole }, "shop/templates/rules.yaml");
        vec![
            Diagnostic::new(Code::UnknownKind, "kinds that do not concern routing are ignored: Ingress ×1"),
            Diagnostic::new(Code::UndefinedSubset, "subset `v9` of `reviews` is not defined")
                .labelled(place(sources, rules, "v9"), "named here")
                .also(place(sources, rules, "[reviews]"), "for this host")
                .also(place(sources, subsets, "ü2"), "the last subset that there is")
                .effect("requests of this rule get 503 with flag NC")
                .help("define the subset in a DestinationRule")
                .about(ObjectRef { kind: "VirtualService".into(), namespace: "shop".into(), name: "reviews".into() }),
            Diagnostic::new(Code::NotAnObject, "not a Kubernetes object: `apiVersion` is missing").at(whole),
            Diagnostic::new(Code::ScenarioUnused, "nothing sends traffic"),
        ]
    }

    #[test]
    fn findings_show_every_place_and_what_it_means() {
        let (mut sources, rules, subsets) = sources();
        let mut all = some(&mut sources, rules, subsets);
        order(&mut all);
        insta::assert_snapshot!(findings(&sources, &all, false) + &findings_summary(&sources, &all), @r"
        error[MSH0101]: not a Kubernetes object: `apiVersion` is missing
         --> mesh/rules.yaml:1:1
          |
        1 | kind: VirtualService
          | ^^^^^^^^^^^^^^^^^^^^

        error[MSH0301]: subset `v9` of `reviews` is not defined
         --> mesh/rules.yaml:6:44
          |
        3 |   hosts: [reviews]
          |          --------- for this host
        ...
        6 |     - destination: {host: reviews, subset: v9}
          |                                            ^^ named here
          |
         ::: mesh/subsets.yaml:5:11
          |
        5 |   - name: ü2
          |           -- the last subset that there is
          |
          = object: VirtualService shop/reviews
          = origin: shop/templates/rules.yaml
          = effect: requests of this rule get 503 with flag NC
          = help: define the subset in a DestinationRule

        warning[MSH0403]: nothing sends traffic

        note[MSH0102]: kinds that do not concern routing are ignored: Ingress ×1

        2 errors, 1 warning, 1 note in 1 file
        ");
    }

    #[test]
    fn the_concise_form_has_one_line_for_each_finding() {
        let (mut sources, rules, subsets) = sources();
        let mut all = some(&mut sources, rules, subsets);
        order(&mut all);
        insta::assert_snapshot!(findings_concise(&sources, &all, false), @r"
        mesh/rules.yaml:1:1: error[MSH0101] not a Kubernetes object: `apiVersion` is missing
        mesh/rules.yaml:6:44: error[MSH0301] subset `v9` of `reviews` is not defined
        warning[MSH0403] nothing sends traffic
        note[MSH0102] kinds that do not concern routing are ignored: Ingress ×1
        ");
        assert!(findings_concise(&sources, &all, true).contains("\u{1b}["));
    }

    #[test]
    fn the_summary_counts_what_there_is() {
        let (mut sources, rules, subsets) = sources();
        let all = some(&mut sources, rules, subsets);
        for (range, expected) in
            [(0..0, "no findings in 2 files\n"), (0..1, "1 note\n"), (1..3, "2 errors in 1 file\n"), (3..4, "1 warning\n")]
        {
            assert_eq!(findings_summary(&sources, &all[range]), expected);
        }
    }

    #[test]
    fn a_line_of_megabytes_is_shown_in_part_and_located_in_whole() {
        let mut sources = Sources::new();
        let text = format!("{}{{\"bad\": 1}}{}", "{\"a\": 1},".repeat(100_000), "{\"ü\": 1},".repeat(100_000));
        let file = sources.add("a.json", text.as_str());
        let finding = Diagnostic::new(Code::UnknownField, "unknown field `bad`").at(place(&sources, file, "\"bad\""));
        let shown = findings(&sources, &[finding], false);
        assert!(shown.contains("a.json:1:900002") && shown.contains("\"bad\""), "{shown}");
        assert!(shown.len() < 2_000, "{} bytes", shown.len());
    }

    proptest! {
        #[test]
        fn no_place_makes_rendering_panic(
            text in "[a-zü \t\r\n\u{feff}😀]{0,80}", places in proptest::collection::vec((0_u32..200, 0_u32..200), 1..4)
        ) {
            let mut sources = Sources::new();
            let file = sources.add("a.yaml", text);
            let mut spans = places.iter().map(|(a, b)| Span { file, start: *a.min(b), end: *a.max(b) });
            let mut finding = Diagnostic::new(Code::YamlSyntax, "message").at(spans.next().unwrap_or_default());
            for span in spans {
                finding = finding.also(span, "also");
            }
            let shown = findings(&sources, std::slice::from_ref(&finding), false);
            prop_assert!(shown.contains("message") && shown.contains("a.yaml"));
            prop_assert!(findings_concise(&sources, &[finding], false).starts_with("a.yaml:"));
        }
    }
}
