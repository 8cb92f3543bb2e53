//! A step of the exact objective, and the exact measurement of any policy.

use std::collections::BTreeMap;

use super::{Batch, Finetuning, Gradient, StateParts, packs, seats, state_name, width};
use crate::game::play::{self, Policy};
use crate::train::curriculum::{Algorithm, Task};
use crate::train::decoder::Pack;
use crate::train::objective::{Aim, Group, Parts, Terms, all_scores, objective, softmax};
use crate::{Error, Result};

/// Steps in a row that may be worse than the bare model before a run counts as diverging.
const ASTRAY: u64 = 50;
/// How much worse than the bare model a step is that counts, points.
const WORSE: f64 = 0.1;

impl Finetuning {
    /// Takes a step up the exact gradient.
    pub(super) fn exact(&mut self, phase: usize, rate: f32) -> Result<Gradient> {
        let tasks = self.config.tasks_at(self.done())?;
        let seats = seats(&self.model, &self.config, &tasks)?;
        let found = self.evaluate(&seats, phase, true)?;
        let mut norm: f32 = 0.0;
        for (i, parts) in found.iter().enumerate() {
            norm = norm.max(self.checked(i, Parts::mean(parts).objective)?);
        }
        let parts: Vec<Parts> = found.iter().map(Parts::mean).collect();
        let worse = parts.iter().any(|p| p.objective < p.bare - WORSE);
        if worse && self.config.algorithm == Algorithm::Exact {
            self.state.steering.astray += 1;
            if self.state.steering.astray >= ASTRAY {
                let (step, p) = (self.done() + 1, parts[0]);
                let problem = format!(
                    "diverging: at step {step} the objective is {:.3}, below the bare model's {:.3} for {ASTRAY} steps; a \
                     lower rate may help",
                    p.objective, p.bare
                );
                return Err(Error::Training { problem });
            }
        } else {
            self.state.steering.astray = 0;
        }
        self.state.adam.step(&mut self.state.theta, &self.grads, rate);
        Ok(Gradient {
            divergence: parts[0].kl,
            states: by_state(&seats[0], &found[0]),
            parts,
            played: None,
            norm,
            tokens: seats.iter().flatten().map(|b| b.pack.len() as u64).sum(),
        })
    }

    /// Where the policy stands, without a step: on the full batch, where there are catalogue games.
    ///
    /// # Errors
    /// As [`Finetuning::step`].
    pub fn measure(&mut self) -> Result<(Vec<Parts>, Vec<StateParts>)> {
        let step = self.done().min(self.config.steps() - 1);
        let (phase, _) = self.config.phase_at(step).expect("a step of some phase");
        let tasks: Vec<Task> = self.config.measured_at(step)?;
        let seats = seats(&self.model, &self.config, &tasks)?;
        let found = self.evaluate(&seats, phase, false)?;
        Ok((found.iter().map(Parts::mean).collect(), by_state(&seats[0], &found[0])))
    }

    /// The objective of every seat's decisions, and where wanted its gradient into `grads`.
    fn evaluate(&mut self, seats: &[Vec<Batch>], phase: usize, gradient: bool) -> Result<Vec<Vec<Parts>>> {
        let groups = self.groups(seats, phase)?;
        let (n, width) = (self.decoder.n_params(), width(&self.config, &self.decoder));
        let c = &self.config;
        let aim = if c.algorithm == Algorithm::Supervised { Aim::Labels } else { Aim::Objective };
        let terms = Terms { aim, beta: self.state.steering.beta, legality: c.legality };
        let mut found = Vec::new();
        for (i, (batches, groups)) in seats.iter().zip(&groups).enumerate() {
            let references = self.references(batches)?;
            let packs = packs(batches);
            let weight: f64 = batches.iter().flat_map(Batch::decisions).map(|d| d.weight).sum();
            let theta = &self.state.theta[i * width..][..n];
            let of = |i: usize, logits: &mut [f32]| {
                objective(&groups[i], &references[i], terms, 1.0 / weight, packs[i], logits)
            };
            let parts: Vec<Vec<Parts>> = if gradient {
                let grads = &mut self.grads[i * width..][..n];
                self.shards.gradient(&self.decoder, theta, &packs, grads, |i, tape| of(i, &mut tape.logits))
            } else {
                self.shards.forward(&self.decoder, theta, &packs, |i, tape| of(i, &mut tape.logits))
            };
            found.push(parts.concat());
        }
        Ok(found)
    }

