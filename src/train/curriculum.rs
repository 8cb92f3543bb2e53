//! What an adapter is trained on: a config of games, labels, layouts, rewards and phases.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::corpus::random_game;
use super::labels::{Split, any, draw};
use crate::agent::prompt::{Layout, Style};
use crate::game::{GameError, MatrixGame, Named, Player, State, Strategy};
use crate::moral::Reward;
use crate::{Error, Result};

/// Where the games of a step come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Games {
    /// Catalogue games, each as likely as the others.
    #[serde(default)]
    pub catalogue: Vec<String>,
    /// Share of games with random payoffs instead.
    #[serde(default)]
    pub random: f64,
}

/// Which labels the actions get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drawn anew for every game from the training split of the pool.
    Pool,
    /// These, in order of action id.
    Fixed([String; 2]),
}

/// How the prompt presents the games.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Styles {
    /// Every layout and order of mention.
    All,
    /// The original layout, every order of mention: what the paper trains on.
    OriginalLayout,
}

impl Styles {
    /// All of them.
    fn all(self) -> impl Iterator<Item = Style> {
        Style::all().filter(move |style| self.of(*style) == *style)
    }

    /// A style, brought in line.
    fn of(self, style: Style) -> Style {
        match self {
            Self::All => style,
            Self::OriginalLayout => Style { layout: Layout::Original, ..style },
        }
    }
}

/// Repeated play.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Play {
    /// Weight of a round beside the one before it, above 0 and below 1.
    pub discount: f64,
    /// Where play starts.
    #[serde(default)]
    pub start: Start,
}

/// Where repeated play starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// In every state as often, so that none goes untrained.
    #[default]
    Anywhere,
    /// In the first round: states that play never leads to are not trained.
    FirstRound,
}

impl Start {
    /// As a distribution over so many states.
    #[must_use]
    pub fn distribution(self, states: usize) -> Vec<f64> {
        match self {
            Self::Anywhere => vec![1.0 / states as f64; states],
            Self::FirstRound => (0..states).map(|s| f64::from(u8::from(s == 0))).collect(),
        }
    }
}

/// A stretch of training under one reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The reward.
    pub reward: Reward,
    /// Optimiser steps.
    pub steps: u64,
    /// Whom it plays against in this phase; the config's opponent where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opponent: Option<Opponent>,
}

/// Whom a learner plays against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "OpponentDocument", into = "OpponentDocument")]
pub enum Opponent {
    /// A scripted player.
    Scripted(Strategy),
    /// A player of two actions who cooperates with these probabilities: in the first round, then after both cooperated,
    /// after it alone did, after the learner alone did, after none did.
    MemoryOne([f64; 5]),
    /// A second learner with an adapter of its own, trained at the same time under the same reward.
    Learner,
}

impl Opponent {
    /// The distribution over its actions, given the state as the learner sees it. Of a learner it is not known: a fair
    /// coin.
    ///
    /// # Errors
    /// As [`Strategy::policy`]; [`GameError::Belief`] for a memory-one player in a game of other than two actions.
    pub fn policy(&self, game: &MatrixGame, state: State) -> std::result::Result<Vec<f64>, GameError> {
        match self {
            Self::Scripted(strategy) => strategy.policy(game, state),
            Self::Learner => Strategy::Random.policy(game, state),
            Self::MemoryOne(p) => {
                if [Player::Row, Player::Column].iter().any(|&player| game.count(player) != 2) {
                    let problem =
                        "of a memory-one opponent: the game has other than two actions, expected two each".into();
                    return Err(GameError::Belief { problem });
                }
                let [row, column] = [Player::Row, Player::Column].map(|player| game.cooperative(player));
                // Its own last action first, as such players are written down (Press and Dyson 2012).
                let seen = state.map_or(0, |s| 1 + 2 * usize::from(s.other != column) + usize::from(s.own != row));
                Ok((0..2).map(|action| if action == column { p[seen] } else { 1.0 - p[seen] }).collect())
            }
        }
    }
}

/// The written form: a name, or the probabilities.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OpponentDocument {
    Name(String),
    MemoryOne {
        #[serde(rename = "memory-one")]
        memory_one: [f64; 5],
    },
}

impl TryFrom<OpponentDocument> for Opponent {
    type Error = String;

