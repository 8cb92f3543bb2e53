//! Properties of every game, whatever the numbers.

use probity_game::moral::{Framework, account};
use probity_game::{History, MatrixGame, Player, best_replies, expected_payoffs, max_joint_payoff, sample};
use proptest::prelude::*;

use crate::any_game::{games, labels};

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

/// A distribution over `n` outcomes, corners included.
fn distributions(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![3 => 0.01..1.0_f64, 1 => Just(0.0)], n).prop_map(|mut p| {
        let sum: f64 = p.iter().sum();
        if sum == 0.0 {
            p[0] = 1.0;
        } else {
            p.iter_mut().for_each(|x| *x /= sum);
        }
        p
    })
}

fn with_belief(game: MatrixGame) -> impl Strategy<Value = (MatrixGame, Vec<f64>)> {
    let columns = game.count(Player::Column);
    (Just(game), distributions(columns))
}

proptest! {
    #[test]
    fn a_game_survives_json_and_being_seen_from_the_other_side(game in games()) {
        let json = serde_json::to_string(&game).unwrap();
        prop_assert_eq!(&serde_json::from_str::<MatrixGame>(&json).unwrap(), &game);
        prop_assert_eq!(&game.transposed().transposed(), &game);
        prop_assert_eq!(max_joint_payoff(&game), max_joint_payoff(&game.transposed()));
    }

    #[test]
    fn best_replies_are_best((game, belief) in games().prop_flat_map(with_belief)) {
        let payoffs = expected_payoffs(&game, &belief).unwrap();
        for best in best_replies(&game, &belief).unwrap() {
            prop_assert!(payoffs.iter().all(|p| p[0] <= payoffs[best][0] + 1e-9));
        }
        let joint = max_joint_payoff(&game);
        prop_assert!(payoffs.iter().all(|p| p[0] + p[1] <= joint + 1e-9), "no mixture beats the best cell");
    }

    #[test]
    fn accounts_add_up_and_some_action_has_no_regret((game, belief) in games().prop_flat_map(with_belief)) {
        for state in History::states(&game).map(Some).chain([None]) {
            let accounts = account(&game, state, &belief, &Framework::all_rewards()).unwrap();
            for (i, framework) in Framework::all().enumerate() {
                let regrets: Vec<f64> = accounts.iter().map(|a| a.rewards[i].regret).collect();
                prop_assert!(regrets.iter().all(|r| *r >= 0.0) && regrets.contains(&0.0), "{framework:?}: {regrets:?}");
            }
            for a in &accounts {
                let value = |f: Framework| a.rewards.iter().find(|v| v.reward.framework == f).map(|v| v.value);
                prop_assert!((value(framework("game")).unwrap() - a.payoff_own).abs() < 1e-9);
                prop_assert!((value(framework("utilitarian")).unwrap() - a.payoff_own - a.payoff_other).abs() < 1e-9);
            }
        }
    }

    /// An action's worth does not depend on its id.
    #[test]
    fn accounts_follow_a_permutation_of_the_actions((game, belief) in games().prop_flat_map(with_belief)) {
        let (rows, columns) = (game.count(Player::Row), game.count(Player::Column));
        let table = (0..rows).rev().map(|r| (0..columns).map(|c| game.payoff(r, c)).collect()).collect();
        let reversed = [labels(rows, 'x').into_iter().rev().collect(), labels(columns, 'y')];
        let cooperative = [rows - 1 - game.cooperative(Player::Row), game.cooperative(Player::Column)];
        let mirror = MatrixGame::new("any", reversed, table, cooperative).unwrap();
        let worth = |g: &MatrixGame| {
            account(g, None, &belief, &Framework::all_rewards()).unwrap().into_iter().map(|a| a.rewards).collect::<Vec<_>>()
        };
        let mut other_way = worth(&mirror);
        other_way.reverse();
        prop_assert_eq!(worth(&game), other_way);
    }

    #[test]
    fn a_draw_is_the_inverse_of_the_distribution(p in (1..=6_usize).prop_flat_map(distributions), u in 0.0..1.0_f64) {
        let action = sample(&p, u);
        prop_assert!(p[action] > 0.0);
        let below: f64 = p[..action].iter().sum();
        prop_assert!(below <= u + 1e-12 && u < below + p[action] + 1e-12);
    }
}
