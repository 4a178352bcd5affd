//! The route table that a request belongs to, where nobody says what was dialled: the one whose virtual
//! hosts know its authority best.

use super::host::{DomainKind, find_host};
use crate::mesh::{Mesh, Proxy, ProxyId, ProxyKind, RouteTableId};

/// The best table of a proxy; with a port, of the tables that are for it, if there are any. What was
/// made for a rule comes before what nobody wrote.
#[must_use]
pub fn table_for(proxy: &Proxy, authority: &str, port: Option<u16>) -> Option<RouteTableId> {
    best(proxy, authority, port).map(|(_, table)| table)
}

/// The best table of all proxies, gateways before sidecars.
#[must_use]
pub fn proxy_and_table_for(mesh: &Mesh, authority: &str, port: Option<u16>) -> Option<(ProxyId, RouteTableId)> {
    let found = mesh.proxies.iter().enumerate().filter_map(|(index, proxy)| {
        let (kind, table) = best(proxy, authority, port)?;
        Some(((kind, proxy.spec.kind == ProxyKind::Sidecar, index), table))
    });
    found.min_by_key(|(rank, _)| *rank).map(|((_, _, index), table)| (ProxyId::new(index), table))
}

fn best(proxy: &Proxy, authority: &str, port: Option<u16>) -> Option<(DomainKind, RouteTableId)> {
    let is_for = |name: &str| port.is_some_and(|port| name.rsplit('.').next() == Some(port.to_string().as_str()));
    let any = proxy.route_tables.iter().any(|table| is_for(&table.name));
    let tables = proxy.route_tables.iter().enumerate().filter(|(_, table)| !any || is_for(&table.name));
    let found = tables.filter_map(|(index, table)| {
        let found = find_host(table, authority)?;
        let host = &table.virtual_hosts[found.index];
        let made_up = host.routes.iter().all(|route| route.origin.object.is_none());
        Some((found.kind, made_up, RouteTableId::new(index)))
    });
    found.min_by_key(|(kind, made_up, table)| (*kind, *made_up, *table)).map(|(kind, _, table)| (kind, table))
}
