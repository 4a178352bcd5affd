//! Scales and their ticks. Times are nanoseconds, mapped to pixels with integers.

use super::palette::{INK, MUTED, RULE};
use super::scene::{Anchor, Area, Label, Scene, text_width};

/// A scale of times along a horizontal stretch of pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    pub begins_ns: u64,
    pub ends_ns: u64,
    pub left: i32,
    pub right: i32,
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl TimeAxis {
    /// The pixel at a time; times outside are at the ends.
    pub(super) fn x(&self, ns: u64) -> i32 {
        let (part, whole) = (ns.clamp(self.begins_ns, self.ends_ns) - self.begins_ns, self.ends_ns - self.begins_ns);
        let pixels = u128::from((self.right - self.left).unsigned_abs());
        let offset = (u128::from(part) * pixels * 2 + u128::from(whole)).checked_div(u128::from(whole) * 2).unwrap_or(0);
        self.left + i32::try_from(offset).unwrap_or(i32::MAX - self.left)
    }

    /// Times with a label, at a distance at which the labels do not touch.
    pub(super) fn ticks(&self) -> Vec<(u64, String)> {
        let length = self.ends_ns - self.begins_ns;
        let room = |step: u64| {
            let widest =
                [self.begins_ns, self.ends_ns].map(|ns| text_width(&tick_label(ns / step * step, step, self.ends_ns), 12, false));
            let pixels = i64::from(self.right - self.left) as i128 * i128::from(step) / i128::from(length.max(1));
            pixels >= i128::from(widest[0].max(widest[1]) + 36)
        };
        let Some(step) = steps().find(|step| room(*step)) else { return Vec::new() };
        let first = self.begins_ns.div_ceil(step);
        (first..=self.ends_ns / step).map(|n| (n * step, tick_label(n * step, step, self.ends_ns))).collect()
    }

    /// Draws vertical rules and labels below an area.
    pub(super) fn draw(&self, scene: &mut Scene, plot: Area) {
        for (ns, label) in self.ticks() {
            let x = self.x(ns);
            scene.line((x, plot.top), (x, plot.bottom), RULE, 1);
            scene.line((x, plot.bottom), (x, plot.bottom + 4), MUTED, 1);
            scene.text(Label::new((x, plot.bottom + 15), label).anchored(Anchor::Middle).coloured(MUTED));
        }
        scene.line((plot.left, plot.bottom), (plot.right, plot.bottom), INK, 1);
    }
}

/// Distances of ticks that people find round.
fn steps() -> impl Iterator<Item = u64> {
    let decimal = (0..9).flat_map(|exponent| [1, 2, 5].map(|n| n * 10_u64.pow(exponent)));
    let seconds = [1, 2, 5, 10, 15, 30].map(|n| n * SECOND);
    let minutes = [1, 2, 5, 10, 15, 30].map(|n| n * MINUTE);
    let hours = [1, 2, 3, 6, 12, 24, 48, 168, 720, 8760].map(|n| n * HOUR);
    decimal.chain(seconds).chain(minutes).chain(hours)
}

/// A time with the unit that suits the whole axis: `2.5 s`, `200 ms`, `5 min`.
fn tick_label(ns: u64, step: u64, longest: u64) -> String {
    if ns == 0 {
        return "0".to_owned();
    }
    let (unit, name) = match () {
        () if step.is_multiple_of(HOUR) => (HOUR, "h"),
        () if step.is_multiple_of(MINUTE) => (MINUTE, "min"),
        () if longest >= SECOND => (SECOND, "s"),
        () if longest >= 1_000_000 => (1_000_000, "ms"),
        () if longest >= 1_000 => (1_000, "µs"),
        () => (1, "ns"),
    };
    let (whole, rest) = (ns / unit, ns % unit);
    if rest == 0 {
        return format!("{whole} {name}");
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{} {name}", fraction.trim_end_matches('0'))
}

/// The pixel of a share between 0 and 1 on a vertical scale.
pub(super) fn share_y(plot: Area, share: f64) -> i32 {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    plot.bottom - (share * f64::from(plot.height())).round() as i32
}

/// Draws rules and labels at quarters of a share.
pub(super) fn draw_shares(scene: &mut Scene, plot: Area) {
    for percent in [0, 25, 50, 75, 100] {
        let y = share_y(plot, f64::from(percent) / 100.0);
        scene.line((plot.left, y), (plot.right, y), RULE, 1);
        scene.text(Label::new((plot.left - 8, y), format!("{percent}%")).anchored(Anchor::End).coloured(MUTED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_apart() {
        for (ends_ns, expected) in [
            (10 * SECOND, ["0", "1 s", "2 s"].as_slice()),
            (350 * SECOND, &["0", "1 min", "2 min"]),
            (20 * MINUTE, &["0", "2 min", "4 min"]),
            (30_000_000, &["0", "5 ms", "10 ms"]),
            (2 * SECOND, &["0", "0.2 s", "0.4 s"]),
        ] {
            let axis = TimeAxis { begins_ns: 0, ends_ns, left: 0, right: 800 };
            let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
            assert_eq!(labels[..3], *expected, "{labels:?}");
        }
    }

    #[test]
    fn an_axis_of_no_length_is_a_point() {
        let axis = TimeAxis { begins_ns: 5, ends_ns: 5, left: 10, right: 800 };
        assert_eq!(axis.x(5), 10);
        assert!(axis.ticks().len() <= 1);
    }
}
