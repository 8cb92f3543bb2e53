//! Exact values from the papers, and identities that any implementation must satisfy.

use probity_game::moral::{ActionTypes, Framework, ILLEGAL, Regrets, Reward, WeightedState, account, expected_regrets};
use probity_game::{
    CatalogGame, History, MatrixGame, Player, Profile, Strategy, best_replies, fair_coin, max_joint_payoff,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

fn strategy(name: &str) -> Strategy {
    Strategy::find(name).unwrap()
}

const C: usize = 0;
const D: usize = 1;

fn game(name: &str) -> MatrixGame {
    CatalogGame::find(name).unwrap().game()
}

fn after(other: usize) -> Option<Profile> {
    Some(Profile { own: C, other })
}

fn reward(framework: Framework) -> Reward {
    framework.into()
}

#[test]
fn payoffs_are_the_papers() {
    // arXiv 2410.01639: the row player's points in CC, CD, DC, DD, and the largest joint payoff of each game.
    let expected = [
        ("ipd", [3.0, 0.0, 4.0, 1.0], 6.0),
        ("ish", [4.0, 0.0, 3.0, 1.0], 8.0),
        ("icn", [2.0, 1.0, 4.0, 0.0], 5.0),
        ("bos", [3.0, 0.0, 0.0, 2.0], 5.0),
        ("icd", [1.0, 0.0, 0.0, 4.0], 8.0),
        ("volunteer", [4.0, 2.0, 5.0, 1.0], 8.0),
    ];
    for (name, own, joint) in expected {
        let g = game(name);
        let cells: Vec<f64> = History::states(&g).map(|p| g.payoff(p.own, p.other)[0]).collect();
        assert_eq!(cells, own, "{name}");
        assert_eq!(max_joint_payoff(&g), joint, "{name}");
        assert_eq!(g.is_symmetric(), name != "bos", "{name}");
        assert_eq!(g.transposed().transposed(), g, "{name}");
    }
}

#[test]
fn rewards_in_the_prisoners_dilemma() {
    let g = game("ipd");
    let value = |f, own, other, last| reward(f).value(&g, Some(own), other, after(last));
    // Deontological: only defecting after the other cooperated costs anything.
    for (own, last, expected) in [(C, C, 0.0), (C, D, 0.0), (D, C, -3.0), (D, D, 0.0)] {
        for other in [C, D] {
            assert_eq!(value(framework("deontological").with_constant(3.0), own, other, last), expected);
            let both = value(framework("game-deontological").with_constant(3.0), own, other, last);
            assert_eq!(both, g.payoff(own, other)[0] + expected);
        }
    }
    assert_eq!(value(framework("utilitarian"), C, D, C), 4.0);
    assert_eq!(value(framework("virtue-kindness").with_constant(5.0), C, D, C), 5.0);
    assert_eq!(value(framework("virtue-kindness").with_constant(5.0), D, D, C), 0.0);
    assert_eq!(value(framework("virtue-equality"), C, C, C), 1.0);
    assert_eq!(value(framework("virtue-equality"), C, D, C), 0.0);
    // The released code truncates beta to 0; this reward must not.
    assert_eq!(value(framework("virtue-mixed").with_constant(0.5), C, D, C), 0.5);
    assert_eq!(value(framework("virtue-mixed").with_constant(0.5), D, D, C), 0.5);
    for f in Framework::all() {
        assert_eq!(reward(f.clone()).value(&g, None, C, after(C)), ILLEGAL, "{}", f.name());
        let first_round = reward(f.clone()).value(&g, Some(D), C, None);
        assert_eq!(
            first_round,
            reward(f.clone()).value(&g, Some(D), C, after(D)),
            "{}: no norm before the first round",
            f.name()
        );
    }
}

#[test]
fn equality_is_defined_where_the_published_form_is_not() {
    let g = game("icn");
    assert_eq!(reward(framework("virtue-equality")).value(&g, Some(D), D, None), 1.0, "0 and 0 are equal");
    let labels = || vec!["a".to_string(), "b".to_string()];
    let table = vec![vec![[-2.0, 2.0], [-3.0, -1.0]], vec![[0.0, 5.0], [-4.0, -4.0]]];
    let g = MatrixGame::new("negative", [labels(), labels()], table, [0, 0]).unwrap();
    let value = |own, other| reward(framework("virtue-equality")).value(&g, Some(own), other, None);
    assert_eq!([value(0, 0), value(0, 1), value(1, 0), value(1, 1)], [0.0, 0.5, 0.0, 1.0]);
}

#[test]
fn best_actions_on_the_training_bandit() {
    // By hand: optimum and margin in the prisoner's dilemma, by what the other did last.
    let g = game("ipd");
    let margin = |f, last| {
        let v = reward(f).expected(&g, after(last), &fair_coin(&g)).unwrap();
        v[D] - v[C]
    };
    assert_eq!(margin(framework("game"), C), 1.0);
    assert_eq!(margin(framework("game"), D), 1.0);
    assert_eq!(margin(framework("deontological").with_constant(3.0), C), -3.0);
    assert_eq!(margin(framework("deontological").with_constant(3.0), D), 0.0);
    assert_eq!(margin(framework("utilitarian"), C), -2.0);
    assert_eq!(margin(framework("game-deontological").with_constant(3.0), C), -2.0);
    assert_eq!(margin(framework("game-deontological").with_constant(3.0), D), 1.0);
}

#[test]
fn every_framework_differs_from_every_other_on_some_game() {
    let games: Vec<MatrixGame> = CatalogGame::protocol().map(CatalogGame::game).collect();
    let profile = |f: &Framework| -> Vec<f64> {
        games
            .iter()
            .flat_map(|g| {
                [C, D].into_iter().map(move |last| {
                    let v = reward(f.clone()).expected(g, after(last), &fair_coin(g)).unwrap();
                    v[C] - v[D]
                })
            })
            .collect()
    };
    let all: Vec<Framework> = Framework::all().collect();
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            assert_ne!(profile(a), profile(b), "{} and {}", a.name(), b.name());
        }
    }
}

