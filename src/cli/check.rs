//! `meshsim check`: is this configuration right?

use std::fs;
use std::path::{Path, PathBuf};

use meshsim::analysis::baseline::Baseline;
use meshsim::analysis::config::{self, FailOn};
use meshsim::analysis::selection::{Selection, Selector};
use meshsim::analysis::{self, RuleReach, suppression};
use meshsim::diagnostic::{self, Diagnostic};
use meshsim::mesh::{self, CompileOptions};
use meshsim::report::{self, FindingsTally, gate};
use meshsim::source::Sources;
use meshsim::text::{Style, plural};
use meshsim::yaml::{Limits, parse};

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::fixes::FixArgs;
use super::input::{Input, Loaded};
use super::release::Release;
use super::result_file;

/// The file that is read if it is there and no other is named.
const CONFIG: &str = ".meshsim.yaml";

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
    /// How to print findings: full, concise, json, json-lines, github, gitlab, junit, sarif or markdown; with =FILE into a file; may be repeated
    #[arg(short, long = "output", value_name = "FORMAT[=FILE]", value_parser = Output::parse, env = "MESHSIM_OUTPUT")]
    outputs: Vec<Output>,
    /// Show for each rule a request that gets there, or the proof that none does; in formats full and json
    #[arg(long)]
    witnesses: bool,
    #[command(flatten)]
    fixes: FixArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Do not count findings of this baseline
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    baseline: Option<PathBuf>,
    /// Write the findings into a baseline and succeed
    #[arg(long, value_name = "FILE", conflicts_with = "baseline", help_heading = "Selection")]
    write_baseline: Option<PathBuf>,
}

/// Which findings count.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Selection")]
struct SelectionArgs {
    /// Only these findings: a code, the beginning of codes, a name, or a code of istioctl or Kiali; comma-separated
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = selector)]
    select: Vec<Selector>,
    /// Not these findings
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = selector)]
    ignore: Vec<Selector>,
    /// The severity from which findings fail the check [default: error]
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Threshold>,
    /// File that says this for the repository [default: .meshsim.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read no such file
    #[arg(long, conflicts_with = "config")]
    no_config: bool,
}

fn selector(word: &str) -> Result<Selector, String> {
    Selector::parse(word).map_err(|error| error.to_string())
}

/// What fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Threshold {
    /// Errors
    Error,
    /// Warnings and errors
    Warning,
    /// Everything
    Note,
    /// Nothing
    Never,
}

impl From<Threshold> for FailOn {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Error => FailOn::Error,
            Threshold::Warning => FailOn::Warning,
            Threshold::Note => FailOn::Note,
            Threshold::Never => FailOn::Never,
        }
    }
}

/// A format, and the file it goes into; standard output if none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    format: Format,
    file: Option<PathBuf>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Full,
    Concise,
    Json,
    JsonLines,
    Github,
    Gitlab,
    Junit,
    Sarif,
    Markdown,
}

impl Format {
    const fn has_witnesses(self) -> bool {
        matches!(self, Format::Full | Format::Json)
    }
}

