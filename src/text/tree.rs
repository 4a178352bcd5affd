//! Trees of lines for a terminal.

use super::{Ink, Style, width, wrapped};

/// A line with lines below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    label: String,
    ink: Ink,
    text: String,
    place: String,
    children: Vec<Tree>,
}

impl Tree {
    /// A line that begins with a label; its text is aligned with that of its siblings.
    #[must_use]
    pub fn new(ink: Ink, label: impl Into<String>, text: impl Into<String>) -> Self {
        Tree { label: label.into(), ink, text: text.into(), ..Tree::default() }
    }

    /// The same line with where it comes from, written last and faint.
    #[must_use]
    pub fn at(mut self, place: Option<&str>) -> Self {
        self.place = place.unwrap_or_default().to_owned();
        self
    }

    /// Adds a line below.
    pub fn push(&mut self, child: Tree) {
        self.children.push(child);
    }

    /// The same line with others below it.
    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Tree>) -> Self {
        self.children.extend(children);
        self
    }

    /// The tree as lines; the root has no branch.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        self.write_line(style, "", "", 0, &mut out);
        self.write_children(style, "", &mut out);
        out
    }

    fn write_children(&self, style: Style, prefix: &str, out: &mut String) {
        let labels = self.children.iter().map(|child| width(&child.label)).max().unwrap_or(0);
        for (index, child) in self.children.iter().enumerate() {
            let last = index + 1 == self.children.len();
            let (branch, below) = if last { ("╰─ ", "   ") } else { ("├─ ", "│  ") };
            let stem = if child.children.is_empty() { "  " } else { "│ " };
            let under = format!("{prefix}{below}{stem}");
            child.write_line(style, &format!("{prefix}{branch}"), &under, labels, out);
            child.write_children(style, &format!("{prefix}{below}"), out);
        }
    }

    /// The line itself, broken where the page ends; what is broken off stands under the text.
    fn write_line(&self, style: Style, lead: &str, under: &str, labels: usize, out: &mut String) {
        let gap = if self.text.is_empty() || labels == 0 { 0 } else { labels - width(&self.label) + 2 };
        let gap = if labels == 0 && !self.text.is_empty() { 1 } else { gap };
        let indent = width(lead) + width(&self.label) + gap;
        let place = if self.place.is_empty() { String::new() } else { format!("  {}", self.place) };
        let lines = wrapped(&self.text, style.width.saturating_sub(indent).max(24));
        out.push_str(&format!("{}{}{}", style.paint(Ink::Faint, lead), style.paint(self.ink, &self.label), " ".repeat(gap)));
        let under = format!("{under}{}", " ".repeat(indent.saturating_sub(width(under))));
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push('\n');
                out.push_str(&style.paint(Ink::Faint, &under));
            }
            out.push_str(line);
        }
        out.push_str(&style.paint(Ink::Faint, &place));
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_siblings_are_aligned_and_places_come_last() {
        let tree = Tree::new(Ink::Plain, "GET", "/").with([
            Tree::new(Ink::Plain, "a", "one")
                .at(Some("f:1"))
                .with([Tree::new(Ink::Plain, "x", ""), Tree::new(Ink::Plain, "y", "z")]),
            Tree::new(Ink::Plain, "long", "two"),
        ]);
        assert_eq!(tree.render(Style::PLAIN), "GET /\n├─ a     one  f:1\n│  ├─ x\n│  ╰─ y  z\n╰─ long  two\n");
    }

    #[test]
    fn long_texts_go_on_under_themselves() {
        let words = "word ".repeat(12);
        let tree =
            Tree::new(Ink::Plain, "r", "").with([Tree::new(Ink::Plain, "a", words.trim()), Tree::new(Ink::Plain, "b", "c")]);
        let text = tree.render(Style { width: 40, ..Style::PLAIN });
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.starts_with("│     word")), "{text}");
    }
}
