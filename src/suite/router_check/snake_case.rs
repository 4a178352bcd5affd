//! Names of fields in JSON: a message may be written with either spelling of its fields.

use crate::yaml::{Node, Value};

/// Fields whose values have keys of their own, which are not names of fields.
const OWN_KEYS: &[&str] = &["filter_metadata", "typed_per_filter_config"];

/// The tree with `lowerCamelCase` keys written as `snake_case`. Below `except` keys stay as they are.
pub(super) fn snake_case(node: &Node, except: &[&str]) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            let entry = |(key, value): &(crate::source::Spanned<String>, Node)| {
                let mut key = key.clone();
                key.value = snake(&key.value);
                let own = OWN_KEYS.contains(&key.value.as_str()) || except.contains(&key.value.as_str());
                (key, if own { value.clone() } else { snake_case(value, except) })
            };
            Value::Map(entries.iter().map(entry).collect())
        }
        Value::Seq(items) => Value::Seq(items.iter().map(|item| snake_case(item, except)).collect()),
        scalar => scalar.clone(),
    };
    Node { span: node.span, value }
}

fn snake(key: &str) -> String {
    if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        return key.to_owned();
    }
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::snake;

    #[test]
    fn only_names_in_camel_case_change() {
        for (key, expected) in [
            ("virtualHosts", "virtual_hosts"),
            ("virtual_hosts", "virtual_hosts"),
            ("name", "name"),
            ("@type", "@type"),
            ("X-Name", "X-Name"),
            ("envoy.filters.Http", "envoy.filters.Http"),
        ] {
            assert_eq!(snake(key), expected);
        }
    }
}