    /// What every seat's decisions are worth: against scripted others, or against what the other learner does now.
    fn groups(&mut self, seats: &[Vec<Batch>], phase: usize) -> Result<Vec<Vec<Vec<Group>>>> {
        let c = &self.config;
        let (n, width, phase) = (self.decoder.n_params(), width(c, &self.decoder), &c.phases[phase]);
        let mut policies: Vec<Vec<Vec<Policy>>> = Vec::new();
        if seats.len() > 1 {
            for (batches, theta) in seats.iter().zip(self.state.theta.chunks_exact(width)) {
                policies.push(self.shards.forward(&self.decoder, &theta[..n], &packs(batches), |i, tape| {
                    let scores = all_scores(batches[i].decisions(), &mut tape.logits, &batches[i].pack);
                    batches[i].by_game(scores.iter().map(|s| softmax(s)).collect())
                }));
            }
            // Whoever sits in one seat plays against whoever sits in the other.
            policies.reverse();
        }
        let mut theirs = policies.into_iter();
        let mut of_seat = |batches: &Vec<Batch>| -> Result<Vec<Vec<Group>>> {
            let mut theirs = theirs.next().into_iter().flatten();
            let of = |batch: &Batch| {
                let others = match theirs.next() {
                    Some(policies) => batch.across(policies),
                    None => batch.scripted(phase.opponent.as_ref().unwrap_or(&c.opponent))?,
                };
                batch.groups(phase, c.play, others)
            };
            batches.iter().map(of).collect()
        };
        seats.iter().map(&mut of_seat).collect()
    }

    /// The bare model's scores of a seat's decisions, shard by shard; computed where they are not known.
    fn references(&mut self, batches: &[Batch]) -> Result<Vec<Vec<Vec<f64>>>> {
        let unknown = |b: &Batch| b.names.iter().any(|name| self.references.get(name).is_none());
        let missing: Vec<usize> = (0..batches.len()).filter(|&i| unknown(&batches[i])).collect();
        let asked: Vec<&Pack> = missing.iter().map(|&i| &batches[i].pack).collect();
        let answers = self.shards.forward(&self.base, &[], &asked, |i, tape| {
            all_scores(batches[missing[i]].decisions(), &mut tape.logits, asked[i])
        });
        for (&i, answers) in missing.iter().zip(answers) {
            for (name, scores) in batches[i].names.iter().zip(answers) {
                if self.references.get(name).is_none() {
                    self.references.put(*name, scores)?;
                }
            }
        }
        let known = |name| self.references.get(name).expect("asked above").clone();
        Ok(batches.iter().map(|b| b.names.iter().map(known).collect()).collect())
    }
}

/// Parts by game and state, games in order of their names.
fn by_state(batches: &[Batch], parts: &[Parts]) -> Vec<StateParts> {
    let mut found: BTreeMap<&str, Vec<(String, Vec<Parts>)>> = BTreeMap::new();
    let mut parts = parts.iter();
    for task in batches.iter().flat_map(|b| &b.tasks) {
        for (state, parts) in play::states(&task.game).into_iter().zip(parts.by_ref()) {
            let state = state_name(task, state);
            let of_game = found.entry(&task.name).or_default();
            match of_game.iter_mut().find(|(name, _)| *name == state) {
                Some((_, all)) => all.push(*parts),
                None => of_game.push((state, vec![*parts])),
            }
        }
    }
    let each = |(game, states): (&str, Vec<(String, Vec<Parts>)>)| {
        let game = game.to_owned();
        states.into_iter().map(move |(state, all)| StateParts { game: game.clone(), state, parts: Parts::mean(&all) })
    };
    found.into_iter().flat_map(each).collect()
}
