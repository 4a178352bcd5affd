//! Claims held against what really becomes of a request.

use super::case::{Case, Claims, Verdict};
use super::config_validator;
use super::coverage::{ItemKind, Trace};
use super::destination::DestinationPattern;
use super::format::{Expect, Fault, Limit, Retries, Shares, Upstream};
use super::observation::{Observation, added_up};
use super::question::Question;
use super::router_check;
use crate::mesh::route::{AbortStatus, PerMillion};
use crate::mesh::{Mesh, ProxySpec};
use crate::resource::Objects;
use crate::routing::{Headers, Outcome, Probability, Verdict as Found, destination_name, share_text};
use crate::scenario::Share;
use crate::source::{Span, Spanned};
use crate::text;
use crate::time::Duration;
use crate::yaml::Map;

/// Judges a case.
#[must_use]
pub fn judge(mesh: &Mesh, objects: &Objects, case: &Case) -> Verdict {
    match &case.claims {
        Claims::Own(expect) => own(mesh, case, expect),
        Claims::Rule(claims) => config_validator::judge(objects, &case.question, claims),
        Claims::Route(claims) => router_check::judge(mesh, &case.question, claims),
    }
}

fn own(mesh: &Mesh, case: &Case, expect: &Expect) -> Verdict {
    let mut verdict = Verdict::default();
    let asked = match case.question.at(mesh) {
        Ok(asked) => asked,
        Err(why) => {
            verdict.fail("sender", case.question.from.as_deref().unwrap_or("the only gateway"), why, case.question.span);
            return verdict;
        }
    };
    let seen = Observation::new(mesh, &asked);
    if let Some(http) = &seen.explanation.http {
        verdict.trace = Trace::of(http, &kinds(expect));
        verdict.route = http.selection.route(seen.proxy).map(|route| route.origin.span);
    }
    let judged = Judged { seen: &seen, client: &seen.proxy.spec };
    if let Some(connection) = &expect.connection {
        verdict.claim("connection", connection.word(), seen.connection(), connection.span);
    } else if seen.explanation.http.is_none() && needs_http(expect) {
        verdict.fail("connection", "http", seen.connection(), expect.span);
        return verdict;
    }
    judged.destinations(expect, &mut verdict);
    judged.never(&expect.never, &mut verdict);
    judged.answers(expect, &mut verdict);
    judged.route(expect, &mut verdict);
    if let Some(upstream) = &expect.upstream {
        judged.upstream(upstream, &mut verdict);
    }
    if let Some(same_as) = &expect.same_as {
        judged.same(same_as, case, &mut verdict);
    }
    verdict
}

/// Which parts of a route the claims speak about.
fn kinds(expect: &Expect) -> Vec<ItemKind> {
    let all = [
        (expect.destinations.is_some() || expect.same_as.is_some(), ItemKind::Destination),
        (expect.status.is_some() || expect.flags.is_some() || expect.fault.is_some(), ItemKind::Fault),
        (expect.retries.is_some(), ItemKind::Retries),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, kind)| kind).collect()
}

fn needs_http(expect: &Expect) -> bool {
    let without = Expect {
        span: expect.span,
        destinations: expect.destinations.clone(),
        never: expect.never.clone(),
        connection: expect.connection,
        ..Expect::default()
    };
    *expect != without
}

struct Judged<'a, 'm> {
    seen: &'a Observation<'m>,
    client: &'a ProxySpec,
}

impl Judged<'_, '_> {
    fn destinations(&self, expect: &Expect, verdict: &mut Verdict) {
        let Some(wanted) = &expect.destinations else { return };
        let actual = self.seen.destinations();
        self.shares("destinations", wanted, &actual, verdict);
        let Some(sample) = &expect.sample else { return };
        let patterns: Vec<DestinationPattern> =
            wanted.all.iter().filter_map(|(name, _)| DestinationPattern::parse(&name.value).ok()).collect();
        let hits = self.seen.sampled(sample.value, &patterns);
        for ((name, share), hits) in wanted.all.iter().zip(hits) {
            if !is_likely(hits, sample.value, share.value) {
                let expected = format!("{} of {} requests to `{}`", of_share(share.value), sample.value, name.value);
                verdict.fail("sample", expected, text::percent(hits, sample.value), sample.span);
            }
        }
    }

