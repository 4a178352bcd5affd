//! How another thread stops a run and sees how far it is. The engine looks here every few thousand
//! events; nothing here influences a result except by ending the run early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::time::Instant;

/// The handle shared by a run and whoever watches it.
#[derive(Debug, Default)]
pub struct Control {
    stopped: AtomicBool,
    now_ns: AtomicU64,
    finished: AtomicU64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Virtual time.
    pub now: Instant,
    /// Client requests that were answered or given up, warm-up included.
    pub finished: u64,
}

impl Control {
    /// A handle that nobody has stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to end; it returns what it has so far.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How far the run is, a few thousand events ago at most.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            now: Instant::from_nanos(self.now_ns.load(Ordering::Relaxed)),
            finished: self.finished.load(Ordering::Relaxed),
        }
    }

    pub(super) fn report(&self, progress: Progress) {
        self.now_ns.store(progress.now.nanos(), Ordering::Relaxed);
        self.finished.store(progress.finished, Ordering::Relaxed);
    }
}
