//! Proofs and counterexamples, for people and as JSON.

use std::fmt::Write as _;

use serde_json::json;

use super::change::{request_text, witness_json};
use crate::invariant::{Invariant, Proof};
use crate::source::{Sources, Span};
use crate::text::{Ink, Style, plural};

/// Each invariant with how it stands.
#[must_use]
pub fn invariants(all: &[(Invariant, Proof)], sources: &Sources, style: Style) -> String {
    let mut text = String::new();
    let place = |span: Span| sources.locate(span).map_or_else(|| "no rule".to_owned(), |place| place.to_string());
    for (invariant, proof) in all {
        match proof {
            Proof::Proven(proxies) => {
                let proxies = plural(*proxies as u64, "proxy");
                let _ = writeln!(
                    text,
                    "{}  {}  {}",
                    style.paint(Ink::Good, "proven"),
                    invariant.text,
                    style.paint(Ink::Faint, &format!("at {proxies}"))
                );
            }
            Proof::Undecided(why) => {
                let _ = writeln!(text, "{}  {}\n    because {why}", style.paint(Ink::Odd, "not decided"), invariant.text);
            }
            Proof::Refuted(examples) => {
                let _ = writeln!(
                    text,
                    "{}  {}  {}",
                    style.paint(Ink::Bad, "REFUTED"),
                    invariant.text,
                    style.paint(Ink::Faint, &place(invariant.span))
                );
                for example in examples {
                    let request = style.paint(Ink::Name, &request_text(&example.witness));
                    let _ = writeln!(text, "    {request} from {}", example.proxy);
                    let _ = writeln!(text, "      {}  {}", example.what, style.paint(Ink::Faint, &place(example.place)));
                }
            }
        }
    }
    let count = |wanted: fn(&Proof) -> bool| all.iter().filter(|(_, proof)| wanted(proof)).count();
    let _ = writeln!(
        text,
        "\n{}: {} proven, {} refuted, {} not decided",
        plural(all.len() as u64, "invariant"),
        count(|proof| matches!(proof, Proof::Proven(_))),
        count(|proof| matches!(proof, Proof::Refuted(_))),
        count(|proof| matches!(proof, Proof::Undecided(_)))
    );
    text
}

/// The same as JSON, with a version of its schema.
#[must_use]
pub fn invariants_json(all: &[(Invariant, Proof)], sources: &Sources) -> String {
    let place = |span: Span| sources.locate(span).map(|place| place.to_string());
    let one = |(invariant, proof): &(Invariant, Proof)| {
        let mut wire = json!({"invariant": invariant.text, "place": place(invariant.span)});
        match proof {
            Proof::Proven(proxies) => {
                wire["verdict"] = json!("proven");
                wire["proxies"] = json!(proxies);
            }
            Proof::Undecided(why) => {
                wire["verdict"] = json!("not decided");
                wire["because"] = json!(why);
            }
            Proof::Refuted(examples) => {
                wire["verdict"] = json!("refuted");
                let examples = examples.iter().map(|example| {
                    json!({
                        "proxy": example.proxy,
                        "witness": witness_json(&example.witness),
                        "what": example.what,
                        "place": place(example.place),
                    })
                });
                wire["counterexamples"] = examples.collect();
            }
        }
        wire
    };
    let wire = json!({"schema": "meshsim.proofs/v1", "invariants": all.iter().map(one).collect::<serde_json::Value>()});
    format!("{wire:#}\n")
}
