//! A step on answers sampled in play.

use std::collections::HashMap;

use probity::agent::prompt::{encode, options, prompt};
use probity_engine::score::Continuation;
use probity_engine::{Model, Token};
use probity_game::{History, Profile};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Finetuning, Gradient, width};
use crate::Result;
use crate::checkpoint::Moments;
use crate::curriculum::{Algorithm, Ppo, TrainConfig};
use crate::decoder::{Decoder, Pack};
use crate::objective::{LogitRows, Read};
use crate::rollout::episode::{Asked, draw_token};
use crate::rollout::{Course, Played, Rollout, Sample, grpo, pack, play, ppo, reinforce};
use crate::shards::Shards;

/// Sampling has streams of its own.
const SAMPLING: u64 = 0x706c_6179;

impl Finetuning {
    /// Plays the step's episodes and learns from them.
    pub(super) fn sampled(&mut self, phase: usize, rate: f32) -> Result<Gradient> {
        let step = self.done();
        let measured = if step.is_multiple_of(self.config.measure_every) { self.measure()? } else { Vec::new() };
        let (parts, states): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
        let (samples, mut tokens) = self.episodes(phase)?;
        let learners = samples.len();
        let (mut norm, mut played, mut packs, mut rollouts) = (0.0_f32, Vec::new(), Vec::new(), Vec::new());
        for (learner, samples) in samples.iter().enumerate() {
            let (pack, reads) = pack(samples);
            let found = self.rollouts(learner, samples, &pack, reads)?;
            // Log-probabilities before training, with the adapter on and off.
            tokens += 2 * pack.len() as u64;
            played.push(summary(samples, &found));
            packs.push(pack);
            rollouts.push(found);
        }
        match self.config.algorithm {
            Algorithm::Ppo(p) => {
                let scaled =
                    rollouts.iter().zip(&mut self.state.steering.rewards).map(|(r, moments)| scaled(r, moments));
                let scores: Vec<Vec<f64>> = scaled.collect();
                let beta = self.state.steering.beta;
                let each = rollouts.iter().zip(&scores).map(|(r, scores)| ppo::targets(&p, beta, r, scores));
                let targets: Vec<ppo::Targets> = each.collect();
                for _ in 0..p.epochs {
                    for learner in 0..learners {
                        let (rollouts, targets) = (&rollouts[learner], &targets[learner]);
                        norm = norm.max(self.ppo_gradient(&p, learner, rollouts, targets, &packs[learner])?);
                        tokens += packs[learner].len() as u64;
                    }
                    self.state.adam.step(&mut self.state.theta, &self.grads, rate);
                }
            }
            Algorithm::Grpo(g) => {
                let advantages: Vec<Vec<f64>> = rollouts.iter().map(|r| grpo::advantages(r, g.group)).collect();
                let beta = self.state.steering.beta;
                for _ in 0..g.epochs {
                    for learner in 0..learners {
                        let (rollouts, advantages, pack) = (&rollouts[learner], &advantages[learner], &packs[learner]);
                        let loss = |logits: &mut [f32]| grpo::loss(&g, beta, advantages, rollouts, pack, logits);
                        norm = norm.max(self.logit_gradient(learner, pack, loss)?);
                        tokens += pack.len() as u64;
                    }
                    self.state.adam.step(&mut self.state.theta, &self.grads, rate);
                }
            }
            Algorithm::Reinforce(r) => {
                let beta = self.state.steering.beta;
                for learner in 0..learners {
                    let (rollouts, pack) = (&rollouts[learner], &packs[learner]);
                    let loss = |logits: &mut [f32]| {
                        reinforce::loss(beta, r.rounds, rollouts, pack, logits);
                        0.0
                    };
                    norm = norm.max(self.logit_gradient(learner, pack, loss)?);
                    tokens += pack.len() as u64;
                }
                self.state.adam.step(&mut self.state.theta, &self.grads, rate);
            }
            Algorithm::Exact {} | Algorithm::Optimum {} | Algorithm::Supervised {} => {
                unreachable!("nothing is sampled")
            }
        }
        let divergence = played.iter().map(|p| p.divergence).sum::<f64>() / learners as f64;
        Ok(Gradient { parts, states, played, norm, divergence, tokens })
    }

