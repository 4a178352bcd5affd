//! What happens to one request: the draws of a route played out, in the order of the proxy's filters
//! (fault, CORS, router).

use super::connection::{Conn, listen};
use super::cors::CorsRole;
use super::flag::{Flag, Flags};
use super::path::BadPath;
use super::request::{Chances, Dial, Request};
use super::selection::{Selection, Verdict, select};
use crate::mesh::route::{AbortStatus, Action, Forward, Leg, Mirror, PerMillion};
use crate::mesh::{ClusterId, Mesh, Profile, Proxy, ProxyId};
use crate::time::Duration;

/// How a request ends at the proxy, as far as configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Course {
    /// It goes to an endpoint of this cluster.
    Forward(ClusterId),
    /// A fault aborts it.
    Abort(AbortStatus),
    /// A CORS preflight, answered by the proxy.
    Preflight,
    /// A redirect.
    Redirect,
    /// A direct response.
    Direct,
    /// A redirect of the whole virtual host to HTTPS.
    RequireTls,
    /// No virtual host or no route: 404.
    NoRoute,
    /// The cluster does not exist; the status.
    NoCluster(u16),
    /// The cluster has no endpoint that takes requests: 503.
    NoEndpoint(ClusterId),
    /// Answered 400 before routing.
    Malformed(BadPath),
}

/// One decision. Small and copyable; what it says about route and destination is read through the
/// proxy it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What took the request.
    pub selection: Selection,
    /// The chosen destination of a forwarding route. Chosen before faults are drawn.
    pub leg: Option<u32>,
    /// A fault delay, before anything else happens.
    pub delay: Option<Duration>,
    /// How it goes on.
    pub course: Course,
    /// The draw that decided destination and mirrors.
    pub stream: u64,
}

/// What becomes of a request that a client sends through its proxy, faults and missing endpoints
/// included. Pure: everything that is left to chance is told by `chances`.
///
/// `None` if the connection is not taken as HTTP; [`listen`] says what happens to it instead.
#[must_use]
pub fn decide(mesh: &Mesh, proxy: ProxyId, dial: &Dial, request: &Request, chances: Chances) -> Option<Decision> {
    let proxy = &mesh.proxies[proxy.index()];
    match listen(proxy, dial, &request.authority) {
        Conn::Http(http) => Some(select(proxy, http.table, request).draw(proxy, chances).checked(proxy)),
        _ => None,
    }
}

/// Whether a share of requests includes the one with this draw (Envoy: `random % denominator <
/// numerator`).
#[must_use]
pub const fn included(share: PerMillion, draw: u64) -> bool {
    draw % 1_000_000 < share.0 as u64
}

impl Selection {
    /// Plays out the draws. Says nothing about endpoints: the caller, or [`Decision::checked`], does.
    #[must_use]
    pub fn draw(self, proxy: &Proxy, chances: Chances) -> Decision {
        let mut decision = Decision { selection: self, leg: None, delay: None, course: Course::NoRoute, stream: chances.stream };
        decision.course = match self.verdict {
            Verdict::Malformed(bad) => Course::Malformed(bad),
            Verdict::NoHost | Verdict::NoProto { .. } | Verdict::NoRoute { .. } => Course::NoRoute,
            Verdict::RequireTls { .. } => Course::RequireTls,
            Verdict::Route { .. } => decision.on_route(proxy, chances),
        };
        decision
    }
}

