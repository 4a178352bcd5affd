//! Texts by what questions tell apart: one of each kind.

use super::automaton::{Automaton, Search, search};

/// Kinds that are told apart before it is given up.
const KINDS_MAX: usize = 64;

/// One text of each kind that some questions tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    /// The texts; all kinds are different.
    pub texts: Vec<String>,
    /// Whether these are all kinds there are.
    pub is_complete: bool,
}

/// A kind: answers to the questions so far, and a text that has them.
struct Kind {
    yes: Vec<usize>,
    no: Vec<usize>,
    text: String,
}

/// Divides the texts that match `within` by questions. All are regular expressions that are anchored at
/// both ends. Of several texts of a kind the first of `plain` is taken, else the shortest; only those
/// that `takes` takes are looked at.
#[must_use]
pub fn partition(within: &str, questions: &[String], plain: &[&str], takes: &dyn Fn(&str) -> bool) -> Partition {
    let Some(whole) = Automaton::new(within) else { return Partition::default() };
    let mut result = Partition { texts: Vec::new(), is_complete: true };
    let mut automata: Vec<Automaton> = Vec::new();
    for question in questions {
        match Automaton::new(question) {
            Some(automaton) => automata.push(automaton),
            None => result.is_complete = false,
        }
    }
    let one_of = |yes: &[usize], no: &[usize]| -> Search {
        let of = |indices: &[usize]| indices.iter().map(|index| &automata[*index]).collect::<Vec<_>>();
        let (mut yes, no) = (of(yes), of(no));
        yes.push(&whole);
        let has =
            |text: &&&str| takes(text) && yes.iter().all(|own| own.accepts(text)) && !no.iter().any(|own| own.accepts(text));
        match plain.iter().find(has) {
            Some(text) => Search::Found((*text).to_owned()),
            None => search(&yes, &no, takes),
        }
    };
    let mut kinds: Vec<Kind> = match one_of(&[], &[]) {
        Search::Found(text) => vec![Kind { yes: Vec::new(), no: Vec::new(), text }],
        Search::Empty => Vec::new(),
        Search::GivenUp => return Partition::default(),
    };
    for (question, automaton) in automata.iter().enumerate() {
        let mut others = Vec::new();
        for kind in &mut kinds {
            let is_yes = automaton.accepts(&kind.text);
            let (mut yes, mut no) = (kind.yes.clone(), kind.no.clone());
            if is_yes {
                no.push(question)
            } else {
                yes.push(question)
            }
            match one_of(&yes, &no) {
                Search::Found(text) => others.push(Kind { yes, no, text }),
                Search::Empty => {}
                Search::GivenUp => result.is_complete = false,
            }
            if is_yes { kind.yes.push(question) } else { kind.no.push(question) }
        }
        kinds.extend(others);
        if kinds.len() > KINDS_MAX {
            kinds.truncate(KINDS_MAX);
            result.is_complete = false;
        }
    }
    result.texts = kinds.into_iter().map(|kind| kind.text).collect();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(questions: &[&str], plain: &[&str]) -> Partition {
        let questions: Vec<String> = questions.iter().map(|syntax| format!(r"\A(?:{syntax})\z")).collect();
        partition(r"\A/[a-z/]*\z", &questions, plain, &|text| !text.contains("//"))
    }

    #[test]
    fn every_kind_has_one_text() {
        let all = divided(&["/admin.*", "/admin/a", ".*x"], &["/", "/admin"]);
        assert_eq!(all.texts, ["/", "/admin", "/admin/a", "/x", "/adminx"]);
        assert!(all.is_complete);
        assert_eq!(divided(&["[0-9]"], &[]).texts, ["/"]);
    }

    #[test]
    fn more_kinds_than_are_bearable_are_no_proof() {
        let bits: Vec<String> = (1..9).map(|at| format!("/[a-z/]{{{at}}}x.*")).collect();
        let many = divided(&bits.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert_eq!((many.texts.len(), many.is_complete), (KINDS_MAX, false));
    }
}