    /// Compares clusters and their shares; what is not named must have none.
    fn shares(&self, what: &str, wanted: &Shares, actual: &[(String, Probability)], verdict: &mut Verdict) {
        if let ([(name, share)], [(cluster, _)]) = (wanted.all.as_slice(), actual)
            && !share.span.is_somewhere()
            && DestinationPattern::parse(&name.value).is_ok_and(|pattern| !pattern.is_meant(cluster, self.client))
        {
            // One name for another: that can be corrected where it stands.
            let actual = destination_name(cluster);
            verdict.fail(what, format!("`{}`", name.value), actual.clone(), name.span);
            let correction = DestinationPattern::parse(&actual).is_ok().then_some(actual);
            if let Some(failure) = verdict.failures.last_mut() {
                failure.correction = correction;
            }
            return;
        }
        let mut left: Vec<&(String, Probability)> = actual.iter().collect();
        for (name, share) in &wanted.all {
            let pattern = match DestinationPattern::parse(&name.value) {
                Ok(pattern) => pattern,
                Err(why) => {
                    verdict.fail(what, &name.value, why, name.span);
                    continue;
                }
            };
            let means = |item: &&(String, Probability)| pattern.is_meant(&item.0, self.client);
            let sum = left.iter().filter(|item| means(item)).fold(Probability::new(0, 1), |sum, (_, share)| sum + *share);
            left.retain(|item| !means(item));
            if !is_share(sum, share.value) {
                let all = list(actual);
                let expected = format!("{} to `{}`", of_share(share.value), name.value);
                let actual = format!("{} ({all})", share_text(sum));
                verdict.fail(what, expected, actual, if share.span.is_somewhere() { share.span } else { name.span });
                if let Some(failure) = verdict.failures.last_mut() {
                    failure.correction = share.span.is_somewhere().then(|| share_text(sum).replace(' ', ""));
                }
            }
        }
        for (cluster, share) in left {
            let actual = format!("{} to {}", share_text(*share), destination_name(cluster));
            verdict.fail(what, "no other destination", actual, wanted.span);
        }
    }

    fn never(&self, never: &[Spanned<String>], verdict: &mut Verdict) {
        for name in never {
            let pattern = match DestinationPattern::parse(&name.value) {
                Ok(pattern) => pattern,
                Err(why) => {
                    verdict.fail("never", &name.value, why, name.span);
                    continue;
                }
            };
            let copies = self.seen.outcomes.iter().flat_map(|(outcome, _)| &outcome.mirrored).map(|copy| &copy.cluster);
            let reached = self.seen.outcomes.iter().filter(|(outcome, _)| outcome.upstream.is_some());
            let reached = reached.filter_map(|(outcome, _)| outcome.cluster.as_ref());
            let bytes = self.seen.destinations();
            let bytes = bytes.iter().filter(|_| self.seen.outcomes.is_empty()).map(|(cluster, _)| cluster);
            if let Some(cluster) = reached.chain(copies).chain(bytes).find(|cluster| pattern.is_meant(cluster, self.client)) {
                verdict.fail(
                    "never",
                    format!("never `{}`", name.value),
                    format!("reaches {}", destination_name(cluster)),
                    name.span,
                );
            }
        }
    }

    fn answers(&self, expect: &Expect, verdict: &mut Verdict) {
        let outcomes = &self.seen.outcomes;
        if let Some(wanted) = &expect.status {
            self.statuses(wanted, verdict);
        }
        if let Some(flags) = &expect.flags {
            every(outcomes, "flags", &flags.value, flags.span, |outcome| Some(outcome.flags.to_string()), verdict);
        }
        if let Some(location) = &expect.location {
            let of = |outcome: &Outcome| outcome.reply.headers.first("location").map(str::to_owned);
            every(outcomes, "location", &location.value, location.span, of, verdict);
        }
        if let Some(body) = &expect.body {
            let of = |outcome: &Outcome| Some(String::from_utf8_lossy(&outcome.reply.body).into_owned());
            every(outcomes, "body", &body.value, body.span, of, verdict);
        }
        for (outcome, _) in outcomes {
            if headers("response header", &expect.response_headers, &outcome.reply.headers, verdict) {
                break;
            }
        }
    }

