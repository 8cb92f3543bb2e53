//! A step of the exact objective, and the exact measurement of any policy.

use std::collections::BTreeMap;

use probity_game::play::Policy;
use probity_game::states;

use super::{Batch, Finetuning, Gradient, Seat, StateParts, end_batches, seats, state_name, width};
use crate::checkpoint::{Kept, KeptAt};
use crate::curriculum::{Algorithm, Labels, Validation};
use crate::decoder::Pack;
use crate::objective::{Group, Judged, ObjectiveParts, ObjectiveTerms, all_scores, objective, softmax};
use crate::{Error, Result};

/// Steps in a row below both bounds, before a run counts as diverging.
///
/// The bounds are the bare model and the start of the phase.
const ASTRAY: u64 = 50;
/// How much worse counts, as a share of what is at stake.
const WORSE: f64 = 0.05;

impl Finetuning {
    /// Takes a step up the exact gradient.
    pub(super) fn exact(&mut self, phase: usize, rate: f32) -> Result<Gradient> {
        let tasks = self.config.tasks_at(self.done())?;
        let seats = seats(&self.model, &self.config, &tasks)?;
        let found = self.evaluate(&seats, phase, true)?;
        let parts: Vec<ObjectiveParts> = found.iter().map(|judged| mean(judged)).collect();
        let mut norm: f32 = 0.0;
        for (i, parts) in parts.iter().enumerate() {
            norm = norm.max(self.checked(i, parts.objective)?);
        }
        if self.config.algorithm != (Algorithm::Supervised {}) {
            self.keep_to_the_way(&parts)?;
        }
        self.state.adam.step(&mut self.state.theta, &self.grads, rate);
        Ok(Gradient {
            divergence: parts.iter().map(|p| p.kl).sum::<f64>() / parts.len() as f64,
            states: seats.iter().zip(&found).map(|(seat, judged)| by_state(seat, judged)).collect(),
            parts,
            played: Vec::new(),
            norm,
            tokens: seats.iter().map(Seat::tokens).sum(),
        })
    }

    /// Counts steps below the bare model and below the start of the phase.
    ///
    /// Unlearning may be below the bare model for a while.
    fn keep_to_the_way(&mut self, parts: &[ObjectiveParts]) -> Result<()> {
        let step = self.done();
        let first = self.config.phase_at(step).is_some_and(|(_, within)| within == 0);
        let steering = &mut self.state.steering;
        let gap = |p: &ObjectiveParts| p.objective - p.bare;
        if first {
            steering.start = parts.iter().map(gap).fold(0.0, f64::min);
        }
        let astray = |p: &&ObjectiveParts| gap(p) < steering.start - WORSE * (p.best.abs() + p.bare.abs());
        let Some(worst) = parts.iter().find(astray) else {
            steering.astray = 0;
            return Ok(());
        };
        steering.astray += 1;
        if steering.astray < ASTRAY {
            return Ok(());
        }
        let problem = format!(
            "diverging: at step {} the objective is {:.3}, and for {ASTRAY} steps it was below the bare model's, now {:.3}; a \
             lower rate may help",
            step + 1,
            worst.objective,
            worst.bare
        );
        Err(Error::Training { problem })
    }

    /// Measures the policy after a step, and keeps the nearest of the phase.
    ///
    /// A phase that ends leaves its nearest parameters to the next. A distance that is NaN is not nearer; the next step
    /// finds its cause.
    pub(super) fn validate(&mut self, step: u64, phase: usize) -> Result<Option<ObjectiveParts>> {
        let Some(Validation { every, patience, .. }) = self.config.validation else { return Ok(None) };
        let (_, within) = self.config.phase_at(step).expect("a step that was taken");
        let left = self.config.phases[phase].steps - within - 1;
        let mut measured = None;
        if (within + 1).is_multiple_of(every) || left == 0 {
            let tasks = self.config.validation_tasks()?;
            // No more games at a time than in a step, so that a step's memory is enough.
            let at_a_time = if self.config.games_per_step > 0 { self.config.games_per_step } else { tasks.len() };
            let mut found = Vec::new();
            for tasks in tasks.chunks(at_a_time) {
                let seats = seats(&self.model, &self.config, tasks)?;
                found.extend(self.evaluate(&seats, phase, false)?.into_iter().flatten());
            }
            let parts = ObjectiveParts::mean(found.iter().map(|judged| &judged.parts));
            let nearest = self.state.kept.as_ref().map_or(f64::INFINITY, |kept| kept.at.distance);
            self.state.steering.since += 1;
            if parts.free_distance < nearest {
                let at = KeptAt { steps: self.taken(), tokens: self.state.tokens, distance: parts.free_distance };
                self.state.kept = Some(Kept { theta: self.state.theta.clone(), at });
                self.state.steering.since = 0;
            }
            measured = Some(parts);
        }
        let over = left == 0 || self.state.steering.since >= patience;
        if over && phase + 1 < self.config.phases.len() {
            if let Some(kept) = self.state.kept.take() {
                self.state.theta = kept.theta;
            }
            self.state.steering.since = 0;
            self.state.steering.skipped += left;
        }
        Ok(measured)
    }

