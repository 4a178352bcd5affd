//! Who sends a request if only a few words say so.

use crate::mesh::{Mesh, ProxyId, ProxyKind};
use crate::yaml;

/// The proxy that sends: the named one, or the only gateway if the host is no service of the mesh.
/// `option` is where the sender can be named, for the advice.
///
/// # Errors
/// Nobody has that name, or nobody was named and it is not clear who is meant.
pub fn sender(mesh: &Mesh, from: Option<&str>, host: &str, option: &str) -> Result<ProxyId, String> {
    let names: Vec<&str> = mesh.proxies.iter().map(|proxy| proxy.spec.name.as_str()).collect();
    if let Some(from) = from {
        return named(mesh, from);
    }
    if is_service(mesh, host) {
        return Err(format!("`{host}` is a service of the mesh: name who calls it with {option}{}", listed(&names)));
    }
    let gateways: Vec<usize> =
        mesh.proxies.iter().enumerate().filter(|(_, p)| p.spec.kind == ProxyKind::Gateway).map(|(i, _)| i).collect();
    match gateways.as_slice() {
        [only] => Ok(ProxyId::new(*only)),
        [] => Err(format!("the mesh has no gateway: name who sends with {option}{}", listed(&names))),
        several => {
            let names: Vec<&str> = several.iter().map(|index| names[*index]).collect();
            Err(format!("the mesh has several gateways: name one with {option}{}", listed(&names)))
        }
    }
}

/// The proxy with this name.
///
/// # Errors
/// What to say if there is none.
pub fn named(mesh: &Mesh, name: &str) -> Result<ProxyId, String> {
    let names: Vec<&str> = mesh.proxies.iter().map(|proxy| proxy.spec.name.as_str()).collect();
    mesh.proxy_named(name).ok_or_else(|| unknown(name, &names))
}

fn unknown(from: &str, names: &[&str]) -> String {
    let short = names.iter().map(|name| name.split('.').next().unwrap_or(name));
    match yaml::nearest(from, names.iter().copied().chain(short)) {
        Some(near) => format!("no proxy is called `{from}`; did you mean `{near}`?"),
        None => format!("no proxy is called `{from}`{}", listed(names)),
    }
}

/// `: a, b, c`, or nothing if there is none; long lists are cut.
#[must_use]
pub fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names.len() {
        0 => String::new(),
        count if count > SHOWN => format!(": {} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => format!(": {}", names.join(", ")),
    }
}

/// Whether a host is a service of the mesh by any of the names that clients use.
fn is_service(mesh: &Mesh, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    mesh.services.iter().any(|service| {
        let short = [
            service.name.clone(),
            format!("{}.{}", service.name, service.namespace),
            format!("{}.{}.svc", service.name, service.namespace),
        ];
        service.host == host || (service.kubernetes && short.contains(&host))
    })
}
