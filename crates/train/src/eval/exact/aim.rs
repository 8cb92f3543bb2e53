//! What a policy was trained for, and on: what it is held against.

use probity::agent::manifest::Manifest;
use probity_game::moral::Mixture;
use probity_game::{MatrixGame, Opponent, Player, Reach, State, fair_coin};
use serde::Serialize;

use crate::Result;
use crate::games::split_of;
use crate::labels::Split;

/// The reward that a policy is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim {
    /// The reward.
    pub reward: Mixture,
    /// Whose next action the reward is expected over; `None` for a fair coin.
    pub opponent: Option<Opponent>,
    /// The weight of the divergence from the bare model.
    ///
    /// `None` where the optimum is unknown.
    pub beta: Option<f64>,
}

impl Aim {
    /// A reward against a fair coin.
    #[must_use]
    pub fn against_a_coin(reward: Mixture) -> Self {
        Self { reward, opponent: None, beta: None }
    }

    /// The reward, the opponent and the optimum of a policy's own training.
    ///
    /// # Errors
    /// In words, why they cannot be known: no reward is recorded, a second learner was the opponent, or rounds to come
    /// counted.
    pub fn of_training(manifest: &Manifest) -> std::result::Result<Self, &'static str> {
        let Some(reward) = manifest.rewards.last().cloned() else { return Err("the manifest names no reward") };
        if manifest.discount.is_some() {
            return Err("it was trained in repeated play, where the best action depends on the policy");
        }
        if manifest.opponent == Some(Opponent::Learner) {
            return Err("it was trained against a second learner");
        }
        Ok(Self { reward, opponent: manifest.opponent.clone(), beta: (!manifest.from_start).then_some(manifest.beta) })
    }

    /// What each action is worth in a state.
    ///
    /// `None` where the opponent cannot play the game.
    ///
    /// # Errors
    /// [`probity::Error::Reward`] for a reward of another game.
    pub(super) fn values(&self, game: &MatrixGame, state: State) -> Result<Option<Vec<f64>>> {
        let belief = self.opponent.as_ref().map_or_else(|| Ok(fair_coin(game)), |o| o.policy(game, state));
        let Ok(belief) = belief else { return Ok(None) };
        Ok(Some(self.reward.expected(game, state, &belief)?))
    }
}

/// How a game stands to the training of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Familiarity {
    /// The curriculum names it, whatever its labels and whoever sits where.
    Named,
    /// Its random games may have had the same order of outcomes.
    Drawn,
    /// No game of the curriculum is like it.
    New,
}

impl Familiarity {
    /// How a game stands to the training of an adapter.
    ///
    /// `None` where the manifest does not tell the training.
    #[must_use]
    pub fn of(game: &MatrixGame, manifest: &Manifest) -> Option<Self> {
        if manifest.rewards.is_empty() {
            return None;
        }
        let seats = [game.clone(), game.transposed()];
        Some(if manifest.named_games.iter().any(|named| seats.iter().any(|seat| same(seat, named))) {
            Self::Named
        } else if Reach::of(game).is_some_and(|reach| manifest.random_games.contains(&reach))
            && split_of(game) == Split::Train
        {
            Self::Drawn
        } else {
            Self::New
        })
    }
}

/// Whether two games have the same payoffs and norm.
fn same(a: &MatrixGame, b: &MatrixGame) -> bool {
    let players = [Player::Row, Player::Column];
    players.iter().all(|&player| a.count(player) == b.count(player) && a.cooperative(player) == b.cooperative(player))
        && a.payoffs().eq(b.payoffs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::games::random_game;
    use probity_game::moral::Framework;
    use probity_game::{CatalogGame, Strategy};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn manifest() -> Manifest {
        let reward: Mixture = Framework::find("game").unwrap().into();
        let text = serde_json::json!({
            "version": 1, "name": "mine", "base": "", "rewards": [reward], "beta": 0.3, "opponent": "always-cooperate",
            "games": "ipd; 0.5 of them random: digits", "named_games": [CatalogGame::find("ipd").unwrap().game()],
            "random_games": ["digits"], "labels": "", "prompt_version": 3, "seed": 1, "steps": 1, "trainer": "",
            "self_test": [],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_policy_is_held_against_the_opponent_of_its_training() {
        let aim = Aim::of_training(&manifest()).unwrap();
        let game = CatalogGame::find("ipd").unwrap().game();
        // Against a player who always cooperates, in the prisoner's dilemma of 3, 0, 4, 1.
        assert_eq!((aim.values(&game, None).unwrap(), aim.beta), (Some(vec![3.0, 4.0]), Some(0.3)));
        let coin = Aim::against_a_coin(aim.reward);
        assert_eq!((coin.values(&game, None).unwrap(), coin.beta), (Some(vec![1.5, 2.5]), None));
        let tit_for_tat =
            Manifest { opponent: Some(Opponent::Strategy(Strategy::find("tit-for-tat").unwrap())), ..manifest() };
        let labels = |n| (0..n).map(|i| format!("a{i}")).collect::<Vec<_>>();
        let wide = MatrixGame::new("wide", [labels(2), labels(3)], vec![vec![[1.0; 2]; 3]; 2], [0, 0]).unwrap();
        assert_eq!(Aim::of_training(&tit_for_tat).unwrap().values(&wide, None).unwrap(), None);
    }

    #[test]
    fn an_optimum_that_is_not_known_is_not_told() {
        let aim = |manifest: &Manifest| Aim::of_training(manifest).map(|aim| aim.beta);
        assert_eq!(aim(&Manifest { from_start: true, ..manifest() }), Ok(None));
        assert!(aim(&Manifest { discount: Some(0.9), ..manifest() }).is_err());
        assert!(aim(&Manifest { opponent: Some(Opponent::Learner), ..manifest() }).is_err());
        assert!(aim(&Manifest { rewards: Vec::new(), ..manifest() }).is_err());
    }

    #[test]
    fn a_game_is_known_by_its_payoffs_and_not_by_its_name() {
        let of = |game: &MatrixGame| Familiarity::of(game, &manifest());
        let ipd = CatalogGame::find("ipd").unwrap();
        assert_eq!(of(&ipd.labelled(["ipd", "bos"]).unwrap()), Some(Familiarity::Named));
        let named = |payoffs: [[[f64; 2]; 2]; 2]| {
            let labels = || vec!["a".to_owned(), "b".to_owned()];
            MatrixGame::new("ipd", [labels(), labels()], payoffs.map(Vec::from).to_vec(), [0, 0]).unwrap()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut random = |split, reach| random_game(&mut rng, split, reach);
        assert_eq!(of(&random(Split::Train, Reach::Digits)), Some(Familiarity::Drawn));
        assert_eq!(of(&random(Split::Test, Reach::Digits)), Some(Familiarity::New));
        assert_eq!(of(&random(Split::Train, Reach::Numbers)), Some(Familiarity::New), "random games are digits");
        // The name of a game of the curriculum, and an order that no training draws.
        assert_eq!(of(&named([[[5.0, 5.0], [0.0, 7.0]], [[7.0, 0.0], [1.0, 1.0]]])), Some(Familiarity::New));
        assert_eq!(Familiarity::of(&ipd.game(), &Manifest { rewards: Vec::new(), ..manifest() }), None);
    }
}