impl Output {
    fn parse(text: &str) -> Result<Self, String> {
        let (format, file) = match text.split_once('=') {
            Some((_, "")) => return Err("a name of a file must follow `=`".to_owned()),
            Some((format, file)) => (format, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let words = "write full, concise, json, json-lines, github, gitlab, junit, sarif or markdown";
        let format = <Format as clap::ValueEnum>::from_str(format, false).map_err(|_| format!("no such format; {words}"))?;
        Ok(Output { format, file })
    }
}

/// What is to be shown.
struct Verdict<'a> {
    sources: &'a Sources,
    findings: Vec<Diagnostic>,
    selection: Selection,
    tally: FindingsTally,
    rules: Option<Vec<RuleReach>>,
}

/// Runs `meshsim check`.
pub(crate) fn run(args: &CheckArgs, cx: &mut Context) -> Outcome {
    if args.outputs.iter().filter(|output| output.file.is_none()).count() > 1 {
        return Err(Stop::Unusable(vec![
            "only one format goes to standard output; name files for others: `-o sarif=FILE`".to_owned(),
        ]));
    }
    if args.witnesses && !args.outputs.is_empty() && !args.outputs.iter().any(|output| output.format.has_witnesses()) {
        return Err(Stop::Unusable(vec!["`--witnesses` needs format full or json".to_owned()]));
    }
    if args.fixes.is_incomplete() {
        return Err(Stop::Unusable(vec!["`--unsafe-fixes` needs `--fix` or `--diff`".to_owned()]));
    }
    let (selection, configured) = selection(&args.selection, cx)?;
    let baseline = args.baseline.clone().or(configured.filter(|_| args.write_baseline.is_none()));
    let baseline = baseline.map(|path| read_baseline(&path)).transpose()?;
    let loaded = args.input.load(&args.paths, cx)?;
    let loaded = match fixed(loaded, args, &selection, cx)? {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    cx.detail(&format!("{} objects in {} files", loaded.objects.items.len(), loaded.sources.iter().count()));
    let Found { mut findings, suppressed, rules } = find(&loaded, args);
    findings.retain(|finding| selection.shows(finding.code));
    report::order(&mut findings);
    if let Some(path) = &args.write_baseline {
        result_file::write(path, Baseline::of(&findings).text().as_bytes())?;
        cx.print(&format!("{}: {}\n", path.display(), plural(findings.len() as u64, "finding")))?;
        return Ok(Exit::Good);
    }
    let mut tally = FindingsTally { suppressed, known: 0 };
    if let Some(baseline) = baseline {
        let before = findings.len();
        let (new, gone) = baseline.unknown(findings);
        (findings, tally.known) = (new, before);
        tally.known -= findings.len();
        if gone > 0 {
            cx.note(&format!("{} of the baseline can go: write it anew", plural(gone as u64, "finding")));
        }
    }
    let verdict = Verdict { sources: &loaded.sources, findings, selection, tally, rules };
    show(&verdict, &args.outputs, cx)?;
    let failed = verdict.findings.iter().any(|finding| verdict.selection.fails(finding));
    Ok(if failed { Exit::Findings } else { Exit::Good })
}

/// The input with fixes made, or the end of a preview.
fn fixed(loaded: Loaded, args: &CheckArgs, selection: &Selection, cx: &mut Context) -> Result<Result<Loaded, Exit>, Stop> {
    if args.fixes.is_off() {
        return Ok(Ok(loaded));
    }
    let find = |loaded: &Loaded| {
        let mut findings = find(loaded, args).findings;
        findings.retain(|finding| selection.shows(finding.code));
        findings
    };
    let fixed = args.fixes.run(&args.input, loaded, find, cx)?;
    if args.fixes.is_preview() {
        let patch = fixed.patch.unwrap_or_default();
        cx.print(&patch)?;
        return Ok(Err(if patch.is_empty() { Exit::Good } else { Exit::Findings }));
    }
    if fixed.count > 0 {
        cx.note(&format!("{} fixed", plural(fixed.count as u64, "finding")));
    }
    Ok(Ok(fixed.loaded))
}

/// What a check finds.
struct Found {
    /// All findings that no comment suppresses.
    findings: Vec<Diagnostic>,
    /// How many comments do.
    suppressed: usize,
    /// What becomes of each rule, if that was asked for.
    rules: Option<Vec<RuleReach>>,
}

fn find(loaded: &Loaded, args: &CheckArgs) -> Found {
    let options = CompileOptions { profile: args.release.profile.clone(), ..CompileOptions::default() };
    let (compiled, meaning) = mesh::compile(&loaded.objects, &options);
    let all = analysis::analyze(&loaded.objects, &compiled, [loaded.diagnostics.clone(), meaning].concat());
    let rules = args.witnesses.then(|| analysis::rule_reaches(&loaded.objects, &compiled, &all));
    let (findings, suppressed) = suppression::suppress(&loaded.suppressions, diagnostic::without_repeats(all));
    Found { findings, suppressed, rules }
}

/// What counts, by command line and configuration, and the baseline that the latter names.
fn selection(args: &SelectionArgs, cx: &mut Context) -> Result<(Selection, Option<PathBuf>), Stop> {
    let path = match &args.config {
        Some(path) => Some(path.as_path()),
        None => Some(Path::new(CONFIG)).filter(|path| !args.no_config && path.is_file()),
    };
    let (mut selection, baseline) = match path {
        Some(path) => read_config(path, cx)?,
        None => (Selection::default(), None),
    };
    if !args.select.is_empty() {
        selection.select.clone_from(&args.select);
    }
    selection.ignore.extend(args.ignore.iter().cloned());
    if let Some(threshold) = args.fail_on {
        selection.fail_on = FailOn::from(threshold).severity();
    }
    Ok((selection, baseline))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Stop {
    Stop::Unusable(vec![format!("{}: {why}", path.display())])
}

fn read_config(path: &Path, cx: &mut Context) -> Result<(Selection, Option<PathBuf>), Stop> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text);
    let (documents, mut findings) = parse(&sources, file, Limits::default());
    let mut read = None;
    if let Some(document) = documents.first() {
        let (config, wrong) = config::decode(document);
        findings.extend(wrong);
        read = config;
    }
    let config = read.unwrap_or_default();
    let (selection, wrong) = config.selection();
    findings.extend(wrong);
    if !findings.is_empty() {
        let text = report::findings(&sources, &findings, cx.color());
        cx.findings(&text);
        return Err(unreadable(path, &"this is no configuration of a check"));
    }
    let beside = |name: &str| path.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    Ok((selection, config.baseline.map(|name| beside(&name))))
}

fn read_baseline(path: &Path) -> Result<Baseline, Stop> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Baseline::parse(&text).map_err(|error| unreadable(path, &error))
}

