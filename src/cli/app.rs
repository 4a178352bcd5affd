//! The program's arguments and the table of subcommands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::check::{self, CheckArgs};
use super::conformance::{self, ConformanceArgs};
use super::context::{Color, Context, Verbosity};
use super::diff::{self, DiffArgs};
use super::exit::{Exit, Outcome, Stop};
use super::explain::{self, ExplainArgs};
use super::export::{self, ExportArgs};
use super::prove::{self, ProveArgs};
use super::replay::{self, ReplayArgs};
use super::route::{self, RouteArgs};
use super::run::{self, RunArgs};
use super::schema::{self, SchemaArgs};
use super::shell::{self, CompletionsArgs, ManArgs};
use super::test::{self, TestArgs};
use super::tls_check::{self, TlsCheckArgs};

/// Offline, deterministic simulator and validator of service-mesh traffic routing.
///
/// Reads the YAML a team already has. Never opens a socket, never reads a kubeconfig.
#[derive(Debug, Parser)]
#[command(name = "meshsim", version, max_term_width = 100, after_help = EXIT_CODES)]
struct App {
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
    /// Print results only, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more about what is done
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing to complain about
  1  findings, or expectations that failed
  2  wrong usage, or input that cannot be read";

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckArgs),
    Completions(CompletionsArgs),
    Conformance(ConformanceArgs),
    Diff(DiffArgs),
    Explain(ExplainArgs),
    Export(ExportArgs),
    Man(ManArgs),
    Prove(ProveArgs),
    Replay(ReplayArgs),
    Route(RouteArgs),
    Run(RunArgs),
    Schema(SchemaArgs),
    Test(TestArgs),
    TlsCheck(TlsCheckArgs),
}

impl Command {
    fn run(&self, cx: &mut Context) -> Outcome {
        match self {
            Command::Check(args) => check::run(args, cx),
            Command::Completions(args) => shell::completions::<App>(args, cx),
            Command::Conformance(args) => conformance::run(args, cx),
            Command::Diff(args) => diff::run(args, cx),
            Command::Explain(args) => explain::run(args, cx),
            Command::Export(args) => export::run(args, cx),
            Command::Man(args) => shell::man::<App>(args, cx),
            Command::Prove(args) => prove::run(args, cx),
            Command::Replay(args) => replay::run(args, cx),
            Command::Route(args) => route::run(args, cx),
            Command::Run(args) => run::run(args, cx),
            Command::Schema(args) => schema::run(args, cx),
            Command::Test(args) => test::run(args, cx),
            Command::TlsCheck(args) => tls_check::run(args, cx),
        }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let app = match App::try_parse() {
        Ok(app) => app,
        Err(error) => return usage(&error).into(),
    };
    let verbosity = match (app.quiet, app.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let mut cx = Context::new(app.color, verbosity);
    let outcome = app.command.run(&mut cx).and_then(|exit| cx.flush().map(|()| exit));
    outcome.unwrap_or_else(|stop| tell(&stop, &mut cx)).into()
}

/// Help and version are results; anything else that clap stops for is wrong usage.
fn usage(error: &clap::Error) -> Exit {
    // A closed pipe is the only way printing fails, and then nobody is left to tell.
    let _ = error.print();
    if error.use_stderr() { Exit::Unusable } else { Exit::Good }
}

fn tell(stop: &Stop, cx: &mut Context) -> Exit {
    match stop {
        Stop::ClosedPipe => Exit::Good,
        Stop::Output(error) => {
            cx.error(&format!("cannot write the result: {error}"));
            Exit::Unusable
        }
        Stop::Unusable(messages) => {
            for message in messages {
                cx.error(message);
            }
            Exit::Unusable
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::App;

    #[test]
    fn the_declared_arguments_do_not_contradict_each_other() {
        App::command().debug_assert();
    }
}
