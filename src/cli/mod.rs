//! The command line: the only place that reads files, the environment and the terminal.
//!
//! One file per subcommand holds its arguments (what was typed) and a `run` (what happens).
//! [`app`] knows all subcommands, [`input`] reads what they work on, [`context`] is where they
//! write, [`exit`] is how they end. To add one: a file with `pub(crate) struct XArgs` and
//! `pub(crate) fn run(args: &XArgs, cx: &mut Context) -> Outcome`, and one row in `app`.

mod app;
mod check;
mod conformance;
mod context;
mod exit;
mod explain;
mod export;
mod input;
mod proxies;
mod release;
mod result_file;
mod route;
mod run;
mod scenario_files;
mod schema;
mod telemetry;
mod shell;
mod tls_check;
mod url;
mod watch;

pub(crate) use app::main;
