//! One request on the terminal: who waited for whom, which timeout fired, where the time went.

use std::fmt::Write as _;

use super::{Detail, MANY, Page};
use crate::record::{RunReport, Waterfall};
use crate::report::lane::{Lane, lanes, orphaned, told, word};
use crate::text::{Cell, Column, Ink, Table, clock, duration, plural, shortened, width};
use crate::time::{Duration, Instant};

const WAITING: char = '█';
const HELD: char = '▒';
const ORPHANED: char = '░';
const TIMEOUT: char = '✗';

pub(super) fn render(report: &RunReport, page: &Page<'_>) -> String {
    let Some(waterfall) = &report.waterfall else { return String::new() };
    let lanes = lanes(waterfall);
    let Some(end) = lanes.iter().map(|lane| lane.ends).max() else { return String::new() };
    let answered = waterfall.ends.since(waterfall.begins);
    let mut out = format!("  sent at {}, ", clock(waterfall.begins));
    let _ = writeln!(out, "{}", page.style.paint(Ink::Strong, &format!("answered after {}", duration(answered))));
    out.push('\n');
    let drawing = Drawing::new(waterfall, &lanes, end, page);
    out.push_str(&drawing.axis());
    let folded = page.detail == Detail::Compact && lanes.len() > 2 * MANY;
    let shown = if folded { 2 * MANY } else { lanes.len() };
    lanes[..shown].iter().for_each(|lane| out.push_str(&drawing.lane(lane)));
    if folded {
        let _ = writeln!(out, "  … {} more", plural((lanes.len() - shown) as u64, "call"));
    }
    let told = where_it_went(waterfall, &lanes, page);
    if !told.is_empty() {
        let _ = write!(out, "{}\n{told}", legend(&lanes, page));
    }
    out
}

/// The scale that all lanes share.
struct Drawing<'a> {
    begins: Instant,
    length: Duration,
    /// Columns of the names.
    names: usize,
    /// Columns of the bars.
    bars: usize,
    marks: Vec<Instant>,
    page: &'a Page<'a>,
}

impl<'a> Drawing<'a> {
    fn new(waterfall: &Waterfall, lanes: &[Lane], end: Instant, page: &'a Page<'a>) -> Self {
        let widest = lanes.iter().map(|lane| 2 * lane.depth as usize + width(&lane.who)).max().unwrap_or(0);
        let results = lanes.iter().map(|lane| width(&lane.result)).max().unwrap_or(0).min(16);
        let names = widest.min(page.style.width * 2 / 5);
        let bars = page.style.width.saturating_sub(names + results + 6).clamp(20, 60);
        let mut marks = vec![waterfall.begins, waterfall.ends, end];
        marks.extend(lanes.iter().flat_map(|lane| &lane.timeouts).map(|fired| fired.at));
        marks.extend(lanes.iter().map(|lane| lane.ends));
        Drawing { begins: waterfall.begins, length: end.since(waterfall.begins), names, bars, marks, page }
    }

    /// The column at an instant, up to and including `bars`.
    fn column(&self, at: Instant) -> usize {
        let (part, whole) = (u128::from(at.since(self.begins).nanos()), u128::from(self.length.nanos()));
        let column = (part * self.bars as u128).checked_div(whole).unwrap_or(0);
        usize::try_from(column).unwrap_or(self.bars).min(self.bars)
    }

    /// Times above the bars: the most telling first, others where there is room.
    fn axis(&self) -> String {
        let mut line = vec![' '; self.bars + 12];
        for mark in &self.marks {
            let text: Vec<char> = duration(mark.since(self.begins)).chars().collect();
            let from = self.column(*mark);
            let around = from.saturating_sub(2)..(from + text.len() + 2).min(line.len());
            if from + text.len() <= line.len() && line[around].iter().all(|c| *c == ' ') {
                line[from..from + text.len()].copy_from_slice(&text);
            }
        }
        let line: String = line.into_iter().collect();
        let indent = " ".repeat(self.names + 4);
        format!("{}\n", self.page.style.paint(Ink::Faint, format!("{indent}{line}").trim_end()))
    }

