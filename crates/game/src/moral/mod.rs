//! Floor 1: the moral worth of an action.
//!
//! Pure, and on the games of floor 0 only.
//!
//! Called by the agent (accounts, tilt), the trainer (the same rewards, differentiated) and the evaluation.

mod account;
mod framework;
mod metrics;
mod mixture;
mod regret;
mod reward;

pub use account::{Account, Valuation, account};
pub use framework::{
    Constant, EVALUATION_XI, FRAMEWORKS, Framework, FrameworkEntry, OTHER, Round, WORDINGS, XI, betrays,
};
pub use metrics::ActionTypes;
pub use mixture::{Mixture, Share};
pub use regret::{Regrets, WeightedState, expected_regrets};
pub use reward::{ILLEGAL, Reward, RewardError, Scores};
