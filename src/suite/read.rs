//! Documents that hold tests, by format.

use super::case::{Case, Claims};
use super::config_validator;
use super::expand;
use super::format::Suite;
use super::router_check;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::source::Spanned;
use crate::yaml::{Cx, Decode, Document, Node, Value};

/// The formats of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// This program's own.
    Own,
    /// `istio-config-validator`.
    ConfigValidator,
    /// Envoy's `router_check_tool`.
    RouterCheck,
}

/// A document of tests.
#[derive(Debug, Clone, Default)]
pub struct TestFile {
    /// Mesh files that it names, relative to it.
    pub mesh: Vec<Spanned<String>>,
    /// Its cases.
    pub cases: Vec<Case>,
}

impl TestFile {
    /// Whether its cases can be about a route configuration instead of a mesh.
    #[must_use]
    pub fn is_about_routes(&self) -> bool {
        self.cases.iter().all(|case| matches!(case.claims, Claims::Route(_)))
    }
}

/// The format of a document, if it holds tests: told by its root alone, so that files need no
/// special names.
#[must_use]
pub fn format_of(document: &Document) -> Option<Format> {
    let root = &document.root;
    if root.get("kind").is_some() {
        return None;
    }
    if root.get("testCases").is_some() {
        return Some(Format::ConfigValidator);
    }
    let Value::Seq(tests) = &root.get("tests")?.value else { return Some(Format::Own) };
    let is_peer = |test: &Node| test.get("test_name").is_some() || test.get("input").is_some() && test.get("validate").is_some();
    Some(if tests.first().is_some_and(is_peer) { Format::RouterCheck } else { Format::Own })
}

/// Reads the tests of a document. No field is overlooked: a test with a misspelt one tests something
/// else than was meant, so that is an error.
#[must_use]
pub fn read(document: &Document, format: Format) -> (TestFile, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let file = match format {
        Format::ConfigValidator => TestFile { mesh: Vec::new(), cases: config_validator::cases(document, &mut diagnostics) },
        Format::RouterCheck => TestFile { mesh: Vec::new(), cases: router_check::cases(document, &mut diagnostics) },
        Format::Own => {
            let suite = Suite::decode(&document.root, &mut Cx::new(&mut diagnostics)).unwrap_or_default();
            TestFile { mesh: suite.mesh.clone(), cases: expand::cases(&suite, &mut diagnostics) }
        }
    };
    for finding in diagnostics.iter_mut().filter(|finding| finding.code == Code::UnknownField) {
        finding.severity = Severity::Error;
    }
    if file.cases.is_empty() && diagnostics.is_empty() {
        diagnostics.push(Diagnostic::new(Code::TestInvalid, "the file holds no test").at(document.root.span));
    }
    (file, diagnostics)
}