    /// Plays a step's episodes; returns each learner's samples and the tokens.
    fn episodes(&mut self, phase: usize) -> Result<(Vec<Vec<Sample>>, u64)> {
        let c = &self.config;
        let step = self.done();
        let rounds = c.algorithm.rounds().expect("an algorithm that plays");
        let course = if matches!(c.algorithm, Algorithm::Grpo(_)) { Course::Group } else { Course::Episode };
        let mut rng = ChaCha8Rng::seed_from_u64(c.seed ^ SAMPLING);
        rng.set_stream(step);
        let reward = &c.phases[phase].reward;
        let opponent = c.phases[phase].opponent.as_ref().unwrap_or(&c.opponent);
        let (width, n) = (width(c, &self.decoder), self.decoder.n_params());
        let (model, decoder, state, shards) = (&self.model, &self.decoder, &self.state, &mut self.shards);
        let mut tokens = 0;
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); c.learners()];
        for task in c.tasks_at(step)? {
            let styles = |rng: &mut ChaCha8Rng| c.style(step, rng);
            let answer = |asked: &Asked<'_>, rng: &mut ChaCha8Rng| {
                let theta = &state.theta[asked.seat * width..][..n];
                sample(model, decoder, theta, shards, asked, rng, &mut tokens)
            };
            let episode = play(model, &task.game, (course, rounds), (reward, opponent), &mut rng, styles, answer)?;
            samples.iter_mut().zip(episode).for_each(|(all, new)| all.extend(new));
        }
        Ok((samples, tokens))
    }

    /// The samples under the policy and the bare model, before any update.
    fn rollouts(
        &mut self,
        learner: usize,
        samples: &[Sample],
        pack: &Pack,
        reads: Vec<Vec<Read>>,
    ) -> Result<Vec<Rollout>> {
        let (width, n) = (width(&self.config, &self.decoder), self.decoder.n_params());
        let (theta, head) = self.state.theta[learner * width..][..width].split_at(n);
        let all = |logits: &mut [f32]| -> Vec<Vec<f64>> {
            let mut rows = LogitRows::new(pack, logits);
            reads.iter().map(|reads| reads.iter().map(|&read| rows.log_probability(read)).collect()).collect()
        };
        let d = self.decoder.shape().n_embd;
        let value = |normed: &[f32], &(row, _): &Read| ppo::value(head, &normed[row * d..][..d]);
        let own = self.shards.forward(&self.decoder, theta, &[pack], |_, tape| {
            let values: Vec<Vec<f64>> = match head {
                [] => vec![Vec::new(); reads.len()],
                _ => reads.iter().map(|reads| reads.iter().map(|read| value(&tape.normed, read)).collect()).collect(),
            };
            (all(&mut tape.logits), values)
        });
        let (decoder, origin) = self.origin.as_ref().map_or((&self.base, &[][..]), |origin| (&self.decoder, origin));
        let reference = self.shards.forward(decoder, origin, &[pack], |_, tape| all(&mut tape.logits));
        let (old, values) = own.into_iter().next().expect("one pack");
        let reference = reference.into_iter().next().expect("one pack");
        let each = reads.iter().zip(old).zip(reference).zip(values).zip(samples);
        let rollout = |((((reads, old), reference), values), sample): ((((&Vec<Read>, _), _), _), &Sample)| Rollout {
            reads: reads.clone(),
            old,
            reference,
            values,
            reward: sample.reward,
        };
        Ok(each.map(rollout).collect())
    }

    fn ppo_gradient(
        &mut self,
        p: &Ppo,
        learner: usize,
        rollouts: &[Rollout],
        targets: &ppo::Targets,
        pack: &Pack,
    ) -> Result<f32> {
        let (width, n) = (width(&self.config, &self.decoder), self.decoder.n_params());
        let (theta, head) = self.state.theta[learner * width..][..width].split_at(n);
        let (grads, head_grads) = self.grads[learner * width..][..width].split_at_mut(n);
        let mut found = self.shards.gradient(&self.decoder, theta, &[pack], grads, |_, tape| {
            ppo::loss(p, rollouts, targets, pack, tape, head)
        });
        let (loss, gradient) = found.remove(0);
        head_grads.copy_from_slice(&gradient);
        self.checked(learner, -loss)
    }

    /// The gradient of a loss of logits alone.
    fn logit_gradient(&mut self, learner: usize, pack: &Pack, loss: impl Fn(&mut [f32]) -> f64 + Sync) -> Result<f32> {
        let n = self.decoder.n_params();
        let theta = &self.state.theta[learner * n..][..n];
        let grads = &mut self.grads[learner * n..][..n];
        let found = self.shards.gradient(&self.decoder, theta, &[pack], grads, |_, tape| loss(&mut tape.logits));
        self.checked(learner, -found[0])
    }
}