fn show(verdict: &Verdict<'_>, outputs: &[Output], cx: &mut Context) -> Result<(), Stop> {
    for output in outputs {
        if let Some(file) = &output.file {
            result_file::write(file, verdict.text(output.format, false).as_bytes())?;
        }
    }
    let shown = match outputs.iter().find(|output| output.file.is_none()) {
        Some(output) => Some(output.format),
        None => outputs.is_empty().then_some(Format::Full),
    };
    if let Some(format) = shown {
        cx.print(&verdict.text(format, cx.color()))?;
    }
    if matches!(shown, None | Some(Format::Full | Format::Concise)) {
        cx.print(&verdict.summary())?;
    }
    Ok(())
}

impl Verdict<'_> {
    fn text(&self, format: Format, color: bool) -> String {
        let (sources, findings) = (self.sources, &self.findings);
        match format {
            Format::Full => {
                let rules =
                    self.rules.as_ref().map(|rules| report::witnesses(sources, rules, Style { colour: color, width: 0 }) + "\n");
                report::findings(sources, findings, color) + &rules.unwrap_or_default()
            }
            Format::Concise => report::findings_concise(sources, findings, color),
            Format::Json => report::findings_json(sources, findings, self.tally, self.rules.as_deref()),
            Format::JsonLines => report::findings_json_lines(sources, findings),
            Format::Github => gate::findings_github(sources, findings),
            Format::Gitlab => gate::findings_gitlab(sources, findings),
            Format::Junit => gate::findings_junit(sources, findings, |finding| self.selection.fails(finding)),
            Format::Sarif => gate::findings_sarif(sources, findings),
            Format::Markdown => gate::findings_markdown(sources, findings),
        }
    }

    fn summary(&self) -> String {
        let counts = [(self.tally.suppressed, "suppressed"), (self.tally.known, "in the baseline")];
        let hidden: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let text = report::findings_summary(self.sources, &self.findings);
        if hidden.is_empty() { text } else { format!("{} ({})\n", text.trim_end(), hidden.join(", ")) }
    }
}
