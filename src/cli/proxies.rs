//! Proxies as people name them.

use meshsim::mesh::{Mesh, ProxyId};
use meshsim::yaml;

/// The proxy with this name, or what to say if there is none.
pub(crate) fn named(mesh: &Mesh, name: &str) -> Result<ProxyId, String> {
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
pub(crate) fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names.len() {
        0 => String::new(),
        count if count > SHOWN => format!(": {} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => format!(": {}", names.join(", ")),
    }
}
