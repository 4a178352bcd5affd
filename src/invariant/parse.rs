//! Invariants from text.

use super::claim::{Claim, Invariant, Scope};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Condition, PathMatch, PathTest, RouteMatch, Subject, Test};
use crate::source::{FileId, Sources, Span};
use crate::suite::DestinationPattern;
use crate::yaml::nearest;

/// Reads the invariants of a text, one on each line.
#[must_use]
pub fn parse(sources: &Sources, file: FileId) -> (Vec<Invariant>, Vec<Diagnostic>) {
    let (mut all, mut findings) = (Vec::new(), Vec::new());
    let Some(source) = sources.get(file) else { return (all, findings) };
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        let at = start;
        start += line.len();
        let mut words = Words::new(line, at, file);
        if words.peek().is_none() {
            continue;
        }
        match words.invariant(line.trim()) {
            Ok(invariant) => all.push(invariant),
            Err((why, span)) => findings.push(Diagnostic::new(Code::InvalidInvariant, why).at(span)),
        }
    }
    (all, findings)
}

type Wrong = (String, Span);

/// The words of a line, with their places.
struct Words {
    words: Vec<(String, Span)>,
    next: usize,
    end: Span,
}

/// The conditions on requests, as they are collected.
struct Conditions {
    path: PathMatch,
    others: Vec<Condition>,
}

impl Conditions {
    fn new() -> Self {
        let path = PathMatch { test: PathTest::Prefix("/".to_owned()), ignore_case: false, span: Span::NOWHERE };
        Conditions { path, others: Vec::new() }
    }

    fn put(&mut self, subject: Subject, test: Test, invert: bool, span: Span) {
        let missing_as_empty = invert && test != Test::Present;
        self.others.push(Condition { subject, test, invert, missing_as_empty, span });
    }

    fn finish(self) -> RouteMatch {
        RouteMatch { path: self.path, conditions: self.others }
    }
}

