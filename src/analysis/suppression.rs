//! Findings that an object's annotation asks to leave out.

use rustc_hash::FxHashMap;

use crate::diagnostic::{Diagnostic, ObjectRef};
use crate::resource::Objects;

/// The annotation, which `istioctl analyze` reads too: `*`, or codes.
const ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// The findings without those that are suppressed on their object. Codes are ours or istioctl's,
/// separated by commas; as there, blanks and letter case count.
pub(super) fn apply(objects: &Objects, findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let suppressed: FxHashMap<ObjectRef, &str> = objects
        .items
        .iter()
        .filter_map(|object| Some((object.reference(), object.meta.annotations.get(ANNOTATION)?.value.as_str())))
        .collect();
    let is_suppressed = |finding: &Diagnostic| {
        let list = finding.object.as_ref().and_then(|object| suppressed.get(object));
        list.is_some_and(|list| list.split(',').any(|code| names(code, finding)))
    };
    findings.into_iter().filter(|finding| !is_suppressed(finding)).collect()
}

fn names(code: &str, finding: &Diagnostic) -> bool {
    code == "*" || code == finding.code.id() || finding.code.ist().contains(&code)
}