    fn try_from(document: OpponentDocument) -> std::result::Result<Self, String> {
        match document {
            OpponentDocument::MemoryOne { memory_one } => match memory_one.iter().find(|p| !(0.0..=1.0).contains(*p)) {
                Some(p) => Err(format!("memory-one: {p} is no probability")),
                None => Ok(Self::MemoryOne(memory_one)),
            },
            OpponentDocument::Name(name) if name == "learner" => Ok(Self::Learner),
            OpponentDocument::Name(name) => {
                let known = Strategy::ALL.map(Strategy::name).join(", ");
                let found = Strategy::ALL.into_iter().find(|s| s.name() == name);
                found.map(Self::Scripted).ok_or(format!("opponent {name:?}, expected {known}, learner, or memory-one"))
            }
        }
    }
}

impl From<Opponent> for OpponentDocument {
    fn from(opponent: Opponent) -> Self {
        match opponent {
            Opponent::Scripted(strategy) => Self::Name(strategy.name().into()),
            Opponent::MemoryOne(memory_one) => Self::MemoryOne { memory_one },
            Opponent::Learner => Self::Name("learner".into()),
        }
    }
}

/// Element type of a written adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As trained.
    #[default]
    F32,
    /// Half the size.
    F16,
    /// About a quarter.
    #[serde(rename = "q8_0")]
    Q8_0,
}

/// Everything a training run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Short name, written into the adapter.
    pub name: String,
    /// Seed of the adapter's first weights and of the curriculum.
    pub seed: u64,
    /// Phases in order; more than one switches the reward on the way ("unlearning").
    pub phases: Vec<Phase>,
    /// Games.
    pub games: Games,
    /// Labels.
    pub labels: Labels,
    /// Layouts and orders.
    pub styles: Styles,
    /// Whose next action the rewards are expected over.
    pub opponent: Opponent,
    /// How rounds follow each other; without it each round stands alone, as the paper trains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play: Option<Play>,
    /// Games in a step; each is told in one style, in all its states. 0 is the full batch: every catalogue game in every
    /// style, each step.
    pub games_per_step: usize,
    /// Shards a step is cut into; part of the result, unlike the thread count.
    pub shards: usize,
    /// LoRA rank.
    pub rank: usize,
    /// LoRA alpha; the update is scaled by `alpha / rank`.
    pub alpha: f32,
    /// Peak learning rate of Adam.
    pub rate: f32,
    /// Weight of the divergence from the bare model.
    pub beta: f64,
    /// Weight of the logarithm of the legality mass.
    pub legality: f64,
    /// Element type of the written adapter.
    #[serde(default)]
    pub precision: Precision,
}

