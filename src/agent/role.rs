//! A role: a scenario under a set of adapters, on one model.
//!
//! Agents of one role share its tokens and its answers. A role is immutable but for these.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{AdapterSet, Model};
use probity_game::moral::account;
use probity_game::{Player, State};

use super::decision::{Choice, Consideration};
use super::legality::{Cause, Floor, Unreliable, doubt};
use super::prompt::{encode, options, prompt};
use super::scenario::Scenario;
use crate::Result;

/// States whose answers and prompts a role keeps: more than those of a 7 x 7 game.
const KEPT: usize = 64;

/// A scenario with its tokens on one model.
#[derive(Debug)]
pub(super) struct Task {
    /// Without seed and history, which are the agent's; with its legality floor.
    pub scenario: Scenario,
    /// The labels as answers, with the quotation mark behind them.
    options: Vec<Continuation>,
    prompts: Mutex<HashMap<State, Arc<PromptTokens>>>,
}

impl Task {
    pub fn new(model: &Model, scenario: Scenario) -> Result<Self> {
        let options = options(model, &scenario.game)?;
        Ok(Self { scenario, options, prompts: Mutex::default() })
    }

    /// The prompt of a state.
    pub fn prompt(&self, model: &Model, state: State) -> Result<Arc<PromptTokens>> {
        if let Some(prompt) = self.prompts.lock().get(&state) {
            return Ok(Arc::clone(prompt));
        }
        let Scenario { game, style, preamble, .. } = &self.scenario;
        let prompt = Arc::new(encode(model, &prompt(game, state, *style).after(preamble))?);
        keep(&mut self.prompts.lock(), state, &prompt);
        Ok(prompt)
    }

    /// Asks the model.
    ///
    /// `doubt` makes the answer doubtful, whatever its legality mass.
    fn answer(&self, scorer: &mut Scorer, state: State, doubt: Option<&Cause>) -> Result<Answer> {
        let model = scorer.context().model().clone();
        let prompt = self.prompt(&model, state)?;
        let Scenario { game, policy, legality_floor, .. } = &self.scenario;
        let scores = scorer.score(&prompt, &self.options)?;
        let probabilities = policy.probabilities(game, state, &scores)?;
        let belief = policy.belief.distribution(game, state)?;
        let accounts = account(game, state, &belief, &policy.rewards)?;
        let labels = game.labels(Player::Row);
        let actions = accounts
            .into_iter()
            .zip(labels.iter().zip(probabilities.iter().zip(&scores)))
            .map(|(account, (label, (&probability, &log_prob)))| Choice {
                label: label.clone(),
                probability,
                log_prob,
                account,
            })
            .collect();
        let legality_mass = scores.iter().map(|s| s.exp()).sum();
        let unreliable = match *legality_floor {
            Some(Floor::At(floor)) if legality_mass < floor => {
                Some(Unreliable { floor, cause: self.cause(&model, scorer, &prompt, floor)? })
            }
            Some(Floor::At(floor)) => doubt.cloned().map(|cause| Unreliable { floor, cause }),
            _ => None,
        };
        let considered = Consideration { actions, legality_mass, unreliable, state, belief };
        Ok(Answer { prompt, policy: considered.policy(), considered: Arc::new(considered) })
    }

    /// Finds out why the legality mass is below the floor.
    fn cause(&self, model: &Model, scorer: &mut Scorer, prompt: &PromptTokens, floor: f64) -> Result<Cause> {
        let bare: Vec<Continuation> = self.options.iter().map(|o| o.tokens().to_vec().into()).collect();
        let labels: f64 = scorer.score(prompt, &bare)?.iter().map(|s| s.exp()).sum();
        let begins = model.piece(scorer.likeliest(prompt)?);
        let thinks = ["think", "thought", "reason"].iter().any(|word| begins.to_lowercase().contains(word));
        Ok(if labels >= floor {
            Cause::Unclosed {}
        } else if thinks {
            Cause::Thought { begins }
        } else if !model.template().is_own() {
            Cause::NoTemplate
        } else {
            Cause::Labels { begins }
        })
    }
}

/// What the model made of a state.
#[derive(Debug)]
pub(super) struct Answer {
    pub prompt: Arc<PromptTokens>,
    pub considered: Arc<Consideration>,
    /// The probabilities in order of action id.
    pub policy: Vec<f64>,
}

/// A task under adapters.
#[derive(Debug)]
pub(super) struct Role {
    pub task: Arc<Task>,
    pub adapters: AdapterSet,
    /// What makes its answers doubtful, whatever their legality mass.
    doubt: Option<Cause>,
    answers: Mutex<HashMap<State, Arc<Answer>>>,
}

impl Role {
    pub fn new(model: &Model, task: Arc<Task>, adapters: AdapterSet) -> Result<Self> {
        let Scenario { game, style, .. } = &task.scenario;
        let doubt = doubt(model, adapters.adapters(), game, style.norm)?;
        Ok(Self { task, adapters, doubt, answers: Mutex::default() })
    }

    /// The answer to a state, if it is known.
    pub fn known(&self, state: State) -> Option<Arc<Answer>> {
        self.answers.lock().get(&state).cloned()
    }

    /// Asks the model, and keeps the answer.
    pub fn ask(&self, scorer: &mut Scorer, state: State) -> Result<Arc<Answer>> {
        // Another agent may have asked while this one waited.
        if let Some(answer) = self.known(state) {
            return Ok(answer);
        }
        scorer.use_adapters(&self.adapters)?;
        let answer = Arc::new(self.task.answer(scorer, state, self.doubt.as_ref())?);
        keep(&mut self.answers.lock(), state, &answer);
        Ok(answer)
    }

    /// Asks the model with nothing in its cache, and keeps nothing.
    pub fn ask_afresh(&self, scorer: &mut Scorer, state: State) -> Result<Arc<Answer>> {
        scorer.use_adapters(&self.adapters)?;
        scorer.forget();
        Ok(Arc::new(self.task.answer(scorer, state, self.doubt.as_ref())?))
    }
}

/// Keeps a value, and no more than [`KEPT`].
fn keep<T>(kept: &mut HashMap<State, Arc<T>>, state: State, value: &Arc<T>) {
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(state, Arc::clone(value));
}