/// The largest pack of a step: samples of all states at full length.
pub(super) fn largest(model: &Model, config: &TrainConfig, rounds: usize) -> Result<Pack> {
    let mut samples = Vec::new();
    for task in config.tasks_at(0)? {
        let options = options(model, &task.game)?;
        let longest = options.iter().max_by_key(|option| option.count()).expect("a game has actions");
        let answer = [longest.tokens(), &longest.last()[..1]].concat();
        let states: Vec<Profile> = History::states(&task.game).collect();
        for round in 0..rounds {
            let state = Some(states[round % states.len()]);
            let prompt = encode(model, &prompt(&task.game, state, task.style))?.tokens;
            samples.push(Sample { prompt, answer: answer.clone(), action: None, reward: 0.0 });
        }
    }
    Ok(pack(&samples).0)
}

/// Samples a free answer at temperature 1 from the whole vocabulary.
///
/// Sampling stops at a quotation mark, at the end of a turn, or at the length of the longest legal answer.
fn sample(
    model: &Model,
    decoder: &Decoder,
    theta: &[f32],
    shards: &mut Shards,
    asked: &Asked<'_>,
    rng: &mut ChaCha8Rng,
    tokens: &mut u64,
) -> Result<Vec<Token>> {
    let longest = asked.options.iter().map(Continuation::count).max().unwrap_or(1);
    let (marks, end) = (model.template().quotation_marks(), model.template().terminator(model)?);
    // One pass computes the logits after every prefix of a legal answer. An answer that leaves these prefixes needs a
    // pass a token.
    let legal: Vec<Vec<Token>> = asked.options.iter().map(|o| [o.tokens(), &o.last()[..1]].concat()).collect();
    let mut known = after(decoder, theta, shards, asked.prompt, &legal, tokens);
    let mut answer = Vec::new();
    loop {
        if !known.contains_key(&answer) {
            let longer = [answer.iter().copied().chain([0]).collect::<Vec<Token>>()];
            known = after(decoder, theta, shards, asked.prompt, &longer, tokens);
        }
        answer.push(draw_token(&known[&answer], rng));
        let closed = answer.last().is_some_and(|token| marks.contains(token));
        if answer.len() >= longest || closed || answer.ends_with(&end) {
            return Ok(answer);
        }
    }
}

/// The logits after every proper prefix of some answers to a prompt.
fn after(
    decoder: &Decoder,
    theta: &[f32],
    shards: &mut Shards,
    prompt: &[Token],
    answers: &[Vec<Token>],
    tokens: &mut u64,
) -> HashMap<Vec<Token>, Vec<f32>> {
    let sample =
        |answer: &Vec<Token>| Sample { prompt: prompt.to_vec(), answer: answer.clone(), action: None, reward: 0.0 };
    let (pack, reads) = pack(&answers.iter().map(sample).collect::<Vec<_>>());
    *tokens += pack.len() as u64;
    let width = decoder.shape().n_vocab;
    let rows = shards.forward(decoder, theta, &[&pack], |_, tape| {
        let mut rows = HashMap::new();
        for (answer, reads) in answers.iter().zip(&reads) {
            for (i, &(row, _)) in reads.iter().enumerate() {
                rows.entry(answer[..i].to_vec()).or_insert_with(|| tape.logits[row * width..][..width].to_vec());
            }
        }
        rows
    });
    rows.into_iter().next().expect("one pack")
}

/// Rewards normalised by running mean and spread (TRL's score scaling).
fn scaled(rollouts: &[Rollout], moments: &mut Moments) -> Vec<f64> {
    rollouts.iter().for_each(|r| moments.add(r.reward));
    let scale = moments.deviation() + f64::from(f32::EPSILON);
    rollouts.iter().map(|r| (r.reward - moments.mean) / scale).collect()
}

fn summary(samples: &[Sample], rollouts: &[Rollout]) -> Played {
    let n = samples.len() as f64;
    Played {
        reward: samples.iter().map(|s| s.reward).sum::<f64>() / n,
        illegal: samples.iter().filter(|s| s.action.is_none()).count() as f64 / n,
        divergence: rollouts.iter().map(Rollout::divergence).sum::<f64>() / n,
        tokens: samples.iter().map(|s| (s.prompt.len() + s.answer.len()) as u64).sum(),
    }
}