    fn statuses(&self, wanted: &Shares, verdict: &mut Verdict) {
        let actual = self.seen.statuses();
        let said: Vec<String> = actual.iter().map(|(status, share)| format!("{} {status}", share_text(*share))).collect();
        for (name, share) in &wanted.all {
            let sum = actual.iter().filter(|(status, _)| status.to_string() == name.value);
            let sum = sum.fold(Probability::new(0, 1), |sum, (_, share)| sum + *share);
            if is_share(sum, share.value) {
                continue;
            }
            let expected = format!("{} {}", of_share(share.value), name.value);
            verdict.fail("status", expected, said.join(", "), if share.span.is_somewhere() { share.span } else { name.span });
            if let Some(failure) = verdict.failures.last_mut() {
                failure.correction = match actual.as_slice() {
                    _ if share.span.is_somewhere() => Some(share_text(sum).replace(' ', "")),
                    [(status, _)] => Some(status.to_string()),
                    _ => None,
                };
            }
        }
        for (status, share) in &actual {
            if wanted.all.len() > 1 && wanted.all.iter().all(|(name, _)| name.value != status.to_string()) {
                verdict.fail("status", "no other status", format!("{} {status}", share_text(*share)), wanted.span);
            }
        }
    }

    fn route(&self, expect: &Expect, verdict: &mut Verdict) {
        let selection = self.seen.selection();
        let route = selection.and_then(|selection| selection.route(self.seen.proxy));
        let forward = selection.and_then(|selection| selection.forward(self.seen.proxy));
        if let Some(name) = &expect.route {
            let actual = match (selection.map(|selection| selection.verdict), route) {
                (_, Some(route)) => route.name.clone(),
                (Some(Found::NoHost), None) => "no virtual host".to_owned(),
                (_, None) => "no route".to_owned(),
            };
            verdict.claim("route", &name.value, actual, name.span);
        }
        if let Some(name) = &expect.virtual_host {
            let actual = selection.and_then(|selection| selection.virtual_host(self.seen.proxy));
            verdict.claim("virtualHost", &name.value, actual.map_or("none", |host| host.name.as_str()), name.span);
        }
        if let Some(limit) = &expect.timeout {
            let actual = forward.map(|forward| Limit((!forward.timeout.is_zero()).then_some(forward.timeout)));
            limits("timeout", limit, actual, verdict);
        }
        if let Some(retries) = &expect.retries {
            self.retries(retries, verdict);
        }
        if let Some(fault) = &expect.fault {
            faults(fault, route.and_then(|route| route.fault.as_ref()), verdict);
        }
        if let Some(mirrors) = &expect.mirrors {
            let actual = forward.map_or(&[][..], |forward| &forward.mirrors);
            let actual = actual.iter().map(|mirror| (mirror.cluster.name.clone(), per_million(mirror.share)));
            self.shares("mirrors", mirrors, &added_up(actual), verdict);
        }
    }

    fn retries(&self, wanted: &Retries, verdict: &mut Verdict) {
        let forward = self.seen.selection().and_then(|selection| selection.forward(self.seen.proxy));
        let policy = forward.and_then(|forward| forward.retries.as_ref()).filter(|policy| policy.attempts > 0);
        if let Some(attempts) = &wanted.attempts {
            let actual = policy.map_or(0, |policy| policy.attempts);
            verdict.claim("retries.attempts", attempts.value.to_string(), actual.to_string(), attempts.span);
        }
        if let Some(limit) = &wanted.per_try_timeout {
            limits("retries.perTryTimeout", limit, Some(Limit(policy.and_then(|policy| policy.per_try_timeout))), verdict);
        }
        if let Some(on) = &wanted.retry_on {
            let actual = policy.map_or("", |policy| policy.on.as_str());
            let has = |wanted: &str| {
                let code = wanted.parse::<u16>().ok();
                actual.split(',').any(|own| own.trim() == wanted)
                    || policy.is_some_and(|policy| code.is_some_and(|code| policy.codes.contains(&code)))
            };
            if let Some(missing) = on.value.split(',').map(str::trim).find(|word| !has(word)) {
                verdict.fail("retries.retryOn", missing, if actual.is_empty() { "no retries" } else { actual }, on.span);
            }
        }
    }

