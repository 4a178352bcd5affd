//! `meshsim replay`: what would this configuration have done to real traffic?

use std::path::PathBuf;

use meshsim::mesh::{CompileOptions, compile};
use meshsim::replay::replay;
use meshsim::report;
use meshsim::routing;
use meshsim::text::Style;

use super::access_logs;
use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::{Files, Loaded};
use super::release::Release;
use super::sides;

/// Send the requests of access logs through one configuration or two
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// Access logs: Envoy's or Istio's default format, or JSON lines; `-` is standard input
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// Configuration before a change: file, folder or git revision; may be repeated
    #[arg(long, value_name = "PLACE", requires = "after", help_heading = "Change")]
    before: Vec<String>,
    /// Configuration after the change, in the same way
    #[arg(long, value_name = "PLACE", requires = "before", help_heading = "Change")]
    after: Vec<String>,
    /// Path in git revisions; may be repeated [default: the working directory]
    #[arg(long = "path", value_name = "PATH", requires = "before", help_heading = "Change")]
    paths: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// The proxy that wrote the log [default: the one that knows a request's authority best]
    #[arg(long, value_name = "WORKLOAD|GATEWAY")]
    from: Option<String>,
    #[command(flatten)]
    release: Release,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  kubectl logs deploy/istio-ingressgateway -n istio-system | meshsim replay - -f mesh/
  meshsim replay access.log --before main --after HEAD --path mesh/ --from istio-ingressgateway
  meshsim replay access.log -f services/ --before routes-old/ --after routes-new/

With `-f` alone, everything it names is one configuration. With `--before` and `--after` the log goes through
both, and what `-f` and `--mesh-config` name is on both sides.";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// JSON
    Json,
}

/// Runs `meshsim replay`.
pub(crate) fn run(args: &ReplayArgs, cx: &mut Context) -> Outcome {
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (sources, one, other) = if args.before.is_empty() {
        let Loaded { sources, objects, .. } = args.files.load(&[], cx)?;
        (sources, compile(&objects, &options).0, None)
    } else {
        let [base, head] = [sides::place(&args.before, &args.paths)?, sides::place(&args.after, &args.paths)?];
        let (sources, before, after) = sides::load(&base, &head, &args.files, cx)?;
        (sources, compile(&before.objects, &options).0, Some(compile(&after.objects, &options).0))
    };
    if let Some(from) = &args.from {
        for mesh in std::iter::once(&one).chain(&other) {
            routing::named(mesh, from).map_err(|why| Stop::Unusable(vec![why]))?;
        }
    }
    let entries = access_logs::read(&args.logs, cx)?;
    if entries.is_empty() {
        return Err(Stop::Unusable(vec!["no request in the log".to_owned()]));
    }
    let result = replay(&entries, &one, other.as_ref(), args.from.as_deref());
    cx.print(&match args.output {
        Format::Text => report::replay(&result, &sources, other.is_some(), Style { colour: cx.color(), width: 110 }),
        Format::Json => report::replay_json(&result, &sources),
    })?;
    Ok(if result.failing > 0 && other.is_some() { Exit::Findings } else { Exit::Good })
}