impl Decision {
    fn on_route(&mut self, proxy: &Proxy, chances: Chances) -> Course {
        let Some(route) = self.selection.route(proxy) else { return Course::NoRoute };
        let leg = match &route.action {
            Action::Forward(forward) => {
                let picked = forward.legs.pick(chances.stream);
                self.leg = u32::try_from(picked).ok();
                forward.legs.all().get(picked)
            }
            Action::Redirect(_) | Action::Direct(_) => None,
        };
        if let Some(fault) = &route.fault {
            self.delay = fault.delay.filter(|delay| included(delay.share, chances.delay)).map(|delay| delay.fixed);
            if let Some(abort) = fault.abort.filter(|abort| included(abort.share, chances.abort)) {
                return Course::Abort(abort.status);
            }
        }
        match &route.action {
            Action::Redirect(_) => Course::Redirect,
            Action::Direct(_) => Course::Direct,
            Action::Forward(_) if matches!(self.selection.cors, CorsRole::Preflight | CorsRole::ForeignPreflight) => {
                Course::Preflight
            }
            Action::Forward(forward) => match leg.map(|leg| leg.cluster.id).filter(|id| proxy.clusters.get(*id).is_some()) {
                Some(cluster) => Course::Forward(cluster),
                None => Course::NoCluster(forward.cluster_not_found_status),
            },
        }
    }

    /// The same decision with clusters that have no healthy endpoint taken into account, as the
    /// configuration describes them. Clusters without endpoints of their own (the dialled address)
    /// always have one.
    #[must_use]
    pub fn checked(mut self, proxy: &Proxy) -> Self {
        if let Course::Forward(id) = self.course
            && !proxy.clusters[id].has_somewhere_to_go()
        {
            self.course = Course::NoEndpoint(id);
        }
        self
    }