impl TrainConfig {
    /// Reads a TOML config.
    ///
    /// # Errors
    /// [`Error::Document`] naming the line and field, and what [`TrainConfig::check`] finds.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|e| Error::Document { what: "training config", problem: e.to_string().replace('\n', " ") })?;
        config.check()?;
        Ok(config)
    }

    /// The config as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is plain data")
    }

    /// How many adapters are trained.
    #[must_use]
    pub fn learners(&self) -> usize {
        if self.opponent == Opponent::Learner { 2 } else { 1 }
    }

    /// Total steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.phases.iter().map(|p| p.steps).sum()
    }

    /// The phase a step belongs to, and its number within it.
    #[must_use]
    pub fn phase_at(&self, step: u64) -> Option<(usize, u64)> {
        let mut left = step;
        for (i, phase) in self.phases.iter().enumerate() {
            if left < phase.steps {
                return Some((i, left));
            }
            left -= phase.steps;
        }
        None
    }

    /// Learning rate: a linear rise over a phase's first twentieth, half a cosine down to a twentieth of the peak.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f32 {
        let Some((phase, within)) = self.phase_at(step) else { return 0.0 };
        let p = (within as f64 + 0.5) / self.phases[phase].steps as f64;
        let rise = (p / 0.05).min(1.0);
        let fall = 0.05 + 0.95 * 0.5 * (1.0 + (std::f64::consts::PI * p).cos());
        self.rate * (rise * fall) as f32
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Ok(()) } else { Err(Error::Option { name, given, expected: expected.into() }) }
        };
        need(!self.phases.is_empty(), "phases", "none".into(), "at least one")?;
        for phase in &self.phases {
            phase.reward.check()?;
            need(phase.steps > 0, "phase steps", "0".into(), "at least 1")?;
            let learner = self.learners() > 1 || phase.opponent == Some(Opponent::Learner);
            let alone = phase.opponent.is_none() || !learner;
            need(alone, "phase opponent", "one beside a learner".into(), "the learner in the config and every phase")?;
        }
        for name in &self.games.catalogue {
            Named::find(name)?;
        }
        let share = self.games.random;
        need((0.0..=1.0).contains(&share), "games.random", share.to_string(), "a share from 0 to 1")?;
        let some = share >= 1.0 || !self.games.catalogue.is_empty();
        need(some, "games.catalogue", "empty".into(), "a game, or games.random = 1")?;
        need((1..=512).contains(&self.rank), "rank", self.rank.to_string(), "1 to 512")?;
        let alpha = self.alpha.is_finite() && self.alpha > 0.0;
        need(alpha, "alpha", self.alpha.to_string(), "a number above 0")?;
        need(self.rate.is_finite() && self.rate > 0.0, "rate", self.rate.to_string(), "a number above 0")?;
        need(self.beta.is_finite() && self.beta > 0.0, "beta", self.beta.to_string(), "a number above 0")?;
        let legality = self.legality.is_finite() && self.legality >= 0.0;
        need(legality, "legality", self.legality.to_string(), "a number of at least 0")?;
        if let Some(play) = self.play {
            let discount = play.discount > 0.0 && play.discount < 1.0;
            need(discount, "play.discount", play.discount.to_string(), "a number above 0 and below 1")?;
        }
        need(self.shards > 0, "shards", "0".into(), "at least 1")?;
        need(
            self.games_per_step.is_multiple_of(self.shards),
            "games_per_step",
            self.games_per_step.to_string(),
            "a multiple of shards, or 0 for every game in every style",
        )?;
        let full = self.games_per_step > 0 || (!self.games.catalogue.is_empty() && self.games.random == 0.0);
        need(full, "games_per_step", "0 with random games".into(), "catalogue games only, for a full batch")?;
        if let Labels::Fixed(labels) = &self.labels {
            Named::protocol()[0].labelled([&labels[0], &labels[1]])?;
        }
        Ok(())
    }

    /// The games of a step with the styles they are told in.
    ///
    /// # Errors
    /// As [`TrainConfig::draw`].
    pub fn games_at(&self, step: u64) -> Result<Vec<(MatrixGame, Style)>> {
        if self.games_per_step > 0 {
            let n = self.games_per_step as u64;
            return (step * n..(step + 1) * n).map(|index| self.draw(index)).collect();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step + 1);
        let mut all = Vec::new();
        for name in &self.games.catalogue {
            let labels = match &self.labels {
                Labels::Pool => draw(&mut rng, 2, Split::Train, any),
                Labels::Fixed(labels) => labels.to_vec(),
            };
            let game = Named::find(name)?.labelled([&labels[0], &labels[1]])?;
            all.extend(self.styles.all().map(|style| (game.clone(), style)));
        }
        Ok(all)
    }

    /// The `index`-th game of the run with the style it is told in.
    ///
    /// # Errors
    /// [`Error::Game`] for fixed labels that are unfit.
    pub fn draw(&self, index: u64) -> Result<(MatrixGame, Style)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Stream 0 belongs to the adapter's first weights.
        rng.set_stream(index + 1);
        let random = self.games.catalogue.is_empty() || rng.random_bool(self.games.random);
        let game = if random {
            random_game(&mut rng, Split::Train)
        } else {
            let name = &self.games.catalogue[rng.random_range(0..self.games.catalogue.len())];
            let labels = draw(&mut rng, 2, Split::Train, any);
            Named::find(name)?.labelled([&labels[0], &labels[1]])?
        };
        let game = match &self.labels {
            Labels::Pool => game,
            Labels::Fixed(labels) => game.with_labels(labels, labels)?,
        };
        let styles: Vec<Style> = Style::all().collect();
        let style = styles[rng.random_range(0..styles.len())];
        Ok((game, self.styles.of(style)))
    }
}
