//! Integration tests, one binary: whole programs and whole files in, bytes out.

mod engine;
mod conformance;
mod layers;
mod reading;
mod scenario_format;
mod scenario_input;
mod stage_play;
