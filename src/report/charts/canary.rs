//! Shares of versions over time: what the route says, what is to be expected, and what was seen with
//! its 95 % interval.

use super::Scene;
use super::axis::{TimeAxis, draw_shares, share_y};
use super::palette::{Colour, INK, MUTED, NOBODY, series};
use super::scene::{Anchor, Area, Label, MARGIN, SMALL, SUBTITLE, fitted, text_width};
use crate::record::{RunReport, Split, SplitPoint};
use crate::report::names::Names;
use crate::report::plan::planned;
use crate::text::plural;

const WIDTH: i32 = 1000;
const TOP: i32 = 76;
const PLOT: i32 = 240;
/// Title and phase names above a plot.
const ABOVE: i32 = 52;
/// Labels of the axis below it.
const BELOW: i32 = 46;
/// Pixels for the names of versions.
const MOST_NAME: i32 = 130;
/// Splits that are drawn; more would be a poster.
const MOST_SPLITS: usize = 4;

/// Splits with at least two versions over time, or `None` if nothing was split.
#[must_use]
pub fn canary(report: &RunReport) -> Option<Scene> {
    let splits: Vec<&Split> = report.splits.iter().filter(|split| split.legs.len() > 1 && !split.points.is_empty()).collect();
    if splits.is_empty() {
        return None;
    }
    let names = Names::of(report);
    let shown = &splits[..splits.len().min(MOST_SPLITS)];
    let left_out = splits.len() - shown.len();
    let versions = shown.iter().flat_map(|split| split.legs.iter().map(|leg| names.version(&split.service, &leg.version)));
    let widest = versions.map(|name| text_width(&name, SUBTITLE, true)).max().unwrap_or(0).min(MOST_NAME);
    let height = TOP + (ABOVE + PLOT + BELOW) * i32::try_from(shown.len()).ok()? + 40;
    let more = if left_out == 0 { String::new() } else { format!(" ({} not shown)", plural(left_out as u64, "more split")) };
    let mut scene = Scene::new(WIDTH, height, &report.scenario, &format!("Share of calls by version over virtual time{more}"));
    for (i, split) in shown.iter().enumerate() {
        let top = TOP + ABOVE + (ABOVE + PLOT + BELOW) * i as i32;
        let title = names.edge(&split.source, &split.service);
        let area = Area::new(MARGIN + 44, top, WIDTH - MARGIN - 20 - widest, top + PLOT);
        panel(&mut scene, report, split, &title, area);
        leg_names(&mut scene, split, &names, area);
    }
    legend(&mut scene, shown, height - 30);
    Some(scene)
}

fn panel(scene: &mut Scene, report: &RunReport, split: &Split, title: &str, plot: Area) {
    let begins_ns = split.points.iter().map(|point| point.begins.nanos()).min().unwrap_or(0);
    let ends_ns = split.points.iter().map(|point| point.ends.nanos()).max().unwrap_or(0);
    let axis = TimeAxis { begins_ns, ends_ns, left: plot.left, right: plot.right };
    let title = fitted(title, SUBTITLE, true, plot.width());
    scene.text(Label::new((MARGIN, plot.top - 36), title).sized(SUBTITLE).bold());
    draw_shares(scene, plot);
    axis.draw(scene, plot);
    phases(scene, report, &axis, plot);
    for leg in 0..split.legs.len() {
        band(scene, split, leg, &axis, plot);
    }
    for leg in 0..split.legs.len() {
        let colour = series(leg);
        steps(scene, split, &axis, plot, |point| point.exact.as_ref()?.get(leg).copied(), Line::Solid(colour));
        steps(scene, split, &axis, plot, |point| planned(point)?.get(leg).copied(), Line::Dashed(INK));
        observed(scene, split, leg, &axis, plot);
    }
}

/// A mark at each phase's beginning with its name where there is room.
fn phases(scene: &mut Scene, report: &RunReport, axis: &TimeAxis, plot: Area) {
    for phase in report.phases.iter().filter(|phase| !phase.name.is_empty()) {
        let (from, to) = (axis.x(phase.begins.nanos()), axis.x(phase.ends.nanos()));
        if phase.ends.nanos() <= axis.begins_ns || phase.begins.nanos() >= axis.ends_ns {
            continue;
        }
        if from > plot.left {
            scene.dashes((from, plot.top - 14), (from, plot.bottom), NOBODY, 1);
        }
        let room = to - from - 8;
        if room >= 24 {
            let name = fitted(&phase.name, SMALL, false, room);
            scene.text(Label::new((from + 4, plot.top - 12), name).coloured(MUTED));
        }
    }
}

/// Stretches of points that say something about a version. A new phase begins a new one: what lies
/// between two phases is a jump, and no slope. Nor is there anything to say while nothing is called,
/// or of a version that cannot be reached and was not.
fn seen(split: &Split, leg: usize) -> impl Iterator<Item = &[SplitPoint]> {
    let telling = move |point: &SplitPoint| {
        let calls = point.observed.iter().sum::<u64>() > 0;
        let reached = point.observed.get(leg).is_some_and(|hits| *hits > 0);
        calls && (reached || certain(point, leg) != Some(0.0))
    };
    let runs = split.points.chunk_by(move |a, b| a.phase == b.phase && telling(a) == telling(b));
    runs.filter(move |run| run.first().is_some_and(telling))
}

/// The expected share of a version, where it leaves nothing to chance.
fn certain(point: &SplitPoint, leg: usize) -> Option<f64> {
    let exact = *point.exact.as_ref()?.get(leg)?;
    (exact <= 0.0 || exact >= 1.0).then_some(exact.clamp(0.0, 1.0))
}

