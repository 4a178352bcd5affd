//! Priorities and weights of localities, seen from one client (Istio: `ApplyLocalityLoadBalancer`).

use super::endpoints::LOCALITY_LABELS;
use crate::mesh::cluster::{Endpoint, LocalityEndpoints};
use crate::resource::networking::{LocalityDistribute, LocalityFailover, LocalityLbSetting};

/// Label whose leading mismatch means another network; all networks are one here.
const NETWORK_LABEL: &str = "topology.istio.io/network";

/// Most priorities that failover between regions tells apart.
const FAILOVER_PRIORITIES: u32 = 5;

/// An endpoint that still has its labels.
pub(super) type Labelled = (Endpoint, std::sync::Arc<[(String, String)]>);

/// The endpoints of one locality, as the registry has them.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// `region/zone/subzone`.
    pub(super) locality: String,
    /// The endpoints.
    pub(super) endpoints: Vec<Labelled>,
}

/// What decides about localities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The setting that applies, if localities count at all.
    pub(super) setting: Option<&'a LocalityLbSetting>,
    /// Labels that a Service's traffic distribution compares.
    pub(super) preferred: &'static [&'static str],
    /// Whether unhealthy endpoints are noticed, without which nothing fails over.
    pub(super) fails_over: bool,
}

/// The client as localities see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Client {
    locality: String,
    labels: Vec<(String, String)>,
}

impl Client {
    pub(super) fn new(locality: &str, labels: &[(String, String)]) -> Self {
        let mut labels = labels.to_vec();
        for (key, value) in LOCALITY_LABELS.iter().zip(locality.split('/')) {
            if !value.is_empty() && labels.iter().all(|(known, _)| known != key) {
                labels.push(((*key).to_owned(), value.to_owned()));
            }
        }
        Client { locality: locality.to_owned(), labels }
    }

    /// The client with only those labels whose keys matter.
    pub(super) fn with_labels(mut self, matters: impl Fn(&str) -> bool) -> Self {
        self.labels.retain(|(key, _)| matters(key));
        self
    }
}

impl Plan<'_> {
    /// What of a client decides how it sees the endpoints; `None` if all clients see them alike.
    /// Most do: without several localities there is nothing to prefer.
    pub(super) fn deciding(&self, groups: &[Group], client: &Client) -> Option<Client> {
        let compared = self.compared_labels();
        let distributes = self.setting.is_some_and(|setting| !setting.distribute.is_empty());
        let prefers = self.setting.is_some() && self.fails_over && groups.len() > 1;
        if compared.is_empty() && !distributes && !prefers {
            return None;
        }
        let is_compared = |key: &str| compared.contains(&key);
        let labels = client.labels.iter().filter(|(key, _)| is_compared(key)).cloned().collect();
        Some(Client { locality: client.locality.clone(), labels })
    }

    /// The labels that endpoints and clients are compared by, in order.
    fn compared_labels(&self) -> Vec<&str> {
        if !self.preferred.is_empty() {
            return self.preferred.to_vec();
        }
        let setting = self.setting.filter(|setting| self.fails_over && setting.distribute.is_empty());
        let written = setting.map(|setting| setting.failover_priority.as_slice()).unwrap_or_default();
        written.iter().map(|label| label.value.as_str()).filter(|label| *label != NETWORK_LABEL).collect()
    }

    /// Whether the balancer picks a locality first, by weight.
    pub(super) fn is_weighted(&self) -> bool {
        let explicit = self.setting.is_some_and(|setting| !setting.failover.is_empty() || !setting.failover_priority.is_empty());
        let distributes = self.setting.is_some_and(|setting| !setting.distribute.is_empty());
        distributes || !self.preferred.is_empty() || (self.fails_over && explicit)
    }

    /// The endpoints by locality and priority for a client.
    pub(super) fn apply(&self, groups: &[Group], client: &Client) -> Vec<LocalityEndpoints> {
        if !self.preferred.is_empty() {
            return compacted(by_labels(groups, &self.compared_labels(), client));
        }
        let Some(setting) = self.setting else { return unprioritised(groups) };
        if !setting.distribute.is_empty() {
            return distributed(unprioritised(groups), &setting.distribute, &client.locality);
        }
        if !self.fails_over {
            return unprioritised(groups);
        }
        if setting.failover_priority.is_empty() {
            return compacted(by_locality(unprioritised(groups), &setting.failover, &client.locality));
        }
        let prioritised = compacted(by_labels(groups, &self.compared_labels(), client));
        if setting.failover.is_empty() {
            return prioritised;
        }
        compacted(by_locality(prioritised, &setting.failover, &client.locality))
    }
}

