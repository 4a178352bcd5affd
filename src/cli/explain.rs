//! `meshsim explain`: what a finding means.

use meshsim::diagnostic::Code;
use meshsim::report::gate;
use meshsim::text::Style;
use meshsim::yaml::nearest;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};

/// Explain a finding, or list all kinds of findings
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Code or name of the finding, or a code of istioctl or Kiali; a list of all if absent
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Explain all of them
    #[arg(long, conflicts_with = "code")]
    all: bool,
    /// How to print the list
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, conflicts_with = "code")]
    output: Format,
}

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table
    Text,
    /// A page in Markdown
    Markdown,
    /// For programs
    Json,
}

/// Runs `meshsim explain`.
pub(crate) fn run(args: &ExplainArgs, cx: &mut Context) -> Outcome {
    let style = Style { colour: cx.color(), width: 100 };
    let text = match (&args.code, args.output) {
        (Some(word), _) => explained(word, style)?,
        (None, Format::Text) if args.all => {
            Code::ALL.iter().map(|code| gate::explain(*code, style)).collect::<Vec<_>>().join("\n")
        }
        (None, Format::Text) => gate::rules(style),
        (None, Format::Markdown) => gate::rules_markdown(),
        (None, Format::Json) => gate::rules_json(),
    };
    cx.print(&text)?;
    Ok(Exit::Good)
}

fn explained(word: &str, style: Style) -> Result<String, Stop> {
    let upper = word.to_ascii_uppercase();
    let is_meant = |code: &&Code| {
        let cross = code.ist().iter().chain(code.kia()).any(|other| *other == upper);
        code.id() == upper || code.name().eq_ignore_ascii_case(word) || cross
    };
    let texts: Vec<String> = Code::ALL.iter().filter(is_meant).map(|code| gate::explain(*code, style)).collect();
    if texts.is_empty() {
        let near = nearest(word, Code::ALL.iter().flat_map(|code| [code.id(), code.name()]));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(Stop::Unusable(vec![format!("`{word}` is no code of a finding{near}")]));
    }
    Ok(texts.join("\n"))
}
