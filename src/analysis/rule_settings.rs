//! Settings of one rule that work against each other: timeouts, retries, faults, lists of matches,
//! regular expressions.

use super::input::{Input, Of, finding};
use crate::diagnostic::{Code, Diagnostic, Edit, Fix};
use crate::resource::networking::{FaultAbort, FaultDelay, HttpMatchRequest, HttpRoute, Percent, StringMatch, VirtualService};
use crate::source::{Span, Spanned};
use crate::time::Duration;

fn rules<'a>(input: &Input<'a>) -> impl Iterator<Item = (Of<'a, VirtualService>, &'a HttpRoute)> {
    input.virtual_services().flat_map(|vs| vs.spec.http.iter().map(move |rule| (vs, rule)))
}

/// A timeout for each try that the route's timeout overtakes, and tries that it leaves no time for.
pub(super) fn timeouts(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for (vs, rule) in rules(input) {
        let is_set = |timeout: &Spanned<Duration>| !timeout.is_zero();
        let Some(whole) = rule.timeout.filter(is_set) else { continue };
        let Some(retries) = &rule.retries else { continue };
        let Some(of_try) = retries.per_try_timeout.filter(is_set) else { continue };
        let tries = retries.attempts.map_or(2, |attempts| u64::try_from(attempts.value).unwrap_or(0)) + 1;
        let shown = crate::text::duration;
        if of_try.value >= whole.value {
            let message =
                format!("the timeout of each try, {}, is not below the route's, {}", shown(of_try.value), shown(whole.value));
            found.push(
                finding(Code::PerTryAboveTimeout, vs.object, of_try.span, message)
                    .also(whole.span, "ends the request before")
                    .effect("a slow try is never given up for another one: the request ends with 504")
                    .help("set `perTryTimeout` to a part of `timeout`"),
            );
        } else if of_try.nanos().saturating_mul(tries) > whole.nanos() {
            let fit = whole.nanos() / of_try.nanos();
            let message = format!("{tries} tries of {} do not fit into the route's {}", shown(of_try.value), shown(whole.value));
            found.push(
                finding(Code::RetriesCutShort, vs.object, of_try.span, message)
                    .also(whole.span, "ends the request before")
                    .effect(format!("of slow tries only {fit} have their whole time")),
            );
        }
    }
}

/// Faults for no request, and faults beside retries and timeouts that they do not meet.
pub(super) fn faults(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for (vs, rule) in rules(input) {
        let Some(fault) = &rule.fault else { continue };
        let parts = [
            ("delay", fault.delay.as_ref().map(|delay| (delay.span, delay_share(delay)))),
            ("abort", fault.abort.as_ref().map(|abort| (abort.span, abort_share(abort)))),
        ];
        for (name, part) in parts {
            let Some((span, share)) = part else { continue };
            let message = match share {
                Some(share) if share > 0.0 => continue,
                Some(_) => format!("the {name} is for 0 % of the requests"),
                None => format!("the {name} has no `percentage`, so it is for no request"),
            };
            found.push(
                finding(Code::IdleFault, vs.object, span, message)
                    .effect("nothing is injected")
                    .help("write `percentage: {value: 100}`"),
            );
        }
        let aborts_all = fault.abort.as_ref().and_then(abort_share).is_some_and(|share| share >= 100.0);
        let retries = rule.retries.as_ref().filter(|retries| retries.attempts.is_none_or(|attempts| attempts.value > 0));
        if let Some(retries) = retries.filter(|_| aborts_all) {
            let message = "the fault aborts every request before retries begin";
            found.push(
                finding(Code::FaultBeforeRetries, vs.object, fault.span, message)
                    .also(retries.span, "never comes to a retry")
                    .effect("an abort is not retried by this proxy, nor does it prove that retries work"),
            );
        }
        let delays = fault.delay.as_ref().filter(|delay| delay_share(delay).is_some_and(|share| share > 0.0));
        let late = delays.and_then(|delay| delay.fixed_delay).zip(rule.timeout.filter(|timeout| !timeout.is_zero()));
        if let Some((delay, timeout)) = late.filter(|(delay, timeout)| delay.value > timeout.value) {
            let message = "the delay is longer than the timeout, and does not count towards it";
            found.push(
                finding(Code::FaultBeforeRetries, vs.object, delay.span, message)
                    .also(timeout.span, "begins after the delay")
                    .effect("requests are late by the delay and do not time out")
                    .help("to try out this timeout, put the delay behind another proxy: on the service that is called"),
            );
        }
    }
}

