//! Scores from a moral graph as a reward of a game: their effect on policies and accounts.

use std::sync::Arc;

use probity::agent::policy::{Mask, PolicyOptions, Tilt};
use probity::agent::{Agent, Scenario};
use probity_engine::ContextOptions;
use probity_game::moral::{Framework, Mixture, Reward, Scores, account};
use probity_game::{CatalogGame, Profile, fair_coin};

/// Scores of the prisoner's dilemma: cooperate, unless both defected.
fn scores() -> Reward {
    let scores = vec![vec![0.4, -0.2], vec![0.6, -0.6], vec![0.1, 0.0], vec![0.6, -0.6], vec![-0.1, 0.3]];
    Framework::Values(Arc::new(Scores { game: "ipd".into(), scores, source: "by hand".into() })).into()
}

/// A reward like any other: in accounts, tilts, masks, documents, mixtures and training.
#[test]
fn scores_are_a_reward() {
    let game = CatalogGame::find("ipd").unwrap().game();
    let reward = scores();
    reward.check_for(&game).unwrap();
    let last = |own, other| Some(Profile { own, other });
    for (state, row) in [(None, [0.4, -0.2]), (last(0, 1), [0.1, 0.0]), (last(1, 1), [-0.1, 0.3])] {
        assert_eq!(reward.expected(&game, state, &fair_coin(&game)).unwrap(), row);
        let accounts = account(&game, state, &fair_coin(&game), std::slice::from_ref(&reward)).unwrap();
        assert!(accounts.iter().zip(row).all(|(account, value)| account.rewards[0].value == value));
    }
    let text = serde_json::to_string(&reward).unwrap();
    assert_eq!(serde_json::from_str::<Reward>(&text).unwrap(), reward);
    let mixture = Mixture::from(reward.clone());
    assert_eq!(serde_json::from_str::<Mixture>(&serde_json::to_string(&mixture).unwrap()).unwrap(), mixture);

    let scores = [0.3_f64.ln(), 0.7_f64.ln()];
    let options = |mask, tilt| {
        PolicyOptions::default().with(|o| {
            o.mask = mask;
            o.tilt = tilt;
            o.rewards = vec![reward.clone()];
        })
    };
    let tilted = options(None, Some(Tilt { reward: reward.clone(), beta: 0.2 }));
    tilted.check(&game).unwrap();
    let p = tilted.probabilities(&game, last(0, 0), &scores).unwrap();
    let odds = 0.3 / 0.7 * (1.2_f64 / 0.2).exp();
    assert!((p[0] / p[1] - odds).abs() < 1e-9, "pi(a) ~ pi(a) exp(R(a) / beta)");
    let masked = options(Some(Mask::Worse { reward: reward.clone(), by: 0.2 }), None);
    masked.check(&game).unwrap();
    assert_eq!(masked.probabilities(&game, last(0, 0), &scores).unwrap(), [1.0, 0.0]);
    let p = masked.probabilities(&game, last(0, 1), &scores).unwrap();
    assert!((p[1] - 0.7).abs() < 1e-12, "a difference of 0.1 is none");

    // A scenario carries it, and so does the record.
    let mut scenario = Scenario::new(game.clone());
    scenario.policy = options(Some(Mask::Worse { reward: reward.clone(), by: 0.2 }), tilted.tilt.clone());
    assert_eq!(Scenario::from_json(&scenario.to_json()).unwrap(), scenario);
    let mut agent = Agent::new(&probity_testing::default_model(), scenario, ContextOptions::default()).unwrap();
    let decision = agent.decide().unwrap();
    assert_eq!(decision.considered.actions[0].account.rewards[0].value, 0.4);
}

#[test]
fn scores_of_another_game_are_refused() {
    let game = CatalogGame::find("ipd").unwrap().game();
    let of = |game: &str, scores: Vec<Vec<f64>>| {
        Reward::from(Framework::Values(Arc::new(Scores { game: game.into(), scores, source: String::new() })))
    };
    let with = |scores| of("ipd", scores);
    // Of equal shape, with other actions.
    let stag_hunt = of("ish", vec![vec![0.0; 2]; 5]);
    assert!(stag_hunt.check_for(&game).unwrap_err().to_string().contains(r#"game "ish", expected of "ipd""#));
    stag_hunt.check_for(&CatalogGame::find("ish").unwrap().labelled(["hunt", "gather"]).unwrap()).unwrap();
    for bad in [vec![], vec![vec![0.0; 2]; 4], vec![vec![0.0; 3]; 5], vec![vec![f64::NAN; 2]; 5], vec![vec![1e9; 2]; 5]]
    {
        let reward = with(bad);
        assert!(reward.check_for(&game).is_err());
        for policy in [
            PolicyOptions::default().with(|o| o.rewards = vec![reward.clone()]),
            PolicyOptions::default().with(|o| o.tilt = Some(Tilt { reward: reward.clone(), beta: 1.0 })),
            PolicyOptions::default().with(|o| o.mask = Some(Mask::Worse { reward: reward.clone(), by: 0.0 })),
        ] {
            assert!(policy.check(&game).is_err());
        }
    }
    let by = PolicyOptions::default().with(|o| o.mask = Some(Mask::Worse { reward: scores(), by: f64::NAN }));
    assert!(by.check(&game).is_err());
    for document in [
        r#"{"framework": "values"}"#,
        r#"{"framework": "game", "scores": [[1, 2]]}"#,
        r#"{"framework": "game", "game": "ipd"}"#,
        r#"{"framework": "values", "scores": [[1]]}"#,
        r#"{"framework": "values", "game": "ipd", "scores": [[1]], "xi": 3}"#,
        r#"{"framework": "values", "game": "ipd", "scores": "all"}"#,
    ] {
        assert!(serde_json::from_str::<Reward>(document).is_err(), "{document}");
    }
}