impl Words {
    fn new(line: &str, at: usize, file: FileId) -> Self {
        let place = |offset: usize| u32::try_from(at + offset).unwrap_or(u32::MAX);
        let mut words = Vec::new();
        let mut rest = 0;
        while rest < line.len() {
            let from = match line[rest..].find(|c: char| !c.is_whitespace()) {
                Some(skip) => rest + skip,
                None => break,
            };
            let first = line[from..].chars().next().unwrap_or(' ');
            if first == '#' {
                break;
            }
            let (word, end) = match first {
                '"' | '\'' => {
                    let inside = &line[from + 1..];
                    let length = inside.find(first).unwrap_or(inside.trim_end().len());
                    (&inside[..length], (from + length + 2).min(line.len()))
                }
                _ => {
                    let length = line[from..].find(char::is_whitespace).unwrap_or(line.len() - from);
                    (&line[from..from + length], from + length)
                }
            };
            words.push((word.to_owned(), Span { file, start: place(from), end: place(end) }));
            rest = end;
        }
        let last = words.last().map_or(0, |(_, span)| span.end);
        Words { words, next: 0, end: Span { file, start: last.saturating_sub(1), end: last } }
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.next).map(|(word, _)| word.as_str())
    }

    fn span(&self) -> Span {
        self.words.get(self.next).map_or(self.end, |(_, span)| *span)
    }

    /// Takes a word if it is this one.
    fn takes(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.next += usize::from(is);
        is
    }

    /// Takes a verb with or without its ending.
    fn takes_verb(&mut self, verb: &str) -> bool {
        let is = self
            .peek()
            .is_some_and(|word| word == verb || word.strip_suffix('s') == Some(verb) || word.strip_suffix("es") == Some(verb));
        self.next += usize::from(is);
        is
    }

    fn value(&mut self, what: &str) -> Result<(String, Span), Wrong> {
        let found = self.words.get(self.next).cloned().ok_or_else(|| (format!("{what} is missing at the end"), self.end))?;
        self.next += 1;
        Ok(found)
    }

    fn wrong<T>(&self, known: &[&str]) -> Result<T, Wrong> {
        let listed = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let Some(word) = self.peek() else { return Err((format!("the end is missing; write one of {listed}"), self.end)) };
        let hint = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {listed}"),
        };
        Err((format!("`{word}` is not expected here; {hint}"), self.span()))
    }

    fn invariant(&mut self, text: &str) -> Result<Invariant, Wrong> {
        let span = Span { end: self.end.end, ..self.span() };
        let (mut host, mut scope) = (None, Scope::All);
        let mut requests = Conditions::new();
        if self.takes("host") {
            host = Some(self.value("the host")?.0.to_ascii_lowercase());
        } else if !self.takes("requests") {
            return self.wrong(&["requests", "host"]);
        }
        while !matches!(self.peek(), Some("never" | "always")) {
            self.which(&mut requests, &mut host, &mut scope)?;
        }
        let claim = self.claim(host.as_deref())?;
        let unless = match self.peek() {
            None => None,
            Some("unless") => {
                self.next += 1;
                let mut out = Conditions::new();
                loop {
                    self.condition(&mut out)?;
                    if !self.takes("and") {
                        break;
                    }
                }
                Some(out.finish())
            }
            Some(_) => return self.wrong(&["unless"]),
        };
        if self.peek().is_some() {
            return self.wrong(&["and"]);
        }
        let text = text.split(" #").next().unwrap_or(text).trim().to_owned();
        Ok(Invariant { text, span, host, scope, requests: requests.finish(), unless, claim })
    }

    /// One phrase about which requests.
    fn which(&mut self, out: &mut Conditions, host: &mut Option<String>, scope: &mut Scope) -> Result<(), Wrong> {
        if self.takes("for") {
            if !self.takes("host") {
                return self.wrong(&["host"]);
            }
            *host = Some(self.value("the host")?.0.to_ascii_lowercase());
            return Ok(());
        }
        if self.takes("from") {
            *scope = if self.takes("gateways") {
                Scope::Gateways
            } else if self.takes("namespace") {
                Scope::Namespace(self.value("the namespace")?.0)
            } else {
                Scope::Proxy(self.value("the sender")?.0)
            };
            return Ok(());
        }
        match self.peek() {
            Some("to" | "with" | "without") => self.condition(out),
            _ => self.wrong(&["to", "for", "with", "without", "from", "never", "always"]),
        }
    }

    /// One condition on a request.
    fn condition(&mut self, out: &mut Conditions) -> Result<(), Wrong> {
        let span = self.span();
        if self.takes("to") {
            let (test, place) = if self.takes("exactly") {
                let (path, place) = self.value("the path")?;
                (PathTest::Exact(path), place)
            } else if self.takes("paths") {
                if !self.takes("matching") {
                    return self.wrong(&["matching"]);
                }
                let (regex, place) = self.value("the regular expression")?;
                (PathTest::Regex(pattern(&regex, place)?), place)
            } else {
                let (path, place) = self.value("the path")?;
                let below = path.strip_suffix('/').unwrap_or(&path).to_owned();
                (if below.is_empty() { PathTest::Prefix("/".to_owned()) } else { PathTest::SegmentPrefix(below) }, place)
            };
            let text = match &test {
                PathTest::Exact(text) | PathTest::Prefix(text) | PathTest::SegmentPrefix(text) => text.as_str(),
                PathTest::Regex(_) => "/",
            };
            if !text.starts_with('/') {
                return Err((format!("`{text}`: a path begins with `/`"), place));
            }
            out.path = PathMatch { test, ignore_case: false, span: place };
            return Ok(());
        }
        let without = self.takes("without");
        if !without {
            self.takes("with");
        }
        if self.takes("method") && !without {
            self.takes("is");
            let (method, _) = self.value("the method")?;
            out.put(Subject::Header(":method".to_owned()), Test::Exact(method), false, span);
            return Ok(());
        }
        let subject = if self.takes("header") {
            Subject::Header(self.value("the name of the header")?.0.to_ascii_lowercase())
        } else if self.takes("query") {
            Subject::Query(self.value("the name of the parameter")?.0)
        } else {
            return self.wrong(&["header", "query", "method", "to"]);
        };
        let test = if without {
            Test::Present
        } else if self.takes("is") {
            Test::Exact(self.value("the value")?.0)
        } else if self.takes("begins") {
            if !self.takes("with") {
                return self.wrong(&["with"]);
            }
            Test::Prefix(self.value("the value")?.0)
        } else if self.takes("matching") {
            let (regex, place) = self.value("the regular expression")?;
            Test::Regex(pattern(&regex, place)?)
        } else {
            Test::Present
        };
        out.put(subject, test, without, span);
        Ok(())
    }

    fn claim(&mut self, host: Option<&str>) -> Result<Claim, Wrong> {
        let never = self.takes("never");
        if !never {
            self.takes("always");
        }
        if self.takes_verb("reach") {
            let pattern = if self.takes("subset") {
                let (subset, place) = self.value("the subset")?;
                DestinationPattern::parse(&format!("{}/{subset}", host.unwrap_or("*"))).map_err(|why| (why, place))?
            } else {
                let (name, place) = self.value("the destination")?;
                DestinationPattern::parse(&name).map_err(|why| (why, place))?
            };
            return Ok(if never { Claim::NeverReach(pattern) } else { Claim::AlwaysReach(pattern) });
        }
        if self.takes_verb("get") {
            let (status, place) = self.value("the status")?;
            let status = status.parse::<u16>().map_err(|_| (format!("`{status}` is no status"), place))?;
            return Ok(if never { Claim::NeverGet(status) } else { Claim::AlwaysGet(status) });
        }
        if never && self.takes_verb("leave") {
            if !self.takes("namespace") {
                return self.wrong(&["namespace"]);
            }
            return Ok(Claim::NeverLeave(self.value("the namespace")?.0));
        }
        if never && self.takes_verb("fail") {
            return Ok(Claim::NeverFail);
        }
        if never { self.wrong(&["reach", "leave", "fail", "get"]) } else { self.wrong(&["reach", "get"]) }
    }
}

