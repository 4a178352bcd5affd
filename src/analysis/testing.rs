//! Analyses YAML for the tests of analyzers.

use super::suppression;
use crate::diagnostic::{Code, Diagnostic, without_repeats};
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

/// The codes found in a text as a check finds them: mistakes of reading and comments count.
pub(super) fn with_comments(yaml: &str) -> Vec<Code> {
    let mut sources = Sources::new();
    let file = sources.add("test.yaml", yaml);
    let (documents, mut findings) = parse(&sources, file, Limits::default());
    let comments: Vec<_> = documents.iter().flat_map(suppression::comments).filter_map(|own| own.resolved(&sources)).collect();
    let (objects, decoded) = decode(&documents, "default");
    findings.extend(decoded);
    let (mesh, compiled) = compile(&objects, &CompileOptions::default());
    findings.extend(compiled);
    let all = without_repeats(super::analyze(&objects, &mesh, findings));
    suppression::suppress(&comments, all).0.iter().map(|finding| finding.code).collect()
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
