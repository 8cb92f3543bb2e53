//! The steps of a course of lessons, as the terminal shows them.

use std::time::{Duration, Instant};

use probity_engine::numeric::give_freed_memory_back;
use probity_train::course::{Accuracy, CourseEvent};
use probity_train::run::{End, Session};

use crate::interrupt::Interrupt;
use crate::output::say;
use crate::{errors, output};

/// How long a session is, and how often it writes.
#[derive(clap::Args)]
pub struct SessionArgs {
    /// Steps between checkpoints [default: every half minute].
    ///
    /// A crash loses at most the work since the last one.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Steps between measurements [default: a twelfth of the run].
    ///
    /// They ask about unseen labels and games.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    measure_every: Option<u64>,
    /// Stop after this many minutes in this session, with a checkpoint.
    #[arg(long, value_parser = minutes)]
    minutes: Option<f64>,
}

/// Reads a number of minutes.
fn minutes(given: &str) -> Result<f64, String> {
    let minutes = given.parse().ok().filter(|minutes: &f64| (0.0..=1e6).contains(minutes));
    minutes.ok_or_else(|| "expected a number from 0 to 1000000".into())
}

/// What hears each line of a run's log.
pub type Each<'a> = dyn FnMut(&CourseEvent) -> anyhow::Result<()> + 'a;

/// Takes the steps that are left, and shows them as they come.
pub fn take_steps(
    args: &SessionArgs,
    bar: &indicatif::ProgressBar,
    json: bool,
    steps: impl FnOnce(&Session<'_>, &mut Each<'_>) -> anyhow::Result<End>,
) -> anyhow::Result<End> {
    let interrupt = Interrupt::heard()?;
    let session = Session::new(interrupt.stop()).with(|o| {
        o.checkpoint_every = args.checkpoint_every;
        o.measure_every = args.measure_every;
        o.deadline = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(60.0 * minutes));
    });
    let mut smooth: Option<f64> = None;
    let end = steps(&session, &mut |event| {
        if json {
            output::json_line(event)?;
        }
        match event {
            CourseEvent::Step(report) => {
                give_freed_memory_back();
                let loss = smooth.map_or(report.loss, |s| s + 0.02 * (report.loss - s));
                smooth = Some(loss);
                bar.set_position(report.step);
                bar.set_message(format!("loss {loss:.3}"));
            }
            CourseEvent::Measured(measured) if !json => {
                bar.suspend(|| say!("step {}: {}", measured.step, spell(&measured.accuracy)));
            }
            CourseEvent::Measured(_) => {}
        }
        anyhow::Ok(())
    });
    interrupt.steps_are_over();
    match &end {
        Ok(End::Finished) => bar.finish_and_clear(),
        _ => bar.abandon(),
    }
    end
}

/// Says where a session stopped before the end; whether it paused.
pub fn paused(end: anyhow::Result<End>, step: u64, steps: u64) -> anyhow::Result<bool> {
    if matches!(end, Ok(End::Paused)) || end.as_ref().is_err_and(errors::is_cancelled) {
        eprintln!("stopped at step {step} of {steps}; continue with --resume");
    }
    Ok(matches!(end?, End::Paused))
}

/// Accuracies in a line.
pub fn spell(accuracy: &Accuracy) -> String {
    accuracy.iter().map(|(k, a)| format!("{k} {:.0}%", 100.0 * a)).collect::<Vec<_>>().join(", ")
}
