//! Yes or no: how likely a model finds one or the other.

use probity_engine::Error as EngineError;
use probity_engine::chat::{Speaker, Turn};
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{CancelToken, Context, ContextOptions, Model};

use crate::Result;

/// A model that is asked what has yes or no for an answer.
///
/// Answers are deterministic: they are read off the probabilities, not drawn.
#[derive(Debug)]
pub struct Judge {
    scorer: Scorer,
    /// "Yes" and "No" with what ends an answer.
    answers: Vec<Continuation>,
}

/// A question: a part shared by many questions, and its own part.
///
/// Neither text becomes control tokens.
#[derive(Debug, Clone, Copy)]
pub struct YesNoQuestion<'a> {
    /// What it is about, what counts as a yes.
    pub rubric: &'a str,
    /// What is to be judged.
    pub case: &'a str,
}

impl Judge {
    /// A judge with a context of its own.
    ///
    /// # Errors
    /// [`EngineError::Llama`] if llama.cpp cannot make a context; [`EngineError::UnsupportedModel`] for a vocabulary
    /// without tokens for yes and no.
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self> {
        let end = model.template().terminator(model)?;
        let answers = model.template().answers(model, "", &["Yes", "No"])?;
        if answers.iter().any(Vec::is_empty) || answers[0] == answers[1] {
            return Err(EngineError::UnsupportedModel {
                file: model.path().display().to_string(),
                problem: "its vocabulary has no tokens for \"Yes\" and \"No\"".into(),
            }
            .into());
        }
        let answers = answers.into_iter().map(|answer| [answer, end.clone()].concat().into()).collect();
        Ok(Self { scorer: Scorer::new(Context::new(model, options)?), answers })
    }

    /// The model it asks.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.scorer.context().model()
    }

    /// The flag that stops it, from any thread.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.scorer.cancel_token()
    }

    /// `ln P(yes) - ln P(no)`: above 0 where the model finds yes more likely.
    ///
    /// # Errors
    /// [`EngineError::PromptTooLong`], [`EngineError::Template`], [`EngineError::Cancelled`], [`EngineError::Llama`].
    pub fn log_odds(&mut self, question: YesNoQuestion<'_>) -> Result<f64> {
        let prompt = self.encode(question)?;
        let scores = self.scorer.score(&prompt, &self.answers)?;
        let odds = scores[0] - scores[1];
        if odds.is_finite() {
            Ok(odds)
        } else {
            let reason = format!("yes and no have the log-probabilities {scores:?}; the model is damaged");
            Err(EngineError::Llama { action: "judge", reason }.into())
        }
    }

    fn encode(&self, question: YesNoQuestion<'_>) -> Result<PromptTokens> {
        let model = self.model();
        let turn = Turn { speaker: Speaker::User, text: format!("{}{}", question.rubric, question.case) };
        let dialogue = model.template().encode(model, &[turn], Some(""))?;
        Ok(PromptTokens { fixed: dialogue.tokens_before(0, question.rubric.len()), tokens: dialogue.tokens })
    }
}
