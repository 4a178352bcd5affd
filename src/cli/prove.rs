//! `meshsim prove`: does this hold for every request there can be?

use std::path::PathBuf;

use meshsim::diagnostic::Severity;
use meshsim::invariant::{self, Invariant, Proof};
use meshsim::mesh::{CompileOptions, compile};
use meshsim::report;
use meshsim::source::{FileId, Sources};
use meshsim::text::{Style, plural};
use rayon::prelude::*;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::input::{Depth, Input, Reader};
use super::release::Release;

/// Prove invariants over all requests, or refute them with a request that breaks them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProveArgs {
    /// Files of invariants, one on each line
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// An invariant; may be repeated
    #[arg(short = 'e', long = "invariant", value_name = "TEXT")]
    texts: Vec<String>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    release: Release,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  meshsim prove -f mesh/ -e 'requests to /admin never leave namespace ops'
  meshsim prove -f mesh/ -e 'host reviews always reaches subset v1 unless header end-user is jason'
  meshsim prove -f mesh/ invariants.txt

An invariant begins with `requests` or `host HOST`; then come
  to PATH | to exactly PATH | to paths matching REGEX | for host HOST
  with method M | with header NAME [is V | begins with V | matching REGEX] | with query NAME [...]
  without header NAME | from PROXY | from namespace NS | from gateways
then one of
  never reach DEST | always reach DEST | always reach subset S | never leave namespace NS
  never fail | never get STATUS | always get STATUS
and perhaps `unless` with conditions joined by `and`.";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// JSON
    Json,
}

/// Runs `meshsim prove`.
pub(crate) fn run(args: &ProveArgs, cx: &mut Context) -> Outcome {
    if args.files.is_empty() && args.texts.is_empty() {
        return Err(Stop::Unusable(vec!["no invariant; name a file, or write one with `-e`".to_owned()]));
    }
    let loaded = args.input.load(&[], cx)?;
    let mut sources: Sources = loaded.sources;
    let mut reader = Reader::default();
    let read: Vec<FileId> = args.files.iter().flat_map(|path| reader.read(path, Depth::One)).collect();
    let texts = reader.finish(cx)?.sources;
    let named =
        read.iter().filter_map(|file| texts.get(*file)).map(|source| (source.name().to_owned(), source.text().to_owned()));
    let typed = args.texts.iter().map(|text| ("-e".to_owned(), text.clone()));
    let files: Vec<FileId> =
        named.chain(typed).collect::<Vec<_>>().into_iter().map(|(name, text)| sources.add(name, text)).collect();
    let (mut all, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        let (invariants, wrong) = invariant::parse(&sources, file);
        all.extend(invariants);
        findings.extend(wrong);
    }
    if !findings.is_empty() {
        cx.findings(&report::findings(&sources, &findings, cx.color()));
        return Ok(Exit::Unusable);
    }
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (mesh, compiled) = compile(&loaded.objects, &options);
    let errors = loaded.diagnostics.iter().chain(&compiled).filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        cx.note(&format!("the configuration has {}; `meshsim check` shows them", plural(errors as u64, "error")));
    }
    let proofs: Vec<(Invariant, Proof)> = all
        .into_par_iter()
        .map(|invariant| {
            let proof = invariant::prove(&mesh, &invariant);
            (invariant, proof)
        })
        .collect();
    cx.print(&match args.output {
        Format::Text => report::invariants(&proofs, &sources, Style { colour: cx.color(), width: 110 }),
        Format::Json => report::invariants_json(&proofs, &sources),
    })?;
    let holds = proofs.iter().all(|(_, proof)| matches!(proof, Proof::Proven(_)));
    Ok(if holds { Exit::Good } else { Exit::Findings })
}