    fn upstream(&self, wanted: &Upstream, verdict: &mut Verdict) {
        let reached: Vec<_> = self.seen.outcomes.iter().filter_map(|(outcome, _)| outcome.upstream.as_ref()).collect();
        if reached.is_empty() {
            verdict.fail("upstream", "a request that reaches an upstream", "none does", wanted.span);
        }
        for seen in reached {
            let before = verdict.failures.len();
            for (what, wanted, actual) in [
                ("upstream.method", &wanted.method, &seen.method),
                ("upstream.path", &wanted.path, &seen.path),
                ("upstream.authority", &wanted.authority, &seen.authority),
            ] {
                if let Some(wanted) = wanted {
                    verdict.claim(what, &wanted.value, actual, wanted.span);
                }
            }
            headers("upstream header", &wanted.headers, &seen.headers, verdict);
            if verdict.failures.len() > before {
                return;
            }
        }
    }

    fn same(&self, other: &super::format::Ask, case: &Case, verdict: &mut Verdict) {
        let base = base_of(&case.question);
        let question = match Question::new(&base.changed(other), None) {
            Ok(question) => question,
            Err((why, span)) => return verdict.fail("sameAs", "another request", why, span),
        };
        let asked = match question.at(self.seen.mesh) {
            Ok(asked) => asked,
            Err(why) => return verdict.fail("sameAs", "another request", why, other.span),
        };
        let seen = Observation::new(self.seen.mesh, &asked);
        let (own, theirs) = (self.seen.treatment(), seen.treatment());
        if self.seen.connection() != seen.connection() {
            verdict.fail("sameAs", seen.connection(), self.seen.connection(), other.span);
        }
        let (Some(own), Some(theirs)) = (own, theirs) else { return };
        for (facet, theirs, own) in theirs.differences(&own) {
            let what = format!("sameAs: {}", facet.word());
            verdict.fail(&what, theirs.unwrap_or("none"), own.unwrap_or("none"), other.span);
        }
    }
}

/// A question as it could have been written, for changes to it.
fn base_of(question: &Question) -> super::format::Ask {
    let scheme = match question.kind {
        crate::workload::UrlKind::Http => "http",
        crate::workload::UrlKind::Https => "https",
        crate::workload::UrlKind::Tcp => "tcp",
    };
    let made_up = |text: &str| Some(Spanned::made_up(text.to_owned()));
    let path = if scheme == "tcp" { "" } else { question.request.path.as_str() };
    let headers = question.request.headers.iter().map(|(name, value)| (Spanned::made_up(name.clone()), made_up(value)));
    super::format::Ask {
        span: question.span,
        from: question.from.as_deref().and_then(made_up),
        url: made_up(&format!("{scheme}://{}:{}{path}", question.host, question.port)),
        method: made_up(&question.request.method),
        path: None,
        host: made_up(&question.request.authority),
        headers: Map(headers.collect()),
    }
}

/// Whether something is the same and as wanted in every outcome.
fn every(
    outcomes: &[(Outcome, Probability)],
    what: &str,
    wanted: &str,
    span: Span,
    of: impl Fn(&Outcome) -> Option<String>,
    verdict: &mut Verdict,
) {
    let other = outcomes.iter().map(|(outcome, _)| of(outcome)).find(|actual| actual.as_deref() != Some(wanted));
    match other {
        Some(Some(actual)) => verdict.claim(what, wanted, actual, span),
        Some(None) => verdict.fail(what, wanted, "none", span),
        None => {}
    }
}

