//! The kinds of findings: one explained, or all as a table.

use serde_json::{Value, json};

use crate::diagnostic::{Code, Example, Explanation, Severity};
use crate::text::{Cell, Column, Ink, Style, Table, wrapped};

/// Width of running text.
const COLUMNS: usize = 92;

/// What a kind of finding means and what to do about it.
#[must_use]
pub fn explain(code: Code, style: Style) -> String {
    let ink = ink(code.severity());
    let title = style.paint(ink, &format!("{}[{}]", code.severity().word(), code.id()));
    let mut text = format!("{title} {}\n\n", code.name());
    let explanation = code.explanation();
    for paragraph in [code.summary(), explanation.why, &format!("Fix: {}", explanation.fix)] {
        for line in wrapped(paragraph, COLUMNS) {
            text.push_str(&format!("{line}\n"));
        }
        text.push('\n');
    }
    if let Some(example) = explanation.example {
        for (ink, word, yaml) in [(Ink::Bad, "Before:", example.before), (Ink::Good, "After:", example.after)] {
            text.push_str(&format!("{}\n\n", style.paint(ink, word)));
            for line in yaml.lines() {
                text.push_str(&format!("    {line}\n"));
            }
            text.push('\n');
        }
    }
    let others = [("istioctl analyze", code.ist()), ("Kiali", code.kia())];
    for (tool, codes) in others.into_iter().filter(|(_, codes)| !codes.is_empty()) {
        text.push_str(&format!("In {tool}: {}\n", codes.join(", ")));
    }
    let id = code.id();
    text.push_str(&format!(
        "Only these findings:  meshsim check --select {id} …\n\
         Without them:         meshsim check --ignore {id} …\n\
         At one place:         # meshsim:ignore {id} reason\n\
         For one object:       annotation `galley.istio.io/analyze-suppress: {id}`\n"
    ));
    text
}

const fn ink(severity: Severity) -> Ink {
    match severity {
        Severity::Error => Ink::Bad,
        Severity::Warning => Ink::Odd,
        Severity::Note => Ink::Good,
    }
}

/// All kinds, for a terminal.
#[must_use]
pub fn rules(style: Style) -> String {
    let mut table = Table::new(&[(Column::Text, ""), (Column::Text, ""), (Column::Text, ""), (Column::Flexible, "")]);
    for code in Code::ALL {
        table.row([
            Cell::new(Ink::Plain, code.id()),
            Cell::new(ink(code.severity()), code.severity().word()),
            Cell::new(Ink::Plain, code.name()),
            Cell::new(Ink::Faint, code.summary()),
        ]);
    }
    table.render(style, 0)
}

/// All kinds as a page in Markdown: a table, and a part for each.
#[must_use]
pub fn rules_markdown() -> String {
    let mut text = String::from(
        "# Findings of `meshsim check`\n\n| code | name | severity | meaning | istioctl, Kiali |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let others: Vec<&str> = code.ist().iter().chain(code.kia()).copied().collect();
        let (id, name, severity) = (code.id(), code.name(), code.severity().word());
        text.push_str(&format!("| {id} | {name} | {severity} | {} | {} |\n", code.summary(), others.join(", ")));
    }
    text.push_str(&format!("\nExamples stand beside these objects:\n\n```yaml\n{}```\n", Example::SURROUNDINGS));
    for code in Code::ALL {
        let Explanation { why, fix, example } = code.explanation();
        let (id, name, severity, summary) = (code.id(), code.name(), code.severity().word(), code.summary());
        text.push_str(&format!("\n## {id} {name}\n\n*{severity}.* {summary}\n\n{why}\n\n**Fix:** {fix}\n"));
        for (word, yaml) in example.iter().flat_map(|example| [("Before", example.before), ("After", example.after)]) {
            text.push_str(&format!("\n{word}:\n\n```yaml\n{yaml}```\n"));
        }
    }
    text
}

/// All kinds as JSON.
#[must_use]
pub fn rules_json() -> String {
    let rule = |code: &Code| {
        json!({
            "code": code.id(),
            "name": code.name(),
            "severity": code.severity().word(),
            "summary": code.summary(),
            "why": code.explanation().why,
            "fix": code.explanation().fix,
            "example": code.explanation().example.map(|own| json!({"before": own.before, "after": own.after})),
            "ist": code.ist(),
            "kia": code.kia(),
        })
    };
    format!("{:#}\n", Value::Array(Code::ALL.iter().map(rule).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_explained_with_what_others_call_it() {
        insta::assert_snapshot!(explain(Code::UndefinedSubset, Style::PLAIN));
    }

    #[test]
    fn the_lists_are_complete() {
        for text in [rules(Style::PLAIN), rules_markdown(), rules_json()] {
            assert!(Code::ALL.iter().all(|code| text.contains(code.id()) && text.contains(code.name())));
        }
    }
}
