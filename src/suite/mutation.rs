//! Small mistakes made on purpose, one at a time: a test that does not notice any of those in a rule
//! does not test the rule.

use crate::resource::networking::{HttpMatchRequest, HttpRoute, StringMatch, VirtualService};
use crate::resource::{Body, Objects};
use crate::source::{Span, Spanned};
use crate::time::Duration;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What is done, in words.
    pub what: String,
    /// Where.
    pub span: Span,
    object: usize,
    rule: usize,
    edit: Edit,
}

/// What is done to a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    RemoveRule,
    SwapWithNext,
    RemoveBlock(usize),
    RemoveCondition(usize, Part),
    ExactToPrefix(usize),
    ChangeValue(usize, Part),
    RemoveDestination(usize),
    MoveWeight(usize),
    Subset(usize, String),
    RemoveTimeout,
    DoubleTimeout,
    RemoveRetries,
    RemoveFault,
    RemoveRewrite,
    RemoveMirrors,
    RemoveHeaders,
    RemoveCors,
    RedirectStatus,
    DirectStatus,
}

/// A condition of a match block.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Uri,
    Method,
    Scheme,
    Authority,
    Header(usize),
    WithoutHeader(usize),
    Query(usize),
}

impl Mutant {
    /// The objects with the mistake in them.
    #[must_use]
    pub fn applied(&self, objects: &Objects) -> Objects {
        let mut changed = objects.clone();
        if let Some(Body::VirtualService(spec)) = changed.items.get_mut(self.object).map(|object| &mut object.body) {
            apply(&self.edit, self.rule, spec);
        }
        changed
    }
}

/// Every mistake that is made in the HTTP rules of VirtualServices.
#[must_use]
pub fn mutants(objects: &Objects) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (object, item) in objects.items.iter().enumerate() {
        let Body::VirtualService(spec) = &item.body else { continue };
        for (rule, own) in spec.http.iter().enumerate() {
            let mut put = |what: String, span: Span, edit| all.push(Mutant { what, span, object, rule, edit });
            whole_rule(spec, rule, &mut put);
            for (block, conditions) in own.matches.iter().enumerate() {
                if own.matches.len() > 1 {
                    put("match block removed".to_owned(), conditions.span, Edit::RemoveBlock(block));
                }
                of_block(conditions, block, &mut put);
            }
            destinations(objects, own, &mut put);
            parts(own, &mut put);
        }
    }
    all
}

fn whole_rule(spec: &VirtualService, rule: usize, put: &mut impl FnMut(String, Span, Edit)) {
    let span = spec.http[rule].span;
    put("rule removed".to_owned(), span, Edit::RemoveRule);
    if rule + 1 < spec.http.len() {
        put("rule swapped with the next one".to_owned(), span, Edit::SwapWithNext);
    }
}

fn of_block(block: &HttpMatchRequest, index: usize, put: &mut impl FnMut(String, Span, Edit)) {
    for (part, name, value) in conditions(block) {
        let span = value.map_or(block.span, |value| value.span);
        put(format!("condition on {name} removed"), span, Edit::RemoveCondition(index, part.clone()));
        if value.is_some_and(|value| value.exact.is_some() || value.prefix.is_some()) {
            put(format!("value of the condition on {name} changed"), span, Edit::ChangeValue(index, part.clone()));
        }
        if part == Part::Uri && value.is_some_and(|value| value.exact.is_some()) {
            put("exact path made a prefix".to_owned(), span, Edit::ExactToPrefix(index));
        }
    }
}

