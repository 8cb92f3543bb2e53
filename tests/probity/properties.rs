//! Properties of every game and policy, whatever the numbers.

use probity::agent::policy::{Mask, PolicyOptions, Tilt};
use probity::agent::prompt::{Style, prompt};
use probity_game::moral::Framework;
use probity_game::{History, Player, expected_payoffs};
use proptest::prelude::*;

use crate::any_game::games;

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

proptest! {
    #[test]
    fn policies_are_distributions_whatever_the_scores(
        game in games(),
        scores in prop::collection::vec(-900.0..0.0_f64, 5),
        shift in -50.0..50.0_f64,
        temperature in 0.05..20.0_f64,
        beta in 0.05..20.0_f64,
    ) {
        let rows = game.count(Player::Row);
        let scores = &scores[..rows];
        let state = History::states(&game).next();
        let reward = framework("utilitarian").into();
        let options = PolicyOptions::default().with(|o| { o.temperature = temperature; o.mask = Some(Mask::Actions(vec![0])); o.tilt = Some(Tilt { reward, beta }); });
        let p = options.probabilities(&game, state, scores).unwrap();
        prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9 && p.iter().all(|x| (0.0..=1.0).contains(x)));
        prop_assert_eq!(p[0], 0.0, "what is masked is never taken");
        let shifted: Vec<f64> = scores.iter().map(|s| s + shift).collect();
        for (a, b) in p.iter().zip(options.probabilities(&game, state, &shifted).unwrap()) {
            prop_assert!((a - b).abs() < 1e-9, "a constant on every score changes nothing");
        }
        // A tilt multiplies the odds of two actions by the exponential of their difference in reward over beta.
        let plain = PolicyOptions::default().with(|o| { o.tilt = None; o.mask = None; o.temperature = temperature; });
        let tilted = options.with(|o| o.mask = None);
        let (p, q) = (plain.probabilities(&game, state, scores).unwrap(), tilted.probabilities(&game, state, scores).unwrap());
        let worth = expected_payoffs(&game, &probity_game::fair_coin(&game)).unwrap();
        if [p[0], p[1], q[0], q[1]].iter().all(|x| *x > 1e-12) {
            let odds = (q[0] / q[1]).ln() - (p[0] / p[1]).ln();
            let pull = (worth[0][0] + worth[0][1] - worth[1][0] - worth[1][1]) / beta;
            prop_assert!((odds - pull).abs() < 1e-6 * (1.0 + pull.abs()), "{odds} and {pull}");
        }
    }

    /// Every presentation says the same: the same lines, in another order.
    #[test]
    fn presentations_differ_in_order_only(game in games()) {
        let state = History::states(&game).last();
        let words = |style| {
            let text = prompt(&game, state, style).text();
            let mut words: Vec<String> = text.split([' ', '\n', ',', '.', ':']).map(str::to_owned).collect();
            words.sort();
            words
        };
        let usual = words(Style::default());
        for style in Style::all() {
            prop_assert_eq!(&words(style), &usual);
        }
    }
}
