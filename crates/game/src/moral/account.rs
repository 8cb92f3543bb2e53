//! The moral account of a decision: every action under every framework.

use serde::{Deserialize, Serialize};

use super::{Framework, Reward};
use crate::{ActionId, GameError, MatrixGame, State, expected_payoffs};

/// What one action is worth, expected under a stated belief about the other player.
///
/// ```
/// use probity_game::moral::{Framework, account};
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let both_cooperated = Some(Profile { own: 0, other: 0 });
/// let accounts = account(&game, both_cooperated, &[1.0, 0.0], &Framework::all_rewards())?;
/// assert_eq!(accounts[1].payoff_own, 4.0);
/// assert_eq!(accounts[1].payoff_other, 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The action.
    pub action: ActionId,
    /// Expected own payoff, points.
    pub payoff_own: f64,
    /// Expected payoff of the other player, points.
    pub payoff_other: f64,
    /// Expected reward and regret under each framework.
    pub rewards: Vec<Valuation>,
}

/// One framework's view of one action.
///
/// ```
/// use probity_game::moral::{Framework, account};
/// use probity_game::{CatalogGame, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let game = CatalogGame::find("ipd")?.game();
/// let both_cooperated = Some(Profile { own: 0, other: 0 });
/// let norm = [Framework::find("deontological")?.into()];
/// let defection = &account(&game, both_cooperated, &[0.5, 0.5], &norm)?[1];
/// assert_eq!((defection.rewards[0].value, defection.rewards[0].regret), (-3.0, 3.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Valuation {
    /// The reward that judged.
    #[serde(flatten)]
    pub reward: Reward,
    /// Expected reward, in the framework's units.
    pub value: f64,
    /// The best action's expected reward minus this action's.
    pub regret: f64,
}

/// The account of every row action in `state`.
///
/// `belief` is a distribution over the column player's actions. `rewards` is usually [`Framework::all_rewards`].
///
/// # Errors
/// [`GameError::Belief`] for a belief that is not a distribution over the column player's actions.
pub fn account(game: &MatrixGame, state: State, belief: &[f64], rewards: &[Reward]) -> Result<Vec<Account>, GameError> {
    let payoffs = expected_payoffs(game, belief)?;
    let mut accounts: Vec<Account> = payoffs
        .iter()
        .enumerate()
        .map(|(action, p)| Account { action, payoff_own: p[0], payoff_other: p[1], rewards: Vec::new() })
        .collect();
    for reward in rewards {
        let values = reward.expected(game, state, belief)?;
        let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (account, value) in accounts.iter_mut().zip(values) {
            account.rewards.push(Valuation { reward: reward.clone(), value, regret: best - value });
        }
    }
    Ok(accounts)
}

impl Framework {
    /// Every framework as a reward with the published constants.
    #[must_use]
    pub fn all_rewards() -> Vec<Reward> {
        Self::all().map(Reward::from).collect()
    }
}
