//! The command line: the only place that reads files, the environment and the terminal.
//!
//! One file per subcommand holds its arguments (what was typed) and a `run` (what happens).
//! [`app`] knows all subcommands, [`input`] reads what they work on, [`context`] is where they
//! write, [`exit`] is how they end. To add one: a file with `pub(crate) struct XArgs` and
//! `pub(crate) fn run(args: &XArgs, cx: &mut Context) -> Outcome`, and one row in `app`.

mod access_logs;
mod app;
mod check;
mod conformance;
mod context;
mod diff;
mod exit;
mod explain;
mod export;
mod fixes;
mod git;
mod input;
mod prove;
mod release;
mod replay;
mod result_file;
mod route;
mod run;
mod scenario_files;
mod schema;
mod shell;
mod sides;
mod telemetry;
mod test;
mod test_files;
mod tls_check;
mod url;
mod watch;

pub(crate) use app::main;
