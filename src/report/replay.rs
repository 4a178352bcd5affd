//! A replayed log, for people and as JSON.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::json;

use crate::replay::{Moved, Replay};
use crate::routing::{Facet, destination_name};
use crate::source::{Sources, Span};
use crate::text::{Cell, Column, Ink, Style, Table, grouped, percent, plural};

/// Rows of destinations and of moved requests that are shown.
const ROWS_SHOWN: usize = 20;

/// A replayed log for a terminal. `compared` is whether there were two configurations.
#[must_use]
pub fn replay(result: &Replay, sources: &Sources, compared: bool, style: Style) -> String {
    let mut text = String::new();
    let mut table = Table::new(&[(Column::Number, "requests"), (Column::Number, ""), (Column::Text, "go to")]);
    for (what, count) in result.destinations.iter().take(ROWS_SHOWN) {
        table.row([
            Cell::new(Ink::Plain, grouped(*count)),
            Cell::new(Ink::Faint, percent(*count, result.requests)),
            Cell::new(Ink::Plain, what.clone()),
        ]);
    }
    text.push_str(&table.render(style, 0));
    if result.destinations.len() > ROWS_SHOWN {
        let _ = writeln!(text, "and {} more", result.destinations.len() - ROWS_SHOWN);
    }
    if result.named > 0 || !result.unseen.is_empty() || result.inbound > 0 || !compared {
        text.push('\n');
    }
    if result.named > 0 {
        let _ = writeln!(
            text,
            "{} of {} that name a cluster went where this configuration sends them",
            grouped(result.agreed),
            grouped(result.named)
        );
        if let Some((line, logged, ours)) = &result.disagreement {
            let ours: Vec<String> = ours.iter().map(|cluster| destination_name(cluster)).collect();
            let ours = if ours.is_empty() { "nowhere".to_owned() } else { ours.join(" or ") };
            let _ = writeln!(text, "  line {line}: went to {}, would go to {ours}", destination_name(logged));
        }
    }
    for (name, count) in &result.unseen {
        let _ = writeln!(
            text,
            "{} may depend on header `{name}`, which the log does not have; taken as absent",
            plural(*count, "request")
        );
    }
    if result.inbound > 0 {
        let _ = writeln!(text, "{} about requests that arrived were passed over", plural(result.inbound, "line"));
    }
    if !compared {
        let _ = writeln!(text, "{} answered with an error by the proxy itself", plural(result.failing, "request"));
        return text;
    }
    for moved in result.moved.iter().take(ROWS_SHOWN) {
        moved_text(&mut text, moved, result.requests, sources, style);
    }
    let count: u64 = result.moved.iter().map(|moved| moved.count).sum();
    let _ = writeln!(
        text,
        "\n{} of {} requests are treated differently ({}); {} would fail that did not",
        grouped(count),
        grouped(result.requests),
        percent(count, result.requests),
        grouped(result.failing)
    );
    text
}

fn moved_text(text: &mut String, moved: &Moved, all: u64, sources: &Sources, style: Style) {
    let place = |span: Span| sources.locate(span).map_or_else(|| "nothing that is written".to_owned(), |place| place.to_string());
    let request = format!("{} {}{}", moved.example.method, moved.example.authority, moved.example.path);
    let _ = writeln!(
        text,
        "\n{} ({}), such as line {}: {}",
        style.paint(Ink::Strong, &plural(moved.count, "request")),
        percent(moved.count, all),
        moved.line,
        style.paint(Ink::Name, &request)
    );
    for (facet, before, after) in moved.before.treatment.differences(&moved.after.treatment) {
        let _ = writeln!(
            text,
            "    {:<12}  {} → {}",
            facet.word(),
            style.paint(Ink::Bad, before.unwrap_or("none")),
            style.paint(Ink::Good, after.unwrap_or("none"))
        );
    }
    let places = format!("before: {}   after: {}", place(moved.before.place), place(moved.after.place));
    let _ = writeln!(text, "    {}", style.paint(Ink::Faint, &places));
}

/// The same as JSON, with a version of its schema.
#[must_use]
pub fn replay_json(result: &Replay, sources: &Sources) -> String {
    let place = |span: Span| sources.locate(span).map(|place| place.to_string());
    let treatment = |own: &crate::routing::Treatment| -> serde_json::Value {
        let facets = own.0.iter().map(|(facet, text): &(Facet, String)| (facet.word().to_owned(), json!(text)));
        serde_json::Value::Object(facets.collect())
    };
    let moved = result.moved.iter().map(|moved| {
        json!({
            "requests": moved.count,
            "line": moved.line,
            "example": {"method": moved.example.method, "authority": moved.example.authority, "path": moved.example.path},
            "before": {"treatment": treatment(&moved.before.treatment), "place": place(moved.before.place), "fails": moved.before.fails},
            "after": {"treatment": treatment(&moved.after.treatment), "place": place(moved.after.place), "fails": moved.after.fails},
        })
    });
    let counts = |all: &IndexMap<String, u64>| -> serde_json::Value {
        serde_json::Value::Object(all.iter().map(|(name, count)| (name.clone(), json!(count))).collect())
    };
    let wire = json!({
        "schema": "meshsim.replay/v1",
        "requests": result.requests,
        "inbound": result.inbound,
        "named_cluster": result.named,
        "agreed": result.agreed,
        "unseen_headers": counts(&result.unseen),
        "destinations": counts(&result.destinations),
        "moved": moved.collect::<serde_json::Value>(),
        "failing": result.failing,
    });
    format!("{wire:#}\n")
}
