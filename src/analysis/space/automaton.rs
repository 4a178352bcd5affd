//! Deterministic automata of regular expressions, and the search for a text that some of them accept
//! and others do not.

use std::collections::VecDeque;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// Bytes of one automaton. An expression that needs more is not decided.
const AUTOMATON_BYTES_MAX: usize = 2 * 1024 * 1024;

/// States of a product that are looked at before the search is given up.
const STATES_MAX: usize = 50_000;

/// Accepted texts that are offered before the search is given up.
const OFFERS_MAX: usize = 100;

/// An automaton of the texts that match an expression.
pub(super) struct Automaton {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    /// With a text.
    Found(String),
    /// There is none.
    Empty,
    /// Nobody knows.
    GivenUp,
}

impl Automaton {
    /// The automaton of an expression that is anchored at both ends; `None` if it would be too big.
    pub(super) fn new(syntax: &str) -> Option<Self> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
            .determinize_size_limit(Some(4 * AUTOMATON_BYTES_MAX));
        let dfa = dense::Builder::new().configure(config).build(syntax).ok()?;
        let start = dfa.start_state_forward(&Input::new("").anchored(Anchored::Yes)).ok()?;
        Some(Automaton { dfa, start })
    }

    /// Whether it accepts a text.
    pub(super) fn accepts(&self, text: &str) -> bool {
        self.accepts_at(text.bytes().fold(self.start, |state, byte| self.dfa.next_state(state, byte)))
    }

    fn accepts_at(&self, state: StateID) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }
}

/// Bytes in the order in which a reader likes to see them.
fn by_plainness() -> impl Iterator<Item = u8> {
    let plain = (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"/-_.").chain(b'A'..=b'Z');
    let rest = (0..=255_u8).filter(|b| !b.is_ascii_alphanumeric() && !b"/-_.".contains(b));
    plain.chain(rest)
}

/// One byte for each set of bytes that no automaton tells apart.
fn representatives(automata: &[&Automaton]) -> Vec<u8> {
    let mut seen: FxHashSet<SmallVec<[u8; 8]>> = FxHashSet::default();
    let class = |byte: u8| automata.iter().map(|automaton| automaton.dfa.byte_classes().get(byte)).collect();
    by_plainness().filter(|byte| seen.insert(class(*byte))).collect()
}

type Product = SmallVec<[StateID; 8]>;

/// The shortest text that all of `yes` and none of `no` accept, and that `takes` takes. Breadth
/// first, so that of two texts the shorter comes first.
pub(super) fn search(yes: &[&Automaton], no: &[&Automaton], takes: impl Fn(&str) -> bool) -> Search {
    let all: Vec<&Automaton> = yes.iter().chain(no).copied().collect();
    let bytes = representatives(&all);
    let is_hopeless = |product: &Product| yes.iter().zip(product).any(|(automaton, state)| automaton.dfa.is_dead_state(*state));
    let accepts = |product: &Product| {
        let verdict = |at: usize| all[at].accepts_at(product[at]);
        (0..yes.len()).all(verdict) && !(yes.len()..all.len()).any(verdict)
    };
    let start: Product = all.iter().map(|automaton| automaton.start).collect();
    let mut steps: Vec<(usize, u8)> = vec![(0, 0)];
    let mut known: FxHashMap<Product, usize> = FxHashMap::from_iter([(start.clone(), 0)]);
    let mut queue = VecDeque::from([(start, 0_usize)]);
    let mut offers = 0;
    while let Some((product, at)) = queue.pop_front() {
        if accepts(&product) {
            // The automata accept only UTF-8; what is not would be a way into the middle of a character.
            let text = String::from_utf8(spelled(&steps, at)).ok().filter(|text| takes(text));
            match text {
                Some(text) => return Search::Found(text),
                None => offers += 1,
            }
            if offers > OFFERS_MAX {
                return Search::GivenUp;
            }
        }
        for byte in &bytes {
            let next: Product = all.iter().zip(&product).map(|(a, state)| a.dfa.next_state(*state, *byte)).collect();
            if is_hopeless(&next) || known.contains_key(&next) {
                continue;
            }
            if known.len() >= STATES_MAX {
                return Search::GivenUp;
            }
            steps.push((at, *byte));
            known.insert(next.clone(), steps.len() - 1);
            queue.push_back((next, steps.len() - 1));
        }
    }
    if offers == 0 { Search::Empty } else { Search::GivenUp }
}

/// The bytes on the way to a state.
fn spelled(steps: &[(usize, u8)], mut at: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while at != 0 {
        let (before, byte) = steps[at];
        bytes.push(byte);
        at = before;
    }
    bytes.reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(syntax: &str) -> Automaton {
        Automaton::new(&format!(r"\A(?:{syntax})\z")).unwrap()
    }

    #[test]
    fn the_shortest_and_plainest_text_is_found_or_none_is_there() {
        let found = |text: &str| Search::Found(text.to_owned());
        for (yes, no, result) in [
            (vec!["/api/.*"], vec!["/api/v1/.*"], found("/api/")),
            (vec!["/api/v1/.*"], vec!["/api/.*"], Search::Empty),
            (vec!["/a(b|c)+", "/.*c"], vec![], found("/ac")),
            (vec!["[0-9]+"], vec!["[0-8]*"], found("9")),
            (vec!["a|b|c"], vec!["a", "b", "c"], Search::Empty),
            (vec!["(?i)abc"], vec!["abc"], found("abC")),
            (vec![".*"], vec![".+"], found("")),
            (vec!["a.*b"], vec![".*(?-u:\\B)b"], found("a/b")),
            (vec!["(?s:.)"], vec!["[\\x00-\\x7F]"], found("\u{80}")),
        ] {
            let automata = |all: &[&str]| all.iter().map(|syntax| automaton(syntax)).collect::<Vec<_>>();
            let (yes_automata, no_automata) = (automata(&yes), automata(&no));
            let result_of = search(&yes_automata.iter().collect::<Vec<_>>(), &no_automata.iter().collect::<Vec<_>>(), |_| true);
            match (&result_of, &result) {
                // Any character beyond ASCII will do.
                (Search::Found(text), Search::Found(wanted)) if !wanted.is_ascii() => assert!(!text.is_ascii()),
                _ => assert_eq!(result_of, result, "{yes:?} without {no:?}"),
            }
        }
    }

    #[test]
    fn what_is_too_big_is_not_decided() {
        assert!(Automaton::new(r"\A(?:.*a.{200})\z").is_none());
        let parts: Vec<Automaton> = (0..8).map(|n| automaton(&format!("(?:.*{n}.{{7}}[a-z]*)|[^x]*"))).collect();
        let no = automaton("[^x]*");
        assert_ne!(search(&parts.iter().collect::<Vec<_>>(), &[&no], |_| true), Search::Found(String::new()));
    }

    #[test]
    fn what_nobody_takes_is_no_proof_that_nothing_is_there() {
        let digits = automaton("[0-9]");
        assert_eq!(search(&[&digits], &[], |_| false), Search::GivenUp);
        assert_eq!(search(&[&digits], &[], |text| text == "0"), Search::Found("0".to_owned()));
    }
}
