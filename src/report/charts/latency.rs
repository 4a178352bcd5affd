//! How long requests took, by class of users, told apart by what they got.

use indexmap::IndexMap;

use super::Scene;
use super::axis::TimeAxis;
use super::palette::{Colour, INK, MUTED, NOBODY, RULE, series};
use super::scene::{Anchor, Area, Label, MARGIN, SMALL, SUBTITLE, fitted, text_width};
use crate::record::{Latency, OutcomeTally, RunReport};
use crate::text::{duration, percent, plural};

const WIDTH: i32 = 1000;
const TOP: i32 = 120;
const ROW: i32 = 132;
const PLOT: i32 = 78;
/// Classes of users that are drawn.
const MOST_ROWS: usize = 12;
/// Kinds of answers with a colour of their own; the rest is grey.
const MOST_KINDS: usize = 6;
/// Pixels of one bar of a histogram.
const BIN: i32 = 6;

/// A histogram for each class of users, or `None` if nothing was answered.
#[must_use]
pub fn latency(report: &RunReport) -> Option<Scene> {
    let rows = rows(report);
    let longest = rows.values().flatten().map(|outcome| outcome.latency.max.nanos()).max()?;
    let kinds = kinds(&rows);
    let shown = rows.len().min(MOST_ROWS);
    let height = TOP + ROW * i32::try_from(shown).ok()? + 30;
    let left_out = rows.len() - shown;
    let more = if left_out == 0 { String::new() } else { format!(" ({left_out} more not shown)") };
    let subtitle = format!("How long requests took, by user class and answer, all phases together{more}");
    let mut scene = Scene::new(WIDTH, height, &report.scenario, &subtitle);
    legend(&mut scene, &kinds);
    // Room for the bar of the longest; a run in which nothing takes any time still needs a scale.
    let axis =
        TimeAxis { begins_ns: 0, ends_ns: (longest + longest / 50).max(1_000_000), left: MARGIN + 150, right: WIDTH - MARGIN };
    for (i, (who, outcomes)) in rows.iter().take(MOST_ROWS).enumerate() {
        let top = TOP + ROW * i as i32 + 24;
        let plot = Area::new(axis.left, top, axis.right, top + PLOT);
        axis.draw(&mut scene, plot);
        row(&mut scene, who, outcomes, &kinds, &axis, plot);
    }
    Some(scene)
}

/// Answers by class of users, phases joined.
fn rows(report: &RunReport) -> IndexMap<String, Vec<OutcomeTally>> {
    let alone = report.clients.iter().all(|group| report.clients.first().is_some_and(|first| first.client == group.client));
    let mut rows: IndexMap<String, Vec<OutcomeTally>> = IndexMap::new();
    for group in report.clients.iter().filter(|group| !group.outcomes.is_empty()) {
        let who = match (group.user.as_str(), alone) {
            ("", _) => group.client.clone(),
            (user, true) => user.to_owned(),
            (user, false) => format!("{}/{user}", group.client),
        };
        rows.entry(who).or_default().extend(group.outcomes.iter().cloned());
    }
    rows
}

/// What an answer is called: its labels, or status and flags.
fn kind(outcome: &OutcomeTally) -> String {
    match (outcome.labels.is_empty(), outcome.flags.as_str()) {
        (false, _) => outcome.labels.join(", "),
        (true, "") => outcome.status.to_string(),
        (true, flags) => format!("{} {flags}", outcome.status),
    }
}

fn kinds(rows: &IndexMap<String, Vec<OutcomeTally>>) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for outcome in rows.values().flatten() {
        let name = kind(outcome);
        if !kinds.contains(&name) {
            kinds.push(name);
        }
    }
    kinds
}

fn colour(kinds: &[String], name: &str) -> Colour {
    kinds.iter().take(MOST_KINDS).position(|kind| kind == name).map_or(NOBODY, series)
}

