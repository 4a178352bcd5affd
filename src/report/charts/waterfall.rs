//! One request as a waterfall: a lane for each call, what held it up, which timeout cut it short, and
//! the work that went on when nobody waited any more.

use super::Scene;
use super::axis::TimeAxis;
use super::palette::{BLUE, Colour, GREEN, INK, MUTED, NOBODY, ORANGE, PURPLE, SKY, VERMILLION, ink_on};
use super::scene::{Anchor, Area, Label, MARGIN, SMALL, SUBTITLE, fitted, text_width};
use crate::record::{RunReport, SegmentKind, Waterfall};
use crate::report::lane::{Fired, Lane, lanes, orphaned, title, told, word};
use crate::text::{duration, plural};

const WIDTH: i32 = 1000;
const TOP: i32 = 108;
const LANE: i32 = 34;
const BAR: i32 = 22;
const INDENT: i32 = 16;
/// Lanes beyond this many are left out, and counted.
const MOST_LANES: usize = 40;

/// The request of the report's waterfall, or `None` if there is none.
#[must_use]
pub fn waterfall(report: &RunReport) -> Option<Scene> {
    let waterfall = report.waterfall.as_ref()?;
    let all = lanes(waterfall);
    let end = all.iter().map(|lane| lane.ends).max()?;
    let shown = &all[..all.len().min(MOST_LANES)];
    let story = story(waterfall, &all);
    let bottom = TOP + LANE * i32::try_from(shown.len()).ok()?;
    let height = bottom + 74 + 20 * i32::try_from(story.len()).ok()?;
    let answered = duration(waterfall.ends.since(waterfall.begins));
    let subtitle = format!("{}: answered after {answered}", title(report, waterfall));
    let mut scene = Scene::new(WIDTH, height, &report.scenario, &subtitle);

    let names = shown.iter().map(|lane| INDENT * depth(lane) + text_width(&lane.who, SMALL, false)).max().unwrap_or(0).min(360);
    let results = shown.iter().map(|lane| text_width(&lane.result, SMALL, true)).max().unwrap_or(0).min(160);
    let plot = Area::new(MARGIN + names + 16, TOP, WIDTH - MARGIN - results - 16, bottom);
    let axis = TimeAxis {
        begins_ns: 0,
        // A request that took no time at all still needs a scale.
        ends_ns: end.since(waterfall.begins).nanos().max(1_000_000),
        left: plot.left,
        right: plot.right,
    };
    let drawing = Drawing { waterfall, axis, plot };
    drawing.ground(&mut scene, &answered);
    for (i, lane) in shown.iter().enumerate() {
        drawing.lane(&mut scene, lane, TOP + LANE * i as i32);
    }
    drawing.answer_line(&mut scene);
    legend(&mut scene, &all, bottom + 46);
    let amounts = story.iter().map(|(amount, _)| text_width(amount, SUBTITLE, true)).max().unwrap_or(0);
    for (i, (amount, text)) in story.into_iter().enumerate() {
        let y = bottom + 80 + 20 * i as i32;
        let text = fitted(&text, SUBTITLE, false, WIDTH - 2 * MARGIN - amounts - 12);
        scene.text(Label::new((MARGIN + amounts, y), amount).sized(SUBTITLE).bold().anchored(Anchor::End));
        scene.text(Label::new((MARGIN + amounts + 12, y), text).sized(SUBTITLE));
    }
    Some(scene)
}

struct Drawing<'a> {
    waterfall: &'a Waterfall,
    axis: TimeAxis,
    plot: Area,
}