fn middle(axis: &TimeAxis, point: &SplitPoint) -> i32 {
    axis.x(u64::midpoint(point.begins.nanos(), point.ends.nanos()))
}

fn band(scene: &mut Scene, split: &Split, leg: usize, axis: &TimeAxis, plot: Area) {
    for run in seen(split, leg).filter(|run| run.iter().any(|point| certain(point, leg).is_none())) {
        let edge = |point: &SplitPoint, high: bool| {
            let interval = point.intervals.get(leg).copied().unwrap_or_default();
            (middle(axis, point), share_y(plot, if high { interval.high } else { interval.low }))
        };
        let mut points: Vec<(i32, i32)> = run.iter().map(|point| edge(point, true)).collect();
        points.extend(run.iter().rev().map(|point| edge(point, false)));
        if run.len() > 1 {
            scene.polygon(points, series(leg).faded(18));
        } else {
            scene.path(points, series(leg).faded(60), 3);
        }
    }
}

fn observed(scene: &mut Scene, split: &Split, leg: usize, axis: &TimeAxis, plot: Area) {
    // Dots that touch are a worse line.
    let dots = split.points.len() <= 80;
    for run in seen(split, leg) {
        let points: Vec<(i32, i32)> = run
            .iter()
            .map(|point| {
                let total: u64 = point.observed.iter().sum();
                let hits = point.observed.get(leg).copied().unwrap_or(0);
                (middle(axis, point), share_y(plot, hits as f64 / total.max(1) as f64))
            })
            .collect();
        for point in points.iter().filter(|_| dots || points.len() == 1) {
            scene.dot(*point, 3, series(leg));
        }
        scene.path(points, series(leg), 2);
    }
}

#[derive(Clone, Copy)]
enum Line {
    Solid(Colour),
    Dashed(Colour),
}

/// Horizontal lines from beginning to end of each point, joined while equal.
fn steps(scene: &mut Scene, split: &Split, axis: &TimeAxis, plot: Area, value: impl Fn(&SplitPoint) -> Option<f64>, line: Line) {
    for run in split.points.chunk_by(|a, b| value(a) == value(b) && a.ends == b.begins) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let Some(share) = value(first) else { continue };
        let y = share_y(plot, share);
        let (from, to) = ((axis.x(first.begins.nanos()), y), (axis.x(last.ends.nanos()), y));
        match line {
            Line::Solid(colour) => scene.line(from, to, colour.faded(70), 1),
            Line::Dashed(colour) => scene.dashes(from, to, colour, 1),
        }
    }
}

/// Names at the right end of the lines, pushed apart where the lines meet.
fn leg_names(scene: &mut Scene, split: &Split, names: &Names, plot: Area) {
    let Some(last) = split.points.iter().rfind(|point| point.observed.iter().any(|hits| *hits > 0)) else { return };
    let total: u64 = last.observed.iter().sum();
    let mut labels: Vec<(i32, usize)> = (0..split.legs.len())
        .map(|leg| (share_y(plot, last.observed.get(leg).copied().unwrap_or(0) as f64 / total.max(1) as f64), leg))
        .collect();
    labels.sort_unstable();
    let mut lowest = plot.top - 10;
    let count = labels.len() as i32;
    for (i, (y, leg)) in labels.into_iter().enumerate() {
        let y = y.max(lowest).min(plot.bottom - 16 * (count - 1 - i as i32));
        lowest = y + 16;
        let name = fitted(&names.version(&split.service, &split.legs[leg].version), SUBTITLE, true, MOST_NAME);
        scene.dot((plot.right + 10, y), 4, series(leg));
        scene.text(Label::new((plot.right + 20, y), name).sized(SUBTITLE).bold());
    }
}

fn legend(scene: &mut Scene, splits: &[&Split], y: i32) {
    let points = || splits.iter().flat_map(|split| &split.points);
    let mut x = MARGIN + 44;
    let mut entry = |scene: &mut Scene, text: &str, swatch: &dyn Fn(&mut Scene, i32)| {
        swatch(scene, x);
        scene.text(Label::new((x + 38, y), text).coloured(MUTED).anchored(Anchor::Start));
        x += 38 + text_width(text, SMALL, false) + 24;
    };
    if points().any(|point| planned(point).is_some()) {
        entry(scene, "planned by the route", &|scene, x| scene.dashes((x, y), (x + 30, y), INK, 1));
    }
    if points().any(|point| point.exact.is_some()) {
        entry(scene, "exact", &|scene, x| scene.line((x, y), (x + 30, y), series(0).faded(70), 1));
    }
    entry(scene, "observed", &|scene, x| {
        scene.line((x, y), (x + 30, y), series(0), 2);
        scene.dot((x + 15, y), 3, series(0));
    });
    entry(scene, "its 95% interval", &|scene, x| scene.rect(Area::new(x, y - 7, x + 30, y + 7), series(0).faded(18)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_rollout_is_drawn_in_steps_with_bands() {
        let scene = canary(&fixture::rollout(&[0, 10, 25, 50, 100])).unwrap();
        assert_eq!(scene.label_trouble(), Vec::<String>::new());
        insta::assert_binary_snapshot!("canary.svg", scene.svg().into_bytes());
    }

    #[test]
    fn many_phases_do_not_write_over_each_other() {
        let steps: Vec<u64> = (0..40).collect();
        assert_eq!(canary(&fixture::rollout(&steps)).unwrap().label_trouble(), Vec::<String>::new());
    }

    #[test]
    fn a_run_that_splits_nothing_has_no_chart() {
        assert_eq!(canary(&RunReport::default()), None);
    }
}
