//! What a change does to traffic: for people, for a pull request, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::analysis::space::Witness;
use crate::change::{Change, Delta, FacetChange, FindingDelta, ObjectChange, Order, Window};
use crate::diagnostic::Diagnostic;
use crate::routing::{Opening, Scheme, destination_name};
use crate::source::{Sources, Span};
use crate::text::{Ink, Style, plural, shortened};

/// Everything that is said about a change.
#[derive(Debug, Clone, Copy)]
pub struct ChangeReport<'a> {
    /// The texts that places are in.
    pub sources: &'a Sources,
    /// What is different for traffic.
    pub delta: &'a Delta,
    /// Findings that come and go.
    pub findings: &'a FindingDelta,
    /// The order of applying, if it was asked for.
    pub order: Option<&'a Order>,
    /// How many logged requests each change concerns, of how many; if there was a log.
    pub observed: Option<(&'a [u64], u64)>,
}

/// Names shown before the rest is counted.
const NAMES_SHOWN: usize = 3;

/// A request as one would type it.
pub(super) fn request_text(witness: &Witness) -> String {
    let request = &witness.request;
    let scheme = if request.scheme == Scheme::Https { "https" } else { "http" };
    let default = if request.scheme == Scheme::Https { 443 } else { 80 };
    let port = match request.authority.rsplit_once(':') {
        Some((_, digits)) if digits.parse::<u16>().is_ok() => String::new(),
        _ if witness.dial.port == default => String::new(),
        _ => format!(":{}", witness.dial.port),
    };
    let mut text = format!("{} {scheme}://{}{port}{}", request.method, request.authority, request.path);
    for (name, value) in &request.headers {
        let _ = write!(text, " -H '{name}: {value}'");
    }
    if let Opening::Tls(tls) = &witness.dial.opening
        && let Some(name) = tls.server_name.as_ref().filter(|name| *name != crate::routing::without_port(&request.authority))
    {
        let _ = write!(text, " (server name {name})");
    }
    text
}

/// How many further kinds of calls end in the same way.
fn further(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {} like it", plural(count as u64, "kind")) }
}

fn names(all: &[String]) -> String {
    match all.len() {
        0 => String::new(),
        count if count > NAMES_SHOWN => format!("{} and {} more", all[..NAMES_SHOWN].join(", "), count - NAMES_SHOWN),
        _ => all.join(", "),
    }
}

fn or_none(text: Option<&String>) -> &str {
    text.map_or("none", String::as_str)
}

/// One sentence that says how it comes out.
#[must_use]
pub fn change_verdict(delta: &Delta) -> String {
    if delta.is_nothing() {
        return format!("nothing changes for any request or connection: proven for {}", plural(delta.compared as u64, "proxy"));
    }
    let classes = delta.changes.iter().map(|change| 1 + change.further).sum::<usize>();
    let counts = [
        (classes, "class of requests", "classes of requests"),
        (delta.connections.len(), "kind of connections", "kinds of connections"),
        (delta.destinations.len(), "destination", "destinations"),
        (delta.servers.len(), "server side", "server sides"),
    ];
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
    let words: Vec<String> =
        counts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many })).collect();
    let mut text = match words.len() {
        0 => "no request changes".to_owned(),
        _ => format!("changed: {}", words.join(", ")),
    };
    for (count, what) in [(delta.added.len(), "only after"), (delta.removed.len(), "only before")] {
        if count > 0 {
            let _ = write!(text, "; {} {what}", plural(count as u64, "proxy"));
        }
    }
    if !delta.undecided.is_empty() {
        let _ = write!(text, "; {} not decided", delta.undecided.len());
    }
    text
}

