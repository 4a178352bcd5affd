//! Operations on headers and the `%COMMANDS%` in their values (Envoy: `HeaderParser`).

use super::matching::{is_joined, join};
use crate::mesh::route::{HeaderOps, Route};

/// Header lines in order; names lower-case. A header may have several lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Headers(pub Vec<(String, String)>);

/// Headers of which an answer has one line at most: what is appended is joined with commas.
const JOINED_IN_ANSWERS: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "cache-control",
    "content-encoding",
    "content-type",
    "etag",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "server",
    "vary",
    "via",
];

/// Which of the two kinds of messages headers belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request,
    /// An answer.
    Answer,
}

impl Headers {
    /// The lines of a request as they arrive: those of one-line headers are joined.
    #[must_use]
    pub fn arrived(lines: &[(String, String)]) -> Self {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.append(Message::Request, name, value);
        }
        headers
    }

    /// The first line of a header.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Removes all lines of a header.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// Replaces all lines of a header by one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Appends a line, or text to the line of a header that has only one.
    pub fn append(&mut self, message: Message, name: &str, value: &str) {
        let joined = match message {
            Message::Request => is_joined(name),
            Message::Answer => JOINED_IN_ANSWERS.binary_search(&name).is_ok(),
        };
        match self.0.iter_mut().find(|(key, _)| joined && key == name) {
            Some((_, line)) => join(line, value),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Applies operations: removes, then sets, then adds. Values are worked out after the removes
    /// and before anything is set; one that comes out empty is not applied.
    pub fn apply(&mut self, message: Message, ops: &HeaderOps, facts: &dyn Facts) {
        if ops.is_empty() {
            return;
        }
        ops.remove.iter().for_each(|name| self.remove(name));
        let worked_out = |list: &[(String, String)], headers: &Headers| -> Vec<(String, String)> {
            let values = list.iter().map(|(name, template)| (name.to_ascii_lowercase(), format(template, headers, facts)));
            values.filter(|(_, value)| !value.is_empty()).collect()
        };
        let (sets, adds) = (worked_out(&ops.set, self), worked_out(&ops.add, self));
        sets.into_iter().for_each(|(name, value)| self.set(&name, value));
        adds.iter().for_each(|(name, value)| self.append(message, name, value));
    }
}

/// What the commands in header values can ask for besides the headers at hand.
pub trait Facts {
    /// A request header or pseudo-header. `current` are the headers being changed.
    fn request_header(&self, name: &str, current: &Headers) -> Option<String>;
    /// A response header. `current` are the headers being changed.
    fn response_header(&self, name: &str, current: &Headers) -> Option<String>;
    /// The value of a command without argument; `None` if it is not known here.
    fn command(&self, name: &str) -> Option<String>;
}

/// Fills in a template. Commands that are not modelled stay as they are written, so that they are
/// seen instead of vanishing.
#[must_use]
pub(super) fn format(template: &str, headers: &Headers, facts: &dyn Facts) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        match Command::parse(rest) {
            Some((command, after)) => {
                match command.value(headers, facts) {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(&template[template.len() - rest.len() - 1..template.len() - after.len()]),
                }
                rest = after;
            }
            None => out.push('%'),
        }
    }
    out.push_str(rest);
    out
}

/// `NAME(argument):length`.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    length_max: Option<usize>,
}

impl<'a> Command<'a> {
    /// Reads a command up to its closing `%`, and what follows it.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let name_end = text.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')?;
        let (name, mut rest) = text.split_at(name_end);
        if name.is_empty() {
            return None;
        }
        let mut argument = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let (text, after) = inside.split_once(')')?;
            (argument, rest) = (Some(text), after);
        }
        let mut length_max = None;
        if let Some(digits) = rest.strip_prefix(':') {
            let end = digits.find(|c: char| !c.is_ascii_digit())?;
            (length_max, rest) = (digits[..end].parse().ok(), &digits[end..]);
        }
        Some((Command { name, argument, length_max }, rest.strip_prefix('%')?))
    }

    fn value(&self, headers: &Headers, facts: &dyn Facts) -> Option<String> {
        let value = match (self.name, self.argument) {
            ("REQ", Some(names)) => first_of(names, |name| facts.request_header(name, headers)),
            ("RESP", Some(names)) => first_of(names, |name| facts.response_header(name, headers)),
            (name, _) => facts.command(name)?,
        };
        Some(match self.length_max {
            Some(length) => value.chars().take(length).collect(),
            None => value,
        })
    }
}

/// `A?B`: the first, or if it is absent the second. An absent one gives nothing.
fn first_of(names: &str, value: impl Fn(&str) -> Option<String>) -> String {
    names.split('?').find_map(|name| value(&name.to_ascii_lowercase())).unwrap_or_default()
}

/// Commands that mean the same in requests and answers. The client is on the loopback interface:
/// where it really is, is not modelled.
pub(super) fn command(name: &str, route: &Route, cluster: &str) -> Option<String> {
    Some(match name {
        "PROTOCOL" => "HTTP/1.1".to_owned(),
        "ROUTE_NAME" => route.name.clone(),
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => cluster.to_owned(),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => "127.0.0.1".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Facts for Nothing {
        fn request_header(&self, name: &str, current: &Headers) -> Option<String> {
            current.first(name).map(str::to_owned)
        }
        fn response_header(&self, _: &str, _: &Headers) -> Option<String> {
            None
        }
        fn command(&self, name: &str) -> Option<String> {
            (name == "PROTOCOL").then(|| "HTTP/1.1".to_owned())
        }
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn removes_come_first_then_sets_then_adds() {
        let mut headers = Headers(pairs(&[("x-tag", "client"), ("x-tag", "again"), ("x-keep", "k")]));
        let ops = HeaderOps {
            remove: vec!["x-tag".to_owned()],
            set: pairs(&[("x-tag", "set"), ("x-was", "%REQ(x-tag)%"), ("x-empty", "%REQ(x-none)%")]),
            add: pairs(&[("x-tag", "added"), ("X-Keep", "%REQ(x-keep)%2")]),
        };
        headers.apply(Message::Request, &ops, &Nothing);
        assert_eq!(headers.0, pairs(&[("x-keep", "k"), ("x-tag", "set"), ("x-tag", "added"), ("x-keep", "k2")]));
    }

    #[test]
    fn headers_of_one_line_are_joined() {
        let lines = [("accept", "a"), ("x-a", "1"), ("accept", "b"), ("x-a", "2"), ("user-agent", ""), ("user-agent", "u")];
        let headers = Headers::arrived(&pairs(&lines));
        assert_eq!(headers.0, pairs(&[("accept", "a,b"), ("x-a", "1"), ("x-a", "2"), ("user-agent", "u")]));
    }

    #[test]
    fn commands_are_filled_in() {
        let headers = Headers(pairs(&[("x-yes", "yes")]));
        for (template, value) in [
            ("plain", "plain"),
            ("100%%", "100%"),
            ("100%", "100%"),
            ("t-%REQ(x-yes)%", "t-yes"),
            ("%REQ(x-no?X-YES):2%", "ye"),
            ("a%REQ(x-no)%b", "ab"),
            ("%PROTOCOL%", "HTTP/1.1"),
            ("%START_TIME(%s)%", "%START_TIME(%s)%"),
            ("%C3%A4", "%C3%A4"),
        ] {
            assert_eq!(format(template, &headers, &Nothing), value, "{template}");
        }
    }
}