fn row(scene: &mut Scene, who: &str, outcomes: &[OutcomeTally], kinds: &[String], axis: &TimeAxis, plot: Area) {
    let all = outcomes.iter().fold(Latency::default(), |sum, outcome| sum.merged(&outcome.latency));
    scene.text(Label::new((MARGIN, plot.top + 8), fitted(who, SUBTITLE, true, 136)).sized(SUBTITLE).bold());
    let times = [("p50", all.percentile(50)), ("p90", all.percentile(90)), ("p99", all.percentile(99)), ("max", all.max)];
    scene.text(Label::new((MARGIN, plot.top + 25), plural(all.count, "request")).coloured(MUTED));
    for (i, (name, time)) in times.into_iter().enumerate() {
        let y = plot.top + 42 + 16 * i as i32;
        scene.text(Label::new((MARGIN, y), name).coloured(MUTED));
        scene.text(Label::new((MARGIN + 104, y), duration(time)).anchored(Anchor::End).coloured(MUTED));
    }
    let bins = bins(outcomes, axis);
    let highest = bins.values().map(|bin| bin.iter().map(|(_, count)| count).sum::<u64>()).max().unwrap_or(1);
    scene.line((plot.left, plot.top), (plot.right, plot.top), RULE, 1);
    let mut free_from = i32::MIN;
    for (bin, parts) in &bins {
        let (left, mut bottom) = ((plot.left + bin * BIN - BIN / 2).max(plot.left), plot.bottom);
        let total: u64 = parts.iter().map(|(_, count)| count).sum();
        for (name, count) in parts {
            let height = i32::try_from(u128::from(*count) * PLOT as u128 / u128::from(highest.max(1))).unwrap_or(PLOT).max(1);
            scene.rect(Area::new(left, bottom - height, left + BIN - 1, bottom), colour(kinds, name));
            bottom -= height;
        }
        // Bars that stand out say how much they are, where nothing is in the way.
        let label = Label::new((left + BIN / 2, bottom - 9), percent(total, all.count)).anchored(Anchor::Middle).coloured(INK);
        let label = within(label, plot);
        let stands_out = u128::from(total) * 20 >= u128::from(all.count);
        if stands_out && label.area().left > free_from {
            free_from = label.area().right + 6;
            scene.text(label);
        }
    }
}

/// The label moved so that it does not leave the plot at the sides.
fn within(mut label: Label, plot: Area) -> Label {
    let area = label.area();
    label.at.0 += (plot.left - area.left).max(0) - (area.right - plot.right).max(0);
    label
}

/// Counts by bar and kind of answer, kinds in the order of the outcomes.
fn bins(outcomes: &[OutcomeTally], axis: &TimeAxis) -> std::collections::BTreeMap<i32, Vec<(String, u64)>> {
    let mut bins: std::collections::BTreeMap<i32, Vec<(String, u64)>> = std::collections::BTreeMap::new();
    for outcome in outcomes {
        let name = kind(outcome);
        for (time, count) in &outcome.latency.buckets {
            let bin = bins.entry((axis.x(time.nanos()) - axis.left + BIN / 2) / BIN).or_default();
            match bin.iter_mut().find(|(kind, _)| *kind == name) {
                Some((_, sum)) => *sum += count,
                None => bin.push((name.clone(), *count)),
            }
        }
    }
    bins
}

fn legend(scene: &mut Scene, kinds: &[String]) {
    let mut x = MARGIN;
    let others = (kinds.len() > MOST_KINDS).then(|| "others".to_owned());
    for name in kinds.iter().take(MOST_KINDS).chain(&others) {
        let text = fitted(name, SMALL, false, 220);
        let width = 22 + text_width(&text, SMALL, false) + 20;
        if x + width > WIDTH - MARGIN {
            return;
        }
        scene.rect(Area::new(x, 76, x + 14, 90), colour(kinds, name));
        scene.text(Label::new((x + 22, 83), text).coloured(MUTED));
        x += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_cascade_stands_out_at_six_seconds() {
        let scene = latency(&fixture::cascade()).unwrap();
        assert_eq!(scene.label_trouble(), Vec::<String>::new());
        insta::assert_binary_snapshot!("latency.svg", scene.svg().into_bytes());
    }

    #[test]
    fn a_run_without_answers_has_no_chart() {
        assert_eq!(latency(&RunReport::default()), None);
    }
}
