//! Aligned tables of a few columns for a terminal.
//!
//! Written here rather than taken from a table crate: what is needed (numbers to the right, one
//! column that gives way, no borders, no column that is empty throughout) is a page of code, and the
//! crates bring 16 others.

use super::{Ink, Style, width, wrapped};

/// How a column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text, to the left.
    Text,
    /// Numbers, to the right.
    Number,
    /// Numbers, to the right, left out when the table is wider than the page.
    Spare,
    /// Text that is broken into lines when the table is still wider than the page.
    Flexible,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    ink: Ink,
}

impl Cell {
    /// A cell in this ink.
    pub fn new(ink: Ink, text: impl Into<String>) -> Self {
        Cell { text: text.into(), ink }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell { text, ink: Ink::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell { text: text.to_owned(), ink: Ink::Plain }
    }
}

/// Rows of cells. Columns in which every cell is empty are left out together with their heads.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<(Column, &'static str)>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
enum Row {
    Cells(Vec<Cell>),
    /// A line across all columns, as it is.
    Line(String),
}

/// Columns between two columns.
const GAP: usize = 2;
/// A column that gives way keeps this many.
const NARROWEST: usize = 12;

impl Table {
    /// A table of these columns with their heads; a table whose heads are all empty has no head row.
    #[must_use]
    pub fn new(columns: &[(Column, &'static str)]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        cells.resize_with(self.columns.len(), Cell::default);
        self.rows.push(Row::Cells(cells));
    }

    /// Adds a line across all columns, such as a heading of the rows that follow.
    pub fn line(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Line(text.into()));
    }

    /// How many columns there are, empty ones included.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table, each line indented and ended; nothing if there is no row.
    #[must_use]
    pub fn render(&self, style: Style, indent: usize) -> String {
        let widths = self.widths(style.width.saturating_sub(indent));
        let mut out = String::new();
        if self.rows.is_empty() {
            return out;
        }
        if self.columns.iter().any(|(_, head)| !head.is_empty()) {
            let heads: Vec<Cell> = self.columns.iter().map(|(_, head)| Cell::new(Ink::Faint, *head)).collect();
            self.write(&heads, &widths, style, indent, &mut out);
        }
        for row in &self.rows {
            match row {
                Row::Cells(cells) => self.write(cells, &widths, style, indent, &mut out),
                Row::Line(text) => {
                    out.push_str(text);
                    out.push('\n');
                }
            }
        }
        out
    }

    fn cells(&self) -> impl Iterator<Item = &[Cell]> {
        self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells.as_slice()),
            Row::Line(_) => None,
        })
    }

    /// The width of each column; `None` for one that is empty throughout.
    fn widths(&self, available: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = (0..self.columns.len())
            .map(|i| {
                let widest = self.cells().map(|cells| width(&cells[i].text)).max().filter(|w| *w > 0)?;
                Some(widest.max(width(self.columns[i].1)))
            })
            .collect();
        let total =
            |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP);
        for i in (0..self.columns.len()).rev().filter(|i| self.columns[*i].0 == Column::Spare) {
            if total(&widths) > available {
                widths[i] = None;
            }
        }
        let mut excess = total(&widths).saturating_sub(available);
        for (i, (column, _)) in self.columns.iter().enumerate() {
            if let (Column::Flexible, Some(w)) = (column, &mut widths[i]) {
                let kept = w.saturating_sub(excess).max(NARROWEST.min(*w));
                excess -= *w - kept;
                *w = kept;
            }
        }
        widths
    }

    fn write(&self, row: &[Cell], widths: &[Option<usize>], style: Style, indent: usize, out: &mut String) {
        let lines: Vec<Vec<String>> = row
            .iter()
            .zip(widths)
            .map(|(cell, wide)| match wide {
                Some(wide) if width(&cell.text) > *wide => broken(&cell.text, *wide),
                _ => vec![cell.text.clone()],
            })
            .collect();
        for n in 0..lines.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = " ".repeat(indent);
            // Padding is owed until something follows it, so that lines end where their text ends.
            let mut owed = 0;
            for (i, wide) in widths.iter().enumerate() {
                let Some(wide) = wide else { continue };
                let text = lines[i].get(n).map_or("", String::as_str);
                let free = wide.saturating_sub(width(text));
                let (before, after) = match self.columns[i].0 {
                    Column::Number | Column::Spare => (free, 0),
                    Column::Text | Column::Flexible => (0, free),
                };
                if text.is_empty() {
                    owed += wide + GAP;
                    continue;
                }
                line.push_str(&" ".repeat(owed + before));
                line.push_str(&style.paint(row[i].ink, text));
                owed = after + GAP;
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// A list is broken between its items, anything else at spaces.
fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in text.split_inclusive(", ") {
        match lines.last_mut() {
            Some(line) if width(line) + width(item.trim_end()) <= columns => line.push_str(item),
            _ => lines.push(item.to_owned()),
        }
    }
    lines.iter().flat_map(|line| wrapped(line, columns)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            (Column::Text, "user"),
            (Column::Number, "requests"),
            (Column::Text, "flags"),
            (Column::Flexible, "labels"),
        ]);
        table.row(["jason".into(), "1 000".into(), "".into(), "black-stars details reviews-unavailable".into()]);
        table.row(["".into(), "7".into()]);
        table.row([Cell::new(Ink::Bad, "others"), "12".into(), "".into(), "no-stars".into()]);
        table
    }

    #[test]
    fn numbers_stand_to_the_right_and_empty_columns_are_left_out() {
        let rendered = table().render(Style::PLAIN, 2);
        let lines: Vec<&str> = rendered.lines().collect();
        assert_eq!(
            lines,
            [
                "  user    requests  labels",
                "  jason      1 000  black-stars details reviews-unavailable",
                "                 7",
                "  others        12  no-stars",
            ]
        );
    }

    #[test]
    fn the_flexible_column_gives_way_on_a_narrow_page() {
        let rendered = table().render(Style { colour: false, width: 40 }, 0);
        let lines: Vec<&str> = rendered.lines().take(3).collect();
        assert_eq!(
            lines,
            ["user    requests  labels", "jason      1 000  black-stars details", "                  reviews-unavailable"]
        );
    }

    #[test]
    fn spare_columns_go_before_anything_is_broken() {
        let mut table = Table::new(&[(Column::Text, "version"), (Column::Spare, "p99"), (Column::Flexible, "answers")]);
        table.row(["v1".into(), "12 ms".into(), "200 99%, 503 1%".into()]);
        let render = |width| table.render(Style { colour: false, width }, 0);
        assert_eq!(render(40), "version    p99  answers\nv1       12 ms  200 99%, 503 1%\n");
        assert_eq!(render(30), "version  answers\nv1       200 99%, 503 1%\n");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let colour = Style { colour: true, width: 80 };
        let plain = anstream::adapter::strip_str(&table().render(colour, 2)).to_string();
        assert_eq!(plain, table().render(Style::PLAIN, 2));
    }

    #[test]
    fn lists_are_broken_between_their_items() {
        assert_eq!(broken("200 51.05%, 0 DC 48.95%", 14), ["200 51.05%,", "0 DC 48.95%"]);
        assert_eq!(broken("0 DI,DC 50.00%, 1", 8), ["0 DI,DC", "50.00%,", "1"]);
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(Table::new(&[(Column::Text, "user")]).render(Style::PLAIN, 0), "");
    }
}
