//! What a run takes, said before it starts and held against what there is.

use std::fmt;

use probity::engine::Model;
use probity::train::Schedule;
use probity::train::curriculum::TrainConfig;
use probity::train::finetune;
use probity::train::plan::Plan;
use probity::{Error, Result};
use serde::Serialize;

use crate::output;
use crate::output::say;

/// What stands before a run: its plan, and what the process takes without it.
#[derive(Serialize)]
pub struct Needs {
    #[serde(flatten)]
    plan: Plan,
    /// Bytes that the process takes already, the vocabulary among them.
    process: u64,
    /// Bytes in all.
    total: u64,
    steps: u64,
    /// Seconds of the whole run.
    run_seconds: f64,
    /// Bytes that it may take in all, and why no more.
    #[serde(skip)]
    may: (u64, &'static str),
}

pub const GIB: f64 = (1_u64 << 30) as f64;

impl Needs {
    /// Plans a run that may take so many bytes in all, or what is free.
    ///
    /// # Errors
    /// As [`finetune::plan`].
    pub fn of(model: &Model, config: &TrainConfig, allowed: Option<u64>) -> Result<Self> {
        let process = resident_memory();
        let may = allowed.map_or_else(|| (free_memory() + process, "are free"), |bytes| (bytes, "are allowed"));
        let plan = finetune::plan(model, config, may.0.saturating_sub(process))?;
        let (total, steps) = (plan.bytes as u64 + process, config.steps());
        Ok(Self { plan, process, total, steps, run_seconds: plan.seconds * steps as f64, may })
    }

    /// The way the batch goes through the machine.
    pub fn schedule(&self) -> Schedule {
        self.plan.schedule
    }

    /// Refuses a run that does not fit.
    pub fn refuse(&self) -> Result<()> {
        let (may, why) = self.may;
        if self.total <= may {
            return Ok(());
        }
        let may = format!("{:.2} GiB {why}", may as f64 / GIB);
        let problem = format!("{self}, {may}; fewer games in a step, more shards or a smaller rank take less");
        Err(Error::Training { problem })
    }

    /// Prints it as a table.
    pub fn show(&self) {
        let plan = &self.plan;
        let mut table = output::table(&["what", "GiB"]);
        for (what, bytes) in [
            ("the base model, as in its file", plan.weights as u64),
            ("adapter, gradient, optimiser", plan.adapter as u64),
            ("activations", plan.activations as u64),
            ("logits", plan.logits as u64),
            ("the program and the vocabulary", self.process),
            ("together", self.total),
        ] {
            table.add_row([what.to_owned(), format!("{:.3}", bytes as f64 / GIB)]);
        }
        say!("{table}");
        say!("{self}; {} tokens a step, {} on {} threads", plan.nodes, self.times(), plan.threads);
    }

    /// How long it takes, in words.
    pub fn times(&self) -> String {
        let run = match self.run_seconds {
            s if s < 120.0 => format!("{s:.0} s"),
            s if s < 7200.0 => format!("{:.0} min", s / 60.0),
            s => format!("{:.1} h", s / 3600.0),
        };
        format!("about {:.1} s a step, {run} for all {} steps", self.plan.seconds, self.steps)
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.plan.schedule {
            Schedule::Wide => "everything kept",
            Schedule::Narrow => "each block computed twice",
        };
        write!(f, "needs {:.2} GiB ({how})", self.total as f64 / GIB)
    }
}

/// Bytes that are free for this process.
fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may have less than its machine. Files that the system keeps in memory count as used there, though they
    // would make room.
    let container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory.saturating_sub(limits.rss));
    system.available_memory().min(container)
}

/// Bytes that this process takes now; 0 where the system does not say.
fn resident_memory() -> u64 {
    let Ok(process) = sysinfo::get_current_pid() else { return 0 };
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[process]), false);
    system.process(process).map_or(0, sysinfo::Process::memory)
}
