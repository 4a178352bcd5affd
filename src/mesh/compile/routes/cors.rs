//! CORS policies.

use super::matches::origin_tests;
use crate::mesh::route::{Cors, Test};
use crate::resource::networking::CorsPolicy;
use crate::source::Spanned;

pub(super) fn translate(policy: &CorsPolicy) -> Cors {
    let allow_origins = if policy.allow_origins.is_empty() {
        policy.allow_origin.iter().map(|origin| Test::Exact(origin.value.clone())).collect()
    } else {
        origin_tests(&policy.allow_origins)
    };
    Cors {
        allow_origins,
        allow_methods: joined(&policy.allow_methods),
        allow_headers: joined(&policy.allow_headers),
        expose_headers: joined(&policy.expose_headers),
        max_age: policy.max_age.as_ref().map_or_else(String::new, |age| (age.nanos() / 1_000_000_000).to_string()),
        allow_credentials: policy.allow_credentials.as_ref().is_some_and(|allow| allow.value),
        forward_unmatched_preflights: policy.unmatched_preflights.as_ref().is_none_or(|word| word.value != "IGNORE"),
    }
}

fn joined(words: &[Spanned<String>]) -> String {
    words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(",")
}
