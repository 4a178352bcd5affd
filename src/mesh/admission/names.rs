//! Names: DNS labels and domains, labels of objects, namespaces in visibility lists, addresses.

use std::net::IpAddr;

use super::review::Review;
use crate::source::Spanned;
use crate::yaml::Map;

/// The longest label of a domain.
const LABEL_MAX: usize = 63;

/// The longest domain.
const DOMAIN_MAX: usize = 255;

/// A DNS-1123 label as Istio takes it: letters of either case, digits and inner dashes, at most 63.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=LABEL_MAX).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Why `domain` is no domain that may begin with a wildcard; `None` if it is one.
pub(super) fn wrong_wildcard_domain(domain: &str) -> Option<String> {
    if let Some(why) = wrong_length(domain) {
        return Some(why);
    }
    let (first, rest) = domain.split_once('.').map_or((domain, None), |(first, rest)| (first, Some(rest)));
    let stripped = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    if first.len() > LABEL_MAX || (first != "*" && !is_label(stripped)) {
        return Some(format!("`{domain}` is not a DNS name, possibly with a wildcard in front"));
    }
    // A name without dots may well be a number.
    rest.and_then(|rest| wrong_labels(domain, rest))
}

/// Why `domain` is no domain; `None` if it is one.
pub(super) fn wrong_domain(domain: &str) -> Option<String> {
    wrong_length(domain).or_else(|| wrong_labels(domain, domain))
}

fn wrong_length(domain: &str) -> Option<String> {
    match domain.len() {
        0 => Some("a host may not be empty".to_owned()),
        1..=DOMAIN_MAX => None,
        _ => Some(format!("`{domain}` is longer than {DOMAIN_MAX} characters")),
    }
}

/// Why `labels`, the end of `domain`, are no labels with dots between them.
fn wrong_labels(domain: &str, labels: &str) -> Option<String> {
    let top = labels.rsplit('.').next().unwrap_or_default();
    if top.parse::<i64>().is_ok() {
        return Some(format!("the last part of `{domain}` may not be a number"));
    }
    let labels = labels.strip_suffix('.').unwrap_or(labels);
    (!labels.is_empty() && !labels.split('.').all(is_label)).then(|| format!("`{domain}` is not a DNS name"))
}

/// Whether the text is an IP address.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Whether the text is an IP address, with a zone if it is one of IPv6.
pub(super) fn is_zoned_address(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => address.contains(':') && !zone.is_empty() && is_address(address),
        None => is_address(text),
    }
}

/// Whether the text is an IP address or a network in CIDR notation.
pub(super) fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return is_zoned_address(text) };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let plain = bits == "0" || !bits.starts_with(['0', '+']);
    plain && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// Whether the rest of `unix://…` is an absolute path or an abstract name.
pub(super) fn is_socket_path(path: &str) -> bool {
    (path.starts_with('/') && path.len() > 1 && !path.ends_with('/')) || (path.starts_with('@') && path.len() > 1)
}

/// Labels that select workloads or describe sources: Kubernetes' own syntax.
pub(super) fn labels(map: &Map<Spanned<String>>, review: &mut Review<'_>) {
    for (key, value) in &map.0 {
        if !is_label_key(&key.value) {
            review.reject(key.span, format!("`{}` is not the key of a label", key.value));
        }
        if !is_label_value(&value.value) {
            review.reject(value.span, format!("`{}` is not the value of a label", value.value));
        }
    }
}

/// A selector of workloads: labels without wildcards; none at all is accepted with a warning.
pub(super) fn selector(map: &Map<Spanned<String>>, span: crate::source::Span, review: &mut Review<'_>) {
    if map.is_empty() {
        review.warn(span, "a workload selector without labels");
    }
    for (key, value) in &map.0 {
        if key.value.is_empty() {
            review.reject(key.span, "the key of a label may not be empty");
        }
        if key.value.contains('*') || value.value.contains('*') {
            review.reject(key.span, "wildcards are not possible in a workload selector");
        }
    }
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified(text)
}

fn is_qualified(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && ends(text.chars().next()) && ends(text.chars().last())
}

/// A label of any length.
fn is_long_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_label_name(text: &str) -> bool {
    text.len() <= LABEL_MAX && is_qualified(text)
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && prefix.split('.').all(is_long_label) && is_label_name(name),
        None => is_label_name(text),
    }
}

/// A list of namespaces that see an object. Only ServiceEntries may use `~`.
pub(super) fn export_to(list: &[Spanned<String>], may_hide: bool, review: &mut Review<'_>) {
    let own = review.object.namespace.clone();
    let resolved = |entry: &Spanned<String>| if entry.value == "." { own.clone() } else { entry.value.clone() };
    for (index, entry) in list.iter().enumerate() {
        let word = entry.value.as_str();
        if list[..index].iter().any(|earlier| resolved(earlier) == resolved(entry)) {
            review.reject(entry.span, format!("`{word}` stands twice in `exportTo`"));
        }
        match word {
            "." | "*" => {}
            "~" if may_hide => {}
            "~" => review.reject(entry.span, "only a ServiceEntry may be exported to `~`"),
            name if is_label(name) => {}
            name => review.reject(entry.span, format!("`{name}` is neither `.`, `*` nor a namespace")),
        }
        if matches!(word, "*" | "~") && list.len() > 1 {
            review.reject(entry.span, format!("`{word}` stands alone in `exportTo`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_in_the_first_label_only() {
        for (domain, good) in [
            ("*", true),
            ("*.foo.com", true),
            ("*-foo.com", true),
            ("*foo.com", true),
            ("reviews", true),
            ("a.b.", true),
            ("foo.*.com", false),
            ("f*.com", false),
            ("", false),
            ("10.0.0.7", false),
            ("a_b.com", false),
            ("-a.com", false),
            ("80", true),
            ("a.80", false),
            ("a.80.", true),
        ] {
            assert_eq!(wrong_wildcard_domain(domain).is_none(), good, "{domain}");
        }
    }

    #[test]
    fn networks_have_a_mask_that_fits_their_family() {
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("fd00::1", true),
            ("10.0.0.0/33", false),
            ("a/8", false),
            ("::/128", true),
            ("fe80::1%eth0", true),
            ("10.0.0.0/08", false),
        ] {
            assert_eq!(is_network(text), good, "{text}");
        }
    }
}
