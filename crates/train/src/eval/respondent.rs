//! Whoever answers an evaluation: a model under adapters, or a scripted player.

use std::collections::HashMap;

use probity::agent::policy::PolicyOptions;
use probity::agent::prompt::{Prompt, encode, options};
use probity_engine::score::Scorer;
use probity_engine::{Adapter, Context, ContextOptions, Model};
use probity_game::moral::OTHER;
use probity_game::{MatrixGame, Profile, State, Strategy};

use crate::Result;

/// A policy that can be asked anything.
#[derive(Debug)]
pub struct Respondent {
    kind: Kind,
    /// Log-probabilities of the labels, by prompt and labels.
    known: HashMap<(String, Vec<String>), Vec<f64>>,
}

#[derive(Debug)]
enum Kind {
    Scripted(Strategy),
    Model { scorer: Box<Scorer>, preamble: String },
}

/// An answer as a distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The policy over the legal actions.
    pub policy: Vec<f64>,
    /// Probability of the legal answers; a free answer is illegal with the rest.
    pub legality_mass: f64,
}

impl Answer {
    /// The probabilities of the actions where illegal answers are counted.
    #[must_use]
    pub fn free(&self) -> Vec<f64> {
        self.policy.iter().map(|p| p * self.legality_mass).collect()
    }
}

impl Respondent {
    /// A scripted player in the row player's place.
    #[must_use]
    pub fn scripted(strategy: Strategy) -> Self {
        Self { kind: Kind::Scripted(strategy), known: HashMap::new() }
    }

    /// A model under adapters, asked with a text before the rules.
    ///
    /// [`OTHER`] in the text is the other player's name.
    ///
    /// # Errors
    /// The errors of [`Context::new`], and of an adapter for another model.
    pub fn model(model: &Model, adapters: &[(Adapter, f32)], preamble: &str) -> Result<Self> {
        let mut scorer = Scorer::new(Context::new(model, ContextOptions::default())?);
        scorer.set_adapters(adapters)?;
        let kind = Kind::Model { scorer: Box::new(scorer), preamble: preamble.into() };
        Ok(Self { kind, known: HashMap::new() })
    }

    /// The row player's answer in a state that a prompt tells.
    ///
    /// A scripted player reads the state, a model the prompt.
    ///
    /// # Errors
    /// The errors of [`Scorer::score`]; [`probity::Error::Game`] for a player that cannot play the game.
    pub fn answer(&mut self, game: &MatrixGame, state: State, prompt: &Prompt) -> Result<Answer> {
        let (scorer, preamble) = match &mut self.kind {
            Kind::Model { scorer, preamble } => (scorer, preamble),
            Kind::Scripted(strategy) => {
                let turned = state.map(|last| Profile { own: last.other, other: last.own });
                let policy = strategy.policy(&game.transposed(), turned)?;
                return Ok(Answer { policy, legality_mass: 1.0 });
            }
        };
        let prompt = prompt.clone().after(&preamble.replace(OTHER, game.other_name()));
        let key = (prompt.text(), game.labels(probity_game::Player::Row).to_vec());
        let scores = match self.known.get(&key) {
            Some(scores) => scores.clone(),
            None => {
                let model = scorer.context().model().clone();
                let scores = scorer.score(&encode(&model, &prompt)?, &options(&model, game)?)?;
                self.known.insert(key, scores.clone());
                scores
            }
        };
        let policy = PolicyOptions::default().probabilities(game, state, &scores)?;
        Ok(Answer { policy, legality_mass: scores.iter().map(|score| score.exp()).sum() })
    }
}
