//! `meshsim run`: what happens over time?

use std::path::{Path, PathBuf};
use std::str::FromStr;

use meshsim::diagnostic::{Code, Diagnostic, Severity};
use meshsim::record::{self, RunReport};
use meshsim::report::telemetry::Epoch;
use meshsim::report::{self, Detail, Page};
use meshsim::scenario::Scenario;
use meshsim::sim::Plan;
use meshsim::source::{FileId, Sources, Span, Spanned};
use meshsim::staging::{self, StagingInput};
use meshsim::text::{Style, plural};
use meshsim::time::{Duration, Instant};

use super::context::{Context, Verbosity};
use super::exit::{Exit, Outcome, Stop};
use super::release::Releases;
use super::scenario_files::{self, ScenarioFiles};
use super::telemetry::{Form, Telemetry};
use super::{result_file, watch};

/// Findings about the mesh beyond this many are counted; `meshsim check` shows them all.
const FINDINGS_SHOWN: usize = 10;

/// Act out a scenario: requests over time, and what became of them
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Scenario file, or directory with `scenario.yaml` or files ending in `.scenario.yaml`
    #[arg(value_name = "SCENARIO")]
    path: PathBuf,
    /// Further mesh file or directory, beside those that the scenario names; may be repeated
    #[arg(short, long = "filename", value_name = "PATH")]
    filenames: Vec<PathBuf>,
    /// Seed of all randomness, instead of the scenario's
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Requests of each client in each phase, instead of the scenario's
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    requests: Option<u64>,
    /// Release of Istio whose behaviour applies, such as 1.1 or latest, instead of the scenario's; `1.23..1.24` runs
    /// the scenario on both and shows what differs
    #[arg(long, value_name = "VERSION|A..B", value_parser = Releases::parse)]
    istio_version: Option<Releases>,
    /// When the run ends, such as 90s, instead of what the scenario says
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    until: Option<Duration>,
    /// Form of the result, and the file it goes to if not standard output; may be repeated. text, json or none; what
    /// the mesh would have written: access-log, access-log-json, metrics (Prometheus), openmetrics, otlp (a span in a
    /// line), jaeger
    #[arg(short, long, value_name = "FORMAT[=FILE]", default_value = "text")]
    output: Vec<Output>,
    /// Time at which the run's clock starts in logs and traces, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", default_value = "1970-01-01T00:00:00Z", value_parser = Epoch::parse)]
    epoch: Epoch,
    /// Show everything in the text, not only what deserves attention
    #[arg(long)]
    full: bool,
    /// Directory for charts [default: output/SCENARIO]
    #[arg(long, value_name = "DIR", conflicts_with = "no_charts")]
    charts: Option<PathBuf>,
    /// Draw no charts
    #[arg(long)]
    no_charts: bool,
    /// Threads to use; changes nothing but the time it takes [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

fn duration(text: &str) -> Result<Duration, String> {
    match Duration::parse_go(text) {
        Ok(duration) if duration.is_zero() => Err("the run must end later than it begins".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

/// A form of the result and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    format: Format,
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    None,
    Telemetry(Form),
}

/// The names of the forms that a result can have.
const FORMATS: &[(&str, Format)] = &[
    ("text", Format::Text),
    ("json", Format::Json),
    ("none", Format::None),
    ("access-log", Format::Telemetry(Form::AccessLog)),
    ("access-log-json", Format::Telemetry(Form::AccessLogJson)),
    ("metrics", Format::Telemetry(Form::Metrics)),
    ("openmetrics", Format::Telemetry(Form::OpenMetrics)),
    ("otlp", Format::Telemetry(Form::Otlp)),
    ("jaeger", Format::Telemetry(Form::Jaeger)),
];

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = text.split_once('=').map_or((text, None), |(format, file)| (format, Some(file)));
        let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == format) else {
            let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            return Err(format!("`{format}` is no format; use one of {}", names.join(", ")));
        };
        let format = *format;
        if file.is_some_and(str::is_empty) {
            return Err("the name of the file is missing".to_owned());
        }
        Ok(Output { format, file: file.map(PathBuf::from) })
    }
}

