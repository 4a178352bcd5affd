//! Where subcommands write: results to standard output, notes to standard error.

use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use super::exit::Stop;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How much to say on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Notes too.
    Normal,
    /// And what is done.
    Verbose,
}

/// The surroundings of a subcommand.
pub(crate) struct Context {
    out: BufWriter<AutoStream<io::Stdout>>,
    err: AutoStream<io::Stderr>,
    color: bool,
    verbosity: Verbosity,
}

impl Context {
    pub(crate) fn new(color: Color, verbosity: Verbosity) -> Self {
        let choice = |auto: ColorChoice| match color {
            Color::Auto => auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let out = choice(AutoStream::choice(&io::stdout()));
        let err = choice(AutoStream::choice(&io::stderr()));
        Context {
            out: BufWriter::new(AutoStream::new(io::stdout(), out)),
            err: AutoStream::new(io::stderr(), err),
            color: out != ColorChoice::Never,
            verbosity,
        }
    }

    /// Whether results may carry colours.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Whether notes are wanted.
    pub(crate) fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Writes a part of the result.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Writes a part of the result that is made while it is written.
    pub(crate) fn print_as_it_comes(&mut self, tell: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Stop> {
        Ok(tell(&mut self.out)?)
    }

    /// Makes sure that everything printed has left.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }

    /// Says something that is worth knowing and no part of the result.
    pub(crate) fn note(&mut self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.say("note", AnsiColor::Cyan, text);
        }
    }

    /// Says what is done, for those who asked with `-v`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.say("note", AnsiColor::Cyan, text);
        }
    }

    /// Shows findings beside the result.
    pub(crate) fn findings(&mut self, text: &str) {
        // If standard error is closed there is nowhere to complain.
        let _ = self.err.write_all(text.as_bytes());
    }

    /// Says why the program cannot do what was asked.
    pub(crate) fn error(&mut self, text: &str) {
        self.say("error", AnsiColor::Red, text);
    }

    fn say(&mut self, word: &str, color: AnsiColor, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        // If standard error is closed there is nowhere to complain.
        let _ = writeln!(self.err, "{style}{word}{style:#}: {text}");
    }
}
