//! Header operations: from maps to ordered lists, and the authority among them.

use crate::mesh::route::HeaderOps;
use crate::resource::networking::{HeaderOperations, Headers};
use crate::source::Spanned;
use crate::yaml::Map;

/// Header operations of one rule or destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Operations {
    /// On requests.
    pub(super) request: HeaderOps,
    /// On responses.
    pub(super) response: HeaderOps,
    /// A new authority: `set` or `add` of `host` or `:authority`, `set` first.
    pub(super) authority: Option<String>,
}

impl Operations {
    pub(super) fn of(headers: Option<&Headers>) -> Self {
        let Some(headers) = headers else { return Operations::default() };
        let (request, authority) = direction(headers.request.as_ref());
        let (response, _) = direction(headers.response.as_ref());
        Operations { request, response, authority }
    }

    /// Appends the operations of a lone destination: one list, in which the later `set` wins.
    pub(super) fn append(&mut self, other: Operations) {
        for (ours, theirs) in [(&mut self.request, other.request), (&mut self.response, other.response)] {
            ours.remove.extend(theirs.remove);
            ours.set.extend(theirs.set);
            ours.add.extend(theirs.add);
        }
        self.authority = self.authority.take().or(other.authority);
    }
}

fn direction(operations: Option<&HeaderOperations>) -> (HeaderOps, Option<String>) {
    let Some(operations) = operations else { return (HeaderOps::default(), None) };
    let (set, set_authority) = values(&operations.set);
    let (add, add_authority) = values(&operations.add);
    let remove = operations.remove.iter().filter(|name| !is_internal(name)).map(|name| name.to_ascii_lowercase()).collect();
    (HeaderOps { remove, set, add }, set_authority.or(add_authority))
}

/// The pairs sorted by name, without those Envoy may not change.
fn values(map: &Map<Spanned<String>>) -> (Vec<(String, String)>, Option<String>) {
    let authority = map.iter().filter(|(name, value)| is_authority(name) && !value.is_empty()).last();
    let authority = authority.map(|(_, value)| value.value.clone());
    let mut pairs: Vec<(&str, String)> =
        map.iter().filter(|(name, _)| !is_internal(name)).map(|(name, value)| (name, value.value.clone())).collect();
    pairs.sort_by_key(|(name, _)| *name);
    (pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(), authority)
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map<Spanned<String>> {
        let own = |text: &str| Spanned::made_up(text.to_owned());
        Map(pairs.iter().map(|(name, value)| (own(name), own(value))).collect())
    }

    fn request(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> Headers {
        let remove = remove.iter().map(|name| Spanned::made_up((*name).to_owned())).collect();
        let operations = HeaderOperations { set: map(set), add: map(add), remove, ..HeaderOperations::default() };
        Headers { request: Some(operations), ..Headers::default() }
    }

    #[test]
    fn lists_are_sorted_by_name_and_leave_the_authority_out() {
        let headers = request(&[("X-B", "2"), ("host", "h"), ("X-A", "1")], &[(":authority", "added")], &["Host", "X-Gone"]);
        let operations = Operations::of(Some(&headers));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(operations.request.set, [pair("x-a", "1"), pair("x-b", "2")]);
        assert_eq!(operations.request.remove, ["x-gone"]);
        assert!(operations.request.add.is_empty());
        assert_eq!(operations.authority.as_deref(), Some("h"));
    }

    #[test]
    fn a_lone_destination_sets_last_and_cannot_replace_the_authority() {
        let mut route = Operations::of(Some(&request(&[("x", "route"), ("host", "route.test")], &[], &[])));
        route.append(Operations::of(Some(&request(&[("x", "leg"), ("host", "leg.test")], &[], &["x"]))));
        let values: Vec<&str> = route.request.set.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["route", "leg"]);
        assert_eq!(route.authority.as_deref(), Some("route.test"));
    }
}
