//! Routes that the sidecars of several namespaces have in common. A rule becomes the same routes for
//! every client for which its source conditions hold alike and its destinations are looked up alike.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::routes::{self, RouteScope, SeenService};
use super::virtual_service::VirtualService;
use crate::mesh::registry::Service;
use crate::mesh::route::{HashPolicy, Route};

/// Routes that were made, with what was looked up for them.
#[derive(Debug, Default)]
pub(super) struct SharedRoutes {
    known: RefCell<FxHashMap<Key, Vec<Made>>>,
}

/// Routes, and what was looked up for them.
type Made = (Needs, Arc<[Route]>);

/// What tells routes apart, besides what is looked up.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The address of the VirtualService or service; both live as long as the compilation.
    source: usize,
    port: u16,
    /// Labels of the client that a source condition compares.
    labels: Vec<(String, String)>,
    /// Namespace of the client, if a source condition compares it.
    namespace: Option<String>,
    /// What the port of a service without rules is hashed by.
    hash: Option<HashPolicy>,
}

/// Host, subset, and port if one is named.
type HashQuestion = (String, String, Option<u16>);

/// What was looked up, and what was found.
#[derive(Debug, Default)]
struct Needs {
    services: Vec<(String, Option<SeenService>)>,
    hashes: Vec<(HashQuestion, Option<Option<HashPolicy>>)>,
}

impl Needs {
    /// Whether the same would be found.
    fn hold(&self, scope: &RouteScope<'_>) -> bool {
        self.services.iter().all(|(host, seen)| (scope.service)(host) == *seen)
            && self.hashes.iter().all(|((host, subset, port), hash)| (scope.hash)(host, subset, *port) == *hash)
    }
}

impl SharedRoutes {
    /// The routes of a VirtualService.
    pub(super) fn of_rules(&self, vs: &VirtualService, scope: &RouteScope<'_>) -> Arc<[Route]> {
        let blocks = || vs.http.iter().flat_map(|rule| &rule.spec.matches);
        let compares = |key: &str| blocks().any(|block| block.source_labels.get(key).is_some());
        let compares_namespace = blocks().any(|block| block.source_namespace.as_ref().is_some_and(|name| !name.is_empty()));
        let key = Key {
            source: std::ptr::from_ref(vs).addr(),
            port: scope.port,
            labels: scope.client_labels.iter().filter(|(key, _)| compares(key)).cloned().collect(),
            namespace: compares_namespace.then(|| scope.client_namespace.to_owned()),
            hash: None,
        };
        self.routes(key, scope, |scope| routes::routes(vs, scope).into())
    }

    /// The route of a service that no rule claims. `hash` is what its port is hashed by.
    pub(super) fn of_service(&self, service: &Service, hash: Option<HashPolicy>, scope: &RouteScope<'_>) -> Arc<[Route]> {
        let source = std::ptr::from_ref(service).addr();
        let key = Key { source, port: scope.port, labels: Vec::new(), namespace: None, hash: hash.clone() };
        self.routes(key, scope, |scope| {
            let cluster = routes::cluster_name(scope.port, "", &service.host);
            Arc::new([routes::service_route(cluster, hash.clone(), service.origin, scope)])
        })
    }

    fn routes(&self, key: Key, scope: &RouteScope<'_>, make: impl Fn(&RouteScope<'_>) -> Arc<[Route]>) -> Arc<[Route]> {
        let mut known = self.known.borrow_mut();
        let alike = known.entry(key).or_default();
        if let Some((_, routes)) = alike.iter().find(|(needs, _)| needs.hold(scope)) {
            return Arc::clone(routes);
        }
        let needs = RefCell::new(Needs::default());
        let service = |host: &str| {
            let seen = (scope.service)(host);
            needs.borrow_mut().services.push((host.to_owned(), seen.clone()));
            seen
        };
        let hash = |host: &str, subset: &str, port: Option<u16>| {
            let hash = (scope.hash)(host, subset, port);
            needs.borrow_mut().hashes.push(((host.to_owned(), subset.to_owned(), port), hash.clone()));
            hash
        };
        let made = make(&RouteScope { service: &service, hash: &hash, ..*scope });
        alike.push((needs.into_inner(), Arc::clone(&made)));
        made
    }
}
