//! The font of PNG charts, and PNG itself.
//!
//! A viewer of SVG has fonts; a bitmap needs one here. It is DejaVu Sans with the letters of Latin
//! scripts and the few signs that charts use (`font/LICENSE`), made by
//! `pyftsubset --unicodes=U+0020-007E,U+00A0-017F,U+2013,U+2014,U+2018,U+2019,U+201C,U+201D,U+2026,U+2192,U+2713,U+2717,U+FFFD --no-hinting --layout-features=`.

use std::sync::Once;

use plotters::style::{FontStyle, register_font};

const REGULAR: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("font/DejaVuSans-Bold-subset.ttf");

/// Makes the font known by this name. With a rasteriser compiled in, plotters refuses to draw any
/// text, in SVG too, before this was done.
pub(super) fn register(name: &'static str) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
            assert!(register_font(name, style, bytes).is_ok(), "the font that is built in can be read");
        }
    });
}

/// RGB pixels as a PNG image.
pub(super) fn encode(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(rgb));
    assert!(written.is_ok(), "as many pixels as the header says, written into memory");
    out
}
