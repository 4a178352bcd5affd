//! How far tests cover the rules: for people, as a page, and in the format of lcov.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::source::{FileId, Sources};
use crate::suite::router_check::RouteCoverage;
use crate::suite::{Coverage, CoverageItem, ItemKind};
use crate::text::{Cell, Column, Ink, Style, Table, percent};

/// A table by kind, and every part that no test speaks about.
#[must_use]
pub fn coverage(coverage: &Coverage, sources: &Sources, style: Style) -> String {
    let mut text = String::new();
    for item in coverage.items.iter().filter(|item| !item.is_covered()) {
        let place = sources.locate(item.span).map_or_else(String::new, |place| place.to_string());
        let _ = writeln!(text, "{}  {}  {}", style.paint(Ink::Odd, "not covered"), gap(item), style.paint(Ink::Faint, &place));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut table =
        Table::new(&[(Column::Text, "COVERAGE"), (Column::Number, "covered"), (Column::Number, "of"), (Column::Number, "")]);
    let kinds = ItemKind::ALL.into_iter().map(|kind| (kind.word(), coverage.count(Some(kind))));
    for (word, (covered, all)) in kinds.chain([("all", coverage.count(None))]) {
        if all == 0 {
            continue;
        }
        let ink = if covered == all { Ink::Good } else { Ink::Odd };
        table.row([
            Cell::new(Ink::Plain, word),
            Cell::new(Ink::Plain, covered.to_string()),
            Cell::new(Ink::Plain, all.to_string()),
            Cell::new(ink, percent(covered, all)),
        ]);
    }
    text.push_str(&table.render(style, 0));
    text
}

/// Coverage of a route configuration as `router_check_tool` counts it.
#[must_use]
pub fn route_coverage(coverage: &RouteCoverage, sources: &Sources, style: Style) -> String {
    let mut text = String::new();
    for (host, route, span) in &coverage.missing {
        let place = sources.locate(*span).map_or_else(String::new, |place| place.to_string());
        let name = if route.is_empty() { String::new() } else { format!(", route {route}") };
        let _ = writeln!(text, "no claim holds about a route of virtual host {host}{name}  {}", style.paint(Ink::Faint, &place));
    }
    let _ = writeln!(
        text,
        "route coverage {} of {} routes and weighted clusters; {} of all their fields",
        percent(coverage.entries_covered(), 10_000),
        coverage.entries,
        percent(coverage.fields_covered(), 10_000)
    );
    text
}

/// What is missing.
fn gap(item: &CoverageItem) -> String {
    match (item.kind, item.hits, item.misses) {
        (ItemKind::Condition, 0, 0) => "condition: no test looks at it".to_owned(),
        (ItemKind::Condition, 0, _) => "condition: no test meets it".to_owned(),
        (ItemKind::Condition, _, _) => "condition: no test fails because of it alone".to_owned(),
        (ItemKind::Rule, ..) => "rule: no test takes it".to_owned(),
        (kind, ..) => format!("{}: no test that takes its rule speaks about it", kind.word()),
    }
}

/// Items by file and line, lines in order.
fn by_file(coverage: &Coverage, sources: &Sources) -> Vec<(FileId, BTreeMap<u32, Vec<CoverageItem>>)> {
    let mut files: BTreeMap<FileId, BTreeMap<u32, Vec<CoverageItem>>> = BTreeMap::new();
    for item in &coverage.items {
        let Some(place) = sources.locate(item.span) else { continue };
        files.entry(item.span.file).or_default().entry(place.position.line).or_default().push(item.clone());
    }
    files.into_iter().collect()
}

/// The tracefile of lcov: a line for each place with a rule or a part of one, branches for conditions
/// (met, not met) and destinations.
#[must_use]
pub fn coverage_lcov(coverage: &Coverage, sources: &Sources) -> String {
    let mut text = String::new();
    for (file, lines) in by_file(coverage, sources) {
        let Some(source) = sources.get(file) else { continue };
        let _ = writeln!(text, "TN:\nSF:{}", source.name());
        let (mut branches, mut branches_hit, mut lines_hit) = (0, 0, 0);
        for (line, items) in &lines {
            let mut put = |block: usize, branch: usize, hits: u64| {
                branches += 1;
                branches_hit += u64::from(hits > 0);
                let _ = writeln!(text, "BRDA:{line},{block},{branch},{hits}");
            };
            for (block, item) in items.iter().enumerate() {
                match item.kind {
                    ItemKind::Condition => {
                        put(block, 0, item.hits);
                        put(block, 1, item.misses);
                    }
                    ItemKind::Destination | ItemKind::Fault | ItemKind::Retries => put(block, 0, item.hits),
                    ItemKind::Rule => {}
                }
            }
        }
        for (line, items) in &lines {
            let hits = items.iter().map(|item| item.hits).max().unwrap_or(0);
            lines_hit += u64::from(hits > 0);
            let _ = writeln!(text, "DA:{line},{hits}");
        }
        let _ = writeln!(text, "BRF:{branches}\nBRH:{branches_hit}\nLF:{}\nLH:{lines_hit}\nend_of_record", lines.len());
    }
    text
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:80em}table{border-collapse:collapse}\
td,th{padding:.1em .8em;text-align:left}pre{margin:0;font:12px/1.5 ui-monospace,monospace}.n{color:#888;text-align:right}\
.full{background:#dff3df}.part{background:#fdf0cf}.none{background:#fbdcdc}summary{cursor:pointer;font-weight:600}\
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}.full{background:#1f3d24}.part{background:#4a3c12}.none{background:#4d2222}}";

/// One page that stands alone: the table by kind, and each file with its lines coloured.
#[must_use]
pub fn coverage_html(coverage: &Coverage, sources: &Sources) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Coverage of routing tests</title>\n<style>{STYLE}</style>\n"
    );
    page.push_str("<h1>Coverage of routing tests</h1>\n<table><tr><th>part<th>covered<th>of<th></tr>\n");
    let kinds = ItemKind::ALL.into_iter().map(|kind| (kind.word(), coverage.count(Some(kind))));
    for (word, (covered, all)) in kinds.chain([("all", coverage.count(None))]).filter(|(_, (_, all))| *all > 0) {
        let _ = writeln!(page, "<tr><td>{word}<td>{covered}<td>{all}<td>{}</tr>", percent(covered, all));
    }
    page.push_str("</table>\n");
    for (file, lines) in by_file(coverage, sources) {
        let Some(source) = sources.get(file) else { continue };
        let items: Vec<&CoverageItem> = lines.values().flatten().collect();
        let covered = items.iter().filter(|item| item.is_covered()).count();
        let _ = writeln!(page, "<details open><summary>{} {covered} of {}</summary><table>", escaped(source.name()), items.len());
        for (index, line) in source.text().lines().enumerate() {
            let number = index as u32 + 1;
            let own = lines.get(&number).map_or(&[][..], Vec::as_slice);
            let class = match own.iter().filter(|item| item.is_covered()).count() {
                _ if own.is_empty() => "",
                0 => "none",
                some if some == own.len() => "full",
                _ => "part",
            };
            let gaps: Vec<String> = own.iter().filter(|item| !item.is_covered()).map(gap).collect();
            let _ = writeln!(
                page,
                "<tr class=\"{class}\" title=\"{}\"><td class=\"n\">{number}<td><pre>{}</pre></tr>",
                escaped(&gaps.join("; ")),
                escaped(line)
            );
        }
        page.push_str("</table></details>\n");
    }
    page.push_str("</html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