fn percent(share: Option<&Percent>) -> Option<f64> {
    share.map(|percent| percent.value.map_or(0.0, |value| value.value))
}

fn delay_share(delay: &FaultDelay) -> Option<f64> {
    percent(delay.percentage.as_ref()).or_else(|| delay.percent.map(|whole| whole.value as f64))
}

fn abort_share(abort: &FaultAbort) -> Option<f64> {
    percent(abort.percentage.as_ref())
}

/// A match list whose items were meant as one match: one of them only names a port, method or client,
/// and another one the path (`- port: 7070` and `- uri: …` instead of both below one dash).
pub(super) fn accidental_alternatives(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for (vs, rule) in rules(input) {
        for (index, block) in rule.matches.iter().enumerate() {
            let Some(asks) = only_qualifies(block) else { continue };
            let other = |other: &&HttpMatchRequest| other.uri.is_some() && qualifiers(other).iter().all(|own| *own != asks);
            let Some(other) = rule.matches.iter().find(other) else { continue };
            if rule.matches.len() != 2 && index != 0 {
                continue;
            }
            let message = format!("this match asks for its {asks} only, and is an alternative to the one with a path");
            found.push(
                finding(Code::AccidentalOr, vs.object, block.span, message)
                    .also(other.span, "the other alternative")
                    .effect(format!("every request with this {asks} takes the rule, whatever its path"))
                    .help("remove the dash before the second one if both are meant to hold")
                    .fix(together(rule, block, other)),
            );
        }
    }
}

/// Both matches as one: the later of the two loses its dash, if they stand side by side.
fn together(rule: &HttpRoute, block: &HttpMatchRequest, other: &HttpMatchRequest) -> Fix {
    let at = |wanted: &HttpMatchRequest| rule.matches.iter().position(|own| std::ptr::eq(own, wanted)).unwrap_or_default();
    let (first, last) = if at(block) < at(other) { (block, other) } else { (other, block) };
    let edits = if at(last) == at(first) + 1 { vec![Edit::Dash { item: last.span }] } else { Vec::new() };
    Fix::guess("make both matches one", edits)
}

/// What a block asks for besides path, headers and query.
fn qualifiers(block: &HttpMatchRequest) -> Vec<&'static str> {
    let set = [
        ("port", block.port.is_some_and(|port| port.value != 0)),
        ("method", block.method.is_some()),
        ("scheme", block.scheme.is_some()),
        ("client", !block.source_labels.is_empty() || block.source_namespace.as_ref().is_some_and(|name| !name.is_empty())),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}

/// The one thing that a block asks for, if that is a qualifier.
fn only_qualifies(block: &HttpMatchRequest) -> Option<&'static str> {
    let plain = block.uri.is_none()
        && block.authority.is_none()
        && block.headers.is_empty()
        && block.without_headers.is_empty()
        && block.query_params.is_empty()
        && block.gateways.is_empty();
    match qualifiers(block).as_slice() {
        [one] if plain => Some(one),
        _ => None,
    }
}

/// Regular expressions that mean something else than they look like.
pub(super) fn expressions(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for (vs, rule) in rules(input) {
        for block in &rule.matches {
            let regex = |value: &Option<StringMatch>| value.as_ref().and_then(|value| value.regex.clone());
            if let Some(regex) = regex(&block.authority).filter(|regex| loose_dots(regex).next().is_some()) {
                let message = format!("a dot in `{}` stands for any character", regex.value);
                found.push(
                    finding(Code::LooseDot, vs.object, regex.span, message)
                        .effect("hosts that nobody thought of match too")
                        .help("write `\\.` for a dot")
                        .fix(Fix::spelling(regex.span, &regex.value, &with_dots_escaped(&regex.value), false)),
                );
            }
            if let Some(regex) = regex(&block.uri).filter(|regex| is_plain(regex)) {
                found.push(plain(&vs, regex.span, &regex.value));
            }
        }
    }
}

fn plain(vs: &Of<'_, VirtualService>, span: Span, text: &str) -> Diagnostic {
    let message = format!("the regular expression `{text}` matches this one path only");
    finding(Code::PlainRegex, vs.object, span, message)
        .effect("regular expressions match whole paths, so paths below it do not match")
        .help("write `exact` or `prefix`")
        .fix(Fix::safe("write `exact`", [Edit::Key { value: span, old: "regex".to_owned(), new: "exact".to_owned() }]))
}

