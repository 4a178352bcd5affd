//! From tests to cases: tables and combinations unfolded.

use super::case::{Case, Claims};
use super::format::{Ask, Expect, Suite, Test};
use super::question::Question;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Span, Spanned};
use crate::yaml::Map;

/// More combinations than this in one test are a slip of the pen.
const COMBINATIONS_MAX: usize = 100_000;

/// The cases of a file.
pub(super) fn cases(suite: &Suite, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let from = suite.from.as_ref().map(|from| from.value.as_str());
    suite.tests.iter().flat_map(|test| of_test(test, from, diagnostics)).collect()
}

fn of_test(test: &Test, from: Option<&str>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let mut refuse = |why: String, span: Span| diagnostics.push(Diagnostic::new(Code::TestInvalid, why).at(span));
    let mut rows: Vec<(Option<&str>, Span, Ask, Expect)> = Vec::new();
    for row in &test.table {
        let name = row.name.as_ref().map(|name| name.value.as_str());
        rows.push((name, row.span, test.request.changed(&row.request), test.expect.changed(&row.expect)));
    }
    if rows.is_empty() {
        rows.push((None, test.span, test.request.clone(), test.expect.clone()));
    }
    let mut cases = Vec::new();
    for (label, span, ask, expect) in rows {
        if expect.is_empty() {
            refuse("the test expects nothing, so it could not fail".to_owned(), span);
            continue;
        }
        if expect.sample.is_some() && expect.destinations.is_none() {
            refuse("`sample` needs `destinations` to compare with".to_owned(), expect.span);
            continue;
        }
        let asks = combined(&ask, test);
        if asks.len() > COMBINATIONS_MAX {
            refuse(format!("more than {COMBINATIONS_MAX} combinations in one test"), test.combinations.span);
            continue;
        }
        let several = asks.len() > 1 || test.table.len() > 1;
        for ask in asks {
            match Question::new(&ask, from) {
                Ok(question) => {
                    let name = name(test.name.as_ref(), label, &question, several);
                    cases.push(Case { name, span, question, claims: Claims::Own(Box::new(expect.clone())) });
                }
                Err((why, span)) => {
                    refuse(why, span);
                    break;
                }
            }
        }
    }
    cases
}

/// The name of the test, and what tells its cases apart.
fn name(test: Option<&Spanned<String>>, label: Option<&str>, question: &Question, several: bool) -> String {
    let request = || {
        let mut text = format!("{} {}{}", question.request.method, question.request.authority, question.request.path);
        for (name, value) in &question.request.headers {
            text.push_str(&format!(" {name}: {value}"));
        }
        text.extend(question.from.iter().map(|from| format!(" from {from}")));
        text
    };
    match (test, label) {
        (Some(test), None) if !several => test.value.clone(),
        (Some(test), Some(label)) => format!("{}: {label}", test.value),
        (Some(test), None) => format!("{}: {}", test.value, request()),
        (None, Some(label)) => label.to_owned(),
        (None, None) => request(),
    }
}

/// Values, and the part of a request that they are.
type Dimension<'a> = (&'a [Spanned<String>], fn(&mut Ask, Spanned<String>));

/// Every combination of the values, the last dimension varying fastest.
fn combined(ask: &Ask, test: &Test) -> Vec<Ask> {
    let all = &test.combinations;
    let mut asks = vec![ask.clone()];
    let dimensions: [Dimension<'_>; 4] = [
        (&all.from, |ask, value| ask.from = Some(value)),
        (&all.method, |ask, value| ask.method = Some(value)),
        (&all.host, |ask, value| ask.host = Some(value)),
        (&all.path, |ask, value| ask.path = Some(value)),
    ];
    for (values, put) in dimensions {
        asks = unfolded(asks, values, |ask, value| put(ask, value.clone()));
    }
    for (name, values) in &all.headers.0 {
        asks = unfolded(asks, values, |ask, value| {
            let only = Ask { headers: Map(vec![(name.clone(), value.clone())]), ..Ask::default() };
            *ask = ask.changed(&only);
        });
    }
    asks
}

fn unfolded<T>(asks: Vec<Ask>, values: &[T], mut put: impl FnMut(&mut Ask, &T)) -> Vec<Ask> {
    if values.is_empty() || asks.len() > COMBINATIONS_MAX {
        return asks;
    }
    let mut all = Vec::with_capacity(asks.len().saturating_mul(values.len()).min(COMBINATIONS_MAX + 1));
    for ask in &asks {
        for value in values {
            let mut next = ask.clone();
            put(&mut next, value);
            all.push(next);
            if all.len() > COMBINATIONS_MAX {
                return all;
            }
        }
    }
    all
}