/// The conditions of a block with their names and values.
fn conditions(block: &HttpMatchRequest) -> Vec<(Part, String, Option<&StringMatch>)> {
    let mut all: Vec<(Part, String, Option<&StringMatch>)> = Vec::new();
    for (part, name, value) in [
        (Part::Uri, "the path", &block.uri),
        (Part::Method, "the method", &block.method),
        (Part::Scheme, "the scheme", &block.scheme),
        (Part::Authority, "the authority", &block.authority),
    ] {
        all.extend(value.as_ref().map(|value| (part, name.to_owned(), Some(value))));
    }
    for (index, (name, value)) in block.headers.0.iter().enumerate() {
        all.push((Part::Header(index), format!("header `{}`", name.value), value.as_ref()));
    }
    for (index, (name, value)) in block.without_headers.0.iter().enumerate() {
        all.push((Part::WithoutHeader(index), format!("absent header `{}`", name.value), value.as_ref()));
    }
    for (index, (name, value)) in block.query_params.0.iter().enumerate() {
        all.push((Part::Query(index), format!("query parameter `{}`", name.value), value.as_ref()));
    }
    all
}

fn destinations(objects: &Objects, rule: &HttpRoute, put: &mut impl FnMut(String, Span, Edit)) {
    for (index, leg) in rule.route.iter().enumerate() {
        if rule.route.len() > 1 {
            put("destination removed".to_owned(), leg.span, Edit::RemoveDestination(index));
            if leg.weight.as_ref().is_some_and(|weight| weight.value > 0) {
                put("weight moved to another destination".to_owned(), leg.span, Edit::MoveWeight(index));
            }
        }
        let Some(destination) = &leg.destination else { continue };
        let (Some(host), Some(subset)) = (&destination.host, &destination.subset) else { continue };
        if let Some(other) = other_subset(objects, &host.value, &subset.value) {
            put(format!("subset `{}` made `{other}`", subset.value), subset.span, Edit::Subset(index, other));
        }
    }
}

/// Another subset of the same host.
fn other_subset(objects: &Objects, host: &str, subset: &str) -> Option<String> {
    let short = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    let rules = objects.items.iter().filter_map(|object| match &object.body {
        Body::DestinationRule(spec) => Some(spec),
        _ => None,
    });
    let mut for_host = rules.filter(|rule| rule.host.as_ref().is_some_and(|own| short(&own.value) == short(host)));
    for_host.find_map(|rule| {
        let mut names = rule.subsets.iter().filter_map(|own| own.name.as_ref());
        names.find(|name| name.value != subset).map(|name| name.value.clone())
    })
}

fn parts(rule: &HttpRoute, put: &mut impl FnMut(String, Span, Edit)) {
    if let Some(timeout) = rule.timeout.filter(|timeout| !timeout.value.is_zero()) {
        put("timeout removed".to_owned(), timeout.span, Edit::RemoveTimeout);
        put("timeout doubled".to_owned(), timeout.span, Edit::DoubleTimeout);
    }
    let mirror = rule.mirror.as_ref().map(|own| own.span).or_else(|| rule.mirrors.first().map(|own| own.span));
    for (span, what, edit) in [
        (rule.retries.as_ref().map(|own| own.span), "retries removed", Edit::RemoveRetries),
        (rule.fault.as_ref().map(|own| own.span), "fault removed", Edit::RemoveFault),
        (rule.rewrite.as_ref().map(|own| own.span), "rewrite removed", Edit::RemoveRewrite),
        (mirror, "mirrors removed", Edit::RemoveMirrors),
        (rule.headers.as_ref().map(|own| own.span), "header operations removed", Edit::RemoveHeaders),
        (rule.cors_policy.as_ref().map(|own| own.span), "CORS policy removed", Edit::RemoveCors),
        (rule.redirect.as_ref().map(|own| own.span), "status of the redirect changed", Edit::RedirectStatus),
        (rule.direct_response.as_ref().map(|own| own.span), "status of the direct response changed", Edit::DirectStatus),
    ] {
        if let Some(span) = span {
            put(what.to_owned(), span, edit);
        }
    }
}

