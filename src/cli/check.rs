//! `meshsim check`: is this configuration right?

use std::path::PathBuf;

use meshsim::analysis;
use meshsim::diagnostic::{self, Severity};
use meshsim::mesh::{self, CompileOptions};
use meshsim::report;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::input::Input;
use super::release::Release;

/// Check configuration: syntax, schema and meaning
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Files and directories to check; directories with everything below
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    release: Release,
    /// How to print findings
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Full)]
    output: Format,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With an excerpt of the file
    Full,
    /// One line each
    Concise,
}

/// Runs `meshsim check`.
pub(crate) fn run(args: &CheckArgs, cx: &mut Context) -> Outcome {
    let loaded = args.input.load(&args.paths, cx)?;
    cx.detail(&format!("{} objects in {} files", loaded.objects.items.len(), loaded.sources.iter().count()));
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (compiled, meaning) = mesh::compile(&loaded.objects, &options);
    let all = analysis::analyze(&loaded.objects, &compiled, [loaded.diagnostics, meaning].concat());
    let mut findings = diagnostic::without_repeats(all);
    report::order(&mut findings);
    let text = match args.output {
        Format::Full => report::findings(&loaded.sources, &findings, cx.color()),
        Format::Concise => report::findings_concise(&loaded.sources, &findings, cx.color()),
    };
    cx.print(&text)?;
    cx.print(&report::findings_summary(&loaded.sources, &findings))?;
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { Exit::Findings } else { Exit::Good })
}
