//! What was changed in a text, as `diff -u` shows it and `patch` takes it.

use std::fmt::Write as _;
use std::ops::Range;

use crate::text::{Ink, Style};

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// Lines within which two texts must come together again.
const REACH: usize = 200;

/// The difference between two texts of one file; empty if there is none.
#[must_use]
pub fn patch(name: &str, before: &str, after: &str, style: Style) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let changes = changes(&old, &new);
    if changes.is_empty() {
        return String::new();
    }
    let mut text = format!("--- {name}\n+++ {name}\n");
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let far = rest.windows(2).position(|pair| pair[1].0.start - pair[0].0.end > 2 * CONTEXT);
        let (group, later) = rest.split_at(far.map_or(rest.len(), |at| at + 1));
        rest = later;
        let last = group.last().unwrap_or(first);
        let start = first.0.start.saturating_sub(CONTEXT);
        let end = (last.0.end + CONTEXT).min(old.len());
        let new_start = first.1.start - (first.0.start - start);
        let new_end = last.1.end + (end - last.0.end);
        let _ = writeln!(text, "@@ -{} +{} @@", range(&(start..end)), range(&(new_start..new_end)));
        let mut at = start;
        for (gone, come) in group {
            old[at..gone.start].iter().for_each(|own| line(&mut text, ' ', own, Ink::Plain, style));
            old[gone.clone()].iter().for_each(|own| line(&mut text, '-', own, Ink::Bad, style));
            new[come.clone()].iter().for_each(|own| line(&mut text, '+', own, Ink::Good, style));
            at = gone.end;
        }
        old[at..end].iter().for_each(|own| line(&mut text, ' ', own, Ink::Plain, style));
    }
    text
}

fn range(lines: &Range<usize>) -> String {
    // A range without lines is named by the line before it.
    let first = if lines.is_empty() { lines.start } else { lines.start + 1 };
    format!("{first},{}", lines.len())
}

fn line(text: &mut String, sign: char, own: &str, ink: Ink, style: Style) {
    let shown = own.strip_suffix('\n');
    let _ = writeln!(text, "{}", style.paint(ink, &format!("{sign}{}", shown.unwrap_or(own))));
    if shown.is_none() {
        text.push_str("\\ No newline at end of file\n");
    }
}

/// Ranges of lines that differ. The texts come together again where the fewest lines were skipped.
fn changes(old: &[&str], new: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    let (mut changes, mut i, mut j) = (Vec::new(), 0, 0);
    while i < old.len() || j < new.len() {
        if old.get(i) == new.get(j) {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let meets = |skipped: usize| {
            (0..=skipped).map(|a| (a, skipped - a)).find(|(a, b)| {
                let (at, to) = (i + a, j + b);
                let ends = at == old.len() && to == new.len();
                ends || old.get(at).is_some_and(|own| new.get(to) == Some(own) && old.get(at + 1) == new.get(to + 1))
            })
        };
        let (a, b) = (1..REACH).find_map(meets).unwrap_or((old.len() - i, new.len() - j));
        changes.push((i..i + a, j..j + b));
        (i, j) = (i + a, j + b);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_the_lines_around_them() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n# gone\nm";
        let after = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n";
        insta::assert_snapshot!(patch("mesh/a.yaml", before, after, Style::PLAIN), @r"
        --- mesh/a.yaml
        +++ mesh/a.yaml
        @@ -1,5 +1,5 @@
         a
        -b
        +B
         c
         d
         e
        @@ -10,5 +10,4 @@
         j
         k
         l
        -# gone
        -m
        \ No newline at end of file
        +m
        ");
        assert_eq!(patch("a", before, before, Style::PLAIN), "");
    }
}
