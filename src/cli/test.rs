//! `meshsim test`: does the configuration still do what was promised?

use std::path::PathBuf;
use std::sync::Arc;

use meshsim::change;
use meshsim::diagnostic::{Diagnostic, Severity};
use meshsim::mesh::{self, CompileOptions, Mesh};
use meshsim::report::{self, MutantFate, SuiteReport};
use meshsim::resource::Objects;
use meshsim::source::Sources;
use meshsim::suite::router_check::{RouteCoverage, Routes, route_coverage};
use meshsim::suite::{self, Case, Coverage, Mutant, Verdict, judge, mutants};
use meshsim::text::{Style, plural};
use rayon::prelude::*;

use super::context::{Context, Verbosity};
use super::exit::{Exit, Outcome, Stop};
use super::input::Input;
use super::release::Release;
use super::result_file;
use super::test_files::{self, TestSet};

/// Run routing tests that lie beside the configuration: which requests must end where
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArgs {
    /// Files and directories with tests, and with the mesh unless tests name theirs
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    input: Input,
    /// Envoy's RouteConfiguration, in YAML or JSON, that router_check_tool's tests are about
    #[arg(long, value_name = "FILE", help_heading = "Input", conflicts_with_all = ["mutate", "synthesize"])]
    route_config: Option<PathBuf>,
    /// Run only tests whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Who sends, where a test does not say
    #[arg(long, value_name = "WORKLOAD|GATEWAY")]
    from: Option<String>,
    /// Stop at the first test that fails
    #[arg(long)]
    fail_fast: bool,
    /// List the tests and run none
    #[arg(long)]
    list: bool,
    /// Show which rules, conditions, destinations, faults and retries the tests speak about
    #[arg(long)]
    coverage: bool,
    /// Fail if less than this percentage of them is covered; with `--route-config`, of routes as
    /// router_check_tool counts them
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    coverage_threshold: Option<u64>,
    /// Write coverage as a page
    #[arg(long, value_name = "FILE")]
    coverage_html: Option<PathBuf>,
    /// Write coverage for lcov
    #[arg(long, value_name = "FILE")]
    coverage_lcov: Option<PathBuf>,
    /// Make small mistakes in the rules, one at a time, and name those that no test notices; end with 1 if there
    /// are any
    #[arg(long)]
    mutate: bool,
    /// Write a test for each rule that a request can reach, and print them
    #[arg(long, conflicts_with_all = ["mutate", "fail_fast", "coverage"])]
    synthesize: bool,
    /// Write what is now into the tests that fail, where one value has to change
    #[arg(long, conflicts_with_all = ["mutate", "fail_fast"])]
    update: bool,
    #[command(flatten)]
    release: Release,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  meshsim test mesh/ --coverage
  meshsim test -f mesh/ tests/reviews.test.yaml -o junit > junit.xml
  meshsim test -f istio/ istio-config-validator-tests.yaml router-check-tests.json
  meshsim test --route-config routes.yaml routes.golden.proto.json --coverage   # router_check_tool -c … -t …";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Failed tests and a summary
    Text,
    /// JSON
    Json,
    /// JUnit's XML
    Junit,
}

/// Cases with the mesh they are about.
struct Prepared {
    objects: Objects,
    mesh: Mesh,
    cases: Vec<Case>,
    /// The routes that the cases are about instead of the mesh.
    routes: Option<Arc<Routes>>,
}

