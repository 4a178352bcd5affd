//! What a proxy has of AuthorizationPolicies and RequestAuthentications: its RBAC filters, in the
//! order in which they decide (Envoy: `envoy.filters.http.rbac`, `envoy.filters.network.rbac`).

use super::ids::Origin;
use super::network::Network;
use super::pattern::Pattern;
use crate::source::Span;

/// The authorization of one proxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Authorization {
    /// Issuers whose tokens are checked and read. Without any, nobody reads tokens.
    pub issuers: Vec<Issuer>,
    /// Filters of HTTP filter chains.
    pub http: Vec<RbacFilter>,
    /// Filters of TCP filter chains.
    pub tcp: Vec<RbacFilter>,
}

impl Authorization {
    /// Whether it neither refuses nor marks anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty() && self.http.is_empty() && self.tcp.is_empty()
    }

    /// All questions of rules that count.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        let sets = self.http.iter().chain(&self.tcp).filter_map(|filter| filter.enforced.as_ref());
        let clauses = sets.flat_map(|set| &set.rules).flat_map(|rule| rule.permissions.iter().chain(&rule.principals));
        clauses.flat_map(|clause| &clause.conditions).flat_map(|condition| &condition.tests).map(|(test, _)| test)
    }
}

/// A `jwtRules` entry of a RequestAuthentication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issuer {
    /// The issuer (`iss`).
    pub name: String,
    /// Audiences, one of which a token must be for; empty for any.
    pub audiences: Vec<String>,
    /// Headers that tokens are looked for in, with what stands before the token; names lower-case.
    pub from_headers: Vec<(String, String)>,
    /// Query parameters that tokens are looked for in.
    pub from_params: Vec<String>,
    /// Cookies that tokens are looked for in.
    pub from_cookies: Vec<String>,
    /// Whether the token stays in the request.
    pub forward: bool,
    /// The header that gets the token's claims, in base64.
    pub payload_header: Option<String>,
    /// Headers that get one claim each.
    pub claim_headers: Vec<(String, String)>,
    /// Claims that are lists of words, besides those that always are.
    pub space_delimited: Vec<String>,
    /// The rule.
    pub origin: Origin,
}

impl Issuer {
    /// Whether tokens are looked for where they usually are: in the header `authorization` and in the
    /// query parameter `access_token`.
    #[must_use]
    pub fn looks_at_defaults(&self) -> bool {
        self.from_headers.is_empty() && self.from_params.is_empty() && self.from_cookies.is_empty()
    }
}

/// What a filter does when one of its rules matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RbacAction {
    /// Marks the request for the access log.
    Audit,
    /// Denies it.
    Deny,
    /// Allows it; what no rule matches is denied.
    Allow,
    /// Asks the external authorizer of this name.
    External(String),
}

impl RbacAction {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            RbacAction::Audit => "AUDIT",
            RbacAction::Deny => "DENY",
            RbacAction::Allow => "ALLOW",
            RbacAction::External(_) => "CUSTOM",
        }
    }
}

/// One filter.
#[derive(Debug, Clone, PartialEq)]
pub struct RbacFilter {
    /// What it does.
    pub action: RbacAction,
    /// Whether CUSTOM policies made it: such filters stand before tokens are read.
    pub custom: bool,
    /// Rules that count, sorted by name; `None` if no policy made any.
    pub enforced: Option<RuleSet>,
    /// Rules of dry-run policies, which only record what they would do; likewise.
    pub shadow: Option<RuleSet>,
}

/// Rules of one filter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleSet {
    /// The rules by name, byte by byte: the first that matches is the one that is named.
    pub rules: Vec<RbacRule>,
    /// Rules that the filter does not have because they ask for what it cannot see.
    pub dropped: Vec<DroppedRule>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct RbacRule {
    /// Name, such as `ns[shop]-policy[readers]-rule[0]`.
    pub name: String,
    /// One of these must hold: an operation of `to` with the conditions on the destination. None
    /// never holds: a policy without rules.
    pub permissions: Vec<Clause>,
    /// And one of these: a source of `from` with the conditions on the caller.
    pub principals: Vec<Clause>,
    /// Fields that the filter ignores because it sees no HTTP.
    pub ignored: Vec<(String, Span)>,
    /// The rule, or the policy if it has none.
    pub origin: Origin,
}

