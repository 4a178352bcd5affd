//! From a scene to bytes, by plotters.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::Colour;
use super::scene::{Anchor, Label, Scene, Shape};

/// The fonts that a viewer is asked for. With the feature `png` the font that is built in goes by
/// this name.
const FONTS: &str = "Helvetica, Arial, DejaVu Sans, sans-serif";

/// How a backend sets text.
#[derive(Clone, Copy)]
struct Setting {
    /// What plotters calls the size of a font is the height of a line, this many times the size.
    line: f64,
    /// Pixels by which its middle lies too high.
    lower: i32,
    /// Enlargement.
    scale: i32,
}

const SVG: Setting = Setting { line: 1.24, lower: 0, scale: 1 };
/// Twice as many pixels in each direction. The line is DejaVu Sans's own.
#[cfg(feature = "png")]
const PNG: Setting = Setting { line: 1.164, lower: 3, scale: 2 };

impl Scene {
    /// The scene as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        #[cfg(feature = "png")]
        super::font::register(FONTS);
        let mut out = String::new();
        {
            let backend = SVGBackend::with_string(&mut out, (self.width.unsigned_abs(), self.height.unsigned_abs()));
            draw(self, &backend.into_drawing_area(), SVG);
        }
        // A title is what a screen reader says; plotters has none.
        let title = format!("<title>{}</title>\n", escaped(&self.title));
        if let Some(after_root) = out.find(">\n") {
            out.insert_str(after_root + 2, &title);
        }
        out
    }

    /// The scene as a PNG image with twice as many pixels in each direction.
    #[cfg(feature = "png")]
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        super::font::register(FONTS);
        let (width, height) = ((self.width * PNG.scale).unsigned_abs(), (self.height * PNG.scale).unsigned_abs());
        let mut pixels = vec![0; (width * height * 3) as usize];
        draw(self, &BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area(), PNG);
        super::font::encode(width, height, &pixels)
    }
}

/// Draws all shapes, enlarged.
fn draw<B: DrawingBackend>(scene: &Scene, page: &DrawingArea<B, Shift>, setting: Setting) {
    let scale = setting.scale;
    let at = |(x, y): (i32, i32)| (x * scale, y * scale);
    let all = |points: &[(i32, i32)]| points.iter().map(|point| at(*point)).collect::<Vec<_>>();
    for shape in &scene.shapes {
        let drawn = match shape {
            Shape::Rect(area, colour) => {
                let corners = [at((area.left, area.top)), at((area.right, area.bottom))];
                page.draw(&Rectangle::new(corners, style(*colour).filled()))
            }
            Shape::Path(points, colour, width) => {
                page.draw(&PathElement::new(all(points), style(*colour).stroke_width(width * scale.unsigned_abs())))
            }
            Shape::Polygon(points, colour) => page.draw(&Polygon::new(all(points), style(*colour))),
            Shape::Dot(centre, radius, colour) => page.draw(&Circle::new(at(*centre), radius * scale, style(*colour).filled())),
            Shape::Text(label) => {
                let (x, y) = at(label.at);
                page.draw(&Text::new(label.text.clone(), (x, y + setting.lower), text_style(label, setting)))
            }
        };
        assert!(drawn.is_ok(), "drawing into memory with a registered font cannot fail");
    }
    assert!(page.present().is_ok(), "presenting in memory cannot fail");
}

fn style(colour: Colour) -> ShapeStyle {
    colour_of(colour).into()
}

fn colour_of(colour: Colour) -> RGBAColor {
    let (r, g, b) = colour.rgb;
    RGBColor(r, g, b).mix(f64::from(colour.opacity) / 100.0)
}

fn text_style(label: &Label, setting: Setting) -> TextStyle<'static> {
    let weight = if label.bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::Name(FONTS), f64::from(label.size * setting.scale) * setting.line, weight);
    let horizontal = match label.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    TextStyle {
        color: colour_of(label.colour).to_backend_color(),
        ..TextStyle::from(font).pos(Pos::new(horizontal, VPos::Center))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(all(test, feature = "png"))]
mod tests {
    use crate::report::{charts, fixture};

    #[test]
    fn images_have_twice_the_pixels_of_the_drawing_and_are_the_same_every_time() {
        let scene = charts::waterfall(&fixture::cascade()).unwrap();
        let image = scene.png();
        let size = |at: usize| i32::from_be_bytes(image[at..at + 4].try_into().unwrap());
        assert_eq!((size(16), size(20)), (scene.width * 2, scene.height * 2));
        assert_eq!(image, scene.png());
    }
}
