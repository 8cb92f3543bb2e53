//! Weighted sums of rewards.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Reward, RewardError};
use crate::{ActionId, GameError, MatrixGame, State, check_belief};

/// A reward with its weight in a sum.
///
/// ```
/// use probity_game::moral::{Framework, Mixture, Share};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mixture = Mixture::from(Framework::find("game")?);
/// let [Share { weight, .. }] = mixture.shares() else { unreachable!() };
/// assert_eq!(*weight, 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The reward.
    pub reward: Reward,
    /// What it counts for, above 0.
    pub weight: f64,
}

/// What a policy is trained on: a reward, or several, each times its weight.
///
/// A single reward of weight 1 is written as the reward alone, other mixtures as a list of shares.
///
/// ```
/// use probity_game::moral::Mixture;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = r#"[{ "reward": { "framework": "game" }, "weight": 1 },
///                { "reward": { "framework": "utilitarian" }, "weight": 0.5 }]"#;
/// let mixture: Mixture = serde_json::from_str(text)?;
/// mixture.check()?;
/// assert_eq!(mixture.name(), "game + 0.5 utilitarian");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture(Vec<Share>);

impl Mixture {
    /// The rewards and their weights.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.0
    }

    /// Its frameworks' names with the weights that are not 1.
    #[must_use]
    pub fn name(&self) -> String {
        let one = |s: &Share| match s.weight {
            1.0 => s.reward.framework.name().to_owned(),
            weight => format!("{weight} {}", s.reward.framework.name()),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" + ")
    }

    /// Checks every reward and weight.
    ///
    /// A mixture has at least one reward. Each weight is above 0 and at most 1e6.
    ///
    /// # Errors
    /// [`RewardError::Constant`] naming the first wrong weight.
    pub fn check(&self) -> Result<(), RewardError> {
        let off = |value: String, expected: &str| {
            Err(RewardError::Constant { constant: "weight".into(), value, expected: expected.into() })
        };
        if self.0.is_empty() {
            return off("missing: the list of rewards is empty".into(), "at least one reward");
        }
        for Share { reward, weight } in &self.0 {
            reward.check()?;
            if !(*weight > 0.0 && *weight <= 1e6) {
                return off(weight.to_string(), "a number above 0, at most 1e6");
            }
        }
        Ok(())
    }

    /// Checks that every reward is one for this game, and what [`Mixture::check`] does.
    ///
    /// # Errors
    /// As [`Mixture::check`] and [`Reward::check_for`].
    pub fn check_for(&self, game: &MatrixGame) -> Result<(), RewardError> {
        self.check()?;
        self.0.iter().try_for_each(|share| share.reward.check_for(game))
    }

    /// As [`Reward::value`].
    #[must_use]
    pub fn value(&self, game: &MatrixGame, action: Option<ActionId>, other: ActionId, state: State) -> f64 {
        self.0.iter().map(|s| s.weight * s.reward.value(game, action, other, state)).sum()
    }

    /// As [`Reward::expected`].
    ///
    /// # Errors
    /// As [`Reward::expected`].
    pub fn expected(&self, game: &MatrixGame, state: State, belief: &[f64]) -> Result<Vec<f64>, GameError> {
        check_belief(game, belief)?;
        let each = |a| belief.iter().enumerate().map(|(o, p)| p * self.value(game, Some(a), o, state)).sum();
        Ok((0..game.count(crate::Player::Row)).map(each).collect())
    }
}

impl<R: Into<Reward>> From<R> for Mixture {
    fn from(reward: R) -> Self {
        Self(vec![Share { reward: reward.into(), weight: 1.0 }])
    }
}

impl Serialize for Mixture {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [Share { reward, weight: 1.0 }] => reward.serialize(to),
            shares => shares.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Mixture {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// Reads both written forms, so that an error is that of the form in use.
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Mixture;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reward, or a list of { reward, weight }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mixture, A::Error> {
                Ok(Reward::deserialize(MapAccessDeserializer::new(map))?.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Mixture, A::Error> {
                Ok(Mixture(Vec::deserialize(SeqAccessDeserializer::new(seq))?))
            }
        }

        from.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CatalogGame, Profile};

    #[test]
    fn one_reward_is_written_as_itself_and_more_as_a_list() {
        let one = r#"{"framework":"utilitarian","illegal":-6.0}"#;
        let mixture: Mixture = serde_json::from_str(one).unwrap();
        assert_eq!(serde_json::to_string(&mixture).unwrap(), one);
        let two =
            r#"[{"reward":{"framework":"game"},"weight":0.25},{"reward":{"framework":"deontological"},"weight":2}]"#;
        let mixture: Mixture = serde_json::from_str(two).unwrap();
        assert_eq!(mixture.name(), "0.25 game + 2 deontological");
        assert_eq!(serde_json::from_str::<Mixture>(&serde_json::to_string(&mixture).unwrap()).unwrap(), mixture);
        let error = |text: &str| serde_json::from_str::<Mixture>(text).unwrap_err().to_string();
        assert!(error(r#"{"framework":"greed"}"#).contains("greed"));
        assert!(error(r#"[{"reward":{"framework":"greed"},"weight":1}]"#).contains("greed"));
        assert!(error("7").contains("a list of { reward, weight }"));
        let check = |text: &str| serde_json::from_str::<Mixture>(text).unwrap().check().unwrap_err().to_string();
        assert!(check("[]").contains("at least one"));
        assert!(check(r#"[{"reward":{"framework":"game"},"weight":0}]"#).contains("above 0"));
    }

    #[test]
    fn a_sum_is_the_sum() {
        let game = CatalogGame::find("ipd").unwrap().game();
        let text =
            r#"[{"reward":{"framework":"game"},"weight":1},{"reward":{"framework":"deontological"},"weight":1}]"#;
        let sum: Mixture = serde_json::from_str(text).unwrap();
        let whole: Mixture = serde_json::from_str(r#"{"framework":"game-deontological"}"#).unwrap();
        for own in 0..2 {
            for other in 0..2 {
                let state = Some(Profile { own, other });
                assert_eq!(sum.expected(&game, state, &[0.3, 0.7]), whole.expected(&game, state, &[0.3, 0.7]));
            }
        }
        // An illegal answer costs the penalty of both parts.
        assert_eq!(sum.value(&game, None, 0, None), -12.0);
        assert!(sum.expected(&game, None, &[0.3, 0.3]).is_err());
    }
}