/// Everything, for a terminal.
#[must_use]
pub fn change(report: &ChangeReport<'_>, style: Style) -> String {
    let delta = report.delta;
    let mut text = String::new();
    let place =
        |span: Span| report.sources.locate(span).map_or_else(|| "nothing that is written".to_owned(), |place| place.to_string());
    for (index, change) in delta.changes.iter().enumerate() {
        let _ = writeln!(
            text,
            "{}  {}",
            style.paint(Ink::Strong, &change.host),
            style.paint(Ink::Faint, &format!("at {}", names(&change.proxies)))
        );
        let _ = writeln!(text, "  {}", style.paint(Ink::Name, &request_text(&change.witness)));
        facets(&mut text, &change.facets, style);
        let _ = writeln!(
            text,
            "    {}",
            style.paint(Ink::Faint, &format!("before: {}   after: {}", place(change.before.place), place(change.after.place)))
        );
        if change.further > 0 {
            let _ = writeln!(text, "    and {} more classes of requests in the same way", change.further);
        }
        if let Some((counts, all)) = report.observed {
            let _ = writeln!(text, "    {} of {all} logged requests", counts.get(index).copied().unwrap_or(0));
        }
        text.push('\n');
    }
    for change in &delta.connections {
        let _ = writeln!(
            text,
            "{}  {}",
            style.paint(Ink::Strong, &change.dialled),
            style.paint(Ink::Faint, &format!("at {}", names(&change.proxies)))
        );
        let _ = writeln!(text, "    {} → {}\n", change.before, change.after);
    }
    for change in &delta.destinations {
        let name = destination_name(&change.cluster);
        let _ = writeln!(
            text,
            "{}  {}",
            style.paint(Ink::Strong, &name),
            style.paint(Ink::Faint, &format!("seen by {}", names(&change.proxies)))
        );
        facets(&mut text, &change.facets, style);
        let _ = writeln!(
            text,
            "    {}\n",
            style.paint(Ink::Faint, &format!("before: {}   after: {}", place(change.before), place(change.after)))
        );
    }
    for change in &delta.servers {
        let _ = writeln!(text, "{}", style.paint(Ink::Strong, &format!("what {} lets in", names(&change.proxies))));
        facets(&mut text, &change.facets, style);
        for call in &change.calls {
            let _ = writeln!(text, "  {}{}", call.call, style.paint(Ink::Faint, &further(call.further)));
            let _ = writeln!(text, "    {} → {}", call.before, call.after);
        }
        text.push('\n');
    }
    for (what, proxies) in [("only after", &delta.added), ("only before", &delta.removed)] {
        if !proxies.is_empty() {
            let _ = writeln!(text, "proxies {what}: {}\n", names(proxies));
        }
    }
    for undecided in &delta.undecided {
        let _ = writeln!(text, "{}  {}: {}", style.paint(Ink::Odd, "not decided"), undecided.host, undecided.why);
        let _ = writeln!(
            text,
            "    {}\n",
            style.paint(Ink::Faint, &format!("before: {}   after: {}", place(undecided.before), place(undecided.after)))
        );
    }
    for (word, ink, findings) in
        [("introduced", Ink::Bad, &report.findings.introduced), ("fixed", Ink::Good, &report.findings.fixed)]
    {
        for finding in findings {
            let _ = writeln!(text, "{}  {}", style.paint(ink, word), finding_text(finding, report.sources));
        }
    }
    if !report.findings.introduced.is_empty() || !report.findings.fixed.is_empty() {
        text.push('\n');
    }
    if let Some(order) = report.order {
        order_text(&mut text, order);
    }
    let _ = writeln!(text, "{}", change_verdict(delta));
    text
}

fn facets(text: &mut String, facets: &[FacetChange], style: Style) {
    let width = facets.iter().map(|facet| facet.facet.len()).max().unwrap_or(0);
    for facet in facets {
        let (before, after) = (or_none(facet.before.as_ref()), or_none(facet.after.as_ref()));
        let _ =
            writeln!(text, "    {:width$}  {} → {}", facet.facet, style.paint(Ink::Bad, before), style.paint(Ink::Good, after));
    }
}

fn finding_text(finding: &Diagnostic, sources: &Sources) -> String {
    let place = finding.primary.as_ref().and_then(|label| sources.locate(label.span));
    let place = place.map_or_else(String::new, |place| format!("{place}: "));
    format!("{place}{}[{}] {}", finding.severity.word(), finding.code.id(), finding.message)
}

