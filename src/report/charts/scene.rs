//! A drawing as a list of shapes with places in whole pixels.
//!
//! Charts say what goes where; how it becomes SVG or pixels is the business of `draw`. Being plain
//! data, a scene can be tested: whether labels overlap, whether everything is on the page.

use super::palette::{Colour, INK, MUTED, PAPER};

/// A drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Width in pixels.
    pub(super) width: i32,
    /// Height in pixels.
    pub(super) height: i32,
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    /// Shapes, later ones on top.
    pub(super) shapes: Vec<Shape>,
}

/// One shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A filled rectangle.
    Rect(Area, Colour),
    /// A line through points, of a width.
    Path(Vec<(i32, i32)>, Colour, u32),
    /// A filled polygon.
    Polygon(Vec<(i32, i32)>, Colour),
    /// A filled circle.
    Dot((i32, i32), i32, Colour),
    /// Words.
    Text(Label),
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Area {
    pub(super) const fn new(left: i32, top: i32, right: i32, bottom: i32) -> Self {
        Area { left, top, right, bottom }
    }

    pub(super) const fn width(self) -> i32 {
        self.right - self.left
    }

    pub(super) const fn height(self) -> i32 {
        self.bottom - self.top
    }
}

/// Which end of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Words at a place; the place is at half of their height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub at: (i32, i32),
    pub anchor: Anchor,
    pub text: String,
    /// Font size in pixels.
    pub size: i32,
    pub bold: bool,
    pub colour: Colour,
}

impl Label {
    pub(super) fn new(at: (i32, i32), text: impl Into<String>) -> Self {
        Label { at, anchor: Anchor::Start, text: text.into(), size: SMALL, bold: false, colour: INK }
    }

    pub(super) fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    pub(super) fn sized(mut self, size: i32) -> Self {
        self.size = size;
        self
    }

    pub(super) fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(super) fn coloured(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    /// The room it takes, estimated to the wide side.
    pub(super) fn area(&self) -> Area {
        let width = text_width(&self.text, self.size, self.bold);
        let left = match self.anchor {
            Anchor::Start => self.at.0,
            Anchor::Middle => self.at.0 - width / 2,
            Anchor::End => self.at.0 - width,
        };
        Area::new(left, self.at.1 - self.size / 2, left + width, self.at.1 + self.size / 2)
    }
}

/// Font sizes.
pub(super) const TITLE: i32 = 19;
pub(super) const SUBTITLE: i32 = 13;
pub(super) const SMALL: i32 = 12;

/// Space around everything.
pub(super) const MARGIN: i32 = 24;

impl Scene {
    /// White paper with a title and a subtitle.
    pub(super) fn new(width: i32, height: i32, title: &str, subtitle: &str) -> Self {
        let mut scene = Scene { width, height, title: format!("{title}: {subtitle}"), shapes: Vec::new() };
        scene.rect(Area::new(0, 0, width, height), PAPER);
        scene.text(Label::new((MARGIN, 30), fitted(title, TITLE, true, width - 2 * MARGIN)).sized(TITLE).bold());
        let subtitle = fitted(subtitle, SUBTITLE, false, width - 2 * MARGIN);
        scene.text(Label::new((MARGIN, 54), subtitle).sized(SUBTITLE).coloured(MUTED));
        scene
    }

    pub(super) fn rect(&mut self, area: Area, colour: Colour) {
        self.shapes.push(Shape::Rect(area, colour));
    }

    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: Colour, width: u32) {
        self.shapes.push(Shape::Path(vec![from, to], colour, width));
    }

    pub(super) fn path(&mut self, points: Vec<(i32, i32)>, colour: Colour, width: u32) {
        if points.len() > 1 {
            self.shapes.push(Shape::Path(points, colour, width));
        }
    }

    pub(super) fn polygon(&mut self, points: Vec<(i32, i32)>, colour: Colour) {
        self.shapes.push(Shape::Polygon(points, colour));
    }

    pub(super) fn dot(&mut self, at: (i32, i32), radius: i32, colour: Colour) {
        self.shapes.push(Shape::Dot(at, radius, colour));
    }

    pub(super) fn text(&mut self, label: Label) {
        if !label.text.is_empty() {
            self.shapes.push(Shape::Text(label));
        }
    }

    /// A line of dashes between two points on one horizontal or vertical.
    pub(super) fn dashes(&mut self, from: (i32, i32), to: (i32, i32), colour: Colour, width: u32) {
        const DASH: i32 = 6;
        const GAP: i32 = 4;
        let length = (to.0 - from.0).abs().max((to.1 - from.1).abs());
        let step = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
        let at = |n: i32| (from.0 + step.0 * n, from.1 + step.1 * n);
        let mut n = 0;
        while n < length {
            self.line(at(n), at((n + DASH).min(length)), colour, width);
            n += DASH + GAP;
        }
    }

    /// Slanted lines across a rectangle.
    pub(super) fn hatch(&mut self, area: Area, colour: Colour) {
        const STEP: i32 = 7;
        let mut offset = STEP;
        while offset < area.width() + area.height() {
            // From the left or bottom edge up to the top or right edge.
            let low = (area.left + (offset - area.height()).max(0), area.top + offset.min(area.height()));
            let high = (area.left + offset.min(area.width()), area.top + (offset - area.width()).max(0));
            self.line(low, high, colour, 1);
            offset += STEP;
        }
    }
}

/// Width of a text in pixels, as wide as any of the usual sans-serif fonts draws it.
pub(super) fn text_width(text: &str, size: i32, bold: bool) -> i32 {
    let hundredths: i32 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 34,
            'f' | 'r' | 't' | '(' | ')' | '-' | '/' | 'I' | '·' => 41,
            'm' | 'w' | 'M' | 'W' | '%' | '@' | '—' => 96,
            'A'..='Z' | '→' | '✗' => 76,
            _ => 62,
        })
        .sum();
    let width = hundredths * size / 100 + 1;
    if bold { width * 11 / 10 } else { width }
}

/// The text, cut to a width in pixels; a cut is marked by `…`.
pub(super) fn fitted(text: &str, size: i32, bold: bool, width: i32) -> String {
    if text_width(text, size, bold) <= width {
        return text.to_owned();
    }
    let mut out = text.to_owned();
    while out.pop().is_some() && text_width(&out, size, bold) + text_width("…", size, bold) > width {}
    format!("{}…", out.trim_end())
}

#[cfg(test)]
impl Scene {
    /// Pairs of labels that lie over each other, and labels that leave the page.
    pub(super) fn label_trouble(&self) -> Vec<String> {
        let labels: Vec<(&Label, Area)> = self
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Text(label) => Some((label, label.area())),
                _ => None,
            })
            .collect();
        let mut trouble = Vec::new();
        for (i, (label, area)) in labels.iter().enumerate() {
            if area.left < 0 || area.right > self.width || area.top < 0 || area.bottom > self.height {
                trouble.push(format!("`{}` leaves the page: {area:?}", label.text));
            }
            for (other, space) in &labels[i + 1..] {
                let apart =
                    area.right <= space.left || space.right <= area.left || area.bottom <= space.top || space.bottom <= area.top;
                if !apart {
                    trouble.push(format!("`{}` over `{}`", label.text, other.text));
                }
            }
        }
        trouble
    }
}