/// Runs `meshsim test`.
pub(crate) fn run(args: &TestArgs, cx: &mut Context) -> Outcome {
    if args.synthesize {
        return synthesize(args, cx);
    }
    let files = test_files::load(&args.paths, args.route_config.as_deref(), &args.input, cx)?;
    let sources = files.sources;
    let broken = files.test_findings.iter().any(|finding| finding.severity == Severity::Error);
    if !files.test_findings.is_empty() {
        cx.findings(&report::findings(&sources, &files.test_findings, cx.color()));
    }
    if broken {
        return Ok(Exit::Findings);
    }
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let mut errors = files.mesh_findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let mut prepared = Vec::new();
    for TestSet { objects, cases, routes } in files.sets {
        let (mesh, findings) = mesh::compile(&objects, &options);
        errors += findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        prepared.push(Prepared { objects, mesh, cases: chosen(cases, args), routes });
    }
    if errors > 0 {
        cx.note(&format!("the configuration has {}; `meshsim check` shows them", plural(errors as u64, "error")));
    }
    if args.list {
        for case in prepared.iter().flat_map(|set| &set.cases) {
            cx.print(&format!("{}\n", case.name))?;
        }
        return Ok(Exit::Good);
    }
    if prepared.iter().all(|set| set.cases.is_empty()) {
        return Err(Stop::Unusable(vec!["no test has such a name".to_owned()]));
    }
    let (judged, skipped) = judged(&prepared, args.fail_fast);
    let style = Style { colour: cx.color(), width: 110 };
    undecided(&sources, &judged, cx);
    if args.update {
        return update(&sources, &judged, cx);
    }
    let covered = wants_coverage(args).then(|| covered(&prepared, &judged));
    let fates = args.mutate.then(|| mutated(&prepared, &judged, &options));
    let shown = SuiteReport {
        sources: &sources,
        cases: &judged,
        skipped,
        all: cx.verbosity() == Verbosity::Verbose,
        coverage: covered.as_ref().map(|covered| &covered.rules),
        mutants: fates.as_deref(),
    };
    cx.print(&match args.output {
        Format::Text => report::suite(&shown, style),
        Format::Json => report::suite_json(&shown),
        Format::Junit => report::suite_junit(&shown),
    })?;
    let mut passed = judged.iter().all(|(_, verdict)| verdict.passed());
    if let Some(covered) = &covered {
        passed &= cover(args, &sources, covered, style, cx)?;
    }
    if let Some(fates) = &fates {
        passed &= fates.iter().all(|(_, fate)| *fate != MutantFate::Survived);
        beside(args, &report::mutants(&sources, fates, style), cx)?;
    }
    Ok(if passed { Exit::Good } else { Exit::Findings })
}

/// Shows a text after the result. What is not for people has it in itself, or has no place for it.
fn beside(args: &TestArgs, text: &str, cx: &mut Context) -> Result<(), Stop> {
    match args.output {
        Format::Text => cx.print(&format!("\n{text}"))?,
        Format::Json => {}
        Format::Junit => cx.findings(text),
    }
    Ok(())
}

/// Prints a test for each rule that a request can reach.
fn synthesize(args: &TestArgs, cx: &mut Context) -> Outcome {
    let loaded = args.input.load(&args.paths, cx)?;
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (mesh, _) = mesh::compile(&loaded.objects, &options);
    let made = suite::synthesize(&mesh, &loaded.objects);
    cx.print(&made.text)?;
    for (span, why) in &made.left {
        let place = loaded.sources.locate(*span).map_or_else(String::new, |place| place.to_string());
        cx.note(&format!("{place}: no test for this rule: {why}"));
    }
    cx.note(&plural(made.tests as u64, "test"));
    Ok(Exit::Good)
}

fn chosen(cases: Vec<Case>, args: &TestArgs) -> Vec<Case> {
    let wanted = |case: &Case| args.filter.is_empty() || args.filter.iter().any(|part| case.name.contains(part.as_str()));
    let mut cases: Vec<Case> = cases.into_iter().filter(wanted).collect();
    for case in &mut cases {
        case.question.from = case.question.from.take().or_else(|| args.from.clone());
    }
    cases
}

/// Judges all cases in parallel; the results are in the order of the cases. After a failure, a run
/// that ends at the first one gives what came before it, whatever other threads have done meanwhile.
fn judged(prepared: &[Prepared], fail_fast: bool) -> (Vec<(Case, Verdict)>, usize) {
    const STEP: usize = 256;
    let mut all = Vec::new();
    let total: usize = prepared.iter().map(|set| set.cases.len()).sum();
    for set in prepared {
        for cases in set.cases.chunks(STEP) {
            let verdicts: Vec<Verdict> = cases.par_iter().map(|case| judge(&set.mesh, &set.objects, case)).collect();
            for (case, verdict) in cases.iter().zip(verdicts) {
                let failed = !verdict.failures.is_empty();
                all.push((case.clone(), verdict));
                if failed && fail_fast {
                    let skipped = total - all.len();
                    return (all, skipped);
                }
            }
        }
    }
    (all, 0)
}

/// Says where a format could not ask for everything that a rule asks for.
fn undecided(sources: &Sources, judged: &[(Case, Verdict)], cx: &mut Context) {
    let mut all: Vec<_> = judged.iter().flat_map(|(_, verdict)| &verdict.undecided).collect();
    all.sort_by_key(|(_, span)| *span);
    all.dedup();
    let findings: Vec<Diagnostic> = all.into_iter().map(|(what, span)| meshsim::suite::undecided(what, *span)).collect();
    if !findings.is_empty() {
        cx.findings(&report::findings(sources, &findings, cx.color()));
    }
}