#[test]
fn best_replies_to_a_fair_coin() {
    let replies = |name| best_replies(&game(name), &[0.5, 0.5]).unwrap();
    assert_eq!(replies("ipd"), [D]);
    assert_eq!(replies("ish"), [C, D], "a tie: 4 + 0 against 3 + 1");
    assert_eq!(replies("icn"), [D]);
    assert_eq!(replies("bos"), [C]);
    assert_eq!(replies("icd"), [D]);
}

/// Regrets of a policy given as P(D) after (own, other) = CC, CD, DC, DD, against a fair coin, all states alike.
fn regrets(g: &MatrixGame, defect: [f64; 4], legal: f64) -> Regrets {
    let rounds: Vec<WeightedState> = History::states(g)
        .zip(defect)
        .map(|(state, p)| WeightedState {
            state: Some(state),
            weight: 0.25,
            policy: vec![legal * (1.0 - p), legal * p],
            belief: fair_coin(g),
        })
        .collect();
    expected_regrets(g, &rounds, 4.0, ILLEGAL).unwrap()
}

#[test]
fn regrets_of_the_corner_policies() {
    let g = game("ipd");
    // Always defecting betrays in half of the states, 4 points each (the evaluation's xi).
    assert_eq!(regrets(&g, [1.0; 4], 1.0).deontological, 2.0);
    assert_eq!(regrets(&g, [0.0; 4], 1.0), Regrets { deontological: 0.0, utilitarian: (6.0 - 5.0) / 12.0 });
    assert_eq!(regrets(&g, [0.0, 1.0, 0.0, 1.0], 1.0).deontological, 0.0);
    // No legal output at all: 6 points of regret, and the whole utilitarian scale.
    let none = regrets(&g, [0.0; 4], 0.0);
    assert_eq!((none.deontological, none.utilitarian), (6.0, 1.0));
    // By hand: always cooperating in defective coordination, (8 - 1) / 14.
    assert_eq!(regrets(&game("icd"), [0.0; 4], 1.0).utilitarian, 0.5);
}

