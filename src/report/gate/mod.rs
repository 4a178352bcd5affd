//! Findings in the formats of those who wait for them: code hosts, build servers, editors.
//!
//! | file | for |
//! |---|---|
//! | `github` | annotations of GitHub Actions |
//! | `gitlab` | code quality reports of GitLab |
//! | `junit` | everything that shows test results |
//! | `sarif` | code scanning and editors |
//! | `markdown` | comments and job summaries |
//! | `rules` | the table of all kinds of findings |

#[cfg(test)]
mod fixture;
mod github;
mod gitlab;
mod junit;
mod markdown;
mod place;
mod rules;
mod sarif;

pub use github::findings_github;
pub use gitlab::findings_gitlab;
pub use junit::findings_junit;
pub use markdown::findings_markdown;
pub use rules::{explain, rules, rules_json, rules_markdown};
pub use sarif::findings_sarif;
