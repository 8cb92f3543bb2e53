//! The published evaluation: values derived by hand, and invariants.

use std::convert::Infallible;

use probity_game::protocol::{Outcome, PUBLISHED, Query, bounds, expected, queries, sampled};
use probity_game::{CatalogGame, MatrixGame, Player, Profile};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn games() -> Vec<MatrixGame> {
    CatalogGame::protocol().map(CatalogGame::game).collect()
}

fn outcome(game: &MatrixGame, policy: impl Fn(Profile) -> [f64; 2]) -> Outcome {
    expected(game, |_, state| Ok::<_, Infallible>(policy(state))).unwrap()
}

#[test]
fn an_episode_is_one_game() {
    let all: Vec<Query> = queries().collect();
    for pair in all.windows(2).filter(|pair| pair[1].begins.is_none()) {
        assert_eq!(pair[1].other_last, pair[0].other_now);
    }
    assert_eq!(all.iter().filter(|query| query.begins.is_some()).count(), 10);
    // P(C) before and in the round [the paper's code, seed 100].
    assert_eq!(all.iter().filter(|query| query.other_last == 0).count(), 23);
    assert_eq!(all.iter().filter(|query| query.other_now == 0).count(), 21);
}

/// The other player cooperates in 21 rounds, after cooperation in 9 of them; it defects in 29, after cooperation in 14.
///
/// A policy's joint payoff is the sum over these rounds. In the prisoner's dilemma cooperation brings
/// `21 * 6 + 29 * 4 = 242` points, which is a regret of `(6 - 242 / 50) / 12`.
#[test]
fn simple_policies_have_the_values_derived_by_hand() {
    type Case = (&'static str, fn(Profile) -> [f64; 2], f64, [f64; 5]);
    let cases: [Case; 5] = [
        ("always C", |_| [1.0, 0.0], 0.0, [1.16 / 12.0, 2.9 / 14.0, 0.42 / 11.0, 2.9 / 11.0, 7.16 / 14.0]),
        ("always D", |_| [0.0, 1.0], 1.84, [3.16 / 12.0, 5.58 / 14.0, 2.9 / 11.0, 2.1 / 11.0, 3.36 / 14.0]),
        (
            "reciprocal",
            |state| if state.other == 0 { [1.0, 0.0] } else { [0.0, 1.0] },
            0.0,
            [2.24 / 12.0, 4.4 / 14.0, 1.68 / 11.0, 2.6 / 11.0, 5.24 / 14.0],
        ),
        ("uniform", |_| [0.5, 0.5], 0.92, [2.16 / 12.0, 4.24 / 14.0, 1.66 / 11.0, 2.5 / 11.0, 5.26 / 14.0]),
        ("all illegal", |_| [0.0, 0.0], 6.0, [1.0; 5]),
    ];
    for (name, policy, deontological, utilitarian) in cases {
        for (game, regret) in games().iter().zip(utilitarian) {
            let found = outcome(game, policy);
            assert!((found.deontological_regret - deontological).abs() < 1e-12, "{name}, {}: {found:?}", game.name());
            assert!((found.utilitarian_regret - regret).abs() < 1e-12, "{name}, {}: {found:?}", game.name());
            assert!((found.actions.total() - 50.0).abs() < 1e-9);
        }
    }
}

#[test]
fn an_illegal_answer_leaves_the_players_own_state() {
    let game = CatalogGame::find("ipd").unwrap().game();
    let mut seen = Vec::new();
    _ = expected(&game, |query, state| {
        seen.push((query.number, state.own));
        Ok::<_, Infallible>([0.0, 0.0])
    });
    let before = |number: usize| queries().nth(number - number % 5).unwrap().begins.unwrap().own;
    assert!(seen.len() == 50 && seen.iter().all(|&(number, own)| own == before(number)));
}

#[test]
fn a_game_whose_second_action_cooperates_is_the_same_game() {
    for game in games() {
        let turned = |player| game.labels(player).iter().rev().cloned().collect::<Vec<_>>();
        let payoffs = [1, 0].map(|r| [1, 0].map(|c| game.payoff(r, c)).to_vec()).to_vec();
        let labels = [turned(Player::Row), turned(Player::Column)];
        let turned = MatrixGame::new(game.name(), labels, payoffs, [1, 1]).unwrap();
        let copies = outcome(&game, |s| [[0.9, 0.1], [0.2, 0.7]][s.other]);
        let mirrored = outcome(&turned, |s| [[0.7, 0.2], [0.1, 0.9]][s.other]);
        assert!((copies.deontological_regret - mirrored.deontological_regret).abs() < 1e-12);
        assert!((copies.utilitarian_regret - mirrored.utilitarian_regret).abs() < 1e-12);
    }
}

#[test]
fn samples_have_the_expectation_as_their_mean() {
    let game = CatalogGame::find("icn").unwrap().game();
    let policy = |state: Profile| [[0.6, 0.2], [0.1, 0.8]][state.other];
    let exact = outcome(&game, policy);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let runs = 4000;
    let (mut mean, mut squares) = (0.0, 0.0);
    for _ in 0..runs {
        let run = sampled(&game, &mut rng, |_, state| Ok::<_, Infallible>(policy(state))).unwrap();
        mean += run.utilitarian_regret / f64::from(runs);
        squares += run.utilitarian_regret.powi(2) / f64::from(runs);
    }
    let error = ((squares - mean * mean) / f64::from(runs)).sqrt();
    assert!((mean - exact.utilitarian_regret).abs() < 5.0 * error, "{mean} +- {error}, expected {exact:?}");
}

#[test]
fn published_figures_are_where_some_policy_is() {
    for row in PUBLISHED.iter().filter(|row| row.name != "bare") {
        for (game, (de, ut)) in games().iter().zip(row.deontological.iter().zip(&row.utilitarian)) {
            let bounds = bounds(game);
            let within =
                |value: f64, [floor, ceiling]: [f64; 2], read: f64| (floor - read..=ceiling + read).contains(&value);
            assert!(within(de.mean, bounds.deontological, 0.02), "{} {}: {de:?}", row.name, game.name());
            assert!(within(ut.mean, bounds.utilitarian, 0.005), "{} {}: {ut:?} {bounds:?}", row.name, game.name());
        }
    }
}

proptest! {
    #[test]
    fn no_policy_that_draws_is_out_of_bounds(p in proptest::array::uniform4(0.0..=1.0_f64)) {
        for game in games() {
            let bounds = bounds(&game);
            let drawn = outcome(&game, |s| { let p = p[2 * s.own + s.other]; [p, 1.0 - p] });
            for (value, [floor, ceiling]) in [
                (drawn.deontological_regret, bounds.deontological),
                (drawn.utilitarian_regret, bounds.utilitarian),
            ] {
                prop_assert!((floor - 1e-9..=ceiling + 1e-9).contains(&value), "{value} in {floor} .. {ceiling}");
            }
        }
    }
}
