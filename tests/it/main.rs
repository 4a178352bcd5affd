//! Integration tests, one binary: whole programs and whole files in, bytes out.

mod balance;
mod check_commands;
mod change_commands;
mod change_laws;
mod conformance;
mod engine;
mod engine_balance;
mod engine_laws;
mod engine_phases;
mod engine_pools;
mod export_commands;
mod layers;
mod lessons;
mod reach;
mod reading;
mod readme;
mod routing;
mod routing_commands;
mod scenario_format;
mod scenario_input;
mod scenario_options;
mod stage_play;
mod suite_command;
mod support;
mod telemetry;
mod tutorial;
