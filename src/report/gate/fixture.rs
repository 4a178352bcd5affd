//! Findings that formats are tried on.

use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::source::{Sources, Span};

const RULES: &str =
    "kind: VirtualService\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination: {host: reviews, subset: v9}\n";

/// An error with everything, a warning with characters that formats give a meaning to, and a note
/// without a place; a file with findings and one without.
pub(super) fn findings() -> (Sources, Vec<Diagnostic>) {
    let mut sources = Sources::new();
    let rules = sources.add("mesh/rules, 1:2.yaml", RULES);
    sources.add("mesh/empty.yaml", "");
    let place = |words: &str| {
        let start = RULES.find(words).expect("the words are there") as u32;
        Span { file: rules, start, end: start + words.len() as u32 }
    };
    let findings = vec![
        Diagnostic::new(Code::UndefinedSubset, "subset `v9` of `reviews` is not defined")
            .labelled(place("v9"), "named here")
            .also(place("[reviews]"), "for this host")
            .effect("requests of this rule get 503")
            .help("define the subset")
            .about(ObjectRef { kind: "VirtualService".into(), namespace: "shop".into(), name: "reviews".into() }),
        Diagnostic::new(Code::UnknownField, "100 % <odd> & \"a|b\" *x* `a|b`,\r\nnext").at(place("spec")),
        Diagnostic::new(Code::UnknownField, "100 % <odd> & \"a|b\" *x* `a|b`,\r\nnext").at(place("hosts")),
        Diagnostic::new(Code::UnknownKind, "kinds that do not concern routing"),
    ];
    (sources, findings)
}