fn weight_of(endpoints: &[Endpoint]) -> u32 {
    endpoints.iter().fold(0, |sum, endpoint| sum.saturating_add(endpoint.weight))
}

fn locality(group: &Group, priority: u32, endpoints: Vec<Endpoint>) -> LocalityEndpoints {
    LocalityEndpoints { locality: group.locality.clone(), priority, weight: weight_of(&endpoints), endpoints }
}

fn unprioritised(groups: &[Group]) -> Vec<LocalityEndpoints> {
    let endpoints = |group: &Group| group.endpoints.iter().map(|(endpoint, _)| endpoint.clone()).collect();
    groups.iter().map(|group| locality(group, 0, endpoints(group))).collect()
}

/// Splits the percentages of the first entry that is for the client's locality over what it lists.
/// Unlisted localities lose their endpoints and stay as names.
fn distributed(mut groups: Vec<LocalityEndpoints>, distribute: &[LocalityDistribute], client: &str) -> Vec<LocalityEndpoints> {
    let from = |entry: &&LocalityDistribute| entry.from.as_ref().is_some_and(|from| covers(&from.value, client));
    let Some(entry) = distribute.iter().find(from) else { return groups };
    let mut listed = vec![false; groups.len()];
    for (target, percent) in entry.to.iter() {
        let fits = |index: &usize| !listed[*index] && covers(target, &groups[*index].locality);
        let members: Vec<usize> = (0..groups.len()).filter(fits).collect();
        let total: u64 = members.iter().map(|index| u64::from(groups[*index].weight)).sum();
        let percent = u64::try_from(percent.value).unwrap_or(0);
        for index in members {
            listed[index] = true;
            let share = (u64::from(groups[index].weight) * percent).div_ceil(total.max(1));
            if share > 0 {
                groups[index].weight = u32::try_from(share).unwrap_or(u32::MAX);
            }
        }
    }
    for (group, listed) in groups.iter_mut().zip(listed) {
        if !listed {
            group.endpoints.clear();
        }
    }
    groups
}

/// Whether a locality of a setting covers an actual one; parts that are absent or `*` cover all.
fn covers(rule: &str, actual: &str) -> bool {
    let mut actual = actual.split('/');
    rule.split('/').enumerate().all(|(index, part)| {
        let own = actual.next().unwrap_or_default();
        part == "*" || (index > 0 && part.is_empty()) || part == own
    })
}

/// Same subzone first, then same zone, same region, other regions; `failover` puts other regions
/// than the named one last.
fn by_locality(mut groups: Vec<LocalityEndpoints>, failover: &[LocalityFailover], client: &str) -> Vec<LocalityEndpoints> {
    let part = |locality: &str, index: usize| locality.split('/').nth(index).unwrap_or_default().to_owned();
    let region = part(client, 0);
    let rule = failover.iter().find(|rule| rule.from.as_ref().is_some_and(|from| from.value == region));
    for group in &mut groups {
        let same = (0..3).take_while(|index| part(client, *index) == part(&group.locality, *index)).count();
        let elsewhere = |rule: &LocalityFailover| rule.to.as_ref().is_none_or(|to| to.value != part(&group.locality, 0));
        let distance = match same {
            0 if rule.is_some_and(elsewhere) => 4,
            same => 3 - same as u32,
        };
        group.priority = group.priority * FAILOVER_PRIORITIES + distance;
    }
    groups
}

/// Splits every locality by how many of the labels, in order, an endpoint shares with the client.
/// `label=value` asks for that value instead of the client's.
fn by_labels(groups: &[Group], compared: &[&str], client: &Client) -> Vec<LocalityEndpoints> {
    let get = |labels: &[(String, String)], key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let mut result = Vec::new();
    for group in groups {
        let mut by_priority: std::collections::BTreeMap<u32, Vec<Endpoint>> = std::collections::BTreeMap::new();
        for (endpoint, own) in &group.endpoints {
            let differs = |label: &&str| match label.split_once('=') {
                Some((key, value)) => get(own, key).as_deref() != Some(value),
                None => get(own, label).unwrap_or_default() != get(&client.labels, label).unwrap_or_default(),
            };
            let mismatch = compared.iter().position(differs);
            let priority = mismatch.map_or(0, |index| (compared.len() - index) as u32);
            by_priority.entry(priority).or_default().push(endpoint.clone());
        }
        result.extend(by_priority.into_iter().map(|(priority, endpoints)| locality(group, priority, endpoints)));
    }
    result
}

