//! Integration tests, one binary: whole programs and whole files in, bytes out.

mod engine;
mod conformance;
mod layers;
mod reading;
mod stage_play;
mod scenario_input;
mod policies;