    /// Measures the policy without a step, seat by seat.
    ///
    /// It uses the next step's batch, or the last step's. Sampled runs use the full batch of the catalogue games.
    ///
    /// # Errors
    /// As [`Finetuning::step`].
    pub fn measure(&mut self) -> Result<Vec<(ObjectiveParts, Vec<StateParts>)>> {
        self.check_started()?;
        let step = self.done().min(self.config.steps() - 1);
        let (phase, _) = self.config.phase_at(step).expect("a step of some phase");
        let sampled = self.config.algorithm.rounds().is_some();
        let tasks = if sampled { self.config.measured_at(step)? } else { self.config.tasks_at(step)? };
        let seats = seats(&self.model, &self.config, &tasks)?;
        let found = self.evaluate(&seats, phase, false)?;
        let parts = seats.iter().zip(&found).map(|(seat, judged)| (mean(judged), by_state(seat, judged)));
        let parts: Vec<_> = parts.collect();
        match parts.iter().find(|(p, _)| !p.objective.is_finite()) {
            Some((p, _)) => Err(self.no_number("objective", p.objective)),
            None => Ok(parts),
        }
    }

    /// Measures the policy at the end of a run, each learner's.
    ///
    /// The policy is that of the kept parameters, which replace the last ones. It uses ten batches behind the run's
    /// last, or a twentieth of its steps where they are fewer. No step was trained on their labels, where labels are
    /// drawn. Sampled runs use the full batch of the catalogue games. `progress` is told the measured share, 0 to 1.
    ///
    /// # Errors
    /// As [`Finetuning::step`].
    pub fn measure_end(&mut self, mut progress: impl FnMut(f64)) -> Result<Vec<ObjectiveParts>> {
        if let Some(kept) = &self.state.kept {
            self.state.theta.clone_from(&kept.theta);
        }
        let fixed = self.config.games_per_step == 0 && matches!(self.config.labels, Labels::Fixed(_));
        if self.config.algorithm.rounds().is_some() || fixed {
            return Ok(self.measure()?.into_iter().map(|(parts, _)| parts).collect());
        }
        let (last, batches) = (self.config.phases.len() - 1, end_batches(&self.config));
        let mut all: Vec<Vec<ObjectiveParts>> = vec![Vec::new(); self.config.learners()];
        for batch in 0..batches {
            progress(batch as f64 / batches as f64);
            let seats = seats(&self.model, &self.config, &self.config.tasks_at(self.config.steps() + batch)?)?;
            for (all, judged) in all.iter_mut().zip(self.evaluate(&seats, last, false)?) {
                all.extend(judged.into_iter().map(|judged| judged.parts));
            }
        }
        let means: Vec<ObjectiveParts> = all.iter().map(ObjectiveParts::mean).collect();
        match means.iter().find(|parts| !parts.objective.is_finite()) {
            Some(parts) => Err(self.no_number("objective", parts.objective)),
            None => Ok(means),
        }
    }

    /// The objective of every seat, and optionally its gradient into `grads`.
    fn evaluate(&mut self, seats: &[Seat], phase: usize, gradient: bool) -> Result<Vec<Vec<Judged>>> {
        let others = self.others(seats, phase)?;
        let (n, width) = (self.decoder.n_params(), width(&self.config, &self.decoder));
        let (phase, play) = (self.config.phases[phase].clone(), self.config.play);
        let c = &self.config;
        let terms = ObjectiveTerms { aim: c.algorithm.aim(), beta: self.state.steering.beta, legality: c.legality };
        let mut found = Vec::new();
        for (i, (seat, others)) in seats.iter().zip(others).enumerate() {
            let references = self.references(seat)?;
            let mut others = others.into_iter();
            let groups = |batch: &Batch| {
                let others = others.by_ref().take(batch.tasks.len()).collect();
                batch.groups(&phase, play, others)
            };
            let groups: Vec<Vec<Group>> = seat.batches.iter().map(groups).collect::<Result<_>>()?;
            let (packs, weight) = (seat.packs(), seat.weight());
            let theta = &self.state.theta[i * width..][..n];
            let of = |i: usize, logits: &mut [f32]| {
                objective(&groups[i], &references[i], terms, 1.0 / weight, packs[i], logits)
            };
            let judged: Vec<Vec<Judged>> = if gradient {
                let grads = &mut self.grads[i * width..][..n];
                self.shards.gradient(&self.decoder, theta, &packs, grads, |i, tape| of(i, &mut tape.logits))
            } else {
                self.shards.forward(&self.decoder, theta, &packs, |i, tape| of(i, &mut tape.logits))
            };
            found.push(judged.concat());
        }
        Ok(found)
    }

