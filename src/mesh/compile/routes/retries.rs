//! Retry policies: from the API's fields and the release's defaults to Envoy's.

use crate::mesh::Profile;
use crate::mesh::route::RetryPolicy;
use crate::mesh::status::is_named_http_status;
use crate::resource::networking::HttpRetry;

const STATUS_CODES: &str = "retriable-status-codes";

/// The policy of a route. `own` is the rule's, `mesh_default` the mesh's; `None` in both takes the
/// release's default. `hashed` says that the one destination is balanced by a hash, which keeps
/// retries on the host.
pub(super) fn translate(
    own: Option<&HttpRetry>,
    mesh_default: Option<&HttpRetry>,
    hashed: bool,
    profile: &Profile,
) -> Option<RetryPolicy> {
    let default = RetryPolicy {
        on: profile.default_retries.on.to_owned(),
        codes: profile.retry_codes.to_vec(),
        attempts: profile.default_retries.attempts,
        per_try_timeout: None,
        avoids_tried_hosts: !hashed && profile.host_picks_max > 0,
        host_picks_max: profile.host_picks_max,
        retry_remote_localities: false,
        back_off_base: None,
    };
    let Some(policy) = own.or(mesh_default) else {
        return (default.attempts > 0).then_some(default);
    };
    let attempts = policy.attempts.as_ref().map_or(0, |attempts| attempts.value);
    if attempts <= 0 {
        return None;
    }
    let (on, codes) = match policy.retry_on.as_ref().filter(|on| !on.is_empty()) {
        Some(on) => conditions(on),
        None => (profile.explicit_retry_on.to_owned(), default.codes),
    };
    let ignores_tried = policy.retry_ignore_previous_hosts.as_ref().is_some_and(|ignore| !ignore.value);
    Some(RetryPolicy {
        on,
        codes,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        per_try_timeout: policy.per_try_timeout.as_ref().map(|timeout| timeout.value),
        avoids_tried_hosts: default.avoids_tried_hosts && !ignores_tried,
        retry_remote_localities: policy.retry_remote_localities.as_ref().is_some_and(|remote| remote.value),
        back_off_base: policy.backoff.as_ref().map(|base| base.value),
        ..default
    })
}

/// Splits `retryOn` into Envoy's conditions and statuses. The condition for statuses is added where
/// they come without it, even behind nothing.
fn conditions(text: &str) -> (String, Vec<u16>) {
    let mut codes = Vec::new();
    let mut words = Vec::new();
    for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
        match token.parse::<u16>() {
            Ok(code) if is_named_http_status(code) => codes.push(code),
            _ => words.push(token),
        }
    }
    let mut on = words.join(",");
    if !codes.is_empty() && !on.contains(STATUS_CODES) {
        on.push(',');
        on.push_str(STATUS_CODES);
    }
    (on, codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Spanned;

    fn policy(attempts: i64, retry_on: &str) -> HttpRetry {
        HttpRetry {
            attempts: Some(Spanned::made_up(attempts)),
            retry_on: Some(Spanned::made_up(retry_on.to_owned())),
            ..HttpRetry::default()
        }
    }

    #[test]
    fn statuses_among_the_conditions_become_codes() {
        for (text, on, codes) in [
            ("5xx", "5xx", vec![]),
            ("409", ",retriable-status-codes", vec![409]),
            ("503,reset,429", "reset,retriable-status-codes", vec![503, 429]),
            ("retriable-status-codes,502", "retriable-status-codes", vec![502]),
            (" gateway-error , 599 ", "gateway-error,599", vec![]),
        ] {
            let made = translate(Some(&policy(1, text)), None, false, &Profile::latest()).unwrap();
            assert_eq!((made.on.as_str(), made.codes), (on, codes), "{text}");
        }
    }

    #[test]
    fn no_attempts_means_no_policy_and_no_policy_means_the_default() {
        let latest = Profile::latest();
        assert!(translate(Some(&HttpRetry::default()), None, false, &latest).is_none());
        assert!(translate(None, Some(&policy(0, "")), false, &latest).is_none());
        let default = translate(None, None, true, &latest).unwrap();
        assert_eq!((default.attempts, default.avoids_tried_hosts), (2, false));
        let oldest = Profile::of_version("1.0").unwrap();
        assert!(translate(None, None, false, &oldest).is_none());
        assert_eq!(translate(Some(&policy(3, "")), None, false, &oldest).unwrap().on, "5xx,connect-failure,refused-stream");
    }
}
