//! Short names of services and workloads, as people say them.
//!
//! Reports carry registry hosts and `workload.namespace`. Nearly always one namespace is meant, so
//! it is left out, and named only where another one appears.

use std::collections::BTreeMap;

use crate::record::RunReport;

/// How names are shortened in one report.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// The namespace that goes without saying.
    usual: String,
}

impl Names {
    /// The namespace of most services that were called goes without saying; ties go to the first by
    /// name.
    pub(super) fn of(report: &RunReport) -> Self {
        let mut services: BTreeMap<&str, u64> = BTreeMap::new();
        for edge in &report.edges {
            if let Some((_, namespace)) = service_parts(&edge.service) {
                *services.entry(namespace).or_default() += edge.arrived;
            }
        }
        let most = services.values().copied().max().unwrap_or(0);
        let usual = services.into_iter().find(|(_, count)| *count == most).map_or("default", |(name, _)| name);
        Names { usual: usual.to_owned() }
    }

    /// `reviews` for `reviews.default.svc.cluster.local`, `reviews.prod` in another namespace, other
    /// hosts as they are.
    pub(super) fn service(&self, host: &str) -> String {
        match service_parts(host) {
            Some((name, namespace)) if namespace == self.usual => name.to_owned(),
            Some((name, namespace)) => format!("{name}.{namespace}"),
            None => host.to_owned(),
        }
    }

    /// `reviews-v2` for `reviews-v2.default`.
    pub(super) fn workload(&self, name: &str) -> String {
        match name.rsplit_once('.') {
            Some((short, namespace)) if namespace == self.usual => short.to_owned(),
            _ => name.to_owned(),
        }
    }

    /// `version-1` for the workload `website-version-1` of the service `website`: workloads without a
    /// version label nearly always carry the name of their service.
    pub(super) fn version(&self, host: &str, version: &str) -> String {
        let service = service_parts(host).map_or(host, |(name, _)| name);
        let version = self.workload(version);
        let rest = version.strip_prefix(service).and_then(|rest| rest.strip_prefix('-')).filter(|rest| !rest.is_empty());
        rest.map_or_else(|| version.clone(), str::to_owned)
    }

    /// `productpage-v1 → reviews`.
    pub(super) fn edge(&self, source: &str, service: &str) -> String {
        format!("{} → {}", self.workload(source), self.service(service))
    }
}

/// Name and namespace of a Kubernetes service's host.
fn service_parts(host: &str) -> Option<(&str, &str)> {
    host.split_once(".svc.")?.0.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EdgeGroup;

    #[test]
    fn the_usual_namespace_goes_without_saying() {
        let edge = |service: &str, arrived| EdgeGroup { service: service.to_owned(), arrived, ..EdgeGroup::default() };
        let edges = vec![edge("a.prod.svc.cluster.local", 5), edge("b.default.svc.cluster.local", 1), edge("example.com", 9)];
        let names = Names::of(&RunReport { edges, ..RunReport::default() });
        assert_eq!(names.service("a.prod.svc.cluster.local"), "a");
        assert_eq!(names.service("b.default.svc.cluster.local"), "b.default");
        assert_eq!(names.service("example.com"), "example.com");
        assert_eq!(names.edge("a-v1.prod", "b.default.svc.cluster.local"), "a-v1 → b.default");
        assert_eq!(names.workload("browser"), "browser");
        for (version, short) in
            [("v1", "v1"), ("a-v1", "v1"), ("a-v1.prod", "v1"), ("a-", "a-"), ("1.0", "1.0"), ("other", "other")]
        {
            assert_eq!(names.version("a.prod.svc.cluster.local", version), short);
        }
    }
}
