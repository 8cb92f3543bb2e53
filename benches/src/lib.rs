//! Shared code of the benchmarks: interleaved medians, memory, reports.

pub mod random;
pub mod report;
pub mod rival;

use std::path::PathBuf;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// The project's folder.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A way of doing it once, which returns the seconds it took.
type Way<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Interleaved timing, so that a busy machine slows all ways alike.
#[derive(Default)]
pub struct Rounds<'a> {
    ways: Vec<(&'a str, Way<'a>)>,
}

impl<'a> Rounds<'a> {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a way; `once` does it one time and returns the seconds it took.
    pub fn way(&mut self, name: &'a str, once: impl FnMut() -> f64 + 'a) -> &mut Self {
        self.ways.push((name, Box::new(once)));
        self
    }

    /// Median seconds of each way over `rounds` rounds, after one to warm up.
    pub fn medians(&mut self, rounds: usize) -> Vec<(&'a str, f64)> {
        let mut times = vec![Vec::new(); self.ways.len()];
        for round in 0..=rounds {
            for ((_, once), times) in self.ways.iter_mut().zip(&mut times) {
                let seconds = once();
                if round > 0 {
                    times.push(seconds);
                }
            }
        }
        self.ways.iter().zip(&mut times).map(|((name, _), times)| (*name, median(times))).collect()
    }
}

/// The median; sorts the times.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds that `work` takes.
pub fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}

/// The most memory this process has held, MiB.
pub fn peak_memory() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts this process's memory");
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.max_rss() as f64 * unit / f64::from(1 << 20)
}

/// Seconds that `work` takes, and seconds of all processors that it takes.
pub fn busy_seconds<T>(work: impl FnOnce() -> T) -> [f64; 2] {
    let processors = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts this process's time");
        let of = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + 1e-6 * time.tv_usec() as f64;
        of(usage.user_time()) + of(usage.system_time())
    };
    let before = processors();
    let wall = seconds(work);
    [wall, processors() - before]
}
