//! `meshsim conformance`: does this program say what a real mesh did?

use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use meshsim::conformance::{Aspect, Case, Score, run as run_case};
use meshsim::report;
use meshsim::text::Style;
use rayon::prelude::*;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};

/// Score this program on measured cases: what real proxies did with a configuration
#[derive(Debug, clap::Args)]
pub(crate) struct ConformanceArgs {
    /// Directory of cases, one YAML file each, in a folder per group
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Compare only this
    #[arg(long, value_enum, value_name = "ASPECT")]
    only: Option<Only>,
    /// Run only cases whose name (`group/name`) contains this
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// How to print the score
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Where requests go and what comes back
    Requests,
    /// Effective cluster settings
    Policies,
    /// What admission says about each object
    Verdicts,
    /// What `istioctl analyze` finds
    Findings,
    /// What happens over time
    Timed,
}

impl Only {
    const fn aspect(self) -> Aspect {
        match self {
            Only::Requests => Aspect::Requests,
            Only::Policies => Aspect::Policies,
            Only::Verdicts => Aspect::Verdicts,
            Only::Findings => Aspect::Findings,
            Only::Timed => Aspect::Timed,
        }
    }
}

/// How the score is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table and lines
    Text,
    /// JSON
    Json,
}

/// Runs `meshsim conformance`.
pub(crate) fn run(args: &ConformanceArgs, cx: &mut Context) -> Outcome {
    let mut files = files(&args.directory)?;
    files.retain(|file| args.case.as_ref().is_none_or(|part| file.name().contains(part.as_str())));
    if files.is_empty() {
        let what =
            args.case.as_ref().map_or_else(|| "no case".to_owned(), |part| format!("no case whose name contains `{part}`"));
        return Err(Stop::Unusable(vec![format!("{}: {what}", args.directory.display())]));
    }
    let aspects = args.only.map_or_else(|| Aspect::ALL.to_vec(), |only| vec![only.aspect()]);
    let results: Vec<Result<Score, String>> = files.par_iter().map(|file| file.score(&aspects)).collect();
    let (mut score, mut unreadable) = (Score::default(), Vec::new());
    for result in results {
        match result {
            Ok(one) => score.add(one),
            Err(why) => unreadable.push(why),
        }
    }
    if !unreadable.is_empty() {
        return Err(Stop::Unusable(unreadable));
    }
    cx.print(&match args.output {
        Format::Text => report::conformance(&score, Style { colour: cx.color(), ..Style::PLAIN }),
        Format::Json => report::conformance_json(&score),
    })?;
    Ok(if score.is_perfect() { Exit::Good } else { Exit::Findings })
}

/// One file of a case.
struct CaseFile {
    path: PathBuf,
    group: String,
    case: String,
}

impl CaseFile {
    fn name(&self) -> String {
        format!("{}/{}", self.group, self.case)
    }

    fn score(&self, aspects: &[Aspect]) -> Result<Score, String> {
        let why = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let text = fs::read_to_string(&self.path).map_err(|error| why(&error))?;
        let case = Case::parse(&self.group, &self.case, &text).map_err(|error| why(&error))?;
        Ok(run_case(&case, aspects))
    }
}

/// All YAML files below a directory, sorted; the folder of each is its group.
fn files(directory: &Path) -> Result<Vec<CaseFile>, Stop> {
    if !directory.exists() {
        return Err(Stop::Unusable(vec![format!("{}: no such file or directory", directory.display())]));
    }
    let mut walk = WalkBuilder::new(directory);
    walk.standard_filters(false).hidden(true).sort_by_file_name(std::ffi::OsStr::cmp);
    let mut files = Vec::new();
    for entry in walk.build() {
        let path = entry.map_err(|error| Stop::Unusable(vec![error.to_string()]))?.into_path();
        let is_case = path.is_file() && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_case {
            continue;
        }
        let word = |part: Option<&std::ffi::OsStr>| part.map_or_else(String::new, |part| part.to_string_lossy().into_owned());
        files.push(CaseFile { group: word(path.parent().and_then(Path::file_name)), case: word(path.file_stem()), path });
    }
    Ok(files)
}
