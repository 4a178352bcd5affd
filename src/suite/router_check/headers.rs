//! Operations on headers at several levels, settled for one message.

use std::collections::BTreeSet;

use super::matchers::Refusal;
use crate::mesh::route::HeaderOps;
use crate::source::Spanned;
use crate::yaml::Node;

crate::record! {
    /// A header line to add.
    pub struct HeaderValueOption {
        /// The line.
        pub header: HeaderValue = "header",
        /// The older form of the action.
        pub append: Option<bool> = "append",
        /// What happens if the header is there, or is not.
        pub append_action: Option<AppendAction> = "append_action",
        /// Whether an empty value is added too.
        pub keep_empty_value: Option<bool> = "keep_empty_value",
    }

    /// A header line.
    pub struct HeaderValue {
        /// Name.
        pub key: Spanned<String> = "key",
        /// Value.
        pub value: Option<Spanned<String>> = "value",
        /// The value as bytes.
        pub raw_value: Option<Node> = "raw_value",
    }
}

crate::choice! {
    /// What happens to a line if the header is there, or is not.
    pub enum AppendAction {
        /// It is one more line.
        Append = "APPEND_IF_EXISTS_OR_ADD",
        /// It is added if there is none.
        AddIfAbsent = "ADD_IF_ABSENT",
        /// It replaces all others.
        Overwrite = "OVERWRITE_IF_EXISTS_OR_ADD",
        /// It replaces the others, if there are any.
        OverwriteIfExists = "OVERWRITE_IF_EXISTS",
    }
}

impl HeaderValueOption {
    /// What of it is not modelled.
    pub(super) fn not_modelled(&self) -> Option<Refusal> {
        if let Some(raw) = &self.header.raw_value {
            return Some(Refusal::not_modelled("a header value of bytes", raw.span));
        }
        let keeps = self.keep_empty_value == Some(true);
        keeps.then(|| Refusal::not_modelled("a header that is added with an empty value", self.span))
    }

    fn action(&self) -> AppendAction {
        let older = if self.append == Some(false) { AppendAction::Overwrite } else { AppendAction::Append };
        self.append_action.unwrap_or(older)
    }
}

/// The operations of one level: a destination, a route, a virtual host, or the whole configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'c> {
    /// Lines to add.
    pub(super) add: &'c [HeaderValueOption],
    /// Names to remove, which happens first.
    pub(super) remove: &'c [Spanned<String>],
}

/// A line that was added.
struct Line {
    name: String,
    value: String,
    replaces: bool,
}

/// The operations of several levels, one after the other, as one for a message that has these headers.
/// At each level headers are removed, then replaced, then added; what depends on whether a header is
/// there looks at the message between the removing and the rest.
pub(super) fn settled<'h>(levels: &[Level<'_>], present: impl IntoIterator<Item = &'h str>) -> HeaderOps {
    let mut own: BTreeSet<String> = present.into_iter().map(str::to_ascii_lowercase).collect();
    let mut removed: BTreeSet<String> = BTreeSet::new();
    let mut lines: Vec<Line> = Vec::new();
    for level in levels {
        for name in level.remove {
            let name = name.value.to_ascii_lowercase();
            own.remove(&name);
            lines.retain(|line| line.name != name);
            removed.insert(name);
        }
        let there: BTreeSet<String> = own.iter().cloned().chain(lines.iter().map(|line| line.name.clone())).collect();
        let mut added = Vec::new();
        for option in level.add {
            let name = option.header.key.value.to_ascii_lowercase();
            let value = option.header.value.as_ref().map_or("", |value| &value.value).to_owned();
            match option.action() {
                AppendAction::Append => added.push(Line { name, value, replaces: false }),
                AppendAction::AddIfAbsent if !there.contains(&name) => added.push(Line { name, value, replaces: false }),
                AppendAction::OverwriteIfExists if !there.contains(&name) => {}
                AppendAction::Overwrite | AppendAction::OverwriteIfExists => {
                    lines.retain(|line| line.name != name);
                    lines.push(Line { name, value, replaces: true });
                }
                AppendAction::AddIfAbsent => {}
            }
        }
        lines.extend(added);
    }
    let mut ops = HeaderOps { remove: removed.into_iter().collect(), ..HeaderOps::default() };
    for line in lines {
        let list = if line.replaces { &mut ops.set } else { &mut ops.add };
        list.push((line.name, line.value));
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: &str, action: AppendAction) -> HeaderValueOption {
        HeaderValueOption {
            header: HeaderValue {
                key: Spanned::made_up(name.to_owned()),
                value: Some(Spanned::made_up(value.to_owned())),
                ..HeaderValue::default()
            },
            append_action: Some(action),
            ..HeaderValueOption::default()
        }
    }

    #[test]
    fn later_levels_see_what_earlier_ones_did() {
        use AppendAction::{AddIfAbsent, Append, Overwrite, OverwriteIfExists};
        let route = [option("x-a", "1", Append), option("X-B", "1", AddIfAbsent), option("x-own", "1", AddIfAbsent)];
        let host = [
            option("x-a", "2", Overwrite),
            option("x-b", "2", AddIfAbsent),
            option("x-none", "2", OverwriteIfExists),
            option("x-own", "2", OverwriteIfExists),
        ];
        let gone = [Spanned::made_up("x-b".to_owned())];
        let ops = |levels: &[Level<'_>]| {
            let ops = settled(levels, ["X-Own"]);
            let lines = |all: &[(String, String)]| {
                all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            };
            (ops.remove.join(" "), lines(&ops.set), lines(&ops.add))
        };
        let (one, two) = (Level { add: &route, remove: &[] }, Level { add: &host, remove: &[] });
        let expected = |remove: &str, set: &str, add: &str| (remove.to_owned(), set.to_owned(), add.to_owned());
        assert_eq!(ops(&[one]), expected("", "", "x-a=1 x-b=1"));
        assert_eq!(ops(&[one, two]), expected("", "x-a=2 x-own=2", "x-b=1"));
        assert_eq!(ops(&[one, Level { remove: &gone, ..two }]), expected("x-b", "x-a=2 x-own=2", "x-b=2"));
        assert_eq!(ops(&[two, one]), expected("", "x-a=2 x-own=2", "x-b=2 x-a=1"));
    }
}
