//! Paths into a document, such as `spec.http[0].fault.delay` or `metadata.labels["a.b/c"]`, and
//! setting what is there.

use crate::source::{Span, Spanned};
use crate::yaml::{Node, Value};

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Sets the value at a path; null removes the field or item. Fields on the way are created; an item
/// right after the last of a list is added.
///
/// # Errors
/// In words, why the path leads nowhere.
pub(super) fn set(root: &mut Node, path: &Spanned<String>, value: &Node) -> Result<(), String> {
    let steps = parse(path)?;
    let Some((last, way)) = steps.split_last() else { return Err("the path is empty".to_owned()) };
    let mut node = root;
    let mut walked = String::new();
    for step in way {
        node = descend(node, step, path.span, &walked)?;
        push(&mut walked, step);
    }
    put(node, last, path.span, value, &walked)
}

fn parse(path: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (word, after) = inner.split_once(']').ok_or_else(|| "a `[` is not closed".to_owned())?;
            let quoted = ['"', '\''].iter().find_map(|q| word.strip_prefix(*q)?.strip_suffix(*q));
            steps.push(match quoted {
                Some(key) => Step::Key(key.to_owned()),
                None => Step::Index(word.parse().map_err(|_| format!("`[{word}]` is neither an index nor a quoted key"))?),
            });
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            if key.is_empty() {
                return Err("a key is missing".to_owned());
            }
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() {
                return Err("a key is missing".to_owned());
            }
            rest = after;
        }
    }
    Ok(steps)
}

fn push(walked: &mut String, step: &Step) {
    match step {
        Step::Index(index) => walked.push_str(&format!("[{index}]")),
        Step::Key(key) => {
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(key);
        }
    }
}

fn descend<'n>(node: &'n mut Node, step: &Step, span: Span, walked: &str) -> Result<&'n mut Node, String> {
    match step {
        Step::Key(key) => {
            let entries = entries(node, walked)?;
            let index = match entries.iter().position(|(k, _)| k.value == *key) {
                Some(index) => index,
                None => {
                    entries.push((Spanned::new(key.clone(), span), Node { span, value: Value::Null }));
                    entries.len() - 1
                }
            };
            Ok(&mut entries[index].1)
        }
        Step::Index(index) => {
            let items = items(node, walked)?;
            let count = items.len();
            items.get_mut(*index).ok_or_else(|| no_item(walked, *index, count))
        }
    }
}

fn put(node: &mut Node, step: &Step, span: Span, value: &Node, walked: &str) -> Result<(), String> {
    match step {
        Step::Key(key) => {
            let entries = entries(node, walked)?;
            let place = entries.iter().position(|(k, _)| k.value == *key);
            match (place, value.is_null()) {
                (Some(index), true) => {
                    entries.remove(index);
                }
                (Some(index), false) => entries[index].1 = value.clone(),
                (None, true) => return Err(format!("there is no `{key}` to remove in {}", place_of(walked))),
                (None, false) => entries.push((Spanned::new(key.clone(), span), value.clone())),
            }
        }
        Step::Index(index) => {
            let items = items(node, walked)?;
            match (*index < items.len(), value.is_null()) {
                (true, true) => {
                    items.remove(*index);
                }
                (true, false) => items[*index] = value.clone(),
                (false, false) if *index == items.len() => items.push(value.clone()),
                (false, _) => return Err(no_item(walked, *index, items.len())),
            }
        }
    }
    Ok(())
}

fn entries<'n>(node: &'n mut Node, walked: &str) -> Result<&'n mut Vec<(Spanned<String>, Node)>, String> {
    if node.is_null() {
        node.value = Value::Map(Vec::new());
    }
    let described = node.describe();
    match &mut node.value {
        Value::Map(entries) => Ok(entries),
        Value::Seq(items) => Err(format!("{} is a list of {}; say which item, as in `[0]`", place_of(walked), items.len())),
        _ => Err(format!("{} is no mapping but {described}", place_of(walked))),
    }
}

fn items<'n>(node: &'n mut Node, walked: &str) -> Result<&'n mut Vec<Node>, String> {
    if node.is_null() {
        node.value = Value::Seq(Vec::new());
    }
    let described = node.describe();
    match &mut node.value {
        Value::Seq(items) => Ok(items),
        _ => Err(format!("{} is no list but {described}", place_of(walked))),
    }
}

fn no_item(walked: &str, index: usize, count: usize) -> String {
    format!("{} has {count} items, there is no [{index}]", place_of(walked))
}

fn place_of(walked: &str) -> String {
    if walked.is_empty() { "the object".to_owned() } else { format!("`{walked}`") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::{Limits, parse as parse_yaml};

    fn node(text: &str) -> Node {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        parse_yaml(&sources, file, Limits::default()).0.remove(0).root
    }

    /// The tree without places.
    fn plain(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(_, t) | Value::Int(_, t) | Value::Float(_, t) | Value::Str(t) => t.clone(),
            Value::Seq(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(",")),
            Value::Map(entries) => {
                format!("{{{}}}", entries.iter().map(|(k, v)| format!("{}:{}", k.value, plain(v))).collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn values_are_set_added_and_removed_by_path() {
        for (path, value, after) in [
            ("a.b[0].c", "2", "{a:{b:[{c:2},x]}}"),
            ("a.b[2]", "y", "{a:{b:[{c:1},x,y]}}"),
            ("a.b[1]", "null", "{a:{b:[{c:1}]}}"),
            ("a.b", "null", "{a:{}}"),
            ("d.e[0].f", "1", "error: `d.e` has 0 items, there is no [0]"),
            ("d.e", "{f: 1}", "{a:{b:[{c:1},x]},d:{e:{f:1}}}"),
            ("a[\"k.8/s\"]", "1", "{a:{b:[{c:1},x],k.8/s:1}}"),
            ("a.b.c", "1", "error: `a.b` is a list of 2; say which item, as in `[0]`"),
            ("a.b[1].c", "1", "error: `a.b[1]` is no mapping but the string `x`"),
            ("a.b[5]", "1", "error: `a.b` has 2 items, there is no [5]"),
            ("a.z", "null", "error: there is no `z` to remove in `a`"),
            ("a..b", "1", "error: a key is missing"),
            ("a.", "1", "error: a key is missing"),
            ("a[0", "1", "error: a `[` is not closed"),
            ("a[x]", "1", "error: `[x]` is neither an index nor a quoted key"),
            ("", "1", "error: the path is empty"),
        ] {
            let mut root = node("a: {b: [{c: 1}, x]}");
            let value = node(&format!("v: {value}")).get("v").unwrap().clone();
            let outcome = set(&mut root, &Spanned::made_up(path.to_owned()), &value);
            assert_eq!(outcome.map_or_else(|e| format!("error: {e}"), |()| plain(&root)), after, "{path}");
        }
    }
}
