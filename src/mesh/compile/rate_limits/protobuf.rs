//! Messages of Envoy's configuration, as far as they are about rate limits. What is not read is
//! noted, so that it can be said.

use crate::mesh::pattern::Pattern;
use crate::mesh::rate_limit::{HeaderMatch, HeaderTest, LimitAction, LocalDescriptor, LocalLimit, TokenBucket};
use crate::mesh::route::PerMillion;
use crate::source::Span;
use crate::time::Duration;
use crate::yaml::{Node, Value};

/// What was not understood, with its place.
pub(super) type Unread = Vec<(String, Span)>;

/// A field by its name with underscores, or as JSON writes it.
pub(super) fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.get(name).or_else(|| node.get(&camel(name))).filter(|node| !node.is_null())
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        all.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        all.push_str(letters.as_str());
    }
    all
}

pub(super) fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, name| field(node, name))
}

pub(super) fn text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    field(node, name).and_then(Node::text)
}

pub(super) fn items(node: Option<&Node>) -> &[Node] {
    node.map_or(&[], Node::items)
}

pub(super) fn number(node: &Node, name: &str) -> Option<u32> {
    text(node, name)?.parse().ok()
}

pub(super) fn truth(node: &Node, name: &str) -> Option<bool> {
    match field(node, name)?.value {
        Value::Bool(value, _) => Some(value),
        _ => None,
    }
}

/// Notes every field of a message that is not among those that are read.
pub(super) fn note_others(node: &Node, known: &[&str], unread: &mut Unread) {
    for (key, _) in node.entries().unwrap_or_default() {
        if !known.iter().any(|name| key.value == *name || key.value == camel(name)) {
            unread.push((format!("`{}`", key.value), key.span));
        }
    }
}

/// The message in a `typed_config`, with the last part of the name of its type.
pub(super) fn typed(config: &Node) -> Option<(&str, &Node)> {
    let url = config.get("@type").and_then(Node::as_str)?;
    let kind = url.rsplit(['.', '/']).next()?;
    if kind != "TypedStruct" {
        return Some((kind, config));
    }
    let inner = text(config, "type_url")?.rsplit(['.', '/']).next()?;
    Some((inner, field(config, "value")?))
}

/// `LocalRateLimit`.
pub(super) fn local_limit(config: &Node, unread: &mut Unread) -> LocalLimit {
    note_others(config, LOCAL, unread);
    let bucket = field(config, "token_bucket").and_then(|bucket| token_bucket(bucket, unread));
    let exhausted = truth(config, "rate_limited_as_resource_exhausted") == Some(true);
    LocalLimit {
        bucket,
        enabled: share(field(config, "filter_enabled")),
        enforced: share(field(config, "filter_enforced")),
        status: at(config, &["status", "code"]).map_or(429, |code| status(code, unread)),
        headers: items(field(config, "response_headers_to_add")).iter().filter_map(header).collect(),
        descriptors: items(field(config, "descriptors")).iter().filter_map(|one| local_descriptor(one, unread)).collect(),
        takes_default_too: truth(config, "always_consume_default_token_bucket") != Some(false),
        grpc_status: if exhausted { 8 } else { 14 },
        actions: rate_limits(field(config, "rate_limits"), unread),
    }
}

const LOCAL: &[&str] = &[
    "@type",
    "always_consume_default_token_bucket",
    "descriptors",
    "filter_enabled",
    "filter_enforced",
    "rate_limited_as_resource_exhausted",
    "rate_limits",
    "response_headers_to_add",
    "stat_prefix",
    "status",
    "token_bucket",
];

/// Codes of errors, by number or by name; anything else stands for the default.
pub(super) fn status(code: &Node, unread: &mut Unread) -> u16 {
    let word = code.text().unwrap_or_default();
    let named = |word: &str| match word {
        "TooManyRequests" => Some(429),
        "Forbidden" => Some(403),
        "ServiceUnavailable" => Some(503),
        _ => None,
    };
    match word.parse().ok().or_else(|| named(word)) {
        Some(code) if (400..600).contains(&code) => code,
        Some(_) => 429,
        None => {
            unread.push((format!("the status `{word}`"), code.span));
            429
        }
    }
}

/// The shortest interval of a bucket.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

fn token_bucket(bucket: &Node, unread: &mut Unread) -> Option<TokenBucket> {
    let interval = text(bucket, "fill_interval").and_then(|interval| Duration::parse_go(interval).ok());
    let read = number(bucket, "max_tokens").zip(interval.filter(|interval| *interval >= INTERVAL_MIN));
    if read.is_none() {
        unread.push(("a bucket without `max_tokens` or with a `fill_interval` below 50ms".to_owned(), bucket.span));
    }
    let per_fill = field(bucket, "tokens_per_fill").and_then(Node::text).map_or(Some(1), |text| text.parse().ok());
    let (most, interval) = read?;
    Some(TokenBucket { most, per_fill: per_fill.unwrap_or(1), interval })
}