/// Runs `meshsim run`.
pub(crate) fn run(args: &RunArgs, cx: &mut Context) -> Outcome {
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
        pool.map_err(|error| Stop::Unusable(vec![format!("cannot start {threads} threads: {error}")]))?;
    }
    let paths = scenario_files::find(&args.path, cx)?;
    watch::listen_for_interrupt()?;
    let mut exit = Exit::Good;
    for (index, path) in paths.iter().enumerate() {
        if index > 0 && args.output.iter().any(|output| output.format == Format::Text && output.file.is_none()) {
            cx.print("\n")?;
        }
        let outcome = match &args.istio_version {
            None => one(args, path, None, cx)?,
            Some(Releases::One(release)) => one(args, path, Some(&release.version), cx)?,
            Some(Releases::Two(before, after)) => two(args, path, [&before.version, &after.version], cx)?,
        };
        if outcome != Exit::Good {
            exit = Exit::Findings;
        }
        if watch::is_interrupted() {
            return Ok(Exit::Findings);
        }
    }
    Ok(exit)
}

fn one(args: &RunArgs, path: &Path, release: Option<&str>, cx: &mut Context) -> Outcome {
    let Some(Acted { report, sources, plan, is_cut_short }) = act(args, path, release, cx)? else {
        return Ok(Exit::Findings);
    };
    deliver(args, &report, &sources, cx)?;
    for output in &args.output {
        if let Format::Telemetry(form) = output.format {
            let telemetry = Telemetry { plan: &plan, seed: report.seed, epoch: args.epoch };
            telemetry.write(form, output.file.as_deref(), cx)?;
        }
    }
    charts(args, &report, cx)?;
    let failed = is_cut_short || report.interrupted || report.expectations.iter().any(|expectation| !expectation.met);
    Ok(if failed { Exit::Findings } else { Exit::Good })
}

/// Runs a scenario on two releases and shows what differs. Its expectations are those of one release, so
/// they are compared and not judged.
fn two(args: &RunArgs, path: &Path, releases: [&str; 2], cx: &mut Context) -> Outcome {
    let mut reports = Vec::new();
    for release in releases {
        let Some(Acted { mut report, is_cut_short, .. }) = act(args, path, Some(release), cx)? else {
            return Ok(Exit::Findings);
        };
        report.istio = release.to_owned();
        if is_cut_short || report.interrupted {
            cx.note(&format!("the run on Istio {release} did not end, so there is nothing to compare"));
            return Ok(Exit::Findings);
        }
        reports.push(report);
    }
    let [before, after] = reports.as_slice() else { return Ok(Exit::Findings) };
    hand_out(args, cx, |format, colour| match format {
        Format::Json => report::eras_json(before, after),
        _ => report::eras(before, after, Style { colour, ..Style::PLAIN }),
    })?;
    Ok(Exit::Good)
}

/// A scenario that was run.
struct Acted {
    report: RunReport,
    sources: Sources,
    plan: Plan,
    /// Whether the engine gave up.
    is_cut_short: bool,
}

/// Runs a scenario. `None` if findings stand in the way, which have been shown.
fn act(args: &RunArgs, path: &Path, release: Option<&str>, cx: &mut Context) -> Result<Option<Acted>, Stop> {
    let Some(Prepared { mut sources, folder, scenario, plan }) = prepare(args, path, release, cx)? else {
        return Ok(None);
    };
    match plan.requests() {
        Some(requests) => cx.detail(&format!("{}: {}", report_name(&scenario), plural(requests, "request"))),
        None => cx.detail(&format!("{}: until its traffic ends", report_name(&scenario))),
    }
    let (mut report, findings) = watch::watched(&plan, cx.verbosity() > Verbosity::Quiet);
    let is_cut_short = findings.iter().any(|finding| finding.severity == Severity::Error);
    if is_cut_short {
        show(&sources, findings, cx);
    } else {
        mention(&sources, &findings, cx);
    }
    report.expectations = record::evaluate(&scenario.expect, &report);
    for failure in &mut report.failures {
        let when = ["--scenario".to_owned(), file_name(path), "--at".to_owned(), failure.at.since(Instant::ZERO).to_string()];
        let further = args.filenames.iter().flat_map(|path| ["-f".to_owned(), path.display().to_string()]);
        let what = when.into_iter().chain(further).chain(release_of(&scenario)).chain(failure.explain.drain(..));
        failure.explain = what.collect();
    }
    sources.relative_to(&folder);
    Ok(Some(Acted { report, sources, plan, is_cut_short }))
}

