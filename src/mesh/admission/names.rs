//! Names: DNS labels and domains, labels of objects, namespaces in visibility lists, addresses.

use std::net::IpAddr;

use super::review::Review;
use crate::source::Spanned;
use crate::yaml::Map;

/// A DNS-1123 label as Istio takes it: letters of either case, digits and inner dashes, at most 63.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Why `domain` is no domain that may begin with a wildcard; `None` if it is one.
pub(super) fn wrong_wildcard_domain(domain: &str) -> Option<String> {
    let (first, rest) = domain.split_once('.').map_or((domain, None), |(first, rest)| (first, Some(rest)));
    let stripped = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    let wildcard = first.starts_with('*') && (stripped.is_empty() || is_label(stripped));
    if !wildcard {
        return wrong_domain(domain);
    }
    match rest {
        Some(rest) => wrong_domain(rest).map(|_| format!("`{domain}` is not a DNS name, possibly with a wildcard in front")),
        None => None,
    }
}

/// Why `domain` is no domain; `None` if it is one.
pub(super) fn wrong_domain(domain: &str) -> Option<String> {
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_empty() {
        return Some("a host may not be empty".to_owned());
    }
    if domain.len() > 255 {
        return Some(format!("`{domain}` is longer than 255 characters"));
    }
    if !labels.split('.').all(is_label) {
        return Some(format!("`{domain}` is not a DNS name"));
    }
    let top_is_numeric = labels.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    top_is_numeric.then(|| format!("the last part of `{domain}` may not be a number"))
}

/// Whether the text is an IP address.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Whether the text is an IP address or a network in CIDR notation.
pub(super) fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return is_address(text) };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
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
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && ends(text.chars().next())
        && ends(text.chars().last())
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => wrong_domain(prefix).is_none() && is_qualified(name),
        None => is_qualified(text),
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
        ] {
            assert_eq!(wrong_wildcard_domain(domain).is_none(), good, "{domain}");
        }
    }

    #[test]
    fn networks_have_a_mask_that_fits_their_family() {
        for (text, good) in [("10.0.0.0/8", true), ("fd00::1", true), ("10.0.0.0/33", false), ("a/8", false), ("::/128", true)] {
            assert_eq!(is_network(text), good, "{text}");
        }
    }
}
