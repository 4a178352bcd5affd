//! Which versions of each service were hit in each phase, and how often.

use indexmap::IndexMap;

use super::Scene;
use super::palette::{Colour, INK, MUTED, NOBODY, ink_on, series};
use super::scene::{Anchor, Area, Label, MARGIN, SMALL, SUBTITLE, fitted, text_width};
use crate::record::RunReport;
use crate::report::names::Names;
use crate::text::grouped;

const WIDTH: i32 = 1000;
const TOP: i32 = 112;
const ROW: i32 = 26;
const BAR: i32 = 18;
/// Between the panels of two services.
const GAP: i32 = 44;

/// Hits by version of one service in one phase.
type Hits = IndexMap<String, u64>;

/// A bar for each phase of each service that was reached in more than one version, or of every
/// service if none was; `None` if nothing was called.
#[must_use]
pub fn hits(report: &RunReport) -> Option<Scene> {
    let names = Names::of(report);
    let services = services(report, &names);
    let versions = versions(&services);
    let rows: usize = services.values().map(IndexMap::len).sum();
    if rows == 0 {
        return None;
    }
    let height = TOP + ROW * i32::try_from(rows).ok()? + GAP * i32::try_from(services.len()).ok()?;
    let mut scene = Scene::new(WIDTH, height, &report.scenario, "Hits by version: requests that arrived, by phase");
    legend(&mut scene, &versions);
    let phases = services.values().flat_map(IndexMap::keys).map(|phase| text_width(phase_name(report, *phase), SMALL, false));
    let left = MARGIN + phases.max().unwrap_or(0).clamp(40, 220) + 12;
    let most = services.values().flat_map(IndexMap::values).map(|hits| hits.values().sum::<u64>()).max().unwrap_or(1);
    let scale = Scale { left, pixels: WIDTH - MARGIN - 70 - left, most };
    let mut y = TOP;
    for (service, phases) in &services {
        scene.text(Label::new((MARGIN, y + 4), names.service(service)).sized(SUBTITLE).bold());
        y += 20;
        for (phase, hits) in phases {
            let name = fitted(phase_name(report, *phase), SMALL, false, left - MARGIN - 12);
            scene.text(Label::new((left - 12, y + ROW / 2), name).anchored(Anchor::End).coloured(MUTED));
            bar(&mut scene, hits, &versions, &scale, y + (ROW - BAR) / 2);
            y += ROW;
        }
        scene.line((left, y - ROW * phases.len() as i32), (left, y), INK, 1);
        y += GAP - 20;
    }
    Some(scene)
}

fn phase_name(report: &RunReport, phase: usize) -> &str {
    report.phases.get(phase).map_or("", |phase| phase.name.as_str())
}

/// Hits by service and phase, versions in alphabetical order.
fn services<'a>(report: &'a RunReport, names: &Names) -> IndexMap<&'a str, IndexMap<usize, Hits>> {
    let mut services: IndexMap<&str, IndexMap<usize, Hits>> = IndexMap::new();
    for edge in report.edges.iter().filter(|edge| edge.arrived > 0) {
        let version = if edge.version.is_empty() { edge.workload.as_str() } else { edge.version.as_str() };
        let version = names.version(&edge.service, version);
        *services.entry(&edge.service).or_default().entry(edge.phase).or_default().entry(version).or_default() += edge.arrived;
    }
    for phases in services.values_mut() {
        phases.sort_unstable_keys();
        phases.values_mut().for_each(IndexMap::sort_unstable_keys);
    }
    let several = |phases: &IndexMap<usize, Hits>| {
        let mut seen = phases.values().flat_map(IndexMap::keys);
        let first = seen.next();
        seen.any(|version| Some(version) != first)
    };
    if services.values().any(several) {
        services.retain(|_, phases| several(phases));
    }
    services
}

fn versions<'a>(services: &'a IndexMap<&str, IndexMap<usize, Hits>>) -> Vec<&'a str> {
    let mut versions: Vec<&str> =
        services.values().flat_map(IndexMap::values).flat_map(|hits| hits.keys().map(String::as_str)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn colour(versions: &[&str], version: &str) -> Colour {
    match versions.iter().position(|v| *v == version) {
        Some(index) if !version.is_empty() => series(index - usize::from(versions[0].is_empty())),
        _ => NOBODY,
    }
}

struct Scale {
    left: i32,
    pixels: i32,
    most: u64,
}

impl Scale {
    fn x(&self, hits: u64) -> i32 {
        let offset = (u128::from(hits) * u128::from(self.pixels.unsigned_abs())).checked_div(u128::from(self.most)).unwrap_or(0);
        self.left + i32::try_from(offset).unwrap_or(self.pixels)
    }
}

fn bar(scene: &mut Scene, hits: &Hits, versions: &[&str], scale: &Scale, top: i32) {
    let mut before = 0;
    for (version, count) in hits {
        let fill = colour(versions, version);
        let (from, to) = (scale.x(before), scale.x(before + count).max(scale.x(before) + 1));
        scene.rect(Area::new(from, top, to, top + BAR), fill);
        let word = if version.is_empty() { "none" } else { version.as_str() };
        for text in [format!("{word} · {}", grouped(*count)), grouped(*count)] {
            if text_width(&text, SMALL, false) + 8 <= to - from {
                let at = (i32::midpoint(from, to), top + BAR / 2);
                scene.text(Label::new(at, text).anchored(Anchor::Middle).coloured(ink_on(fill)));
                break;
            }
        }
        before += count;
    }
    scene.text(Label::new((scale.x(before) + 8, top + BAR / 2), grouped(before)).coloured(MUTED));
}

fn legend(scene: &mut Scene, versions: &[&str]) {
    let mut x = MARGIN;
    for version in versions {
        let name = if version.is_empty() { "reached none" } else { version };
        let width = 22 + text_width(name, SMALL, false) + 20;
        if x + width > WIDTH - MARGIN {
            return;
        }
        scene.rect(Area::new(x, 76, x + 14, 90), colour(versions, version));
        scene.text(Label::new((x + 22, 83), name).coloured(MUTED));
        x += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn hits_are_stacked_by_version() {
        let scene = hits(&fixture::rollout(&[0, 10, 25, 50, 100])).unwrap();
        assert_eq!(scene.label_trouble(), Vec::<String>::new());
        insta::assert_binary_snapshot!("hits.svg", scene.svg().into_bytes());
    }

    #[test]
    fn only_services_with_several_versions_are_shown_if_there_are_any() {
        assert_eq!(
            services(&fixture::cascade(), &Names::default()).keys().copied().collect::<Vec<_>>(),
            ["reviews.default.svc.cluster.local"]
        );
    }

    #[test]
    fn a_run_without_calls_has_no_chart() {
        assert_eq!(hits(&RunReport::default()), None);
    }
}
