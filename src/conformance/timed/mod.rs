//! Timed cases: a case is acted out by the simulation and compared with what was measured.
//!
//! | file | noun |
//! |---|---|
//! | `stage` | the case as a plan: endpoints that do what is written, requests at their instants |
//! | `witness` | a recorder that writes down what a log and the servers would have |
//! | `figures` | what several runs say about one item, as samples |
//! | `judgement` | whether samples and a measured range can be of one distribution |
//! | `score` | a case from its text to its first disagreements |
//!
//! # Judging what chance decides
//!
//! A record sums five runs up; ours are as many as are needed, each with another seed. One rule
//! serves for everything, whether chance has a part in it or not:
//!
//! - **Ours must fit in.** If a share `p` of our values is what was measured (equal to it, or within
//!   its range widened by the tolerance), all measured values were like that with probability `p^m`,
//!   where `m` is how many values the record sums up. That must not be incredible (one in a million).
//!   Where nothing is left to chance, `p` is 0 or 1.
//! - **Theirs must be possible.** Each of several measured outcomes is one of ours; and where a law is
//!   stated, both ends of a measured range lie within ours, which reach 4.5 standard deviations from
//!   the mean beyond what was seen.
//!
//! Durations, and other figures of one outcome, are compared among the runs with that outcome.

mod figures;
mod judgement;
mod score;
mod stage;
mod witness;

pub(super) use score::run;