fn order_text(text: &mut String, order: &Order) {
    let steps = match order {
        Order::NotSought(why) => {
            let _ = writeln!(text, "order of applying: not looked for; {why}\n");
            return;
        }
        Order::Steps(steps) => steps,
    };
    let _ = writeln!(text, "order of applying:");
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {} {}", index + 1, step.change.verb(), step.change.object());
        for window in &step.windows {
            let _ = writeln!(text, "     until the next step, {}", window_text(window));
        }
        for cause in &step.too_early {
            let _ = writeln!(text, "     before that, {} {} would open a gap:", cause.change.verb(), cause.change.object());
            if let Some(window) = cause.windows.first() {
                let _ = writeln!(text, "       {}", window_text(window));
            }
        }
    }
    text.push('\n');
}

fn window_text(window: &Window) -> String {
    let what: Vec<String> = window.meanwhile.0.iter().take(2).map(|(facet, text)| format!("{} {text}", facet.word())).collect();
    format!("{} at {} gets {}", request_text(&window.witness), window.proxy, shortened(&what.join(", "), 100))
}

/// Everything, as a comment for a pull request.
#[must_use]
pub fn change_markdown(report: &ChangeReport<'_>) -> String {
    let delta = report.delta;
    let place = |span: Span| report.sources.locate(span).map_or_else(|| "–".to_owned(), |place| format!("`{place}`"));
    let mut text = format!("### What this change does to traffic\n\n{}.\n", capitalised(&change_verdict(delta)));
    for (index, change) in delta.changes.iter().enumerate() {
        let _ = write!(
            text,
            "\n**{}** at {}\n\n```\n{}\n```\n\n",
            code(&change.host),
            names(&change.proxies),
            request_text(&change.witness)
        );
        table(&mut text, &change.facets);
        let _ = writeln!(text, "\nbefore {}, after {}", place(change.before.place), place(change.after.place));
        if change.further > 0 {
            let _ = writeln!(text, "and {} more classes of requests in the same way", change.further);
        }
        if let Some((counts, all)) = report.observed {
            let _ = writeln!(text, "{} of {all} logged requests", counts.get(index).copied().unwrap_or(0));
        }
    }
    for change in &delta.connections {
        let _ = writeln!(text, "\n**{}** at {}: {} → {}", change.dialled, names(&change.proxies), change.before, change.after);
    }
    for change in &delta.destinations {
        let _ = write!(text, "\n**{}** seen by {}\n\n", code(&destination_name(&change.cluster)), names(&change.proxies));
        table(&mut text, &change.facets);
    }
    for change in &delta.servers {
        let _ = write!(text, "\n**What {} lets in**\n\n", names(&change.proxies));
        if !change.facets.is_empty() {
            table(&mut text, &change.facets);
        }
        for call in &change.calls {
            let _ = writeln!(text, "- {}{}: {} → **{}**", code(&call.call), further(call.further), call.before, call.after);
        }
    }
    for undecided in &delta.undecided {
        let _ = writeln!(text, "\nNot decided for {}: {}", code(&undecided.host), undecided.why);
    }
    for (title, findings) in [("New findings", &report.findings.introduced), ("Fixed findings", &report.findings.fixed)] {
        if findings.is_empty() {
            continue;
        }
        let _ = write!(text, "\n**{title}**\n\n");
        for finding in findings {
            let _ = writeln!(text, "- {}", finding_text(finding, report.sources));
        }
    }
    if let Some(order) = report.order {
        let mut steps = String::new();
        order_text(&mut steps, order);
        let _ = write!(text, "\n```\n{}\n```\n", steps.trim_end());
    }
    text
}