/// Renumbers priorities from 0 without gaps.
fn compacted(mut groups: Vec<LocalityEndpoints>) -> Vec<LocalityEndpoints> {
    let mut used: Vec<u32> = groups.iter().map(|group| group.priority).collect();
    used.sort_unstable();
    used.dedup();
    for group in &mut groups {
        group.priority = used.iter().position(|priority| *priority == group.priority).unwrap_or(0) as u32;
    }
    groups
}

#[cfg(test)]
mod tests {
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::testing::{cluster, described, places, pods, proxy};

    const IN: [(&str, &str); 4] = [("here", "eu/w/1"), ("zone", "eu/w/2"), ("region", "eu/n/1"), ("far", "us/e/1")];

    /// Where the pods of `web` stand for a client in `eu/w/1`.
    fn seen(policy: &str) -> Vec<String> {
        let place = |locality: &str| {
            let mut parts = locality.split('/');
            let mut label = |key: &str| format!("{key}={}", parts.next().unwrap());
            [label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"), label("topology.istio.io/subzone")]
                .join(" ")
        };
        let yaml = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{{name: http, port: 80}}]}}\n\
             ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web}}\nspec:\n  host: web\n  \
             trafficPolicy: {policy}\n"
        );
        let endpoints =
            IN.iter().map(|(name, locality)| pods("web.default", &format!("app=web rack={name} {}", place(locality)), 1, 80));
        let client = proxy(ProxyKind::Sidecar, "client", "default", &format!("rack=here {}", place("eu/w/1")));
        let mesh = described(&yaml, vec![client], endpoints.collect());
        let cluster = cluster(&mesh.proxies[0], "outbound|80||web.default.svc.cluster.local");
        let weighted = if cluster.locality_weighted { "weighted" } else { "flat" };
        let places = places(&mesh, cluster).into_iter().map(|place| place.split(':').next().unwrap().to_owned());
        std::iter::once(weighted.to_owned()).chain(places).collect()
    }

    #[test]
    fn localities_follow_the_policy() {
        let outlier = "outlierDetection: {consecutive5xxErrors: 1}";
        for (policy, expected) in [
            // Without outlier detection nothing fails over.
            ("{loadBalancer: {simple: RANDOM}}".to_owned(), ["flat", "eu/n/1#0*1", "eu/w/1#0*1", "eu/w/2#0*1", "us/e/1#0*1"]),
            (format!("{{{outlier}}}"), ["flat", "eu/n/1#2*1", "eu/w/1#0*1", "eu/w/2#1*1", "us/e/1#3*1"]),
            (
                format!("{{loadBalancer: {{localityLbSetting: {{enabled: false}}}}, {outlier}}}"),
                ["flat", "eu/n/1#0*1", "eu/w/1#0*1", "eu/w/2#0*1", "us/e/1#0*1"],
            ),
            (
                format!("{{loadBalancer: {{localityLbSetting: {{failover: [{{from: eu, to: us}}]}}}}, {outlier}}}"),
                ["weighted", "eu/n/1#2*1", "eu/w/1#0*1", "eu/w/2#1*1", "us/e/1#3*1"],
            ),
            (
                format!("{{loadBalancer: {{localityLbSetting: {{failoverPriority: [rack]}}}}, {outlier}}}"),
                ["weighted", "eu/n/1#1*1", "eu/w/1#0*1", "eu/w/2#1*1", "us/e/1#1*1"],
            ),
            (
                format!(
                    "{{loadBalancer: {{localityLbSetting: {{failoverPriority: ['rack=far', topology.kubernetes.io/region]}}}}, {outlier}}}"
                ),
                ["weighted", "eu/n/1#1*1", "eu/w/1#1*1", "eu/w/2#1*1", "us/e/1#0*1"],
            ),
            (
                "{loadBalancer: {localityLbSetting: {distribute: [{from: 'eu/w/*', to: {'eu/w/*': 70, 'us/*': 30}}]}}}"
                    .to_owned(),
                // What is not listed keeps its name and loses its endpoints.
                ["weighted", "eu/n/1#0*1", "eu/w/1#0*35", "eu/w/2#0*35", "us/e/1#0*30"],
            ),
        ] {
            assert_eq!(seen(&policy), expected, "{policy}");
        }
    }
}
