//! Rules that istiod itself finds unused or covered (`analyzeUnreachableHTTPRules`): accepted with a
//! warning. It knows three cases only; reachability analysis knows them all.

use super::review::Review;
use crate::mesh::coverage;
use crate::resource::networking::{
    HttpMatchRequest, HttpRoute, L4MatchAttributes, StringMatch, TlsMatchAttributes, VirtualService,
};
use crate::source::{Span, Spanned};
use crate::yaml::Map;

pub(super) fn warn(spec: &VirtualService, review: &mut Review<'_>) {
    let http: Vec<(Span, Vec<(Span, String)>)> =
        spec.http.iter().map(|rule| (rule.span, keys(&rule.matches, http_key))).collect();
    blocks(&http, review);
    prefixes(&spec.http, review);
    let tls: Vec<_> = spec.tls.iter().map(|rule| (rule.span, keys(&rule.matches, tls_key))).collect();
    blocks(&tls, review);
    let tcp: Vec<_> = spec.tcp.iter().map(|rule| (rule.span, keys(&rule.matches, l4_key))).collect();
    blocks(&tcp, review);
}

fn keys<T>(blocks: &[T], key: impl Fn(&T) -> (Span, String)) -> Vec<(Span, String)> {
    blocks.iter().map(key).collect()
}

fn blocks(rules: &[(Span, Vec<(Span, String)>)], review: &mut Review<'_>) {
    let mut open_rule = false;
    let mut seen: Vec<&str> = Vec::new();
    for (span, matches) in rules {
        if matches.is_empty() {
            if open_rule {
                review.redundant_rule(*span, "the rule is never used: only the last rule can have no matches");
            }
            open_rule = true;
            continue;
        }
        let mut repeated = 0;
        for (block, key) in matches {
            if open_rule {
                review.redundant_rule(*block, "the rule is never used: a rule without matches stands before it");
            }
            if seen.contains(&key.as_str()) {
                repeated += 1;
                review.redundant_match(*block, "the match is never used: an earlier one is the same");
            } else {
                seen.push(key);
            }
        }
        if repeated == matches.len() {
            review.redundant_rule(*span, "the rule is never used: all of its matches stand in earlier rules");
        }
    }
}

/// A match block with a uri prefix, as istiod compares them.
struct Prefixed<'a> {
    block: &'a HttpMatchRequest,
    prefix: &'a str,
}

fn prefixes(rules: &[HttpRoute], review: &mut Review<'_>) {
    let all: Vec<Prefixed<'_>> = rules
        .iter()
        .flat_map(|rule| &rule.matches)
        .filter_map(|block| {
            let prefix = block.uri.as_ref()?.prefix.as_ref()?;
            Some(Prefixed { block, prefix: &prefix.value })
        })
        .collect();
    for (index, later) in all.iter().enumerate() {
        if let Some(earlier) = all[..index].iter().find(|earlier| covers(earlier, later)) {
            let pair = format!("the prefix `{}` before it covers `{}`", earlier.prefix, later.prefix);
            match coverage::covers(earlier.block, later.block) {
                true => review.redundant_match(later.block.span, format!("the match is never used: {pair}")),
                false => review.warn(later.block.span, format!("istiod wrongly warns that {pair}; the match is alive")),
            }
        }
    }
}

/// `coveredValidation`: a longer prefix behind a shorter one, with as many other conditions of the
/// same names, whose texts begin alike. The kind of a match plays no part there, and a missing method
/// counts as GET, so a rule that is alive may be called covered.
fn covers(earlier: &Prefixed<'_>, later: &Prefixed<'_>) -> bool {
    let (a, b) = (earlier.block, later.block);
    let method = |block: &HttpMatchRequest| block.method.as_ref().map_or("GET", text).to_owned();
    let authority = |block: &HttpMatchRequest| block.authority.as_ref().map_or("", text).to_owned();
    later.prefix.starts_with(earlier.prefix)
        && later.prefix != earlier.prefix
        && number(a.port.as_ref()) == number(b.port.as_ref())
        && method(a).starts_with(&method(b))
        && authority(a).starts_with(&authority(b))
        && alike(&a.headers, &b.headers)
        && alike(&a.query_params, &b.query_params)
        && alike(&a.without_headers, &b.without_headers)
}

fn alike(a: &Map<Option<StringMatch>>, b: &Map<Option<StringMatch>>) -> bool {
    let value = |v: &Option<StringMatch>| v.as_ref().map_or("", text).to_owned();
    a.0.len() == b.0.len() && a.iter().all(|(name, mine)| b.get(name).is_some_and(|other| value(mine).starts_with(&value(other))))
}

fn text(value: &StringMatch) -> &str {
    [&value.exact, &value.prefix, &value.regex].into_iter().flatten().next().map_or("", |t| t.value.as_str())
}

fn number(number: Option<&Spanned<i64>>) -> i64 {
    number.map_or(0, |n| n.value)
}

/// The match with its kind, for comparing whole blocks.
fn option(value: Option<&StringMatch>) -> Option<String> {
    let value = value?;
    let part = |name: &str, t: &Option<Spanned<String>>| t.as_ref().map(|t| format!("{name}:{}", t.value));
    let known = part("exact", &value.exact).or_else(|| part("prefix", &value.prefix)).or_else(|| part("regex", &value.regex));
    Some(known.unwrap_or_default())
}

fn map(values: &Map<Option<StringMatch>>) -> String {
    let mut parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}={:?}", option(value.as_ref()))).collect();
    parts.sort();
    parts.join(",")
}

fn labels(values: &Map<Spanned<String>>) -> String {
    let mut parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    parts.sort();
    parts.join(",")
}

fn words(list: &[Spanned<String>]) -> String {
    list.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(",")
}

/// Everything a block asks for, without its name.
fn http_key(block: &HttpMatchRequest) -> (Span, String) {
    let singles = [&block.uri, &block.scheme, &block.method, &block.authority].map(|m| option(m.as_ref()));
    let key = format!(
        "{singles:?} {} {} {} {:?} {} {} {:?} {} {:?}",
        map(&block.headers),
        map(&block.without_headers),
        map(&block.query_params),
        block.ignore_uri_case.unwrap_or(false),
        number(block.port.as_ref()),
        labels(&block.source_labels),
        block.source_namespace.as_ref().map(|n| &n.value),
        words(&block.gateways),
        block.stat_prefix.as_ref().map(|p| &p.value),
    );
    (block.span, key)
}

fn tls_key(block: &TlsMatchAttributes) -> (Span, String) {
    let key = format!(
        "{} {} {} {} {} {:?}",
        words(&block.sni_hosts),
        words(&block.destination_subnets),
        number(block.port.as_ref()),
        labels(&block.source_labels),
        words(&block.gateways),
        block.source_namespace.as_ref().map(|n| &n.value),
    );
    (block.span, key)
}

fn l4_key(block: &L4MatchAttributes) -> (Span, String) {
    let key = format!(
        "{} {} {:?} {} {} {:?}",
        words(&block.destination_subnets),
        number(block.port.as_ref()),
        block.source_subnet.as_ref().map(|s| &s.value),
        labels(&block.source_labels),
        words(&block.gateways),
        block.source_namespace.as_ref().map(|n| &n.value),
    );
    (block.span, key)
}