    fn lane(&self, lane: &Lane) -> String {
        let name = format!("{}{}", "  ".repeat(lane.depth as usize), lane.who);
        let name = shortened(&name, self.names);
        let padding = " ".repeat(self.names - width(&name));
        let mut cells: Vec<(char, Ink)> = vec![(' ', Ink::Plain); self.bars + 1];
        self.fill(&mut cells, lane.begins, lane.ends, (WAITING, Ink::Plain));
        for hold in &lane.holds {
            self.fill(&mut cells, hold.begins, hold.ends, (HELD, Ink::Odd));
        }
        if lane.ends > lane.awaited_until {
            self.fill(&mut cells, lane.awaited_until, lane.ends, (ORPHANED, Ink::Faint));
        }
        for fired in &lane.timeouts {
            cells[self.column(fired.at)] = (TIMEOUT, Ink::Bad);
        }
        let result = if lane.result.is_empty() { String::new() } else { format!(" {}", lane.result) };
        let text = format!("  {name}{padding}  {}{result}", self.painted(&cells));
        format!("{}\n", text.trim_end())
    }

    fn fill(&self, cells: &mut [(char, Ink)], begins: Instant, ends: Instant, with: (char, Ink)) {
        let (from, to) = (self.column(begins), self.column(ends));
        if from == to {
            cells[from.min(self.bars - 1)] = ('▏', with.1);
        } else {
            cells[from..to].fill(with);
        }
    }

    fn painted(&self, cells: &[(char, Ink)]) -> String {
        cells
            .chunk_by(|a, b| a.1 == b.1)
            .map(|run| self.page.style.paint(run[0].1, &run.iter().map(|cell| cell.0).collect::<String>()))
            .collect()
    }
}

fn legend(lanes: &[Lane], page: &Page<'_>) -> String {
    let mut held: Vec<&str> = Vec::new();
    for hold in lanes.iter().flat_map(|lane| &lane.holds) {
        if !held.contains(&word(hold.kind)) {
            held.push(word(hold.kind));
        }
    }
    let mut parts = vec![format!("{WAITING} waiting")];
    if !held.is_empty() {
        parts.push(format!("{HELD} {}", held.join(", ")));
    }
    if lanes.iter().any(|lane| !lane.timeouts.is_empty()) {
        parts.push(format!("{TIMEOUT} timeout"));
    }
    if lanes.iter().any(|lane| lane.ends > lane.awaited_until) {
        parts.push(format!("{ORPHANED} nobody waits any more"));
    }
    format!("  {}\n", page.style.paint(Ink::Faint, &parts.join("   ")))
}

/// The stretches of time that made the answer late, and the work that outlived it.
fn where_it_went(waterfall: &Waterfall, lanes: &[Lane], page: &Page<'_>) -> String {
    let told = told(lanes);
    if told.is_empty() {
        return String::new();
    }
    let mut out = format!("  where the {} went:\n", duration(waterfall.ends.since(waterfall.begins)));
    let shown = if page.detail == Detail::Compact { told.len().min(MANY) } else { told.len() };
    let mut table = Table::new(&[(Column::Number, ""), (Column::Flexible, "")]);
    for told in &told[..shown] {
        table.row([Cell::new(Ink::Strong, told.amount()), told.text.clone().into()]);
    }
    if shown < told.len() {
        table.row([Cell::default(), format!("… {} more", plural((told.len() - shown) as u64, "stretch")).into()]);
    }
    out.push_str(&table.render(page.style, 4));
    if let Some((sum, last)) = orphaned(lanes) {
        let text = format!(
            "{} of work that nobody waited for, the last of it until {} after the request",
            duration(sum),
            duration(last.since(waterfall.begins))
        );
        for line in crate::text::wrapped(&text, page.style.width.saturating_sub(2)) {
            let _ = writeln!(out, "  {}", page.style.paint(Ink::Odd, &line));
        }
    }
    out
}
