//! Questions to a report: how many answers or calls of some kind there were, and how long they took.

use std::collections::{BTreeMap, BTreeSet};

use meshsim::record::{ClientGroup, EdgeGroup, OutcomeTally, RunReport};
use meshsim::time::Duration;

/// What clients saw, narrowed down step by step.
#[derive(Clone)]
pub(crate) struct Pages<'r> {
    report: &'r RunReport,
    groups: Vec<&'r ClientGroup>,
    keep: Keep,
}

/// Calls between services, narrowed down step by step.
#[derive(Clone)]
pub(crate) struct Calls<'r> {
    report: &'r RunReport,
    groups: Vec<&'r EdgeGroup>,
    keep: Keep,
}

/// Which answers count.
#[derive(Clone, Default)]
struct Keep {
    label: Option<String>,
    status: Option<u16>,
    flags: Option<String>,
}

impl Keep {
    fn of<'r>(&self, outcomes: &'r [OutcomeTally]) -> impl Iterator<Item = &'r OutcomeTally> + use<'_, 'r> {
        outcomes.iter().filter(|outcome| {
            self.label.as_ref().is_none_or(|label| outcome.labels.contains(label))
                && self.status.is_none_or(|status| outcome.status == status)
                && self.flags.as_ref().is_none_or(|flags| outcome.flags == *flags)
        })
    }
}

/// The beginning of a question.
pub(crate) trait Ask {
    /// What clients saw.
    fn pages(&self) -> Pages<'_>;
    /// Calls between services.
    fn calls(&self) -> Calls<'_>;
}

impl Ask for RunReport {
    fn pages(&self) -> Pages<'_> {
        Pages { report: self, groups: self.clients.iter().collect(), keep: Keep::default() }
    }

    fn calls(&self) -> Calls<'_> {
        Calls { report: self, groups: self.edges.iter().collect(), keep: Keep::default() }
    }
}

/// The questions that answers of both kinds take.
macro_rules! answers {
    ($name:ident) => {
        #[allow(dead_code, reason = "both kinds answer the same questions, and not every one is asked of both")]
        impl<'r> $name<'r> {
            /// Of this phase.
            pub(crate) fn phase(mut self, name: &str) -> Self {
                let phase = self.report.phases.iter().position(|p| p.name == name);
                let phase = phase.unwrap_or_else(|| panic!("no phase {name} among {:?}", self.report.phases));
                self.groups.retain(|g| g.phase == phase);
                self
            }

            /// Of this client.
            pub(crate) fn client(mut self, name: &str) -> Self {
                self.groups.retain(|g| g.client == name);
                self
            }

            /// Of this class of users.
            pub(crate) fn user(mut self, name: &str) -> Self {
                self.groups.retain(|g| g.user == name);
                self
            }

            /// With these response flags.
            pub(crate) fn flags(mut self, flags: &str) -> Self {
                self.keep.flags = Some(flags.to_owned());
                self
            }

            fn outcomes(&self) -> Vec<&'r OutcomeTally> {
                self.groups.iter().flat_map(|group| self.keep.of(&group.outcomes)).collect()
            }

            /// How many answers.
            pub(crate) fn count(&self) -> u64 {
                self.outcomes().iter().map(|outcome| outcome.count).sum()
            }

            /// How many answers by status.
            pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
                let mut counts = BTreeMap::new();
                for outcome in self.outcomes() {
                    *counts.entry(outcome.status).or_default() += outcome.count;
                }
                counts
            }

            /// That there were `count` answers, all of them with this status.
            #[track_caller]
            pub(crate) fn all(&self, count: u64, status: u16) {
                assert_eq!(self.statuses(), BTreeMap::from([(status, count)]));
            }
        }
    };
}

answers!(Pages);
answers!(Calls);

impl<'r> Pages<'r> {
    /// With this label.
    pub(crate) fn label(mut self, label: &str) -> Self {
        self.keep.label = Some(label.to_owned());
        self
    }

    /// With this status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.keep.status = Some(status);
        self
    }

    /// How many answers by time, in milliseconds.
    pub(crate) fn times_ms(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for outcome in self.outcomes() {
            assert_eq!(outcome.latency.count, outcome.count, "every answer has a time");
            for (time, count) in &outcome.latency.buckets {
                *counts.entry(time.millis()).or_default() += count;
            }
        }
        counts
    }

    /// The labels that occur.
    pub(crate) fn labels(&self) -> BTreeSet<&'r str> {
        self.outcomes().iter().flat_map(|outcome| outcome.labels.iter().map(String::as_str)).collect()
    }

    /// That all took this long, give or take a millisecond.
    #[track_caller]
    pub(crate) fn took(&self, time: Duration) {
        assert!(self.count() > 0, "there are answers");
        for outcome in self.outcomes() {
            let (least, most) = (outcome.latency.min.nanos(), outcome.latency.max.nanos());
            let near = |ns: u64| ns.abs_diff(time.nanos()) <= 1_000_000;
            assert!(near(least) && near(most), "{least} to {most} ns instead of {time:?}: {outcome:?}");
        }
    }
}

impl<'r> Calls<'r> {
    /// By this workload, or a client at its proxy.
    pub(crate) fn from(mut self, source: &str) -> Self {
        self.groups.retain(|g| g.source == source || g.source.split_once('.').is_some_and(|(name, _)| name == source));
        self
    }

    /// To this service, by short name.
    pub(crate) fn to(mut self, service: &str) -> Self {
        self.groups.retain(|g| g.service == service || g.service.split_once('.').is_some_and(|(name, _)| name == service));
        self
    }

    /// Reaching a pod of this version.
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.groups.retain(|g| g.version == version);
        self
    }

    /// Reaching this workload.
    pub(crate) fn workload(mut self, workload: &str) -> Self {
        self.groups.retain(|g| g.workload.split_once('.').is_some_and(|(name, _)| name == workload));
        self
    }

    /// How many arrived.
    pub(crate) fn arrived(&self) -> u64 {
        self.groups.iter().map(|group| group.arrived).sum()
    }

    /// How many arrived by version.
    pub(crate) fn versions(&self) -> BTreeMap<&'r str, u64> {
        let mut counts = BTreeMap::new();
        for group in self.groups.iter().filter(|group| group.arrived > 0) {
            *counts.entry(group.version.as_str()).or_default() += group.arrived;
        }
        counts
    }

    /// How many arrived by workload.
    pub(crate) fn workloads(&self) -> BTreeMap<&'r str, u64> {
        let mut counts = BTreeMap::new();
        for group in self.groups.iter().filter(|group| group.arrived > 0) {
            *counts.entry(group.workload.as_str()).or_default() += group.arrived;
        }
        counts
    }
}