fn pattern(text: &str, place: Span) -> Result<Pattern, Wrong> {
    Pattern::new(text).map_err(|error| (format!("`{text}`: {error}"), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Invariant, String> {
        let mut sources = Sources::new();
        let file = sources.add("invariants", text);
        let (mut all, findings) = parse(&sources, file);
        match findings.first() {
            Some(finding) => {
                let place =
                    finding.primary.as_ref().and_then(|label| sources.locate(label.span)).map(|place| place.position.column);
                Err(format!("{} at {}", finding.message, place.unwrap_or(0)))
            }
            None => Ok(all.remove(0)),
        }
    }

    #[test]
    fn invariants_are_read_word_by_word() {
        let one = read("requests to /admin/ never leave namespace ops").unwrap();
        assert_eq!(one.requests.path.test, PathTest::SegmentPrefix("/admin".to_owned()));
        assert_eq!(one.claim, Claim::NeverLeave("ops".to_owned()));
        let two = read("host Reviews always reaches subset v1 unless header end-user is jason and query v # why").unwrap();
        assert_eq!((two.host.as_deref(), two.text.ends_with("query v")), (Some("reviews"), true));
        assert!(matches!(&two.claim, Claim::AlwaysReach(pattern) if pattern.text() == "reviews/v1"));
        assert_eq!(two.unless.unwrap().conditions.len(), 2);
        let three =
            read("requests from namespace shop for host a.test with method DELETE without header x never get 200").unwrap();
        assert_eq!((three.scope, three.claim), (Scope::Namespace("shop".to_owned()), Claim::NeverGet(200)));
        assert_eq!(three.requests.conditions.len(), 2);
        let four =
            read("requests to paths matching '/a b|/c' with header x begins with \"y z\" from gateways never fail").unwrap();
        assert!(matches!(&four.requests.path.test, PathTest::Regex(pattern) if pattern.source() == "/a b|/c"));
        assert!(matches!(&four.requests.conditions[0].test, Test::Prefix(text) if text == "y z"));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_column() {
        for (text, part, column) in [
            ("request to /a never fail", "did you mean `requests`?", 1),
            ("requests to a never fail", "begins with `/`", 13),
            ("requests never leav namespace x", "did you mean `leave`?", 16),
            ("requests always get two", "no status", 21),
            ("requests to /a", "the end is missing", 14),
            ("requests never reach a unless", "the end is missing", 29),
            ("requests never reach a:b", "no port", 22),
            ("requests to paths matching ( never fail", "`(`", 28),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part) && error.ends_with(&format!("at {column}")), "{text}: {error}");
        }
    }
}