/// What tests speak about.
struct Covered {
    /// Parts of rules.
    rules: Coverage,
    /// Routes of a route configuration.
    routes: Option<RouteCoverage>,
}

fn wants_coverage(args: &TestArgs) -> bool {
    args.coverage || args.coverage_threshold.is_some() || args.coverage_html.is_some() || args.coverage_lcov.is_some()
}

fn covered(prepared: &[Prepared], judged: &[(Case, Verdict)]) -> Covered {
    let mut covered = Covered { rules: Coverage::default(), routes: None };
    let traces = || judged.iter().map(|(_, verdict)| &verdict.trace);
    for set in prepared {
        covered.rules.add(match &set.routes {
            Some(routes) => Coverage::of_routes(routes, traces()),
            None => Coverage::new(&set.mesh, &set.objects, traces()),
        });
        covered.routes = set.routes.as_ref().map(|routes| route_coverage(routes, traces())).or(covered.routes);
    }
    covered
}

/// Shows and writes coverage; gives whether it is enough.
fn cover(args: &TestArgs, sources: &Sources, covered: &Covered, style: Style, cx: &mut Context) -> Result<bool, Stop> {
    let coverage = &covered.rules;
    if args.coverage {
        let mut text = report::coverage(coverage, sources, style);
        let routes = covered.routes.iter().map(|routes| format!("\n{}", report::route_coverage(routes, sources, style)));
        text.extend(routes);
        beside(args, &text, cx)?;
    }
    if let Some(file) = &args.coverage_html {
        result_file::write(file, report::coverage_html(coverage, sources).as_bytes())?;
    }
    if let Some(file) = &args.coverage_lcov {
        result_file::write(file, report::coverage_lcov(coverage, sources).as_bytes())?;
    }
    let threshold = args.coverage_threshold.unwrap_or(0);
    let (what, (covered, all)) = match &covered.routes {
        Some(routes) => ("routes", (routes.covered, routes.entries)),
        None => ("parts", coverage.count(None)),
    };
    let enough = covered * 100 >= threshold * all;
    if !enough {
        cx.error(&format!("{covered} of {all} {what} are covered, less than {threshold} %"));
    }
    Ok(enough)
}

/// Makes every mistake and judges the cases that pass without it.
fn mutated(prepared: &[Prepared], judged: &[(Case, Verdict)], options: &CompileOptions) -> Vec<(Mutant, MutantFate)> {
    let (mut all, mut judged) = (Vec::new(), judged);
    for set in prepared {
        // Verdicts are in the order of the cases; a run that was stopped has fewer.
        let (own, rest) = judged.split_at(set.cases.len().min(judged.len()));
        judged = rest;
        let own: Vec<&Case> = own.iter().filter(|(_, verdict)| verdict.passed()).map(|(case, _)| case).collect();
        let fates: Vec<(Mutant, MutantFate)> = mutants(&set.objects)
            .into_par_iter()
            .map(|mutant| {
                let objects = mutant.applied(&set.objects);
                let (mesh, _) = mesh::compile(&objects, options);
                let fate = if own.iter().any(|case| !judge(&mesh, &objects, case).passed()) {
                    MutantFate::Noticed
                } else if change::compare(&set.mesh, &mesh).is_nothing() {
                    MutantFate::WithoutEffect
                } else {
                    MutantFate::Survived
                };
                (mutant, fate)
            })
            .collect();
        all.extend(fates);
    }
    all
}

/// Writes what is now into the files of the tests.
fn update(sources: &Sources, judged: &[(Case, Verdict)], cx: &mut Context) -> Outcome {
    let failures = judged.iter().flat_map(|(_, verdict)| &verdict.failures);
    let updated = meshsim::suite::corrected(sources, failures);
    for (name, text) in &updated.files {
        result_file::write(&PathBuf::from(name), text.as_bytes())?;
        cx.print(&format!("{name}: updated\n"))?;
    }
    for failure in &updated.left {
        let place = sources.locate(failure.span).map_or_else(String::new, |place| place.to_string());
        cx.note(&format!("{place}: {}: expected {}, got {}; change it by hand", failure.what, failure.expected, failure.actual));
    }
    cx.print(&format!("{} corrected, {} left\n", plural(updated.corrections as u64, "value"), updated.left.len()))?;
    Ok(if updated.left.is_empty() { Exit::Good } else { Exit::Findings })
}
