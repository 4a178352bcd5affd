//! Applications: what a workload does with a request.
//!
//! An application is a list of handlers; a handler works for some time, calls others one after the
//! other (or several at once), and answers. Answers carry *labels*, words that say what the user
//! sees (`black-stars`, `reviews-unavailable`); a caller passes the labels of its calls on, so that a
//! page can be told by what is on it.

use super::amount::{Share, Spread};
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::Map;

crate::record! {
    /// What the pods of some workloads do.
    pub struct App {
        /// Workloads it is for: `name`, `name.namespace`, a prefix ending in `*`, or labels of the pods
        /// (`app=reviews,version=v3`). The first application that fits a workload is used; the
        /// scenario's own come before ready-made ones.
        pub workloads: Vec<Spanned<String>> = "workloads",
        /// Hosts outside of the mesh it is for (ServiceEntries without workloads).
        pub hosts: Vec<Spanned<String>> = "hosts",
        /// Requests that one pod handles at once; absent means any number.
        pub concurrency: Option<Spanned<u32>> = "concurrency",
        /// Requests that may wait at one pod when all its slots are taken; absent means any number.
        pub queue: Option<Spanned<u32>> = "queue",
        /// How long a new pod takes until it is ready: nobody sends to it before. Pods that are there
        /// from the start are ready.
        pub startup: Option<Spanned<Duration>> = "startup",
        /// What is done with a request; the first that fits is used, and none that fits answers 404.
        pub handlers: Vec<Handler> = "handlers",
        /// The port of a pod that nothing listens on is refused; these are listened on in addition
        /// to the container ports.
        pub ports: Vec<Spanned<u16>> = "ports",
    }

    /// What is done with some requests.
    pub struct Handler {
        /// Paths beginning so; absent means every path.
        pub path: Option<Spanned<String>> = "path",
        /// The path must be equal to `path`, apart from the query; false if absent.
        pub exact: Option<bool> = "exact",
        /// This method; absent means every method.
        pub method: Option<Spanned<String>> = "method",
        /// Work before the first call.
        pub service_time: Spread = "serviceTime",
        /// Calls, one step after the other.
        pub calls: Vec<CallStep> = "calls",
        /// The answer if no call ended the handler early; one of several by share. Absent means 200.
        pub reply: Vec<Reply> = "reply",
    }

    /// One step: a call, or several at once.
    pub struct CallStep {
        /// A single call.
        pub call: Option<Call> = "call",
        /// Several calls at once; the step ends with the last.
        pub parallel: Vec<Call> = "parallel",
        /// How often the step is done, one after the other; 1 if absent.
        pub times: Option<Spanned<u32>> = "times",
    }

    /// A call to another service.
    pub struct Call {
        /// Name, for reports; the host if absent.
        pub name: Option<Spanned<String>> = "name",
        /// Where to: `http://host:port/path` or `tcp://host:port`.
        pub url: Spanned<String> = "url",
        /// Method; GET if absent.
        pub method: Option<Spanned<String>> = "method",
        /// Headers of the incoming request that are passed on.
        pub forward: Vec<Spanned<String>> = "forward",
        /// Headers that are set; a value `{cookie:NAME}` or `{header:NAME}` is taken from the
        /// incoming request, and the header is left out if there is none.
        pub headers: Map<Spanned<String>> = "headers",
        /// The application's own timeout of each attempt; absent means none.
        pub timeout: Option<Spanned<Duration>> = "timeout",
        /// Attempts, one right after the other; 1 if absent.
        pub attempts: Option<Spanned<u32>> = "attempts",
        /// Statuses that count as success; 200 if absent.
        pub success: Vec<Spanned<u16>> = "success",
        /// Labels of the answer that make it a failure whatever its status.
        pub failure_labels: Vec<Spanned<String>> = "failureLabels",
        /// Whether the labels of a successful answer are passed on; true if absent. Those of a failed
        /// call never are.
        pub pass_labels: Option<bool> = "passLabels",
        /// What happens after a success.
        pub on_success: Option<Outcome> = "onSuccess",
        /// What happens when the last attempt failed.
        pub on_failure: Option<Outcome> = "onFailure",
        /// What happens when the last attempt timed out in the application; as `onFailure` if absent.
        pub on_timeout: Option<Outcome> = "onTimeout",
        /// Share of requests that make the call; all if absent.
        pub share: Option<Share> = "share",
    }

    /// What happens after a call.
    pub struct Outcome {
        /// Labels that are added to the answer.
        pub labels: Vec<Spanned<String>> = "labels",
        /// End the handler with this status.
        pub status: Option<Spanned<u16>> = "status",
        /// End the handler with the status of the call, or with this one if there was no answer.
        pub status_of_call_or: Option<Spanned<u16>> = "statusOfCallOr",
    }

    /// An answer. Of several, those whose `everyOther` says no are passed over, and one of the rest is
    /// drawn by share.
    pub struct Reply {
        /// How often; absent means the rest. The shares of a handler add up to 100 % at most.
        pub share: Option<Share> = "share",
        /// Status; 200 if absent.
        pub status: Option<Spanned<u16>> = "status",
        /// Labels.
        pub labels: Vec<Spanned<String>> = "labels",
        /// Headers of the answer.
        pub headers: Map<Spanned<String>> = "headers",
        /// Extra time before the answer.
        pub delay: Spread = "delay",
        /// Only in every second period of this length from the start of the run, beginning with the
        /// second one; then the answers after it are not considered.
        pub every_other: Option<Spanned<Duration>> = "everyOther",
    }
}

