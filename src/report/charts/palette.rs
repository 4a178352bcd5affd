//! Colours: Okabe and Ito's set, which people with any kind of colour vision can tell apart, and a
//! few greys. No chart says anything by colour alone.

/// A colour with its opacity in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Colour {
    /// Red, green, blue.
    pub rgb: (u8, u8, u8),
    /// Opacity in percent.
    pub opacity: u8,
}

impl Colour {
    const fn rgb(r: u8, g: u8, b: u8) -> Self {
        Colour { rgb: (r, g, b), opacity: 100 }
    }

    /// The same colour, see-through.
    pub(super) const fn faded(self, opacity: u8) -> Self {
        Colour { rgb: self.rgb, opacity }
    }
}

pub(super) const INK: Colour = Colour::rgb(0x1f, 0x24, 0x2b);
pub(super) const MUTED: Colour = Colour::rgb(0x5c, 0x66, 0x70);
pub(super) const RULE: Colour = Colour::rgb(0xdd, 0xe1, 0xe6);
pub(super) const NOBODY: Colour = Colour::rgb(0x9a, 0xa2, 0xab);
pub(super) const PAPER: Colour = Colour::rgb(0xff, 0xff, 0xff);

pub(super) const BLUE: Colour = Colour::rgb(0x00, 0x72, 0xb2);
pub(super) const ORANGE: Colour = Colour::rgb(0xe6, 0x9f, 0x00);
pub(super) const GREEN: Colour = Colour::rgb(0x00, 0x9e, 0x73);
pub(super) const VERMILLION: Colour = Colour::rgb(0xd5, 0x5e, 0x00);
pub(super) const SKY: Colour = Colour::rgb(0x56, 0xb4, 0xe9);
pub(super) const PURPLE: Colour = Colour::rgb(0xcc, 0x79, 0xa7);
pub(super) const YELLOW: Colour = Colour::rgb(0xf0, 0xe4, 0x42);

/// Colours of categories in the order in which they are given away.
pub(super) const SERIES: [Colour; 7] = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW];

/// The colour of the category with this number; they repeat after seven.
pub(super) const fn series(index: usize) -> Colour {
    SERIES[index % SERIES.len()]
}

/// Ink that can be read on this colour.
pub(super) fn ink_on(colour: Colour) -> Colour {
    let (r, g, b) = colour.rgb;
    let luma = u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114;
    if luma * u32::from(colour.opacity) + 255_000 * (100 - u32::from(colour.opacity)) > 140_000 * 100 { INK } else { PAPER }
}