/// A rule that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedRule {
    /// Name.
    pub name: String,
    /// The field that needs HTTP.
    pub field: String,
    /// Where it is written.
    pub span: Span,
}

/// Conditions that must hold together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clause {
    /// Without any it always holds.
    pub conditions: Vec<Condition>,
}

/// One field of a source or operation, or one side of an entry of `when`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field as it is written, such as `notPaths` or `request.headers[x-token]`.
    pub field: String,
    /// Whether none may hold, instead of any.
    pub negated: bool,
    /// The alternatives, each as it is written.
    pub tests: Vec<(Test, String)>,
    /// Where the first of them is written.
    pub span: Span,
}

/// A question to a request or its connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The identity in the caller's certificate, as a SPIFFE URI.
    Identity(Text),
    /// The address at the other end of the connection.
    PeerAddress(Network),
    /// The address of the original client.
    RemoteAddress(Network),
    /// Issuer and subject of the token.
    RequestPrincipal(Text, Text),
    /// A claim of the token, by the keys that lead to it; of a list any element counts.
    Claim(Vec<String>, Text),
    /// A header (names with a colon are of the request line).
    Header(String, Text),
    /// A header is there.
    HeaderPresent(String),
    /// The authority, in any letter case.
    Host(Text),
    /// The path without its query.
    Path(Text),
    /// The address of the workload.
    DestinationAddress(Network),
    /// The port of the workload.
    DestinationPort(u16),
    /// The server name that the caller's TLS asks for; empty in clear.
    ServerName(Text),
    /// Something that other filters write down, which is not known here. It never holds.
    FilterMetadata,
}

/// A question to a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// It is not empty.
    NotEmpty,
    /// It is this.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// It ends with this.
    Suffix(String),
    /// All of it matches.
    Matches(Pattern),
}

impl Test {
    /// Whether it asks for an address, so that pods of one workload are not alike.
    #[must_use]
    pub const fn asks_for_an_address(&self) -> bool {
        matches!(self, Test::PeerAddress(_) | Test::RemoteAddress(_) | Test::DestinationAddress(_))
    }
}

impl Text {
    /// The question of a value with a wildcard at one end (Istio: `StringMatcher`).
    #[must_use]
    pub fn of(value: &str) -> Self {
        match (value.strip_prefix('*'), value.strip_suffix('*')) {
            (Some(""), _) => Text::NotEmpty,
            (Some(suffix), _) => Text::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Text::Prefix(prefix.to_owned()),
            (None, None) => Text::Exact(value.to_owned()),
        }
    }

    /// The answer.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Text::NotEmpty => !text.is_empty(),
            Text::Exact(wanted) => text == wanted,
            Text::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Text::Suffix(wanted) => text.ends_with(wanted.as_str()),
            Text::Matches(pattern) => pattern.matches(text),
        }
    }

    /// The answer in any letter case of ASCII.
    #[must_use]
    pub fn matches_ignoring_case(&self, text: &str) -> bool {
        let (text, wanted) = (text.as_bytes(), |wanted: &str| wanted.len());
        match self {
            Text::NotEmpty => !text.is_empty(),
            Text::Exact(exact) => text.eq_ignore_ascii_case(exact.as_bytes()),
            Text::Prefix(prefix) => text.get(..wanted(prefix)).is_some_and(|own| own.eq_ignore_ascii_case(prefix.as_bytes())),
            Text::Suffix(suffix) => {
                let start = text.len().checked_sub(wanted(suffix));
                start.is_some_and(|start| text[start..].eq_ignore_ascii_case(suffix.as_bytes()))
            }
            Text::Matches(pattern) => std::str::from_utf8(text).is_ok_and(|text| pattern.matches(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_at_one_end() {
        for (value, text, exact, any_case) in [
            ("*", "", false, false),
            ("*", "x", true, true),
            ("ab", "ab", true, true),
            ("ab", "AB", false, true),
            ("ab*", "abc", true, true),
            ("ab*", "ABC", false, true),
            ("*bc", "abc", true, true),
            ("*bc", "c", false, false),
            ("*bc", "aBC", false, true),
            ("*b*", "ab*", true, true),
            ("*b*", "abc", false, false),
        ] {
            assert_eq!(Text::of(value).matches(text), exact, "{value} {text}");
            assert_eq!(Text::of(value).matches_ignoring_case(text), any_case, "{value} {text}");
        }
    }
}
