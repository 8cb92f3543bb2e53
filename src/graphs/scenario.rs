//! The moral graph as a reward of a game: every action in every state, scored.

use std::sync::Arc;

use probity_elicit::Situation;
use probity_engine::{Error as EngineError, Model};
use probity_game::moral::{Framework, ILLEGAL, Reward, RewardError, Scores};
use probity_game::{MatrixGame, Player, State, states};
use probity_values::{Graph, Judgement};
use serde::Deserialize;

use crate::Result;
use crate::agent::Scenario;
use crate::agent::prompt::rules;

/// A game told in words: models judge people's doings better than picks and points.
///
/// ```
/// use probity::graphs::Telling;
/// use probity::game::CatalogGame;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let telling = r#"{
///     "situation": "You and a neighbour share a well.",
///     "actions": ["You leave water.", "You take it all."],
///     "own_last": ["You left water.", "You took it all."],
///     "other_last": ["She left water.", "She took it all."]
/// }"#;
/// let situation = Telling::from_json(telling, &game)?.situation(None, &[]);
/// assert_eq!(situation.situation, "You and a neighbour share a well.");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// What goes on.
    pub situation: String,
    /// Each own action, in order of action id.
    pub actions: Vec<String>,
    /// Each own action as it was in the round before.
    pub own_last: Vec<String>,
    /// Each of the other player's actions as it was in the round before.
    pub other_last: Vec<String>,
}

impl Telling {
    /// Reads the JSON document and checks that it tells this game.
    ///
    /// # Errors
    /// [`EngineError::Document`] for JSON that does not parse, and for a wrong number of texts.
    pub fn from_json(json: &str, game: &MatrixGame) -> Result<Self> {
        let refuse = |problem: String| EngineError::Document { what: "telling", problem };
        let telling: Self = serde_json::from_str(json).map_err(|e| refuse(e.to_string()))?;
        let [own, other] = [Player::Row, Player::Column].map(|player| game.count(player));
        for (field, texts, expected) in [
            ("actions", &telling.actions, own),
            ("own_last", &telling.own_last, own),
            ("other_last", &telling.other_last, other),
        ] {
            if texts.len() != expected {
                let found = texts.len();
                Err(refuse(format!("{field}: {found} texts, expected one an action: {expected}")))?;
            }
        }
        Ok(telling)
    }

    /// The game as the prompt's rules tell it.
    #[must_use]
    pub fn of_rules(scenario: &Scenario) -> Self {
        let picked = |player, who: &str| -> Vec<String> {
            scenario.game.labels(player).iter().map(|label| format!("{who} picked \"{label}\" last.")).collect()
        };
        Self {
            situation: format!("{}{}", scenario.preamble, rules(&scenario.game, scenario.style)),
            actions: scenario.game.labels(Player::Row).iter().map(|l| format!("They pick \"{l}\".")).collect(),
            own_last: picked(Player::Row, "They"),
            other_last: picked(Player::Column, scenario.game.other_name()),
        }
    }

    /// The situation of one state.
    ///
    /// Without named `contexts` the judge finds them by similarity.
    #[must_use]
    pub fn situation(&self, state: State, contexts: &[String]) -> Situation {
        let last = state.map(|last| format!(" {} {}", self.own_last[last.own], self.other_last[last.other]));
        Situation {
            situation: format!("{}{}", self.situation.trim_end(), last.unwrap_or_default()),
            actions: self.actions.clone(),
            contexts: contexts.to_vec(),
            baseline: None,
        }
    }
}

/// The reward that a graph makes of a game, and what it was made from.
///
/// ```
/// use probity::game::CatalogGame;
/// use probity::graphs::scenario_reward;
/// use probity_values::{Abstention, Judgement};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// // A judge that finds the first action wiser by one, whatever was played.
/// let made = scenario_reward::<probity::Error>(&game, Some(3.0), "by hand".into(), |_| {
///     Ok(Judgement { values: Some(vec![0.5, -0.5]), ..Judgement::abstention(Abstention::NoValue) })
/// })?;
/// assert_eq!(made.reward.value(&game, Some(0), 1, None), 1.5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ScenarioReward {
    /// The reward, of this game alone.
    pub reward: Reward,
    /// What the graph made of each state, in the order of [`states`].
    pub judgements: Vec<Judgement>,
}

/// The inputs of a reward: the graph, the judge, and the origin of contexts.
///
/// `embedder` is the fingerprint of the embedder that found the contexts; `None` for named contexts.
#[must_use]
pub fn reward_source(graph: &Graph, judge: &Model, embedder: Option<&str>) -> String {
    let graph = blake3::hash(graph.deliberation().to_json().as_bytes()).to_hex();
    let contexts =
        embedder.map_or_else(|| "contexts by name".into(), |embedder| format!("contexts by the embedder {embedder}"));
    format!("graph {graph}, model {}, {contexts}", judge.fingerprint())
}

/// Scores every state of a game; `judge` scores the situation of one.
///
/// The largest difference between two actions of a state becomes `points`. `source` names the inputs of the scores.
///
/// # Errors
/// The errors of `judge`; [`RewardError::Scores`] if the graph abstains in every state, and for scores out of range.
pub fn scenario_reward<E: From<crate::Error>>(
    game: &MatrixGame,
    points: Option<f64>,
    source: String,
    mut judge: impl FnMut(State) -> std::result::Result<Judgement, E>,
) -> std::result::Result<ScenarioReward, E> {
    let actions = game.count(Player::Row);
    let (mut scores, mut judgements) = (Vec::new(), Vec::new());
    for state in states(game) {
        let judgement = judge(state)?;
        // In a state in which the graph abstains, all scores are 0. Elsewhere scores are relative to the mean of their
        // state: a share that all actions have is the judge's tone, and in repeated play it would reward reaching the
        // state.
        let values = judgement.values.clone().unwrap_or_else(|| vec![0.0; actions]);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        scores.push(values.into_iter().map(|value| value - mean).collect::<Vec<_>>());
        judgements.push(judgement);
    }
    if judgements.iter().all(|judgement| judgement.values.is_none()) {
        let why = judgements[0].abstains.as_ref().map(ToString::to_string).unwrap_or_default();
        let problem = format!("the graph abstains in every state: {why}; there is no reward to write");
        return Err(crate::Error::from(RewardError::Scores { problem }).into());
    }
    if let Some(points) = points {
        let spread = |row: &Vec<f64>| {
            let least = row.iter().copied().fold(f64::INFINITY, f64::min);
            row.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least
        };
        let scale = points / scores.iter().map(spread).fold(f64::MIN_POSITIVE, f64::max);
        scores.iter_mut().flatten().for_each(|score| *score *= scale);
    }
    let least = scores.iter().flatten().copied().fold(0.0, f64::min);
    let framework = Framework::Values(Arc::new(Scores { game: game.name().into(), scores, source }));
    // An illegal answer is worth less than any action, as among the published rewards.
    let reward = Reward { framework, illegal: ILLEGAL.min(2.0 * least) };
    reward.check_for(game).map_err(crate::Error::from)?;
    Ok(ScenarioReward { reward, judgements })
}
