//! Advice for names that do not exist.

use indexmap::IndexSet;

use crate::diagnostic::Diagnostic;
use crate::yaml::nearest;

/// The finding with the nearest of the known names, or with all of them if they are few.
pub(super) fn with_near<'n>(finding: Diagnostic, name: &str, known: impl IntoIterator<Item = &'n str>) -> Diagnostic {
    const FEW: usize = 8;
    let known: Vec<&str> = known.into_iter().collect::<IndexSet<_>>().into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => finding,
        None if known.len() <= FEW => {
            finding.help(format!("there is {}", known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")))
        }
        None => finding,
    }
}
