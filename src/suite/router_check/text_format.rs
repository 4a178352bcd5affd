//! Files of tests in the text format of protocol buffers, as a tree like that of a YAML file.

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Sources, Span, Spanned};
use crate::yaml::{Document, Node, Value};

/// Fields that may be there several times.
const REPEATED: &[&str] = &[
    "additional_request_headers",
    "additional_response_headers",
    "dynamic_metadata",
    "request_header_fields",
    "request_header_matches",
    "response_header_fields",
    "response_header_matches",
    "route_metadata",
    "tests",
];

/// Fields whose values may be wrapped: `cluster_name { value: "a" }`.
const WRAPPED: &[&str] = &[
    "cluster_name",
    "code_redirect",
    "host_rewrite",
    "path_redirect",
    "path_rewrite",
    "virtual_cluster_name",
    "virtual_host_name",
];

/// Messages in messages.
const DEPTH_MAX: usize = 50;

/// Reads a file.
///
/// # Errors
/// What is not in that format, with its place.
pub fn read_text_format(sources: &Sources, file: FileId) -> Result<Document, Box<Diagnostic>> {
    let text = sources.get(file).map_or("", |source| source.text());
    let mut reader = Reader { file, text, at: 0 };
    let root = reader.message(None, 0)?;
    Ok(Document { root, comments: Vec::new(), origin: None, literals: Vec::new() })
}

struct Reader<'t> {
    file: FileId,
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn span(&self, start: usize) -> Span {
        let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { file: self.file, start: place(start), end: place(self.at.max(start)) }
    }

    fn wrong<T>(&self, why: &str) -> Result<T, Box<Diagnostic>> {
        let end = self.text[self.at..].chars().next().map_or(self.at, |c| self.at + c.len_utf8());
        let span = Span { end: u32::try_from(end).unwrap_or(u32::MAX), ..self.span(self.at) };
        Err(Box::new(Diagnostic::new(Code::TestInvalid, format!("{why} (text format of protocol buffers)")).at(span)))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Passes over blanks, comments and separators.
    fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            let bare = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
            let comment = if bare.starts_with('#') { bare.find('\n').unwrap_or(bare.len()) } else { 0 };
            let passed = rest.len() - bare.len() + comment;
            if passed == 0 {
                return;
            }
            self.at += passed;
        }
    }

    fn takes(&mut self, token: char) -> bool {
        self.blanks();
        let is_there = self.rest().starts_with(token);
        self.at += if is_there { token.len_utf8() } else { 0 };
        is_there
    }

    fn word(&mut self) -> Option<Spanned<String>> {
        self.blanks();
        let start = self.at;
        let end = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && !"_.+-".contains(c)).unwrap_or(self.rest().len());
        self.at += end;
        (end > 0).then(|| Spanned::new(self.text[start..self.at].to_owned(), self.span(start)))
    }

    /// Fields up to a closing token, or to the end of the file.
    fn message(&mut self, closing: Option<char>, depth: usize) -> Result<Node, Box<Diagnostic>> {
        if depth > DEPTH_MAX {
            return self.wrong("messages are nested too deeply");
        }
        let start = self.at;
        let mut entries: Vec<(Spanned<String>, Node)> = Vec::new();
        loop {
            self.blanks();
            if self.rest().is_empty() || closing.is_some_and(|closing| self.rest().starts_with(closing)) {
                break;
            }
            let Some(name) = self.word() else { return self.wrong("a field was expected") };
            self.takes(':');
            let values = self.values(depth)?;
            let mut values = values.into_iter().map(|value| unwrapped(&name.value, value));
            let is_repeated = REPEATED.contains(&name.value.as_str());
            match entries.iter_mut().find(|(known, _)| known.value == name.value) {
                Some((_, Node { value: Value::Seq(all), .. })) if is_repeated => all.extend(values),
                _ if is_repeated => {
                    let all: Vec<Node> = values.collect();
                    let span = all.first().map_or(name.span, |first| first.span);
                    entries.push((name, Node { span, value: Value::Seq(all) }));
                }
                Some(_) => return self.wrong(&format!("`{}` is there twice", name.value)),
                None => entries.extend(values.next_back().map(|value| (name, value))),
            }
        }
        match closing {
            Some(closing) if !self.takes(closing) => self.wrong(&format!("`{closing}` is missing")),
            _ => Ok(Node { span: self.span(start), value: Value::Map(entries) }),
        }
    }

    fn values(&mut self, depth: usize) -> Result<Vec<Node>, Box<Diagnostic>> {
        if !self.takes('[') {
            return Ok(vec![self.value(depth)?]);
        }
        let mut all = Vec::new();
        while !self.takes(']') {
            all.push(self.value(depth)?);
        }
        Ok(all)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Box<Diagnostic>> {
        self.blanks();
        let start = self.at;
        if self.takes('{') {
            return self.message(Some('}'), depth + 1);
        }
        if self.takes('<') {
            return self.message(Some('>'), depth + 1);
        }
        if self.rest().starts_with(['"', '\'']) {
            let mut text = String::new();
            while let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) {
                self.string(quote, &mut text)?;
                self.blanks();
            }
            return Ok(Node { span: self.span(start), value: Value::Str(text) });
        }
        let Some(word) = self.word() else { return self.wrong("a value was expected") };
        let value = match word.value.as_str() {
            "true" | "false" => Value::Bool(word.value == "true", word.value.clone()),
            text => match text.parse() {
                Ok(number) => Value::Int(number, text.to_owned()),
                Err(_) => Value::Str(text.to_owned()),
            },
        };
        Ok(Node { span: word.span, value })
    }

    /// A quoted string; characters after a backslash as in C.
    fn string(&mut self, quote: char, out: &mut String) -> Result<(), Box<Diagnostic>> {
        self.at += quote.len_utf8();
        loop {
            let Some(c) = self.rest().chars().next() else { return self.wrong("a string does not end") };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(()),
                '\n' => return self.wrong("a string does not end on its line"),
                '\\' => {
                    let Some(escaped) = self.rest().chars().next() else { return self.wrong("a string does not end") };
                    match escaped {
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        'r' => out.push('\r'),
                        '\\' | '"' | '\'' | '?' => out.push(escaped),
                        _ => return self.wrong("this escape is not read here"),
                    }
                    self.at += escaped.len_utf8();
                }
                c => out.push(c),
            }
        }
    }
}

