//! The plan of a run: memory and time, by the texts of its steps.

use probity::agent::prompt::{last_round, rules};
use probity_engine::Model;
use probity_game::{Player, states};

use super::batch::{Batch, Origin, Seat};
use super::{check_start, end_batches, rollouts, seats, shards, width};
use crate::Result;
use crate::corpus::weigh;
use crate::curriculum::{Task, TrainConfig};
use crate::decoder::Decoder;
use crate::plan::{Length, Plan, Survey};

/// The plan of a run: the fastest schedule that fits, or the most frugal.
///
/// Memory is that of each shard's largest step, time and nodes are those of the mean step.
///
/// # Errors
/// The errors of [`super::Finetuning::new`].
pub fn plan(model: &Model, config: &TrainConfig, memory: u64) -> Result<Plan> {
    /// Steps whose texts are measured, evenly over the run: games and labels vary.
    const STEPS: u64 = 256;
    /// Prompts that are tokenised.
    const LONGEST: usize = 4;
    check_start(config)?;
    let decoder = Decoder::described(model)?.computed_in(config.compute);
    let decoder = decoder.with_lora(config.rank, config.alpha, &config.targets);
    let rounds = config.algorithm.rounds();
    let tasks_of = |step| if rounds.is_some() { config.measured_at(step) } else { config.tasks_at(step) };
    let (steps, every) = (config.steps(), config.steps().div_ceil(STEPS).max(1));
    let trained = (0..).map(|i| i * every).take_while(|step| *step < steps);
    let mut lengths = Vec::new();
    let mut longest: Vec<(usize, Task)> = Vec::new();
    longest.extend(config.validation_tasks()?.into_iter().map(|task| (prompt_length(&task), task)));
    // The batches that measure the end are behind the last step.
    for step in trained.chain(steps..steps + end_batches(config)) {
        let tasks = tasks_of(step)?;
        if step < steps {
            let attention = |task: &Task| length(task) * prompt_length(task);
            lengths.extend(shards(config, &tasks).enumerate().map(|(shard, tasks)| Length {
                step,
                shard,
                text: tasks.iter().map(length).sum(),
                attention: tasks.iter().map(attention).sum(),
            }));
        }
        longest.extend(tasks.into_iter().map(|task| (prompt_length(&task), task)));
        longest.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        longest.truncate(LONGEST);
    }
    // A prompt that does not fit fails now, not in the middle of the run.
    Batch::new(model, longest.into_iter().map(|(_, task)| task).collect(), Origin::of(config))?;
    let survey = Survey::of(&decoder, &lengths, |step| {
        let seats = seats(model, config, &tasks_of(step)?)?;
        Ok(seats.into_iter().map(|seat| seat.batches.into_iter().map(|batch| batch.pack).collect()).collect())
    })?;
    let learners = config.learners();
    let measured = survey.plan(memory, &decoder, learners);
    let validated = Validated::of(model, config, &decoder, measured.forth)?;
    let Some(rounds) = rounds else { return Ok(validated.with(measured)) };
    // A step learns from all sampled answers at once. The state, its nearest parameters too, is kept for a failure of
    // one of several optimiser steps.
    let parameters = if config.validation.is_some() { 16 } else { 12 };
    let again = if config.algorithm.epochs() > 1 { parameters * learners * width(config, &decoder) } else { 0 };
    let sampled = rollouts::largest(model, config, rounds)?;
    let learned = Plan::within(memory, &decoder, &[&sampled], learners, sampled.len(), &sampled);
    // One forward pass samples, two compute probabilities with the adapter on and off; then come the optimiser steps,
    // and at times a measurement.
    let each = 3.0 * learned.forth * learners as f64 + learned.seconds * config.algorithm.epochs() as f64;
    let seconds = each + measured.forth * learners as f64 / config.measure_every as f64;
    let plan = if learned.bytes > measured.bytes { learned } else { measured };
    let nodes = learned.nodes;
    Ok(validated.with(Plan { bytes: plan.bytes + again, adapter: plan.adapter + again, nodes, seconds, ..plan }))
}

/// What a validated run takes more.
///
/// It is a forward pass, and a copy of the nearest parameters. The pass has no more games at a time than a step, and
/// keeps nothing for the way back: a step's memory is enough.
struct Validated {
    seconds: f64,
    bytes: usize,
}

impl Validated {
    /// `forth` is the time of a step's way forth.
    fn of(model: &Model, config: &TrainConfig, decoder: &Decoder, forth: f64) -> Result<Self> {
        let Some(validation) = &config.validation else { return Ok(Self { seconds: 0.0, bytes: 0 }) };
        let products = |tasks: &[Task]| -> Result<f64> {
            let seats = seats(model, config, tasks)?;
            Ok(seats.iter().flat_map(Seat::packs).map(|pack| decoder.products(pack)).sum())
        };
        let share = products(&config.validation_tasks()?)? / products(&config.tasks_at(0)?)?;
        let bytes = 4 * config.learners() * width(config, decoder);
        Ok(Self { seconds: forth * share / validation.every as f64, bytes })
    }

    fn with(self, plan: Plan) -> Plan {
        let (adapter, bytes) = (plan.adapter + self.bytes, plan.bytes + self.bytes);
        Plan { adapter, bytes, seconds: plan.seconds + self.seconds, ..plan }
    }
}

/// The weight of what a task asks: the game's rules once, and its states.
fn length(Task { game, style, .. }: &Task) -> usize {
    let told = states(game).into_iter().map(|state| weigh(&last_round(game, state, style.norm)));
    weigh(&rules(game, *style)) + told.sum::<usize>()
}

/// The weight of a task's longest prompt, with its longest label.
fn prompt_length(Task { game, style, .. }: &Task) -> usize {
    let told = states(game).into_iter().map(|state| weigh(&last_round(game, state, style.norm)));
    let labels = game.labels(Player::Row).iter().map(|label| weigh(label));
    weigh(&rules(game, *style)) + told.max().unwrap_or(0) + labels.max().unwrap_or(0)
}
