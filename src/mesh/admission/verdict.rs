//! One word for what happens to an object at the API server's door.

use crate::diagnostic::{Code, Diagnostic};

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The API server's schema refuses it.
    Schema,
    /// It has fields that its kind does not have: strict clients refuse it, others drop them.
    UnknownField,
    /// Istio's webhook refuses it.
    Rejected,
    /// Istio's webhook accepts it with a warning.
    Warning,
    /// It is accepted.
    Ok,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Schema => "schema",
            Verdict::UnknownField => "unknown-field",
            Verdict::Rejected => "rejected",
            Verdict::Warning => "warning",
            Verdict::Ok => "ok",
        }
    }
}

/// The verdicts that the findings about one object amount to: what the schema says, then what the
/// webhook says. A value that does not decode is refused by both; an object that only the schema
/// refuses never reaches the webhook. `reviewed` says whether the webhook looks at the kind at all.
#[must_use]
pub fn verdicts<'d>(findings: impl IntoIterator<Item = &'d Diagnostic>, reviewed: bool) -> Vec<Verdict> {
    let (mut schema, mut unknown, mut rejected, mut warned) = (false, false, false, false);
    for finding in findings {
        match finding.code {
            Code::SchemaRule | Code::MissingField => schema = true,
            Code::WrongType | Code::InvalidValue => (schema, rejected) = (true, reviewed),
            Code::UnknownField => unknown = true,
            Code::RejectedObject => rejected = true,
            Code::AdmissionWarning | Code::RedundantRule | Code::RedundantMatch => warned = true,
            _ => {}
        }
    }
    let webhook = match (rejected, warned) {
        (true, _) => Verdict::Rejected,
        (false, true) => Verdict::Warning,
        (false, false) => Verdict::Ok,
    };
    let mut verdicts = Vec::new();
    verdicts.extend(schema.then_some(Verdict::Schema));
    verdicts.extend(unknown.then_some(Verdict::UnknownField));
    if !schema || webhook == Verdict::Rejected {
        verdicts.push(webhook);
    }
    verdicts
}
