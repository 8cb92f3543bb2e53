//! Memory and time of a run, checked before it starts.

use std::fmt;

use probity_engine::Model;
use serde::Serialize;

use crate::curriculum::TrainConfig;
use crate::finetune;
use crate::plan::Plan;
use crate::{Error, Result, Schedule};

/// The plan of a run, and what its process takes without it.
#[derive(Debug, Serialize)]
pub struct Needs {
    /// The plan of a step.
    #[serde(flatten)]
    pub plan: Plan,
    /// Bytes that the process takes already, the vocabulary among them.
    pub process: u64,
    /// Bytes in all.
    pub total: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Seconds of the whole run; NaN where it does not fit.
    pub run_seconds: f64,
    /// Bytes that the run may take in all, and why no more.
    #[serde(skip)]
    limit: (u64, &'static str),
}

/// Bytes of a GiB.
pub const GIB: f64 = (1_u64 << 30) as f64;

impl Needs {
    /// Plans a run that may take so many bytes in all, or as many as are free.
    ///
    /// # Errors
    /// As [`finetune::plan`].
    pub fn of(model: &Model, config: &TrainConfig, allowed: Option<u64>) -> Result<Self> {
        Self::planned(config.steps(), allowed, |memory| finetune::plan(model, config, memory))
    }

    /// Plans so many steps within the bytes that are left to them.
    ///
    /// # Errors
    /// The errors of `plan`.
    pub fn planned(steps: u64, allowed: Option<u64>, plan: impl FnOnce(u64) -> Result<Plan>) -> Result<Self> {
        let process = resident_memory();
        let limit = allowed.map_or_else(|| (free_memory() + process, "are free"), |bytes| (bytes, "are allowed"));
        let plan = plan(limit.0.saturating_sub(process))?;
        let total = plan.bytes as u64 + process;
        Ok(Self { plan, process, total, steps, run_seconds: plan.seconds * steps as f64, limit })
    }

    /// The way the batch goes through the machine.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.plan.schedule
    }

    /// Refuses a run that does not fit.
    ///
    /// # Errors
    /// [`Error::Training`] with the numbers.
    pub fn refuse(&self) -> Result<()> {
        let (limit, why) = self.limit;
        if self.total <= limit {
            return Ok(());
        }
        let limit = format!("{:.2} GiB {why}", limit as f64 / GIB);
        let problem = format!("{self}, {limit}; fewer games in a step, more shards or a smaller rank take less");
        Err(Error::Training { problem })
    }

    /// How long it takes, in words.
    #[must_use]
    pub fn times(&self) -> String {
        if self.run_seconds.is_nan() {
            return "it does not fit, and its time is not measured".into();
        }
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
            Schedule::Serial => "a shard at a time",
            Schedule::Narrow => "each block computed twice",
        };
        write!(f, "needs {:.2} GiB ({how})", self.total as f64 / GIB)
    }
}

/// Bytes that are free for this process.
fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may have less than its machine. The system's file cache counts as used there, though it would make
    // room.
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
