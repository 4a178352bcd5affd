//! DestinationRules (`ValidateDestinationRule`).

use super::names;
use super::review::Review;
use super::traffic_policy;
use crate::resource::networking::{DestinationRule, Subset};

pub(super) fn check(spec: &DestinationRule, review: &mut Review<'_>) {
    let host = spec.host.as_ref().map_or("", |h| h.value.as_str());
    if let Some(why) = names::wrong_wildcard_domain(host) {
        review.reject(spec.host.as_ref().map_or(spec.span, |h| h.span), why);
    }
    if let Some(policy) = &spec.traffic_policy {
        traffic_policy::check(policy, review);
    }
    for (index, subset) in spec.subsets.iter().enumerate() {
        check_subset(subset, &spec.subsets[..index], review);
    }
    names::export_to(&spec.export_to, false, review);
    if let Some(selector) = &spec.workload_selector {
        names::selector(&selector.match_labels, selector.span, review);
        let own = review.object.namespace.clone();
        for entry in spec.export_to.iter().filter(|e| e.value != "." && e.value != own) {
            review.reject(entry.span, "a rule with a workload selector is for its own namespace only");
        }
    }
}

fn check_subset(subset: &Subset, earlier: &[Subset], review: &mut Review<'_>) {
    let name = subset.name.as_ref().map_or("", |n| n.value.as_str());
    let place = subset.name.as_ref().map_or(subset.span, |n| n.span);
    review.require(names::is_label(name), place, format!("`{name}` is not the name of a subset"));
    let same = |other: &&Subset| other.name.as_ref().is_some_and(|n| n.value == name);
    review.require(!earlier.iter().any(|other| same(&other)), place, format!("the subset `{name}` is defined twice"));
    names::labels(&subset.labels, review);
    if let Some(policy) = &subset.traffic_policy {
        review.errors_only = true;
        traffic_policy::check(policy, review);
        review.errors_only = false;
    }
}
