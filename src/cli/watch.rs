//! Watching a run: Ctrl-C ends it early, and a bar on a terminal shows how far it is.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use meshsim::diagnostic::Diagnostic;
use meshsim::record::RunReport;
use meshsim::sim::{Control, Plan, simulate};
use meshsim::text::{bar, clock, grouped};

use super::exit::Stop;

const TICK: Duration = Duration::from_millis(50);
/// Runs that are over sooner show no bar.
const TICKS_BEFORE_BAR: u32 = 20;
const BAR_COLUMNS: usize = 30;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether somebody pressed Ctrl-C.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Makes Ctrl-C end a run instead of the program; the second time it ends the program.
pub(crate) fn listen_for_interrupt() -> Result<(), Stop> {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Stop::Unusable(vec![format!("cannot listen for Ctrl-C: {error}")]))
}

/// Runs a plan to its end or to Ctrl-C. Gives what happened, and findings about the run itself.
pub(crate) fn watched(plan: &Plan, show_progress: bool) -> (RunReport, Vec<Diagnostic>) {
    let control = Control::new();
    let (done, is_done) = channel::<()>();
    let show_progress = show_progress && io::stderr().is_terminal();
    thread::scope(|scope| {
        let control = &control;
        let run = scope.spawn(move || {
            let outcome = simulate(plan, control);
            // Dropping the sender is the message.
            drop(done);
            outcome
        });
        let mut ticks = 0;
        while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            ticks += 1;
            if is_interrupted() {
                control.stop();
            }
            if show_progress && ticks >= TICKS_BEFORE_BAR {
                draw(control, plan.requests());
            }
        }
        if show_progress && ticks >= TICKS_BEFORE_BAR {
            erase();
        }
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn draw(control: &Control, requests: Option<u64>) {
    let progress = control.progress();
    let text = match requests.filter(|requests| *requests > 0) {
        Some(requests) => format!(
            "{:<BAR_COLUMNS$} {} of {} requests, {}",
            bar(progress.finished, requests, BAR_COLUMNS),
            grouped(progress.finished),
            grouped(requests),
            clock(progress.now)
        ),
        None => format!("{} requests, {}", grouped(progress.finished), clock(progress.now)),
    };
    // A terminal that went away is no reason to end the run.
    let _ = write!(io::stderr(), "\r\x1b[2K{text}").and_then(|()| io::stderr().flush());
}

fn erase() {
    let _ = write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush());
}
