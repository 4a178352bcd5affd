//! `meshsim schema`: JSON Schemas, for editors and for tools that read results.

use super::context::Context;
use super::exit::{Exit, Outcome};

/// Print a JSON Schema
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// What it describes
    #[arg(value_enum, value_name = "OF")]
    of: Schema,
}

/// What there are schemas of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Schema {
    /// Scenario files
    Scenario,
    /// Results of `meshsim run -o json`
    Result,
    /// Results of `meshsim check -o json`
    Findings,
    /// `.meshsim.yaml`, which says how a repository is checked
    Config,
    /// Files of routing tests
    Test,
}

/// Runs `meshsim schema`.
pub(crate) fn run(args: &SchemaArgs, cx: &mut Context) -> Outcome {
    let schema = match args.of {
        Schema::Scenario => meshsim::scenario::schema(),
        Schema::Result => meshsim::report::result_schema(),
        Schema::Findings => meshsim::report::findings_schema(),
        Schema::Config => meshsim::analysis::config::schema(),
        Schema::Test => meshsim::suite::schema(),
    };
    cx.print(&format!("{schema:#}\n"))?;
    Ok(Exit::Good)
}