    /// The forwarding of the matched route, if it forwards.
    #[must_use]
    pub fn forward<'m>(&self, proxy: &'m Proxy) -> Option<&'m Forward> {
        self.selection.forward(proxy)
    }

    /// The chosen destination.
    #[must_use]
    pub fn leg<'m>(&self, proxy: &'m Proxy) -> Option<&'m Leg> {
        self.forward(proxy)?.legs.all().get(self.leg? as usize)
    }

    /// The mirrors that this request is copied to. They share one draw; a request that is not
    /// forwarded is not copied.
    pub fn mirrors<'m>(&self, proxy: &'m Proxy) -> impl Iterator<Item = &'m Mirror> + use<'m> {
        let stream = self.stream;
        let sent = matches!(self.course, Course::Forward(_));
        let mirrors = self.forward(proxy).filter(|_| sent).map_or(&[][..], |forward| &forward.mirrors);
        mirrors.iter().filter(move |mirror| included(mirror.share, stream))
    }

    /// The response flags, as far as the decision raises any.
    #[must_use]
    pub fn flags(&self, profile: &Profile) -> Flags {
        let delayed = self.delay.map(|_| Flag::DelayInjected);
        let own = match self.course {
            Course::Abort(_) => Some(Flag::FaultInjected),
            Course::NoRoute => Some(Flag::NoRoute),
            Course::NoCluster(_) if profile.unknown_cluster_flag == "NR" => Some(Flag::NoRoute),
            Course::NoCluster(_) => Some(Flag::NoCluster),
            Course::NoEndpoint(_) => Some(Flag::NoHealthyUpstream),
            Course::Malformed(why) => why.flag(),
            Course::Forward(_) | Course::Preflight | Course::Redirect | Course::Direct | Course::RequireTls => None,
        };
        delayed.into_iter().chain(own).collect()
    }

    /// The response code details (Envoy: `%RESPONSE_CODE_DETAILS%`); of a forwarded request those of
    /// an endpoint that answers.
    #[must_use]
    pub const fn details(&self) -> &'static str {
        match self.course {
            Course::Forward(_) => "via_upstream",
            Course::Abort(_) => "fault_filter_abort",
            Course::Preflight => "cors_response",
            Course::Redirect | Course::Direct | Course::RequireTls => "direct_response",
            Course::NoRoute => "route_not_found",
            Course::NoCluster(_) => "cluster_not_found",
            Course::NoEndpoint(_) => "no_healthy_upstream",
            Course::Malformed(why) => why.details(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::{client, dial, mesh_with_rules, request};

    const NEVER: u64 = 999_999;

    fn decide_with(rules: &str, method: &str, headers: &[(&str, &str)], chances: Chances) -> (Mesh, Decision) {
        let mesh = mesh_with_rules(rules);
        let decision = decide(&mesh, client(&mesh), &dial(), &request(method, "/", headers), chances).unwrap();
        (mesh, decision)
    }

    #[test]
    fn filters_act_in_their_order_and_flags_add_up() {
        let fault =
            "fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}, abort: {httpStatus: 418, percentage: {value: 50}}}";
        let cors = "corsPolicy: {allowOrigins: [{exact: https://a.test}], allowMethods: [GET]}";
        let to = |subset: &str| format!("route: [{{destination: {{host: app, subset: {subset}}}}}]");
        let preflight = [("origin", "https://a.test"), ("access-control-request-method", "GET")];
        let abort = Chances { stream: 0, delay: 0, abort: 0 };
        let no_abort = Chances { abort: NEVER, ..abort };
        for (rule, method, headers, chances, flags, details) in [
            (format!("{{{fault}, {}}}", to("v1")), "GET", &[][..], abort, "DI,FI", "fault_filter_abort"),
            (format!("{{{fault}, {}}}", to("v1")), "GET", &[][..], no_abort, "DI", "via_upstream"),
            (format!("{{{fault}, {}}}", to("v9")), "GET", &[][..], no_abort, "DI,NC", "cluster_not_found"),
            (format!("{{{fault}, {}}}", to("v0")), "GET", &[][..], no_abort, "DI,UH", "no_healthy_upstream"),
            (format!("{{{fault}, {cors}, {}}}", to("v1")), "OPTIONS", &preflight[..], abort, "DI,FI", "fault_filter_abort"),
            (format!("{{{fault}, {cors}, {}}}", to("v1")), "OPTIONS", &preflight[..], no_abort, "DI", "cors_response"),
            (format!("{{{cors}, {}}}", to("v9")), "OPTIONS", &preflight[..], abort, "-", "cors_response"),
            ("{match: [{method: {exact: PUT}}], redirect: {uri: /x}}".to_owned(), "PUT", &[][..], abort, "-", "direct_response"),
            ("{match: [{method: {exact: PUT}}], redirect: {uri: /x}}".to_owned(), "GET", &[][..], abort, "NR", "route_not_found"),
        ] {
            let (mesh, decision) = decide_with(&format!("[{rule}]"), method, headers, chances);
            assert_eq!(
                (decision.flags(&mesh.profile).to_string().as_str(), decision.details()),
                (flags, details),
                "{rule} {method}"
            );
        }
    }

    #[test]
    fn older_releases_call_an_unknown_cluster_a_missing_route() {
        let (_, decision) = decide_with(
            "[{route: [{destination: {host: app, subset: v9}}]}]",
            "GET",
            &[],
            Chances { stream: 0, delay: 0, abort: 0 },
        );
        assert_eq!(decision.flags(&Profile::of_version("1.5").unwrap()).to_string(), "NR");
    }

    #[test]
    fn several_mirrors_share_one_draw_and_need_a_primary() {
        let mirrors = "mirrors: [{destination: {host: app, subset: v1}, percentage: {value: 30}}, {destination: {host: app, subset: v2}, percentage: {value: 60}}]";
        let count = |subset: &str, stream: u64| {
            let rules = format!("[{{{mirrors}, route: [{{destination: {{host: app, subset: {subset}}}}}]}}]");
            let (mesh, decision) = decide_with(&rules, "GET", &[], Chances { stream, delay: 0, abort: 0 });
            decision.mirrors(&mesh.proxies[client(&mesh).index()]).count()
        };
        assert_eq!([0, 299_999, 300_000, 599_999, 600_000, NEVER].map(|stream| count("v1", stream)), [2, 2, 1, 1, 0, 0]);
        assert_eq!((count("v0", 0), count("v9", 0)), (0, 0));
    }
}
