//! Charts of a run: the canary's split over time, hits by version, how long requests took, and one
//! request as a waterfall.
//!
//! Each chart is a pure function from a [`crate::record::RunReport`] to a [`Scene`], or `None` if the
//! run has nothing to show. A scene is drawn by plotters, as SVG always and as PNG with the feature
//! `png`. Places are whole pixels computed from integers and estimated text widths, so that the bytes
//! are the same on every machine, with and without that feature.

mod axis;
mod canary;
mod draw;
#[cfg(feature = "png")]
mod font;
mod gallery;
mod hits;
mod latency;
mod palette;
mod scene;
mod waterfall;

pub use canary::canary;
pub use gallery::{Chart, charts};
pub use hits::hits;
pub use latency::latency;
pub use scene::Scene;
pub use waterfall::waterfall;
