//! From a rule to clauses: each source of `from` with the conditions on the caller, each operation
//! of `to` with those on the destination (Istio: `authz/model`).

use super::filters::Sees;
use super::questions;
use crate::mesh::authorization::{Clause, Condition, Test};
use crate::resource::security::{AuthorizationRule, AuthorizationSource, Condition as When, Operation};
use crate::source::{Span, Spanned};

type Texts = [Spanned<String>];

/// What a rule becomes.
pub(super) enum Made {
    /// A rule, possibly without some of its fields.
    Rule {
        /// One for each operation.
        permissions: Vec<Clause>,
        /// One for each source.
        principals: Vec<Clause>,
        /// Fields that were left out.
        ignored: Vec<(String, Span)>,
    },
    /// Nothing, because of this field.
    Nothing {
        /// As it is written.
        field: String,
        /// Where.
        span: Span,
    },
}

/// Compiles a rule. A filter that sees bytes only cannot ask about HTTP: a `strict` rule (one that
/// allows) is then left out as a whole, others lose those fields and match more.
pub(super) fn rule(rule: &AuthorizationRule, namespace: &str, sees: Sees, strict: bool, trust_domains: &[String]) -> Made {
    let mut clauses = Clauses { namespace, sees, trust_domains, refused: None, ignored: Vec::new() };
    let (permissions, principals) = clauses.of(rule);
    let Clauses { refused, mut ignored, .. } = clauses;
    match refused.or_else(|| ignored.first().filter(|_| strict).cloned()) {
        Some((field, span)) => Made::Nothing { field, span },
        None => {
            ignored.dedup();
            Made::Rule { permissions, principals, ignored }
        }
    }
}

/// Which side of a rule a key of `when` belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Caller,
    Destination,
}

struct Clauses<'r> {
    namespace: &'r str,
    sees: Sees,
    trust_domains: &'r [String],
    /// A key that nobody knows: the rule is left out whatever it does.
    refused: Option<(String, Span)>,
    ignored: Vec<(String, Span)>,
}

