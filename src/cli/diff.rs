//! `meshsim diff`: what does this change do to traffic?

use std::path::PathBuf;

use meshsim::analysis;
use meshsim::change::{self, Delta};
use meshsim::diagnostic::{self, Diagnostic};
use meshsim::mesh::{CompileOptions, Mesh, Profile, compile};
use meshsim::report::{self, ChangeReport};
use meshsim::text::Style;

use super::access_logs;
use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::Files;
use super::release::Releases;
use super::sides::{self, Side};

/// Show what a change does to traffic: classes of requests with a witness each, or the proof that
/// nothing changes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArgs {
    /// Files, folders or git revisions; `BASE..HEAD` takes revisions and the paths in them
    #[arg(value_name = "BASE HEAD | BASE..HEAD [PATH]", required = true)]
    sides: Vec<String>,
    /// Path in git revisions; may be repeated [default: the working directory]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Access log, to tell how much of the traffic each change concerns; may be repeated
    #[arg(long = "log", value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The proxy that wrote the log [default: the one that knows a request's authority best]
    #[arg(long, value_name = "WORKLOAD|GATEWAY", requires = "logs")]
    from: Option<String>,
    /// What is on both sides.
    #[command(flatten)]
    common: Files,
    /// Release of Istio whose behaviour applies, or two with `..` between them
    #[arg(long, value_name = "VERSION[..VERSION]", default_value = "latest", value_parser = Releases::parse)]
    istio_version: Releases,
    /// Look for an order in which the changed objects can be applied without a gap
    #[arg(long)]
    apply_order: bool,
    /// End with 1 if anything changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  meshsim diff main..HEAD mesh/
  meshsim diff mesh-before/ mesh-after/ --apply-order -o markdown
  meshsim diff -f services/ routes-before/ routes-after/ --mesh-config mesh-config.yaml
  meshsim diff mesh/ --istio-version 1.4..1.24

What `-f` and `--mesh-config` name is on both sides; a ConfigMap `istio` in a side is that side's own.";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// JSON
    Json,
    /// A comment for a pull request
    Markdown,
}

/// Runs `meshsim diff`.
pub(crate) fn run(args: &DiffArgs, cx: &mut Context) -> Outcome {
    let (base, head) = sides::places(&args.sides, &args.paths)?;
    let (sources, before, after) = sides::load(&base, &head, &args.common, cx)?;
    let [older, newer] = args.istio_version.sides();
    if base == head && older == newer {
        return Err(Stop::Unusable(vec!["both sides are the same; name two, or two releases".to_owned()]));
    }
    let with = |profile: &Profile| CompileOptions { profile: profile.clone(), ..CompileOptions::default() };
    let (one, findings_before) = understood(before.clone(), &with(older));
    let (other, findings_after) = understood(after.clone(), &with(newer));
    let delta: Delta = change::compare(&one, &other);
    let findings = change::findings_delta(&findings_before, &findings_after);
    let order = args.apply_order.then(|| {
        let changed = change::changed_objects(&sources, &before.objects, &after.objects);
        change::order(&before.objects, &after.objects, &changed, &with(newer))
    });
    let entries = access_logs::read(&args.logs, cx)?;
    let counts = meshsim::replay::observed(&entries, &one, &other, args.from.as_deref(), &delta);
    let observed = (!args.logs.is_empty()).then_some((counts.as_slice(), entries.len() as u64));
    let shown = ChangeReport { sources: &sources, delta: &delta, findings: &findings, order: order.as_ref(), observed };
    cx.print(&match args.output {
        Format::Text => report::change(&shown, Style { colour: cx.color(), width: 110 }),
        Format::Json => report::change_json(&shown),
        Format::Markdown => report::change_markdown(&shown),
    })?;
    Ok(if args.detailed_exitcode && !delta.is_nothing() { Exit::Findings } else { Exit::Good })
}

/// A side compiled, with everything that is found in it.
fn understood(side: Side, options: &CompileOptions) -> (Mesh, Vec<Diagnostic>) {
    let (mesh, meaning) = compile(&side.objects, options);
    let findings = analysis::analyze(&side.objects, &mesh, [side.diagnostics, meaning].concat());
    (mesh, diagnostic::without_repeats(findings))
}