/// Compares headers; gives whether anything differs.
fn headers(what: &str, wanted: &Map<Option<Spanned<String>>>, actual: &Headers, verdict: &mut Verdict) -> bool {
    let before = verdict.failures.len();
    for (name, value) in &wanted.0 {
        let what = format!("{what} {}", name.value);
        let key = name.value.to_ascii_lowercase();
        let lines: Vec<&str> = actual.0.iter().filter(|(own, _)| *own == key).map(|(_, value)| value.as_str()).collect();
        match value {
            Some(value) if lines.is_empty() => verdict.fail(&what, &value.value, "absent", value.span),
            Some(value) => verdict.claim(&what, &value.value, lines.join(","), value.span),
            None if lines.is_empty() => {}
            None => verdict.fail(&what, "absent", lines.join(","), name.span),
        }
    }
    verdict.failures.len() > before
}

fn limits(what: &str, wanted: &Spanned<Limit>, actual: Option<Limit>, verdict: &mut Verdict) {
    let words = |limit: Limit| limit.0.map_or_else(|| "none".to_owned(), go_duration);
    let actual = actual.map_or_else(|| "no forwarding route".to_owned(), words);
    verdict.claim(what, words(wanted.value), actual, wanted.span);
}

fn faults(wanted: &Fault, actual: Option<&crate::mesh::route::Fault>, verdict: &mut Verdict) {
    let none = || "none".to_owned();
    let share = |share: Option<Spanned<Share>>| share.map_or(super::format::WHOLE, |share| share.value);
    let delay = |fixed: Duration, share: Probability| format!("{} for {}", go_duration(fixed), share_text(share));
    let expected = wanted.delay.map_or_else(none, |fixed| delay(fixed.value, of(share(wanted.delay_share))));
    let found = actual.and_then(|fault| fault.delay).filter(|delay| delay.share.0 > 0);
    let actual_delay = found.map_or_else(none, |found| delay(found.fixed, per_million(found.share)));
    let span = |own: Option<Span>| own.unwrap_or(wanted.span);
    if expected != actual_delay {
        verdict.fail("fault.delay", expected, actual_delay, span(wanted.delay.map(|delay| delay.span)));
    }
    let abort = |status: String, share: Probability| format!("{status} for {}", share_text(share));
    let expected = wanted.abort.map_or_else(none, |status| abort(status.value.to_string(), of(share(wanted.abort_share))));
    let found = actual.and_then(|fault| fault.abort).filter(|abort| abort.share.0 > 0);
    let actual_abort = found.map_or_else(none, |found| {
        let status = match found.status {
            AbortStatus::Http(status) => status.to_string(),
            AbortStatus::Grpc(status) => format!("gRPC {status}"),
        };
        abort(status, per_million(found.share))
    });
    if expected != actual_abort {
        verdict.fail("fault.abort", expected, actual_abort, span(wanted.abort.map(|abort| abort.span)));
    }
}

/// A duration as configurations write it.
pub(super) fn go_duration(value: Duration) -> String {
    let nanos = value.nanos();
    match nanos {
        _ if nanos.is_multiple_of(1_000_000_000) => format!("{}s", nanos / 1_000_000_000),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!("{}us", nanos / 1_000),
        _ => format!("{nanos}ns"),
    }
}

fn per_million(share: PerMillion) -> Probability {
    Probability::new(u128::from(share.0), 1_000_000)
}

fn of(share: Share) -> Probability {
    Probability::new(u128::from(share.per_million), 1_000_000)
}

fn of_share(share: Share) -> String {
    share_text(of(share))
}

/// Whether a probability is a share, as exactly as shares are written: thirds are rounded.
fn is_share(actual: Probability, wanted: Share) -> bool {
    let scaled = actual.numerator * 1_000_000;
    let wanted = u128::from(wanted.per_million) * actual.denominator;
    scaled.abs_diff(wanted) < actual.denominator
}

/// Whether so many hits are within five standard deviations of a share; none and all are exact.
fn is_likely(hits: u64, count: u64, share: Share) -> bool {
    let share = f64::from(share.per_million) / 1e6;
    let mean = count as f64 * share;
    let deviation = (count as f64 * share * (1.0 - share)).sqrt();
    (hits as f64 - mean).abs() <= 5.0 * deviation + 1e-9
}

fn list(shares: &[(String, Probability)]) -> String {
    if shares.is_empty() {
        return "no destination".to_owned();
    }
    let all: Vec<String> =
        shares.iter().map(|(name, share)| format!("{} {}", share_text(*share), destination_name(name))).collect();
    all.join(", ")
}
