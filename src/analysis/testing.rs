//! Analyses YAML for the tests of analyzers.

use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::{CompileOptions, compile};
use crate::resource::decode;
use crate::source::Sources;
use crate::yaml::{Limits, parse};

/// The findings of analyzers about a text, as `CODE Kind namespace/name` in order, without those of
/// reading and compiling.
pub(super) fn analyzed(yaml: &str) -> Vec<String> {
    let is_own = |finding: &&Diagnostic| finding.code >= Code::UnknownDelegate || finding.code == Code::UnselectedGateway;
    all(yaml).iter().filter(is_own).map(line).collect()
}

/// All findings about a text.
pub(super) fn all(yaml: &str) -> Vec<Diagnostic> {
    let mut sources = Sources::new();
    let file = sources.add("test.yaml", yaml);
    let (documents, mut findings) = parse(&sources, file, Limits::default());
    assert!(findings.is_empty(), "{findings:?}");
    let (objects, decoded) = decode(&documents, "default");
    findings.extend(decoded);
    let (mesh, compiled) = compile(&objects, &CompileOptions::default());
    findings.extend(compiled);
    super::analyze(&objects, &mesh, findings)
}

/// `CODE Kind namespace/name`.
pub(super) fn line(finding: &Diagnostic) -> String {
    let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} {object}", finding.code.name())
}