fn apply(edit: &Edit, index: usize, spec: &mut VirtualService) {
    match edit {
        Edit::RemoveRule => {
            spec.http.remove(index);
            return;
        }
        Edit::SwapWithNext => return spec.http.swap(index, index + 1),
        _ => {}
    }
    let Some(rule) = spec.http.get_mut(index) else { return };
    match edit {
        Edit::RemoveRule | Edit::SwapWithNext => {}
        Edit::RemoveBlock(block) => {
            rule.matches.remove(*block);
        }
        Edit::RemoveCondition(block, part) => remove_condition(&mut rule.matches[*block], part),
        Edit::ExactToPrefix(block) => {
            if let Some(uri) = &mut rule.matches[*block].uri {
                uri.prefix = uri.exact.take();
            }
        }
        Edit::ChangeValue(block, part) => {
            if let Some(value) = value_of(&mut rule.matches[*block], part) {
                for text in [&mut value.exact, &mut value.prefix].into_iter().flatten() {
                    text.value.push_str("-changed");
                }
            }
        }
        Edit::RemoveDestination(leg) => {
            rule.route.remove(*leg);
        }
        Edit::MoveWeight(leg) => {
            let other = if *leg == 0 { 1 } else { 0 };
            let moved = rule.route[*leg].weight.take().map_or(0, |weight| weight.value);
            let sum = moved + rule.route[other].weight.map_or(0, |weight| weight.value);
            rule.route[other].weight = Some(Spanned::made_up(sum));
        }
        Edit::Subset(leg, name) => {
            if let Some(destination) = &mut rule.route[*leg].destination {
                destination.subset = Some(Spanned::made_up(name.clone()));
            }
        }
        Edit::RemoveTimeout => rule.timeout = None,
        Edit::DoubleTimeout => {
            let doubled = |limit: Duration| Duration::from_nanos(limit.nanos().saturating_mul(2));
            rule.timeout = rule.timeout.map(|limit| Spanned::new(doubled(limit.value), limit.span));
        }
        Edit::RemoveRetries => rule.retries = None,
        Edit::RemoveFault => rule.fault = None,
        Edit::RemoveRewrite => rule.rewrite = None,
        Edit::RemoveMirrors => {
            rule.mirror = None;
            rule.mirrors.clear();
        }
        Edit::RemoveHeaders => rule.headers = None,
        Edit::RemoveCors => rule.cors_policy = None,
        Edit::RedirectStatus => {
            if let Some(redirect) = &mut rule.redirect {
                let other = if redirect.redirect_code.is_some_and(|code| code.value == 302) { 301 } else { 302 };
                redirect.redirect_code = Some(Spanned::made_up(other));
            }
        }
        Edit::DirectStatus => {
            if let Some(response) = &mut rule.direct_response {
                let other = if response.status.is_some_and(|status| status.value == 503) { 500 } else { 503 };
                response.status = Some(Spanned::made_up(other));
            }
        }
    }
}

fn remove_condition(block: &mut HttpMatchRequest, part: &Part) {
    match part {
        Part::Uri => block.uri = None,
        Part::Method => block.method = None,
        Part::Scheme => block.scheme = None,
        Part::Authority => block.authority = None,
        Part::Header(index) => {
            block.headers.0.remove(*index);
        }
        Part::WithoutHeader(index) => {
            block.without_headers.0.remove(*index);
        }
        Part::Query(index) => {
            block.query_params.0.remove(*index);
        }
    }
}

fn value_of<'b>(block: &'b mut HttpMatchRequest, part: &Part) -> Option<&'b mut StringMatch> {
    match part {
        Part::Uri => block.uri.as_mut(),
        Part::Method => block.method.as_mut(),
        Part::Scheme => block.scheme.as_mut(),
        Part::Authority => block.authority.as_mut(),
        Part::Header(index) => block.headers.0.get_mut(*index)?.1.as_mut(),
        Part::WithoutHeader(index) => block.without_headers.0.get_mut(*index)?.1.as_mut(),
        Part::Query(index) => block.query_params.0.get_mut(*index)?.1.as_mut(),
    }
}