/// A scenario that can be run.
struct Prepared {
    sources: Sources,
    /// The folder of the scenario, which names of files are told from.
    folder: String,
    scenario: Scenario,
    plan: Plan,
}

/// Reads and resolves a scenario. `None` if findings stand in the way, which have been shown.
fn prepare(args: &RunArgs, path: &Path, release: Option<&str>, cx: &mut Context) -> Result<Option<Prepared>, Stop> {
    let ScenarioFiles { mut sources, file, folder, scenario, files, extra, mut diagnostics } =
        scenario_files::load(path, &args.filenames, cx)?;
    let Some(mut scenario) = scenario else {
        show(&sources, diagnostics, cx);
        return Ok(None);
    };
    if scenario.name.is_none() {
        scenario.name = Some(Spanned::made_up(name_of(path)));
    }
    overrule(&mut scenario, args, release);
    let input = StagingInput { scenario: &scenario, files: &files, extra: &extra };
    let (staged, mut findings) = staging::stage(&input, &mut sources);
    findings.retain(|finding| !is_consequence(finding, &diagnostics));
    diagnostics.extend(findings);
    if diagnostics.iter().any(|finding| stops(finding, file)) {
        diagnostics.retain(|finding| stops(finding, file) || is_in(finding, file));
        show(&sources, diagnostics, cx);
        return Ok(None);
    }
    let (plan, findings) = Plan::resolve(&staged.plan_input(&scenario));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        show(&sources, findings, cx);
        return Ok(None);
    }
    // The engine may have found what staging found before.
    let place = |finding: &Diagnostic| (finding.code, finding.primary.as_ref().map(|label| label.span));
    let known: Vec<_> = diagnostics.iter().map(place).collect();
    diagnostics.extend(findings.into_iter().filter(|finding| !known.contains(&place(finding))));
    report::order(&mut diagnostics);
    mention(&sources, &diagnostics, cx);
    Ok(Some(Prepared { sources, folder, scenario, plan }))
}

fn report_name(scenario: &Scenario) -> &str {
    scenario.name.as_ref().map_or("", |name| name.value.as_str())
}

fn overrule(scenario: &mut Scenario, args: &RunArgs, release: Option<&str>) {
    if let Some(seed) = args.seed {
        scenario.seed = Some(Spanned::made_up(seed));
    }
    if let Some(version) = release {
        scenario.istio = Some(Spanned::made_up(version.to_owned()));
    }
    if let Some(until) = args.until {
        scenario.until = Some(Spanned::made_up(until));
    }
    if let Some(requests) = args.requests {
        for client in &mut scenario.clients {
            client.traffic.requests = Some(Spanned::made_up(requests));
            client.traffic.duration = None;
        }
    }
}

/// The name of a file within its folder: results are the same from wherever the program is started.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The name of a scenario that has none: its folder's for `scenario.yaml`, else its file's.
fn name_of(path: &Path) -> String {
    let stem = file_name(path);
    let stem = stem.split('.').next().unwrap_or_default().to_owned();
    let folder = path.canonicalize().ok().and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    match folder {
        Some(folder) if stem == "scenario" => folder,
        _ => stem,
    }
}