/// The default of a `RuntimeFractionalPercent`; nothing at all is never.
fn share(fraction: Option<&Node>) -> PerMillion {
    let Some(default) = fraction.and_then(|fraction| field(fraction, "default_value")) else { return PerMillion(0) };
    let numerator = number(default, "numerator").unwrap_or(0);
    let factor = match text(default, "denominator").unwrap_or("HUNDRED") {
        "MILLION" => 1,
        "TEN_THOUSAND" => 100,
        _ => 10_000,
    };
    PerMillion(numerator.saturating_mul(factor).min(1_000_000))
}

fn header(option: &Node) -> Option<(String, String)> {
    let header = field(option, "header")?;
    Some((text(header, "key")?.to_ascii_lowercase(), text(header, "value").unwrap_or_default().to_owned()))
}

fn local_descriptor(one: &Node, unread: &mut Unread) -> Option<LocalDescriptor> {
    let entries = items(field(one, "entries")).iter();
    let entry = |entry: &Node| Some((text(entry, "key")?.to_owned(), text(entry, "value").unwrap_or_default().to_owned()));
    let entries: Vec<(String, String)> = entries.filter_map(entry).collect();
    if entries.iter().any(|(_, value)| value.is_empty()) {
        unread.push(("a descriptor for any value".to_owned(), one.span));
        return None;
    }
    Some(LocalDescriptor { entries, bucket: token_bucket(field(one, "token_bucket")?, unread)? })
}

/// A list of `RateLimit`: each makes one descriptor.
pub(super) fn rate_limits(list: Option<&Node>, unread: &mut Unread) -> Vec<Vec<LimitAction>> {
    let mut all = Vec::new();
    for limit in items(list) {
        note_others(limit, &["actions"], unread);
        let actions: Option<Vec<LimitAction>> = items(field(limit, "actions")).iter().map(|one| action(one, unread)).collect();
        all.extend(actions.filter(|actions| !actions.is_empty()));
    }
    all
}

fn action(one: &Node, unread: &mut Unread) -> Option<LimitAction> {
    let read = known_action(one, unread);
    if read.is_none() {
        let name = one.entries().and_then(|entries| entries.first()).map_or("", |(key, _)| key.value.as_str());
        unread.push((format!("the action `{name}`"), one.span));
    }
    read
}

fn known_action(one: &Node, unread: &mut Unread) -> Option<LimitAction> {
    let key = |spec: &Node, usual: &str| text(spec, "descriptor_key").unwrap_or(usual).to_owned();
    if let Some(spec) = field(one, "request_headers") {
        return Some(LimitAction::RequestHeader {
            header: text(spec, "header_name")?.to_ascii_lowercase(),
            key: key(spec, ""),
            skips_if_absent: truth(spec, "skip_if_absent") == Some(true),
        });
    }
    if let Some(spec) = field(one, "generic_key") {
        let value = text(spec, "descriptor_value")?.to_owned();
        return Some(LimitAction::GenericKey { key: key(spec, "generic_key"), value });
    }
    if let Some(spec) = field(one, "header_value_match") {
        let headers: Option<Vec<HeaderMatch>> =
            items(field(spec, "headers")).iter().map(|header| header_match(header, unread)).collect();
        return Some(LimitAction::HeaderValueMatch {
            key: key(spec, "header_match"),
            value: text(spec, "descriptor_value")?.to_owned(),
            expects_match: truth(spec, "expect_match") != Some(false),
            headers: headers?,
        });
    }
    // Both are messages without fields.
    let has = |name: &str| one.get(name).or_else(|| one.get(&camel(name))).is_some();
    if has("remote_address") {
        return Some(LimitAction::RemoteAddress);
    }
    has("destination_cluster").then_some(LimitAction::DestinationCluster)
}

fn header_match(header: &Node, unread: &mut Unread) -> Option<HeaderMatch> {
    let test = header_test(header)?;
    let known = ["exact_match", "prefix_match", "suffix_match", "contains_match", "safe_regex_match", "present_match"];
    note_others(header, &[&known[..], &["name", "string_match", "invert_match"]].concat(), unread);
    let inverted = (truth(header, "invert_match") == Some(true)) != (truth(header, "present_match") == Some(false));
    Some(HeaderMatch { name: text(header, "name")?.to_ascii_lowercase(), test, inverted })
}

fn header_test(header: &Node) -> Option<HeaderTest> {
    let regex = |node: &Node, name: &str| Pattern::new(text(field(node, name)?, "regex")?).ok().map(HeaderTest::Matches);
    if let Some(string) = field(header, "string_match") {
        if truth(string, "ignore_case") == Some(true) {
            return None;
        }
        let own = |name: &str| text(string, name).map(str::to_owned);
        return own("exact")
            .map(HeaderTest::Exact)
            .or_else(|| own("prefix").map(HeaderTest::Prefix))
            .or_else(|| own("suffix").map(HeaderTest::Suffix))
            .or_else(|| own("contains").map(HeaderTest::Contains))
            .or_else(|| regex(string, "safe_regex"));
    }
    let own = |name: &str| text(header, name).map(str::to_owned);
    own("exact_match")
        .map(HeaderTest::Exact)
        .or_else(|| own("prefix_match").map(HeaderTest::Prefix))
        .or_else(|| own("suffix_match").map(HeaderTest::Suffix))
        .or_else(|| own("contains_match").map(HeaderTest::Contains))
        .or_else(|| regex(header, "safe_regex_match"))
        .or(Some(HeaderTest::Present))
}
