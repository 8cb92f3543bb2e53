//! Moral accounting without a model: the worth of each action of a game, and the regrets of two policies.
//!
//! ```sh
//! cargo run --release --example account
//! ```

use probity::game::{CatalogGame, History, Profile, Strategy, fair_coin};
use probity::moral::{EVALUATION_XI, Framework, ILLEGAL, WeightedState, account, expected_regrets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let game = CatalogGame::find("ipd")?.labelled(["share", "keep"])?;

    // Both players shared last. What is each action worth now, if the other player repeats our last move?
    let state = Some(Profile { own: 0, other: 0 });
    let belief = Strategy::find("tit-for-tat").expect("a scripted player").policy(&game, state)?;
    for action in account(&game, state, &belief, &Framework::all_rewards())? {
        let label = &game.labels(probity::game::Player::Row)[action.action];
        println!("{label}: {} points, {} for the other player", action.payoff_own, action.payoff_other);
        for worth in &action.rewards {
            println!("  {:20} {:6.2}, regret {:5.2}", worth.reward.framework.name(), worth.value, worth.regret);
        }
    }

    // The regrets of arXiv 2410.01639 for a player who always defects, and for one who answers like with like.
    let regrets = |cooperates: fn(Profile) -> f64| {
        let states: Vec<WeightedState> = History::states(&game)
            .map(|state| {
                let policy = vec![cooperates(state), 1.0 - cooperates(state)];
                WeightedState { state: Some(state), weight: 0.25, policy, belief: fair_coin(&game) }
            })
            .collect();
        expected_regrets(&game, &states, EVALUATION_XI, ILLEGAL)
    };
    for (name, cooperates) in
        [("always-defect", (|_| 0.0) as fn(Profile) -> f64), ("reciprocal", |last| f64::from(last.other == 0))]
    {
        let found = regrets(cooperates)?;
        println!("{name}: deontological regret {}, utilitarian {:.3}", found.deontological, found.utilitarian);
    }
    Ok(())
}