fn table(text: &mut String, facets: &[FacetChange]) {
    text.push_str("| | before | after |\n|---|---|---|\n");
    for facet in facets {
        let cell = |side: Option<&String>| or_none(side).replace('|', "\\|");
        let _ = writeln!(text, "| {} | {} | {} |", facet.facet, cell(facet.before.as_ref()), cell(facet.after.as_ref()));
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Everything, as JSON with a version of its schema.
#[must_use]
pub fn change_json(report: &ChangeReport<'_>) -> String {
    let delta = report.delta;
    let place = |span: Span| report.sources.locate(span).map(|place| place.to_string());
    let facets = |all: &[FacetChange]| -> Json {
        all.iter().map(|facet| json!({"facet": facet.facet, "before": facet.before, "after": facet.after})).collect()
    };
    let changes = delta.changes.iter().enumerate().map(|(index, change)| {
        let mut wire = json!({
            "host": change.host,
            "proxies": change.proxies,
            "witness": witness_json(&change.witness),
            "facets": facets(&change.facets),
            "before": side_json(change, true, place(change.before.place)),
            "after": side_json(change, false, place(change.after.place)),
            "further_classes": change.further,
        });
        if let Some((counts, _)) = report.observed {
            wire["logged_requests"] = json!(counts.get(index));
        }
        wire
    });
    let finding = |finding: &Diagnostic| {
        json!({
            "code": finding.code.id(),
            "severity": finding.severity.word(),
            "message": finding.message,
            "object": finding.object.as_ref().map(ToString::to_string),
            "place": finding.primary.as_ref().and_then(|label| place(label.span)),
        })
    };
    let mut wire = json!({
        "schema": "meshsim.diff/v1",
        "nothing_changes": delta.is_nothing(),
        "proxies_compared": delta.compared,
        "proxies_added": delta.added,
        "proxies_removed": delta.removed,
        "changes": changes.collect::<Json>(),
        "connections": delta.connections.iter().map(|change| json!({
            "dialled": change.dialled, "proxies": change.proxies, "before": change.before, "after": change.after,
        })).collect::<Json>(),
        "destinations": delta.destinations.iter().map(|change| json!({
            "cluster": change.cluster, "proxies": change.proxies, "facets": facets(&change.facets),
            "before": place(change.before), "after": place(change.after),
        })).collect::<Json>(),
        "servers": delta.servers.iter().map(|change| json!({
            "proxies": change.proxies, "facets": facets(&change.facets),
            "calls": change.calls.iter().map(|call| json!({
                "call": call.call, "before": call.before, "after": call.after, "further": call.further,
            })).collect::<Json>(),
        })).collect::<Json>(),
        "undecided": delta.undecided.iter().map(|undecided| json!({
            "host": undecided.host, "before": place(undecided.before), "after": place(undecided.after), "why": undecided.why,
        })).collect::<Json>(),
        "findings": {
            "introduced": report.findings.introduced.iter().map(finding).collect::<Json>(),
            "fixed": report.findings.fixed.iter().map(finding).collect::<Json>(),
        },
    });
    if let Some((_, all)) = report.observed {
        wire["logged_requests"] = json!(all);
    }
    if let Some(order) = report.order {
        wire["order"] = order_json(order);
    }
    format!("{wire:#}\n")
}

fn side_json(change: &Change, before: bool, place: Option<String>) -> Json {
    let side = if before { &change.before } else { &change.after };
    let treatment: serde_json::Map<String, Json> =
        side.treatment.0.iter().map(|(facet, text)| (facet.word().to_owned(), json!(text))).collect();
    json!({"place": place, "treatment": treatment})
}

pub(super) fn witness_json(witness: &Witness) -> Json {
    let headers: Vec<[&String; 2]> = witness.request.headers.iter().map(|(name, value)| [name, value]).collect();
    json!({
        "method": witness.request.method,
        "authority": witness.request.authority,
        "path": witness.request.path,
        "headers": headers,
        "port": witness.dial.port,
        "tls": matches!(witness.dial.opening, Opening::Tls(_)),
        "text": request_text(witness),
    })
}

fn order_json(order: &Order) -> Json {
    let change = |change: &ObjectChange| json!({"do": change.verb(), "object": change.object().to_string()});
    let windows = |all: &[Window]| -> Json {
        all.iter().map(|window| json!({"proxy": window.proxy, "witness": witness_json(&window.witness)})).collect()
    };
    match order {
        Order::NotSought(why) => json!({"not_sought": why}),
        Order::Steps(steps) => steps
            .iter()
            .map(|step| {
                let too_early = step.too_early.iter().map(|cause| {
                    let mut wire = change(&cause.change);
                    wire["windows"] = windows(&cause.windows);
                    wire
                });
                let mut wire = change(&step.change);
                wire["windows"] = windows(&step.windows);
                wire["too_early"] = too_early.collect();
                wire
            })
            .collect(),
    }
}
