//! Ctrl-C during a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Hears Ctrl-C.
///
/// The first asks the run to stop after its step, a second ends the program at once.
pub struct Interrupt {
    stop: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on.
    pub fn heard() -> anyhow::Result<Self> {
        let heard = Self { stop: Arc::default(), over: Arc::default() };
        let (stop, over) = (Arc::clone(&heard.stop), Arc::clone(&heard.over));
        ctrlc::set_handler(move || {
            let over = over.load(Ordering::Relaxed);
            if stop.swap(true, Ordering::Relaxed) || over {
                // The last checkpoint is on the disk.
                if over {
                    eprintln!("stopped; the steps are kept, and --resume goes on behind them");
                }
                std::process::exit(130);
            }
            eprintln!("stopping after this step; a second Ctrl-C stops at once");
        })?;
        Ok(heard)
    }

    /// What a session looks at after each step.
    pub fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// The steps are over: from now on the first Ctrl-C ends the program.
    pub fn steps_are_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