/// Whether a finding is about a part of the scenario that holds something unreadable: what is missing
/// there may be what could not be read.
fn is_consequence(finding: &Diagnostic, unreadable: &[Diagnostic]) -> bool {
    let Some(part) = finding.primary.as_ref().map(|label| label.span) else { return false };
    let inside = |span: Span| span.file == part.file && part.start <= span.start && span.end <= part.end;
    let errors = unreadable.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(|error| error.primary.as_ref()).any(|label| inside(label.span))
}

/// Whether nothing can be run because of a finding. A mesh with mistakes runs: what they do to
/// traffic is what somebody wants to see. A scenario with mistakes says something else than was meant.
fn stops(finding: &Diagnostic, scenario: FileId) -> bool {
    let about_scenario = matches!(finding.code, Code::ScenarioInvalid | Code::ScenarioReference);
    finding.severity == Severity::Error && (about_scenario || is_in(finding, scenario))
}

fn is_in(finding: &Diagnostic, file: FileId) -> bool {
    finding.primary.as_ref().is_some_and(|label| label.span.file == file)
}

fn show(sources: &Sources, mut findings: Vec<Diagnostic>, cx: &mut Context) {
    report::order(&mut findings);
    cx.findings(&report::findings(sources, &findings, true));
    cx.findings(&report::findings_summary(sources, &findings));
}

fn mention(sources: &Sources, findings: &[Diagnostic], cx: &mut Context) {
    let verbosity = cx.verbosity();
    let least = match verbosity {
        Verbosity::Quiet => return,
        Verbosity::Normal => Severity::Warning,
        Verbosity::Verbose => Severity::Note,
    };
    let shown: Vec<Diagnostic> = findings.iter().filter(|finding| finding.severity >= least).cloned().collect();
    let most = if verbosity == Verbosity::Verbose { shown.len() } else { FINDINGS_SHOWN };
    let (first, rest) = shown.split_at(most.min(shown.len()));
    cx.findings(&report::findings_concise(sources, first, true));
    if !rest.is_empty() {
        cx.note(&format!("{} more; `meshsim check` shows all", plural(rest.len() as u64, "finding")));
    }
}

/// The release that the scenario is about, as `meshsim route` takes it.
fn release_of(scenario: &Scenario) -> impl Iterator<Item = String> {
    let version = scenario.istio.iter().filter(|version| version.value != "latest");
    version.flat_map(|version| ["--istio-version".to_owned(), version.value.clone()])
}

fn deliver(args: &RunArgs, report: &RunReport, sources: &Sources, cx: &mut Context) -> Result<(), Stop> {
    let detail = if args.full { Detail::Full } else { Detail::Compact };
    hand_out(args, cx, |format, colour| match format {
        Format::Json => report::run_json(report, sources),
        _ => report::summary(report, &Page { sources, style: Style { colour, ..Style::PLAIN }, detail }),
    })
}

/// Writes a result in every form that was asked for; `render` is told the form and whether to use colours.
fn hand_out(args: &RunArgs, cx: &mut Context, render: impl Fn(Format, bool) -> String) -> Result<(), Stop> {
    for output in args.output.iter().filter(|output| matches!(output.format, Format::Text | Format::Json)) {
        let text = render(output.format, cx.color() && output.file.is_none());
        match &output.file {
            Some(file) => result_file::write(file, text.as_bytes())?,
            None => cx.print(&text)?,
        }
    }
    Ok(())
}

fn charts(args: &RunArgs, report: &RunReport, cx: &mut Context) -> Result<(), Stop> {
    if args.no_charts {
        return Ok(());
    }
    let folder = args.charts.clone().unwrap_or_else(|| Path::new("output").join(result_file::safe_name(&report.scenario)));
    let mut written = Vec::new();
    for chart in report::charts::charts(report) {
        let svg = folder.join(format!("{}.svg", chart.name));
        result_file::write(&svg, chart.scene.svg().as_bytes())?;
        #[cfg(feature = "png")]
        result_file::write(&svg.with_extension("png"), &chart.scene.png())?;
        written.push(svg.display().to_string());
    }
    if !written.is_empty() {
        cx.note(&format!("charts: {}", written.join(" ")));
    }
    Ok(())
}