impl Drawing<'_> {
    fn x(&self, at: crate::time::Instant) -> i32 {
        self.axis.x(at.since(self.waterfall.begins).nanos())
    }

    /// Rules, and a shade over the time after the answer.
    fn ground(&self, scene: &mut Scene, answered: &str) {
        let x = self.x(self.waterfall.ends);
        if x < self.plot.right {
            scene.rect(Area::new(x, self.plot.top, self.plot.right, self.plot.bottom), NOBODY.faded(14));
            let room = self.plot.right - x;
            let label = Label::new((x + room / 2, TOP - 12), "nobody is waiting").anchored(Anchor::Middle).coloured(MUTED);
            let answer = text_width(&format!("answer after {answered}"), SMALL, true);
            if text_width(&label.text, SMALL, false) / 2 + answer / 2 + 8 < room / 2 {
                scene.text(label);
            }
        }
        self.axis.draw(scene, self.plot);
        let half = text_width(&format!("answer after {answered}"), SMALL, true) / 2;
        let at = x.clamp(MARGIN + half, WIDTH - MARGIN - half);
        scene.text(Label::new((at, TOP - 12), format!("answer after {answered}")).anchored(Anchor::Middle).bold());
    }

    fn answer_line(&self, scene: &mut Scene) {
        let x = self.x(self.waterfall.ends);
        scene.dashes((x, self.plot.top - 4), (x, self.plot.bottom), INK, 2);
    }

    fn lane(&self, scene: &mut Scene, lane: &Lane, top: i32) {
        let middle = top + LANE / 2;
        let indent = INDENT * depth(lane);
        let name = fitted(&lane.who, SMALL, false, (self.plot.left - 16 - MARGIN - indent).max(40));
        scene.text(Label::new((MARGIN + indent, middle), name));
        self.bar(scene, lane, middle);
        scene.text(
            Label::new((self.plot.right + 16, middle), fitted(&lane.result, SMALL, true, 160))
                .bold()
                .coloured(result_ink(&lane.result)),
        );
    }

    fn bar(&self, scene: &mut Scene, lane: &Lane, middle: i32) {
        let (top, bottom) = (middle - BAR / 2, middle + BAR / 2);
        let left = self.x(lane.begins);
        // A call that takes no time is still a call.
        let right = self.x(lane.ends).max(left + 3);
        let waited = self.x(lane.awaited_until).clamp(left, right);
        scene.rect(Area::new(left, top, right, bottom), kind_colour(lane.kind));
        for hold in &lane.holds {
            let area = Area::new(self.x(hold.begins), top, self.x(hold.ends).max(self.x(hold.begins) + 2), bottom);
            scene.rect(area, kind_colour(hold.kind));
            let seen = Area::new(area.left, top, area.right.min(waited), bottom);
            let text = format!("{} {}", word(hold.kind), duration(hold.ends.since(hold.begins)));
            inside(scene, seen, &text, ink_on(kind_colour(hold.kind)));
        }
        if lane.holds.is_empty() && self.x(lane.ends) > left {
            let text = duration(lane.ends.since(lane.begins));
            inside(scene, Area::new(left, top, waited, bottom), &text, ink_on(kind_colour(lane.kind)));
        }
        if lane.ends > lane.awaited_until {
            let orphan = Area::new(waited, top, right, bottom);
            scene.rect(orphan, super::palette::PAPER.faded(72));
            scene.hatch(orphan, NOBODY);
        }
        for fired in &lane.timeouts {
            self.timeout(scene, lane, fired, middle);
        }
    }

    /// A cross at the end of the bar, and beside it whose timeout it was.
    fn timeout(&self, scene: &mut Scene, lane: &Lane, fired: &Fired, middle: i32) {
        const HALF: i32 = 5;
        let x = self.x(fired.at);
        scene.line((x, middle - BAR / 2 - 4), (x, middle + BAR / 2 + 4), VERMILLION, 3);
        // Where the call went on, its bar has the room.
        if lane.ended_by() != Some(fired) {
            return;
        }
        let centre = x + 13;
        scene.line((centre - HALF, middle - HALF), (centre + HALF, middle + HALF), VERMILLION, 3);
        scene.line((centre - HALF, middle + HALF), (centre + HALF, middle - HALF), VERMILLION, 3);
        let label = Label::new((centre + 12, middle), &fired.what).bold().coloured(VERMILLION);
        if label.area().right <= self.plot.right {
            scene.text(label);
        }
    }
}

