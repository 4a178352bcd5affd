//! What becomes of each rule: the request that gets there, or the proof that none does.

use std::fmt::Write as _;

use super::change::request_text;
use crate::analysis::{Fate, RuleReach};
use crate::source::{Sources, Span};
use crate::text::{Ink, Style};

/// One line for each match, below the object it is part of, and a count at the end.
#[must_use]
pub fn witnesses(sources: &Sources, reaches: &[RuleReach], style: Style) -> String {
    let place = |span: Span| sources.locate(span).map(|place| place.to_string()).unwrap_or_default();
    let mut text = String::new();
    for (index, reach) in reaches.iter().enumerate() {
        if index == 0 || reaches[index - 1].object != reach.object {
            let _ = writeln!(text, "{}{}", if index == 0 { "" } else { "\n" }, style.paint(Ink::Name, &reach.object.to_string()));
        }
        let (ink, word) = word(reach.fate.as_ref());
        let _ = write!(text, "  {}  {}  ", place(reach.span), style.paint(ink, word));
        let _ = match &reach.fate {
            Some(Fate::Live(sighting)) => writeln!(text, "{} from {}", request_text(&sighting.witness), sighting.proxy),
            Some(Fate::Undecided(why)) => writeln!(text, "because {why}"),
            Some(Fate::Shadowed(by)) => {
                let by: Vec<String> = by.iter().map(|span| place(*span)).collect();
                writeln!(text, "every request is taken by {}", by.join(", "))
            }
            Some(Fate::Impossible) => writeln!(text, "its conditions exclude each other, or the hosts of the rule"),
            None => writeln!(text, "no proxy of the input is given the rule"),
        };
    }
    let count = |wanted: &str| reaches.iter().filter(|reach| word(reach.fate.as_ref()).1 == wanted).count();
    let counts = ["live", "dead", "undecided", "unused"].map(|word| format!("{} {word}", count(word)));
    let _ = writeln!(text, "\n{}", counts.join(", "));
    text
}

/// What a fate is called.
pub(super) fn word(fate: Option<&Fate>) -> (Ink, &'static str) {
    match fate {
        Some(Fate::Live(_)) => (Ink::Good, "live"),
        Some(Fate::Undecided(_)) => (Ink::Odd, "undecided"),
        Some(Fate::Shadowed(_) | Fate::Impossible) => (Ink::Bad, "dead"),
        None => (Ink::Faint, "unused"),
    }
}
