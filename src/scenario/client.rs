//! Clients: who sends requests, which, and when.

use super::amount::{Rate, Spread};
use super::token::TokenTemplate;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::Map;

crate::record! {
    /// A client.
    pub struct Client {
        /// Name, for reports.
        pub name: Spanned<String> = "name",
        /// The gateway or workload whose proxy its requests go through: `name` or `name.namespace`.
        pub from: Spanned<String> = "from",
        /// The request; a list is sent in turn.
        pub request: Option<RequestTemplate> = "request",
        /// Several requests, sent in turn.
        pub requests: Vec<RequestTemplate> = "requests",
        /// Classes of users; one class of every request if absent.
        pub users: Vec<User> = "users",
        /// When requests are sent.
        pub traffic: Traffic = "traffic",
        /// The client's own timeout; absent means none.
        pub timeout: Option<Spanned<Duration>> = "timeout",
        /// Requests sent before this time are not counted.
        pub warm_up: Option<Spanned<Duration>> = "warmUp",
        /// Phases in which it sends; all if absent. Its traffic begins anew in each of them.
        pub phases: Vec<Spanned<String>> = "phases",
    }

    /// A request to send.
    pub struct RequestTemplate {
        /// `http://authority[:port]/path`; at a gateway the port is the gateway's server port.
        pub url: Spanned<String> = "url",
        /// Method; GET if absent.
        pub method: Option<Spanned<String>> = "method",
        /// Headers.
        pub headers: Map<Spanned<String>> = "headers",
        /// Cookies, joined into one header.
        pub cookies: Map<Spanned<String>> = "cookies",
        /// A token that it carries.
        pub token: Option<TokenTemplate> = "token",
    }

    /// A class of users.
    pub struct User {
        /// Name, for reports.
        pub name: Spanned<String> = "name",
        /// Relative share; 1 if absent.
        pub weight: Option<Spanned<u32>> = "weight",
        /// Headers they send.
        pub headers: Map<Spanned<String>> = "headers",
        /// Cookies they send.
        pub cookies: Map<Spanned<String>> = "cookies",
        /// The token they have, instead of the one of the request.
        pub token: Option<TokenTemplate> = "token",
        /// Exactly this number of requests in turn before the next class, instead of by chance.
        pub in_turn: Option<Spanned<u32>> = "inTurn",
    }

    /// When requests are sent: `rate` with `arrivals`, or `closedLoop`, or nothing for all at once.
    pub struct Traffic {
        /// Open loop: mean rate.
        pub rate: Option<Rate> = "rate",
        /// How open-loop requests arrive; constant if absent.
        pub arrivals: Option<Arrivals> = "arrivals",
        /// Closed loop: each of some users sends the next request after the answer.
        pub closed_loop: Option<ClosedLoop> = "closedLoop",
        /// Number of requests (of each phase); absent means until the end.
        pub requests: Option<Spanned<u64>> = "requests",
        /// When it begins, from the start of the run or phase.
        pub start: Option<Spanned<Duration>> = "start",
        /// How long it lasts; until the end of the run or phase if absent.
        pub duration: Option<Spanned<Duration>> = "duration",
    }

    /// A closed loop.
    pub struct ClosedLoop {
        /// Concurrent users.
        pub users: Spanned<u32> = "users",
        /// Pause after an answer.
        pub think: Spread = "think",
    }
}

crate::choice! {
    /// How open-loop requests arrive.
    pub enum Arrivals {
        /// At equal distances, the first at once.
        Constant = "constant",
        /// With exponential gaps.
        Poisson = "poisson",
        /// Each somewhere in its own slot of constant length.
        Uniform = "uniform",
    }
}