/// Whether an expression is a text without any operator.
fn is_plain(pattern: &str) -> bool {
    !pattern.is_empty() && !pattern.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

/// Dots between letters that are not escaped, as in `www.example\.com`.
fn loose_dots(pattern: &str) -> impl Iterator<Item = usize> {
    let bytes = pattern.as_bytes();
    (1..bytes.len().saturating_sub(1)).filter(move |at| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        bytes[*at] == b'.' && bytes[at - 1] != b'\\' && is_word(bytes[at - 1]) && is_word(bytes[at + 1])
    })
}

fn with_dots_escaped(pattern: &str) -> String {
    let mut escaped = pattern.to_owned();
    let dots: Vec<usize> = loose_dots(pattern).collect();
    dots.iter().rev().for_each(|at| escaped.insert(*at, '\\'));
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::testing::all;
    use super::*;

    /// The findings of this file about one rule.
    fn told(rule: &str) -> Vec<Code> {
        let own = [
            Code::PerTryAboveTimeout,
            Code::RetriesCutShort,
            Code::IdleFault,
            Code::FaultBeforeRetries,
            Code::AccidentalOr,
            Code::LooseDot,
            Code::PlainRegex,
        ];
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: app, namespace: shop}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app, namespace: shop}}\nspec: {{hosts: [app], http: [{{{rule}, route: [{{destination: {{host: app}}}}]}}]}}\n"
        );
        all(&text).iter().map(|finding| finding.code).filter(|code| own.contains(code)).collect()
    }

    #[test]
    fn settings_of_a_rule_are_held_against_each_other() {
        for (rule, codes) in [
            ("timeout: 3s, retries: {attempts: 2, perTryTimeout: 1s}", vec![]),
            ("timeout: 3s, retries: {attempts: 3, perTryTimeout: 1s}", vec![Code::RetriesCutShort]),
            ("timeout: 3s, retries: {attempts: 1, perTryTimeout: 3s}", vec![Code::PerTryAboveTimeout]),
            ("retries: {attempts: 9, perTryTimeout: 3s}", vec![]),
            ("timeout: 0s, retries: {attempts: 9, perTryTimeout: 3s}", vec![]),
            ("fault: {abort: {httpStatus: 503}}", vec![Code::IdleFault]),
            ("fault: {abort: {httpStatus: 503, percentage: {value: 0}}}", vec![Code::IdleFault]),
            ("fault: {abort: {httpStatus: 503, percentage: {value: 50}}}", vec![]),
            ("fault: {delay: {fixedDelay: 1s, percent: 100}}, timeout: 2s", vec![]),
            ("fault: {delay: {fixedDelay: 7s, percentage: {value: 100}}}, timeout: 2s", vec![Code::FaultBeforeRetries]),
            (
                "fault: {abort: {httpStatus: 503, percentage: {value: 100}}}, retries: {attempts: 2}",
                vec![Code::FaultBeforeRetries],
            ),
        ] {
            assert_eq!(told(rule), codes, "{rule}");
        }
    }

    #[test]
    fn a_dash_too_many_is_told_and_real_alternatives_are_not() {
        for (matches, codes) in [
            ("[{port: 80}, {uri: {prefix: /a}}]", vec![Code::AccidentalOr]),
            ("[{method: {exact: GET}}, {uri: {prefix: /a}}]", vec![Code::AccidentalOr]),
            ("[{port: 80, uri: {prefix: /a}}]", vec![]),
            ("[{uri: {prefix: /a}}, {uri: {prefix: /b}}]", vec![]),
            ("[{headers: {beta: {exact: 'true'}}}, {uri: {prefix: /beta}}]", vec![]),
            ("[{port: 80}, {port: 81, uri: {prefix: /a}}]", vec![]),
        ] {
            assert_eq!(told(&format!("match: {matches}")), codes, "{matches}");
        }
    }

    #[test]
    fn expressions_that_look_like_something_else_are_told() {
        for (block, codes) in [
            ("{authority: {regex: 'www.example\\.com'}}", vec![Code::LooseDot]),
            ("{authority: {regex: '.*\\.example\\.com'}}", vec![]),
            ("{uri: {regex: /api}}", vec![Code::PlainRegex]),
            ("{uri: {regex: '/api.*'}}", vec![]),
        ] {
            assert_eq!(told(&format!("match: [{block}]")), codes, "{block}");
        }
    }
}