fn depth(lane: &Lane) -> i32 {
    i32::try_from(lane.depth.min(12)).unwrap_or(0)
}

/// A text in the middle of a bar, if it fits.
fn inside(scene: &mut Scene, area: Area, text: &str, ink: Colour) {
    if text_width(text, SMALL, false) + 8 <= area.width() {
        let at = (i32::midpoint(area.left, area.right), i32::midpoint(area.top, area.bottom));
        scene.text(Label::new(at, text).anchored(Anchor::Middle).coloured(ink));
    }
}

const fn kind_colour(kind: SegmentKind) -> Colour {
    match kind {
        SegmentKind::Call => SKY,
        SegmentKind::Work => GREEN,
        SegmentKind::FaultDelay => ORANGE,
        SegmentKind::BackOff => PURPLE,
        SegmentKind::Queue => BLUE,
        SegmentKind::Timeout => VERMILLION,
    }
}

fn result_ink(result: &str) -> Colour {
    match result.as_bytes().first() {
        Some(b'0' | b'5') => VERMILLION,
        _ => INK,
    }
}

/// Only what is on the page.
fn legend(scene: &mut Scene, lanes: &[Lane], y: i32) {
    let mut x = MARGIN;
    let held = |kind| lanes.iter().any(|lane| lane.holds.iter().any(|hold| hold.kind == kind));
    let work = lanes.iter().any(|lane| lane.kind == SegmentKind::Work);
    let entries = [
        (SegmentKind::Call, true),
        (SegmentKind::Work, work),
        (SegmentKind::FaultDelay, held(SegmentKind::FaultDelay)),
        (SegmentKind::BackOff, held(SegmentKind::BackOff)),
        (SegmentKind::Queue, held(SegmentKind::Queue)),
    ];
    let mut entry = |scene: &mut Scene, text: &str, swatch: &dyn Fn(&mut Scene, Area)| {
        swatch(scene, Area::new(x, y - 7, x + 22, y + 7));
        scene.text(Label::new((x + 30, y), text).coloured(MUTED));
        x += 30 + text_width(text, SMALL, false) + 22;
    };
    for (kind, _) in entries.into_iter().filter(|(_, shown)| *shown) {
        entry(scene, word(kind), &|scene, area| scene.rect(area, kind_colour(kind)));
    }
    if lanes.iter().any(|lane| !lane.timeouts.is_empty()) {
        entry(scene, "timeout", &|scene, area| {
            let x = i32::midpoint(area.left, area.right);
            scene.line((x, area.top - 2), (x, area.bottom + 2), VERMILLION, 3);
        });
    }
    if lanes.iter().any(|lane| lane.ends > lane.awaited_until) {
        entry(scene, "work that nobody waits for", &|scene, area| {
            scene.rect(area, NOBODY.faded(20));
            scene.hatch(area, NOBODY);
        });
    }
}

/// Where the time went: amounts and what they were spent on.
fn story(waterfall: &Waterfall, lanes: &[Lane]) -> Vec<(String, String)> {
    const LINES: usize = 6;
    let told = told(lanes);
    let mut out: Vec<(String, String)> = told.iter().take(LINES).map(|told| (told.amount(), told.text.clone())).collect();
    if told.len() > LINES {
        out.push((String::new(), format!("and {} more", plural((told.len() - LINES) as u64, "stretch"))));
    }
    if let Some((sum, last)) = orphaned(lanes) {
        let last = duration(last.since(waterfall.begins));
        out.push((duration(sum), format!("of work that nobody waited for, the last of it until {last} after the request")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_cascade_shows_orphans_and_timeouts() {
        let scene = waterfall(&fixture::cascade()).unwrap();
        assert_eq!(scene.label_trouble(), Vec::<String>::new());
        insta::assert_binary_snapshot!("waterfall.svg", scene.svg().into_bytes());
    }

    #[test]
    fn a_run_without_a_traced_request_has_no_waterfall() {
        assert_eq!(waterfall(&fixture::rollout(&[50])), None);
    }
}