    /// Each seat's opposing policies, a game each: scripted, or the learner's.
    fn others(&mut self, seats: &[Seat], phase: usize) -> Result<Vec<Vec<Policy>>> {
        let c = &self.config;
        let opponent = c.phases[phase].opponent.as_ref().unwrap_or(&c.opponent);
        let [first, second] = seats else {
            let of =
                |seat: &Seat| seat.batches.iter().map(|batch| batch.scripted(opponent)).collect::<Result<Vec<_>>>();
            return seats.iter().map(|seat| Ok(of(seat)?.concat())).collect();
        };
        let (n, width) = (self.decoder.n_params(), width(c, &self.decoder));
        let mut policies = seats.iter().zip(self.state.theta.chunks_exact(width)).map(|(seat, theta)| {
            let of_shard = self.shards.forward(&self.decoder, &theta[..n], &seat.packs(), |i, tape| {
                let batch = &seat.batches[i];
                let scores = all_scores(batch.decisions(), &mut tape.logits, &batch.pack);
                batch.by_game(scores.iter().map(|s| softmax(s)).collect())
            });
            of_shard.concat()
        });
        let [of_first, of_second] = [policies.next(), policies.next()].map(|p| p.expect("a policy a seat"));
        // The policy in one seat plays against the policy in the other seat.
        Ok(vec![first.across(of_second), second.across(of_first)])
    }

    /// The bare model's scores of a seat's decisions, cached, shard by shard.
    pub(super) fn references(&mut self, seat: &Seat) -> Result<Vec<Scores>> {
        let batches = &seat.batches;
        let unknown = |b: &Batch| b.names.iter().any(|name| self.references.get(name).is_none());
        let missing: Vec<usize> = (0..batches.len()).filter(|&i| unknown(&batches[i])).collect();
        let asked: Vec<&Pack> = missing.iter().map(|&i| &batches[i].pack).collect();
        let (decoder, theta) = self.origin.as_ref().map_or((&self.base, &[][..]), |origin| (&self.decoder, origin));
        let answers = self.shards.forward(decoder, theta, &asked, |i, tape| {
            all_scores(batches[missing[i]].decisions(), &mut tape.logits, asked[i])
        });
        for (&i, answers) in missing.iter().zip(answers) {
            for (name, scores) in batches[i].names.iter().zip(answers) {
                if self.references.get(name).is_none() {
                    self.references.put(*name, scores)?;
                }
            }
        }
        if !missing.is_empty() {
            self.references.sync()?;
        }
        let known = |name| self.references.get(name).expect("asked above").clone();
        Ok(batches.iter().map(|b| b.names.iter().map(known).collect()).collect())
    }
}

/// The bare model's scores of a shard's decisions, a log-probability an option.
type Scores = Vec<Vec<f64>>;

fn mean(judged: &[Judged]) -> ObjectiveParts {
    ObjectiveParts::mean(judged.iter().map(|j| &j.parts))
}

/// The parts by game and state, games in order of their names.
fn by_state(seat: &Seat, judged: &[Judged]) -> Vec<StateParts> {
    let mut found: BTreeMap<&str, Vec<(String, Vec<ObjectiveParts>)>> = BTreeMap::new();
    let mut parts = judged.iter().map(|j| j.alone);
    for task in seat.batches.iter().flat_map(|b| &b.tasks) {
        for (state, parts) in states(&task.game).into_iter().zip(parts.by_ref()) {
            let state = state_name(task, state);
            let of_game = found.entry(&task.name).or_default();
            match of_game.iter_mut().find(|(name, _)| *name == state) {
                Some((_, all)) => all.push(parts),
                None => of_game.push((state, vec![parts])),
            }
        }
    }
    let each = |(game, states): (&str, Vec<(String, Vec<ObjectiveParts>)>)| {
        let game = game.to_owned();
        states.into_iter().map(move |(state, all)| StateParts {
            game: game.clone(),
            state,
            parts: ObjectiveParts::mean(&all),
        })
    };
    found.into_iter().flat_map(each).collect()
}
