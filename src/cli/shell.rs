//! `meshsim completions` and `meshsim man`: what a package installs beside the program.

use std::path::PathBuf;

use clap::CommandFactory;

use super::context::Context;
use super::exit::{Exit, Outcome, Stop};
use super::result_file;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Write manual pages into a directory
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Runs `meshsim completions`.
pub(crate) fn completions<App: CommandFactory>(args: &CompletionsArgs, cx: &mut Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut App::command(), "meshsim", &mut script);
    cx.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Good)
}

/// Runs `meshsim man`: one page for the program and one for each subcommand.
pub(crate) fn man<App: CommandFactory>(args: &ManArgs, cx: &mut Context) -> Outcome {
    let mut app = App::command();
    app.build();
    let pages = std::iter::once(app.clone()).chain(app.get_subcommands().filter(|command| command.get_name() != "help").cloned());
    for page in pages {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text).map_err(Stop::Output)?;
        let path = args.directory.join(format!("{name}.1"));
        result_file::write(&path, &text)?;
        cx.print(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Good)
}