impl App {
    /// Whether it is for the workload with this name, namespace and labels of pods.
    #[must_use]
    pub fn fits_workload(&self, name: &str, namespace: &str, labels: &[(String, String)]) -> bool {
        self.workloads.iter().any(|pattern| workload_fits(&pattern.value, name, namespace, labels))
    }

    /// Whether it is for this host outside of the mesh.
    #[must_use]
    pub fn fits_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h.value.eq_ignore_ascii_case(host))
    }
}

/// Whether a pattern under `workloads` means a workload.
#[must_use]
pub fn workload_fits(pattern: &str, name: &str, namespace: &str, labels: &[(String, String)]) -> bool {
    if pattern.contains('=') {
        return pattern.split(',').all(|pair| {
            pair.split_once('=').is_some_and(|(key, value)| labels.iter().any(|(k, v)| k == key.trim() && v == value.trim()))
        });
    }
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name || pattern.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) == Some(namespace),
    }
}

impl Handler {
    /// Whether it takes this request; `path` may carry a query.
    #[must_use]
    pub fn takes(&self, method: &str, path: &str) -> bool {
        let bare = path.split(['?', '#']).next().unwrap_or(path);
        let path_fits = self.path.as_ref().is_none_or(|wanted| match self.exact {
            Some(true) => bare == wanted.value,
            _ => bare.starts_with(&wanted.value),
        });
        path_fits && self.method.as_ref().is_none_or(|wanted| wanted.value == method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_for_workloads_by_name_prefix_or_labels() {
        let labels = [("app".to_owned(), "reviews".to_owned()), ("version".to_owned(), "v3".to_owned())];
        for (pattern, fits) in [
            ("reviews-v3", true),
            ("reviews-v3.default", true),
            ("reviews-v3.other", false),
            ("reviews-v", false),
            ("reviews*", true),
            ("app=reviews", true),
            ("app=reviews,version=v3", true),
            ("app=reviews, version=v2", false),
            ("app", false),
        ] {
            assert_eq!(workload_fits(pattern, "reviews-v3", "default", &labels), fits, "{pattern}");
        }
    }

    #[test]
    fn a_handler_takes_requests_by_method_and_beginning_of_the_path() {
        let handler = |path: &str, exact| Handler {
            path: Some(Spanned::made_up(path.to_owned())),
            exact,
            method: Some(Spanned::made_up("GET".to_owned())),
            ..Handler::default()
        };
        assert!(handler("/reviews", None).takes("GET", "/reviews/0?x=1"));
        assert!(!handler("/reviews", None).takes("POST", "/reviews/0"));
        assert!(handler("/", Some(true)).takes("GET", "/?x=1"));
        assert!(!handler("/", Some(true)).takes("GET", "/reviews"));
    }
}
