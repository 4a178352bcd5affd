//! Ready-made applications, written in the scenario's own format.
//!
//! Each text is a list of [`App`]s as under `apps`. Where samples behaved differently in an earlier
//! era, a second text holds what differs and stands first: the first application that fits a
//! workload is used.

use super::app::App;
use crate::diagnostic::Diagnostic;
use crate::source::Sources;
use crate::yaml::{Cx, Decode, Limits, parse};

/// The ready-made applications: name, text for samples whose reviews service survives a timeout of
/// ratings, and text for the samples before.
pub const READY_MADE: &[(&str, &str, &str)] = &[
    (
        "bookinfo",
        include_str!("ready_made/bookinfo.yaml"),
        concat!(include_str!("ready_made/bookinfo_before_1_3.yaml"), include_str!("ready_made/bookinfo.yaml")),
    ),
    ("voting", include_str!("ready_made/voting.yaml"), include_str!("ready_made/voting.yaml")),
    ("website", include_str!("ready_made/website.yaml"), include_str!("ready_made/website.yaml")),
    ("nginx", include_str!("ready_made/nginx.yaml"), include_str!("ready_made/nginx.yaml")),
];

/// The text of a ready-made application.
#[must_use]
pub fn ready_made(name: &str, reviews_catches_ratings_timeout: bool) -> Option<&'static str> {
    let (_, modern, old) = READY_MADE.iter().find(|(n, _, _)| *n == name)?;
    Some(if reviews_catches_ratings_timeout { modern } else { old })
}

/// The parts of a ready-made application. Its text joins the sources, so that spans into it mean
/// something. `None` if there is no such application.
pub fn ready_made_apps(
    name: &str,
    reviews_catches_ratings_timeout: bool,
    sources: &mut Sources,
) -> Option<(Vec<App>, Vec<Diagnostic>)> {
    let text = ready_made(name, reviews_catches_ratings_timeout)?;
    let file = sources.add(format!("<ready-made {name}>"), text);
    let (documents, mut diagnostics) = parse(sources, file, Limits::default());
    let mut apps = Vec::new();
    for document in &documents {
        apps.extend(Vec::<App>::decode(&document.root, &mut Cx::new(&mut diagnostics)).unwrap_or_default());
    }
    Some((apps, diagnostics))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(name: &str, modern: bool) -> Vec<App> {
        let mut sources = Sources::new();
        let (apps, diagnostics) = ready_made_apps(name, modern, &mut sources).unwrap();
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:#?}");
        apps
    }

    #[test]
    fn every_ready_made_application_is_read_without_a_finding() {
        for (name, _, _) in READY_MADE {
            for modern in [true, false] {
                assert!(!apps(name, modern).is_empty());
            }
        }
    }

    #[test]
    fn reviews_answers_500_on_a_ratings_timeout_until_the_samples_of_1_2() {
        for (modern, on_timeout) in [(true, None), (false, Some(500))] {
            for workload in ["reviews-v2", "reviews-v3"] {
                let apps = apps("bookinfo", modern);
                let app = apps.iter().find(|a| a.fits_workload(workload, "default", &[])).unwrap();
                let handler = app.handlers.iter().find(|h| h.takes("GET", "/reviews/0")).unwrap();
                let call = handler.calls[0].call.as_ref().unwrap();
                let status = call.on_timeout.as_ref().and_then(|o| o.status.as_ref()).map(|s| s.value);
                assert_eq!(status, on_timeout, "{workload}");
            }
        }
    }

    #[test]
    fn the_workloads_of_the_tutorials_have_applications_by_name_and_by_label() {
        for (name, workload, app_label, version) in [
            ("bookinfo", "productpage-v1", "productpage", "v1"),
            ("bookinfo", "details-v2", "details", "v2"),
            ("bookinfo", "reviews-v3", "reviews", "v3"),
            ("bookinfo", "ratings-v2-mysql", "ratings", "v2-mysql"),
            ("voting", "voting-app-1-0", "voting-app", "1.0"),
            ("voting", "voting-analytics-1-1", "voting-analytics", "1.1"),
            ("voting", "voting-storage-2-0", "voting-storage", "2.0"),
            ("website", "web-v2", "website", "website-version-2"),
            ("nginx", "nginx-v1", "nginx", "v1"),
        ] {
            let apps = apps(name, true);
            let labels = [("app".to_owned(), app_label.to_owned()), ("version".to_owned(), version.to_owned())];
            let by_name = apps.iter().position(|a| a.fits_workload(workload, "any", &[]));
            assert!(by_name.is_some(), "{workload}");
            assert_eq!(by_name, apps.iter().position(|a| a.fits_workload("other", "any", &labels)), "{workload}");
        }
    }
}