/// The value in a wrapper.
fn unwrapped(name: &str, value: Node) -> Node {
    match &value.value {
        Value::Map(entries) if WRAPPED.contains(&name) => match entries.as_slice() {
            [] => Node { span: value.span, value: Value::Str(String::new()) },
            [(key, inner)] if key.value == "value" => inner.clone(),
            _ => value,
        },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, Box<Diagnostic>> {
        let mut sources = Sources::default();
        let file = sources.add("tests.pb_text".to_owned(), text.to_owned());
        read_text_format(&sources, file)
    }

    #[test]
    fn messages_lists_and_wrappers_become_a_tree() {
        let text = r#"
            # Two tests, written in two ways.
            tests { test_name: "a" "b\n" input: { authority: 'x', ssl: true random_value: 7 }
                    validate { cluster_name { value: "c" } path_redirect {} code_redirect: 301 } }
            tests: [{ test_name: "d"; input < method: GET > }]
        "#;
        let root = read(text).unwrap().root;
        let Value::Seq(tests) = &root.get("tests").unwrap().value else { panic!("no list") };
        let at = |test: usize, path: &[&str]| {
            path.iter().try_fold(&tests[test], |node, key| node.get(key)).and_then(Node::text).map(str::to_owned)
        };
        for (test, path, value) in [
            (0, &["test_name"][..], Some("ab\n")),
            (0, &["input", "ssl"], Some("true")),
            (0, &["input", "random_value"], Some("7")),
            (0, &["validate", "cluster_name"], Some("c")),
            (0, &["validate", "path_redirect"], Some("")),
            (0, &["validate", "code_redirect"], Some("301")),
            (1, &["input", "method"], Some("GET")),
            (1, &["validate"], None),
        ] {
            assert_eq!(at(test, path).as_deref(), value, "{path:?}");
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_named() {
        let deep = "a {".repeat(200);
        for text in ["tests {", "tests: [", "a: \"x", "a: \"\n\"", "{", "a: ", "a: 1 a: 2", "a: '\\q'", deep.as_str()] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
