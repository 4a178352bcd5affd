//! Tables as `istioctl` prints them, so that whoever reads or parses those can read ours.

use crate::text::width;

/// Blanks between two columns.
const PADDING: usize = 5;

/// The rows below their head, in columns; nothing stands behind the last one.
pub(super) fn columns<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let table: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| table.iter().map(|row| width(&row[column])).max().unwrap_or_default());
    let mut text = String::new();
    for row in &table {
        for (cell, wanted) in row.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', wanted + PADDING - width(cell)));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
