//! Names that a client may dial, with the addresses they resolve to.

use std::collections::BTreeMap;

use super::registry::Registry;
use crate::mesh::registry::Service;

/// Names and addresses for clients of a namespace, sorted by name: services by every form of their
/// name, and hosts of ServiceEntries that have an address. Where a service has several addresses,
/// the first one counts.
pub(super) fn addresses(registry: &Registry, namespace: &str, cluster_domain: &str) -> Vec<(String, String)> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for service in &registry.services {
        let target = service.alias_of.as_ref().and_then(|host| registry.of_host(host).first()).map(|id| registry.service(*id));
        let Some(address) = dialled(target.unwrap_or(service)) else { continue };
        for form in forms(&service.host, namespace, cluster_domain) {
            names.entry(form).or_insert_with(|| address.to_owned());
        }
    }
    names.into_iter().collect()
}

/// The address that a client gets for a service; of a network, its first one.
fn dialled(service: &Service) -> Option<&str> {
    let address = service.addresses.first()?;
    let address = address.split_once('/').map_or(address.as_str(), |(base, _)| base);
    (address != "0.0.0.0").then_some(address)
}

/// The forms of a host that a client of `namespace` may use.
fn forms(host: &str, namespace: &str, cluster_domain: &str) -> Vec<String> {
    let mut forms = vec![host.to_owned(), format!("{host}.")];
    if let Some(base) = host.strip_suffix(&format!(".svc.{cluster_domain}")) {
        forms.push(base.to_owned());
        forms.push(format!("{base}.svc"));
        if let Some((short, owner)) = base.split_once('.')
            && owner == namespace
        {
            forms.push(short.to_owned());
        }
    }
    forms
}
