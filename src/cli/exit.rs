//! How the program ends.

use std::io;
use std::process::ExitCode;

/// The ways to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing to complain about.
    Good,
    /// Findings of severity error, or expectations that failed.
    Findings,
    /// Wrong usage, or input that cannot be read.
    Unusable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Good => 0,
            Exit::Findings => 1,
            Exit::Unusable => 2,
        })
    }
}

/// Why a subcommand stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Whoever reads standard output has seen enough (`meshsim ... | head`), which is no error.
    ClosedPipe,
    /// Standard output or a file cannot be written.
    Output(io::Error),
    /// Wrong usage or unreadable input; one message for each problem, all of them.
    Unusable(Vec<String>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Stop::ClosedPipe } else { Stop::Output(error) }
    }
}

/// What a subcommand gives back.
pub(crate) type Outcome = Result<Exit, Stop>;