impl Clauses<'_> {
    fn of(&mut self, rule: &AuthorizationRule) -> (Vec<Clause>, Vec<Clause>) {
        let (mut caller, mut destination) = (Vec::new(), Vec::new());
        for when in &rule.when {
            match self.when(when) {
                Some((Side::Caller, conditions)) => caller.extend(conditions),
                Some((Side::Destination, conditions)) => destination.extend(conditions),
                None => {}
            }
        }
        let with = |mut conditions: Vec<Condition>, more: &[Condition]| {
            conditions.extend_from_slice(more);
            Clause { conditions }
        };
        let mut permissions: Vec<Clause> = rule
            .to
            .iter()
            .map(|to| with(to.operation.as_ref().map_or_else(Vec::new, |o| self.operation(o)), &destination))
            .collect();
        let mut principals: Vec<Clause> =
            rule.from.iter().map(|from| with(from.source.as_ref().map_or_else(Vec::new, |s| self.source(s)), &caller)).collect();
        if permissions.is_empty() {
            permissions.push(Clause { conditions: destination });
        }
        if principals.is_empty() {
            principals.push(Clause { conditions: caller });
        }
        (permissions, principals)
    }

    fn source(&mut self, source: &AuthorizationSource) -> Vec<Condition> {
        let (namespace, trust_domains) = (self.namespace, self.trust_domains);
        let principals = |value: &str| questions::principal(value, trust_domains);
        let accounts = |value: &str| questions::service_account(value, namespace);
        let domains = |value: &str| questions::trust_domain(value, trust_domains);
        let mut all = Vec::new();
        self.both(&mut all, ["principals", "notPrincipals"], &source.principals, &source.not_principals, &principals);
        self.both_http(
            &mut all,
            ["requestPrincipals", "notRequestPrincipals"],
            &source.request_principals,
            &source.not_request_principals,
            &questions::request_principal,
        );
        self.both(
            &mut all,
            ["serviceAccounts", "notServiceAccounts"],
            &source.service_accounts,
            &source.not_service_accounts,
            &accounts,
        );
        self.both(&mut all, ["namespaces", "notNamespaces"], &source.namespaces, &source.not_namespaces, &questions::namespace);
        self.both(&mut all, ["trustDomains", "notTrustDomains"], &source.trust_domains, &source.not_trust_domains, &domains);
        self.both(
            &mut all,
            ["remoteIpBlocks", "notRemoteIpBlocks"],
            &source.remote_ip_blocks,
            &source.not_remote_ip_blocks,
            &questions::remote_address,
        );
        self.both(&mut all, ["ipBlocks", "notIpBlocks"], &source.ip_blocks, &source.not_ip_blocks, &questions::peer_address);
        all
    }

    fn operation(&mut self, operation: &Operation) -> Vec<Condition> {
        let mut all = Vec::new();
        self.both_http(&mut all, ["hosts", "notHosts"], &operation.hosts, &operation.not_hosts, &questions::host);
        self.both_http(&mut all, ["methods", "notMethods"], &operation.methods, &operation.not_methods, &questions::method);
        self.both_http(&mut all, ["paths", "notPaths"], &operation.paths, &operation.not_paths, &questions::path);
        self.both(&mut all, ["ports", "notPorts"], &operation.ports, &operation.not_ports, &questions::destination_port);
        all
    }

    fn when(&mut self, when: &When) -> Option<(Side, Vec<Condition>)> {
        if when.values.is_empty() && when.not_values.is_empty() {
            return None;
        }
        let key = when.key.as_ref()?;
        let (namespace, trust_domains) = (self.namespace, self.trust_domains);
        let word = key.value.as_str();
        let names = [word, word];
        let (values, not_values) = (&when.values, &when.not_values);
        let domains = |value: &str| questions::trust_domain(value, trust_domains);
        let mut all = Vec::new();
        let side = match word {
            "destination.ip" | "destination.port" | "connection.sni" => Side::Destination,
            _ if word.starts_with("experimental.envoy.filters.") => Side::Destination,
            _ => Side::Caller,
        };
        match word {
            "destination.ip" => self.both(&mut all, names, values, not_values, &questions::destination_address),
            "destination.port" => self.both(&mut all, names, values, not_values, &questions::destination_port),
            "connection.sni" => self.both(&mut all, names, values, not_values, &questions::server_name),
            "source.ip" => self.both(&mut all, names, values, not_values, &questions::peer_address),
            "remote.ip" => self.both(&mut all, names, values, not_values, &questions::remote_address),
            "source.namespace" => self.both(&mut all, names, values, not_values, &questions::namespace),
            "source.trustDomain" => self.both(&mut all, names, values, not_values, &domains),
            "source.serviceAccount" => {
                self.both(&mut all, names, values, not_values, &|value| questions::service_account(value, namespace));
            }
            "source.principal" => {
                self.both(&mut all, names, values, not_values, &|value| questions::principal(value, trust_domains));
            }
            "request.auth.principal" => self.both_http(&mut all, names, values, not_values, &questions::request_principal),
            "request.auth.audiences" => {
                self.both_http(&mut all, names, values, not_values, &|value| questions::claim(&["aud".to_owned()], value));
            }
            "request.auth.presenter" => {
                self.both_http(&mut all, names, values, not_values, &|value| questions::claim(&["azp".to_owned()], value));
            }
            _ if word.starts_with("experimental.envoy.filters.") => {
                self.both(&mut all, names, values, not_values, &|_| vec![Test::FilterMetadata]);
            }
            _ => match questions::Keyed::of(word) {
                Some(keyed) => self.both_http(&mut all, names, values, not_values, &|value| keyed.test(value)),
                None => self.refused = self.refused.take().or_else(|| Some((word.to_owned(), key.span))),
            },
        }
        Some((side, all))
    }

    fn both(
        &mut self,
        all: &mut Vec<Condition>,
        names: [&str; 2],
        values: &Texts,
        not_values: &Texts,
        test: &dyn Fn(&str) -> Vec<Test>,
    ) {
        for (name, values, negated) in [(names[0], values, false), (names[1], not_values, true)] {
            let tests: Vec<(Test, String)> =
                values.iter().flat_map(|value| test(&value.value).into_iter().map(|test| (test, value.value.clone()))).collect();
            if let Some(first) = values.first().filter(|_| !tests.is_empty()) {
                all.push(Condition { field: name.to_owned(), negated, tests, span: first.span });
            }
        }
    }

    /// The same for what only HTTP has.
    fn both_http(
        &mut self,
        all: &mut Vec<Condition>,
        names: [&str; 2],
        values: &Texts,
        not_values: &Texts,
        test: &dyn Fn(&str) -> Vec<Test>,
    ) {
        if self.sees == Sees::Http {
            return self.both(all, names, values, not_values, test);
        }
        for (name, values) in [(names[0], values), (names[1], not_values)] {
            if let Some(first) = values.first() {
                self.ignored.push((name.to_owned(), first.span));
            }
        }
    }
}