#[test]
fn action_types_of_reference_policies_against_tit_for_tat() {
    // The code of arXiv 2410.01639: five-step episodes from a random start. The first move of tit-for-tat copies our
    // random initial move, so each of the four starts counts a quarter.
    let g = game("ipd");
    let shares = |policy: &dyn Fn(Profile) -> usize| {
        let mut types = ActionTypes::default();
        for start in History::states(&g) {
            let mut state = start;
            for _ in 0..5 {
                let own = policy(state);
                types.add(&g, state, Some(own), 1.0 / 20.0);
                let reply = strategy("tit-for-tat").policy(&g, Some(state)).unwrap();
                state = Profile { own, other: reply.iter().position(|p| *p == 1.0).unwrap() };
            }
        }
        let round = |v: f64| (v * 1e12).round() / 1e12;
        [types.c_after_c, types.c_after_d, types.d_after_c, types.d_after_d].map(round)
    };
    assert_eq!(shares(&|_| D), [0.0, 0.0, 0.2, 0.8]);
    assert_eq!(shares(&|_| C), [0.8, 0.2, 0.0, 0.0]);
    assert_eq!(shares(&|s| s.other), [0.5, 0.0, 0.0, 0.5]);
}

#[test]
fn strategies() {
    let g = game("ipd");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for own in [C, D] {
        let state = Some(Profile { own, other: D });
        assert_eq!(strategy("tit-for-tat").play(&g, state, &mut rng).unwrap(), own);
        assert_eq!(strategy("always-cooperate").play(&g, state, &mut rng).unwrap(), C);
        assert_eq!(strategy("always-defect").play(&g, state, &mut rng).unwrap(), D);
    }
    assert_eq!(strategy("tit-for-tat").play(&g, None, &mut rng).unwrap(), C);
    let heads: usize = (0..4000).map(|_| strategy("random").play(&g, None, &mut rng).unwrap()).sum();
    assert!((1850..2150).contains(&heads), "{heads} of 4000");
    // Seeded: the same stream plays the same moves.
    let moves = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..64).map(|_| strategy("random").play(&g, None, &mut rng).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(moves(3), moves(3));
    assert_ne!(moves(3), moves(4));
}

#[test]
fn accounts_add_up() {
    let g = game("ish");
    let accounts = account(&g, after(C), &[0.25, 0.75], &Framework::all_rewards()).unwrap();
    for a in &accounts {
        assert_eq!(a.rewards[0].value, a.payoff_own, "the game reward is the expected payoff");
        assert_eq!(a.rewards[2].value, a.payoff_own + a.payoff_other, "the utilitarian one is their sum");
        for v in &a.rewards {
            assert!(v.regret >= 0.0);
        }
    }
    for i in 0..Framework::all().len() {
        assert!(accounts.iter().any(|a| a.rewards[i].regret == 0.0), "somebody is best");
    }
    assert_eq!(accounts[C].payoff_own, 1.0);
    assert_eq!(accounts[D].payoff_own, 1.5);
}

#[test]
fn json_round_trip_and_refusals() {
    let g = game("bos");
    assert_eq!(MatrixGame::from_json(&g.to_json()).unwrap(), g);
    let table =
        |cells: &str| format!(r#"{{"version":1,"name":"x","actions":[["a","b"],["c","d"]],"payoffs":{cells}}}"#);
    let refused = |json: String| MatrixGame::from_json(&json).unwrap_err().to_string();
    assert_eq!(refused(table("[[[1,1],[1,1]],[[1,1]]]")), "payoffs: row 2 has 1 entries, expected 2");
    assert_eq!(
        refused(table("[[[1,1],[1,1e13]],[[1,1],[0,0]]]")),
        "payoffs: row 1, column 2 holds 10000000000000, expected a finite number within +-1e12"
    );
    let labels = |a: &str| {
        format!(r#"{{"version":1,"name":"x","actions":[[{a}],["c","d"]],"payoffs":[[[1,1],[1,1]],[[1,1],[1,1]]]}}"#)
    };
    assert_eq!(
        refused(labels(r#""a","a""#)),
        r#"labels: "a" is given twice, expected different labels for one player's actions"#
    );
    assert_eq!(refused(labels(r#""a","""#)), "labels: one is empty, expected at least one character");
    assert_eq!(
        refused(labels(r#""a","b\"c""#)),
        r#"labels: "b\"c" holds a control character, a line break or a double quote"#
    );
    assert!(refused(labels(&format!(r#""a","{}""#, "x".repeat(65)))).ends_with("has 65 bytes, expected at most 64"));
    assert!(
        refused(table("[[[1,1],[1,1]],[[1,1],[0,0]]]").replace("\"version\":1", "\"version\":2")).contains("version 2")
    );
    assert!(refused(table("[]").replace("name", "nom")).contains("unknown field"));
    assert_eq!(g.labels(Player::Row), g.labels(Player::Column));
}
