//! Training on sampled answers: the losses on paper, play by the protocol's rules, runs that resume.

use probity::agent::prompt::Style;
use probity_engine::Token;
use probity_engine::gguf::GgmlType;
use probity_game::moral::{Framework, Mixture};
use probity_game::{CatalogGame, MatrixGame, Strategy};
use probity_train::checkpoint::{Checkpoint, Moments};
use probity_train::curriculum::{Grpo, Opponent, Ppo, TrainConfig};
use probity_train::finetune::Finetuning;
use probity_train::init::normal;
use probity_train::objective::{LogitRows, Read};
use probity_train::rollout::{Course, Rollout, Sample, grpo, play, ppo, reinforce};
use probity_train::{Pack, Schedule, Tape};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

fn strategy(name: &str) -> Strategy {
    Strategy::find(name).unwrap()
}

const VOCABULARY: usize = 6;
const HIDDEN: usize = 3;

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| normal(&mut rng)).collect()
}

/// Two prompts with answers of two tokens, two of them equal, and their probabilities when they were sampled.
fn batch() -> (Pack, Vec<Rollout>) {
    let samples: Vec<Sample> = [([1, 2], [4, 5]), ([1, 3], [4, 1]), ([1, 2], [5, 5]), ([1, 2], [4, 5])]
        .into_iter()
        .map(|(prompt, answer)| Sample { prompt: prompt.into(), answer: answer.into(), action: None, reward: 0.0 })
        .collect();
    let (pack, reads) = probity_train::rollout::pack(&samples);
    let note = |(i, reads): (usize, Vec<Read>)| {
        let x: Vec<f64> = random(6, 10 + i as u64).iter().map(|x| f64::from(*x)).collect();
        Rollout {
            reads,
            old: vec![-1.5 + 0.3 * x[0], -1.5 + 0.3 * x[1]],
            reference: vec![-1.5 + 0.3 * x[2], -1.5 + 0.3 * x[3]],
            values: vec![x[4], x[5]],
            reward: [3.0, -6.0, 0.5, 1.0][i],
        }
    };
    (pack, reads.into_iter().enumerate().map(note).collect())
}

#[test]
fn ppo_targets_on_paper() {
    let p = Ppo::default().with(|o| {
        o.discount = 0.9;
        o.lambda = 0.5;
    });
    let rollout = |old: [f64; 2], values: [f64; 2]| Rollout {
        reads: vec![(0, 0), (0, 0)],
        old: old.into(),
        reference: vec![-1.0, -2.0],
        values: values.into(),
        reward: 0.0,
    };
    let rollouts = [rollout([-1.0, -1.0], [0.5, 1.0]), rollout([-3.0, -2.0], [0.0, 0.0])];
    let found = ppo::targets(&p, 0.1, &rollouts, &[2.0, -1.0]);
    // First answer: rewards 0 and -0.1 + 2, deltas 0 + 0.9 * 1 - 0.5 = 0.4 and 1.9 - 1 = 0.9, advantages
    // 0.4 + 0.45 * 0.9 = 0.805 and 0.9. Second: rewards 0.2 and -1, advantages 0.2 - 0.45 and -1.
    let raw = [[0.805, 0.9], [-0.25, -1.0]];
    let returns = [[1.305, 1.9], [-0.25, -1.0]];
    for (a, b) in found.returns.iter().flatten().zip(returns.iter().flatten()) {
        assert!((a - b).abs() < 1e-12, "{:?}", found.returns);
    }
    let mean = raw.iter().flatten().sum::<f64>() / 4.0;
    let variance = raw.iter().flatten().map(|a| (a - mean).powi(2)).sum::<f64>() / 3.0;
    for (a, b) in found.advantages.iter().flatten().zip(raw.iter().flatten()) {
        assert!((a - (b - mean) / (variance + 1e-8).sqrt()).abs() < 1e-12);
    }
}

/// A tape after a forward pass.
fn tape(logits: &[f32], normed: &[f32]) -> Tape {
    let mut tape = Tape::default();
    tape.logits = logits.into();
    tape.normed = normed.into();
    tape.dnormed = vec![0.0; normed.len()];
    tape
}

/// Ratios of the policy's probabilities to those at sampling, where every token has one in [`VOCABULARY`].
fn with_ratios(rollouts: &[Rollout], ratios: [f64; 2]) -> Vec<Rollout> {
    let now = -(VOCABULARY as f64).ln();
    let old: Vec<f64> = ratios.iter().map(|ratio| now - ratio.ln()).collect();
    rollouts.iter().map(|r| Rollout { old: old.clone(), ..r.clone() }).collect()
}

/// TRL's PPO loss: the clipped ratios, and half the larger of two squared errors of the value.
#[test]
fn the_loss_of_ppo_on_paper() {
    let (pack, rollouts) = batch();
    let rollouts: Vec<Rollout> =
        with_ratios(&rollouts, [1.25, 0.5]).into_iter().map(|r| Rollout { values: vec![0.1, 0.5], ..r }).collect();
    let p = Ppo::default().with(|o| {
        o.clip = 0.2;
        o.value_clip = 0.2;
        o.value_weight = 0.1;
        o.ratio_threshold = 10.0;
    });
    let advantages = [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [0.0, 0.0]].map(Vec::from).to_vec();
    let targets = ppo::Targets { advantages, returns: vec![vec![1.0, 1.0]; 4] };
    let n = pack.outputs.len();
    // The head says 0.5 whatever it sees.
    let head = [0.0, 0.0, 0.0, 0.5];
    let mut tape = tape(&vec![0.0; n * VOCABULARY], &random(n * HIDDEN, 2));
    let (loss, _) = ppo::loss(&p, &rollouts, &targets, &pack, &mut tape, &head);
    // -min(1.25, 1.2), -min(0.5, 0.8), -min(-1.25, -1.2), -min(-0.5, -0.8).
    let policy = (-1.2 - 0.5 + 1.25 + 0.8) / 8.0;
    // 0.5 is held to at most 0.1 + 0.2, which errs by 0.7; or it is near enough to 0.5, and errs by 0.5.
    let value = 0.1 * 0.5 * (0.49 + 0.25) / 2.0;
    assert!((loss - policy - value).abs() < 1e-6, "{loss}, {policy} and {value}");
}

#[test]
fn the_gradient_of_ppo() {
    let (pack, rollouts) = batch();
    let n = pack.outputs.len();
    let head = random(HIDDEN + 1, 3);
    // The value's error has a weight large enough to be visible.
    let heavy = Ppo::default().with(|o| o.value_weight = 3.0);
    let narrow = heavy.with(|o| {
        o.clip = 0.1;
        o.value_clip = 0.3;
    });
    for (p, epoch) in [(heavy, 0.0), (narrow, 1.0)] {
        let targets = ppo::targets(&p, 0.2, &rollouts, &[1.0, -1.5, 0.2, 0.4]);
        let (logits, normed) = (random(n * VOCABULARY, 1), random(n * HIDDEN, 2));
        // At the policy that sampled, no ratio is clipped; elsewhere some are.
        let mut rollouts = rollouts.clone();
        if epoch == 0.0 {
            let mut l = logits.clone();
            let mut rows = LogitRows::new(&pack, &mut l);
            rollouts.iter_mut().for_each(|r| r.old = r.reads.iter().map(|&read| rows.log_probability(read)).collect());
        }
        let value = |logits: &[f32], normed: &[f32], head: &[f32]| {
            ppo::loss(&p, &rollouts, &targets, &pack, &mut tape(logits, normed), head).0
        };
        let mut found = tape(&logits, &normed);
        let (_, of_head) = ppo::loss(&p, &rollouts, &targets, &pack, &mut found, &head);
        let check = |what: &str, gradient: &[f32], at: &dyn Fn(usize, f32) -> f64| {
            for (i, g) in gradient.iter().enumerate() {
                let difference = (at(i, 5e-3) - at(i, -5e-3)) / 1e-2;
                assert!((difference - f64::from(*g)).abs() < 3e-3, "{what} {i}, epoch {epoch}: {difference} and {g}");
            }
        };
        let moved = |of: &[f32], i: usize, step: f32| {
            let mut of = of.to_vec();
            of[i] += step;
            of
        };
        check("logit", &found.logits, &|i, s| value(&moved(&logits, i, s), &normed, &head));
        check("hidden", &found.dnormed, &|i, s| value(&logits, &moved(&normed, i, s), &head));
        check("head", &of_head, &|i, s| value(&logits, &normed, &moved(&head, i, s)));
    }
    // A policy that has moved too far gets no gradient.
    let p = Ppo::default().with(|o| o.ratio_threshold = 1e-6);
    let targets = ppo::targets(&p, 0.2, &rollouts, &[1.0, -1.5, 0.2, 0.4]);
    let mut tape = tape(&random(n * VOCABULARY, 1), &random(n * HIDDEN, 2));
    let (loss, of_head) = ppo::loss(&p, &rollouts, &targets, &pack, &mut tape, &head);
    assert!(loss == 0.0 && tape.logits.iter().chain(&tape.dnormed).chain(&of_head).all(|g| *g == 0.0));
}

#[test]
fn the_gradient_of_reinforce() {
    let (pack, rollouts) = batch();
    let logits = random(pack.outputs.len() * VOCABULARY, 1);
    let beta = 0.3;
    let returns: Vec<f64> = rollouts.iter().map(|r| r.reward - beta * r.divergence()).collect();
    let value = |logits: &[f32]| -> f64 {
        let mut logits = logits.to_vec();
        let mut rows = LogitRows::new(&pack, &mut logits);
        let advantage = |i: usize| {
            let others = returns.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| r);
            returns[i] - others.sum::<f64>() / 3.0
        };
        let mut log_p = |i: usize| rollouts[i].reads.iter().map(|&read| rows.log_probability(read)).sum::<f64>();
        (0..4).map(|i| -advantage(i) * log_p(i) / 4.0).sum()
    };
    let mut gradient = logits.clone();
    reinforce::loss(beta, 1, &rollouts, &pack, &mut gradient);
    for (i, g) in gradient.iter().enumerate() {
        let at = |step: f32| {
            let mut logits = logits.clone();
            logits[i] += step;
            value(&logits)
        };
        let difference = (at(5e-3) - at(-5e-3)) / 1e-2;
        assert!((difference - f64::from(*g)).abs() < 3e-3, "logit {i}: {difference} and {g}");
    }
}

#[test]
fn moments_are_those_of_all_numbers() {
    let numbers: Vec<f64> = random(50, 7).iter().map(|x| f64::from(*x)).collect();
    let mut moments = Moments::default();
    numbers.iter().for_each(|x| moments.add(*x));
    let mean = numbers.iter().sum::<f64>() / 50.0;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 49.0;
    assert!((moments.mean - mean).abs() < 1e-12 && (moments.deviation() - variance.sqrt()).abs() < 1e-12);
}

fn ipd() -> MatrixGame {
    CatalogGame::find("ipd").unwrap().labelled(["coop", "defect"]).unwrap()
}

/// Plays rounds in which each seat answers with `say`'s result: an action, or nothing legal.
fn rounds(
    n: usize,
    reward: Framework,
    opponent: &Opponent,
    seed: u64,
    mut say: impl FnMut(usize, &str) -> Option<usize>,
) -> (Vec<Vec<Sample>>, Vec<String>) {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut prompts = Vec::new();
    let reward: Mixture = reward.into();
    let samples = play(
        &model,
        &ipd(),
        (Course::Episode, n),
        (&reward, opponent),
        &mut rng,
        |_| Style::default(),
        |asked, _| {
            let text: String = asked.prompt.iter().map(|&t| model.piece(t)).collect();
            let text = text.replace('Ġ', " ").replace('Ċ', "\n");
            let answer = match say(asked.seat, &text) {
                Some(action) => [asked.options[action].tokens(), &asked.options[action].last()[..1]].concat(),
                None => vec![asked.prompt[0]],
            };
            prompts.push(text);
            Ok(answer)
        },
    );
    (samples.unwrap(), prompts)
}

#[test]
fn tit_for_tat_answers_what_it_was_shown() {
    // Cooperate, defect, say nothing legal, cooperate, cooperate.
    let script = [Some(0), Some(1), None, Some(0), Some(0)];
    let mut turn = 0;
    let (samples, prompts) = rounds(5, framework("game"), &Opponent::Strategy(strategy("tit-for-tat")), 3, |_, _| {
        turn += 1;
        script[turn - 1]
    });
    let samples = &samples[0];
    assert_eq!(samples.iter().map(|s| s.action).collect::<Vec<_>>(), script);
    // Round 2: tit-for-tat answers the cooperation of round 1. After the illegal answer of round 3 the state still
    // shows the defection of round 2, and tit-for-tat answers it twice.
    let rewards: Vec<f64> = samples.iter().map(|s| s.reward).collect();
    assert_eq!(rewards[1..], [4.0, -6.0, 0.0, 3.0]);
    assert!(prompts[1].contains("you \"coop\"") && prompts[2].contains("you \"defect\", A \"coop\""));
    assert!(prompts[3].contains("you \"defect\", A \"defect\". A did not cooperate.\nYour pick?"), "{}", prompts[3]);
}

#[test]
fn who_always_does_the_same_did_it_before() {
    for (strategy, label) in [(strategy("always-cooperate"), "coop"), (strategy("always-defect"), "defect")] {
        let did = if label == "coop" { "cooperated" } else { "did not cooperate" };
        for seed in 0..6 {
            let (_, prompts) = rounds(1, framework("game"), &Opponent::Strategy(strategy), seed, |_, _| Some(0));
            assert!(prompts[0].contains(&format!("A \"{label}\". A {did}.\nYour pick?")), "{}", prompts[0]);
        }
    }
}

#[test]
fn two_learners_see_the_same_round_from_their_sides() {
    // The row player cooperates, the other defects, then the other says nothing legal.
    let mut calls = 0;
    let (samples, prompts) =
        rounds(3, framework("deontological").with_constant(3.0), &Opponent::Learner, 1, |seat, _| {
            calls += 1;
            if seat == 0 {
                Some(0)
            } else if calls < 3 {
                Some(1)
            } else {
                None
            }
        });
    assert_eq!(samples.len(), 2);
    assert!(prompts[2].contains("you \"coop\", A \"defect\". A did not cooperate.\nYour pick?"));
    assert!(prompts[3].contains("you \"defect\", A \"coop\". A cooperated.\nYour pick?"));
    // Its last move stands for the illegal answer.
    assert!(prompts[4].contains("you \"coop\", A \"defect\". A did not cooperate.\nYour pick?"));
    assert_eq!(samples[1][1].reward, -6.0);
}

const CONFIG: &str = r#"
name = "test"
seed = 3
labels = { fixed = ["zork", "blip"] }
styles = "original-layout"
opponent = "tit-for-tat"
games_per_step = 2
shards = 1
rank = 4
alpha = 8.0
rate = 0.003
annealing = "none"
beta = 0.2
kl_target = { target = 0.1, horizon = 10.0 }
legality = 0.0
measure_every = 3

[algorithm]
name = "ppo"
rounds = 3
epochs = 2

[games]
catalogue = ["ipd"]

[[phases]]
steps = 4
reward = { framework = "game" }

[[phases]]
steps = 4
reward = [{ reward = { framework = "utilitarian" }, weight = 0.5 }, { reward = { framework = "game" }, weight = 2 }]
"#;

#[test]
fn sampled_runs_resume_bit_for_bit() {
    let (folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let reinforce = CONFIG.replace("name = \"ppo\"", "name = \"reinforce\"").replace("epochs = 2", "");
    let learners = CONFIG.replace("\"tit-for-tat\"", "\"learner\"");
    let grpo = CONFIG.replace("name = \"ppo\"", "name = \"grpo\"").replace("rounds = ", "group = ");
    for text in [CONFIG, &reinforce, &grpo, &learners] {
        let config = TrainConfig::from_toml(text).unwrap();
        assert_eq!(TrainConfig::from_toml(&config.to_toml()).unwrap(), config);
        let mut whole = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
        let mut first = Finetuning::new(&model, config.clone(), Schedule::Wide).unwrap();
        let mut reports = Vec::new();
        for step in 0..8 {
            let report = whole.step().unwrap();
            let played = report.played.expect("it plays");
            assert!((0.0..=1.0).contains(&played.illegal) && played.tokens > 0);
            assert_eq!(report.parts.is_some(), step % 3 == 0);
            assert_eq!((report.step, report.phase), (step + 1, usize::from(step >= 4)));
            if step < 5 {
                assert_eq!(first.step().unwrap(), report);
            }
            reports.push(report);
        }
        assert!(whole.finished() && reports[7].beta != reports[0].beta);
        let file = folder.path().join("checkpoint.bin");
        first.state().write(&file, &config, model.content().unwrap()).unwrap();
        let mut second = Finetuning::new(&model, config.clone(), Schedule::Narrow).unwrap();
        second.resume(Checkpoint::read(&file, &config, model.content().unwrap()).unwrap());
        assert_eq!(second.done(), 5);
        for report in &reports[5..] {
            assert_eq!(second.step().unwrap(), *report);
        }
        assert!(whole.state().theta == second.state().theta, "the same bits");
        let trained = whole.finish().unwrap();
        assert_eq!(trained.len(), config.learners());
        assert!(trained.iter().all(|t| t.steps == 8 && t.theta.len() == t.decoder.n_params()));
    }
}

/// The second of two optimiser steps on the same samples meets NaN: nothing of the first is left.
#[test]
fn a_step_that_fails_half_way_leaves_nothing() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let config = TrainConfig::from_toml(&CONFIG.replace("rate = 0.003", "rate = 1e30")).unwrap();
    let mut run = Finetuning::new(&model, config, Schedule::Wide).unwrap();
    let before = run.state().clone();
    let error = run.step().unwrap_err().to_string();
    assert!(error.contains("at step 1") && error.contains("a lower rate may help"), "{error}");
    let after = run.state();
    assert!(before.theta == after.theta && before.adam.m == after.adam.m && before.adam.v == after.adam.v);
    assert_eq!((before.adam.step, before.steering), (after.adam.step, after.steering));
}

#[test]
fn what_does_not_go_with_sampling_is_refused() {
    let refused = |from: &str, to: &str| {
        assert!(CONFIG.contains(from));
        TrainConfig::from_toml(&CONFIG.replace(from, to)).unwrap_err().to_string()
    };
    assert!(refused("legality = 0.0", "legality = 0.1").contains("0 for a sampling algorithm"));
    assert!(refused("games_per_step = 2", "games_per_step = 0").contains("how many episodes"));
    assert!(refused("rounds = 3", "rounds = 1").contains("2 to 1024"));
    assert!(refused("epochs = 2", "epochs = 0").contains("algorithm.epochs"));
    assert!(refused("epochs = 2", "epoch = 2").contains("epoch"));
    assert!(refused("name = \"ppo\"", "name = \"dpo\"").contains("dpo"));
    assert!(refused("[games]", "[play]\ndiscount = 0.5\n\n[games]").contains("algorithm.name"));
    assert!(
        refused("catalogue = [\"ipd\"]", "catalogue = [\"ipd\"]\nweights = { ipd = 2.0 }")
            .contains("no weights for a sampling algorithm")
    );
}

/// Sampling estimates the sum of the exact objective: over all answers, weighted by their probability, the gradient of
/// REINFORCE without a baseline is the gradient of the expected reward.
#[test]
fn reinforce_estimates_the_exact_gradient() {
    let prompt: Vec<Token> = vec![1, 2];
    let answers: Vec<Vec<Token>> = (0..VOCABULARY as Token).map(|t| vec![t]).collect();
    let rewards: Vec<f64> = random(VOCABULARY, 5).iter().map(|x| f64::from(*x)).collect();
    let logits = random(VOCABULARY, 6);
    let softmax = probity_train::objective::softmax(&logits.iter().map(|l| f64::from(*l)).collect::<Vec<_>>());
    let mean: f64 = softmax.iter().zip(&rewards).map(|(p, r)| p * r).sum();
    let exact: Vec<f64> = softmax.iter().zip(&rewards).map(|(p, r)| -p * (r - mean)).collect();
    let mut estimate = [0.0; VOCABULARY];
    for (a, first) in answers.iter().enumerate() {
        for (b, second) in answers.iter().enumerate() {
            let samples = [first, second].map(|answer| Sample {
                prompt: prompt.clone(),
                answer: answer.clone(),
                action: None,
                reward: 0.0,
            });
            let (pack, reads) = probity_train::rollout::pack(&samples);
            let rollout = |(reads, i): (Vec<Read>, usize)| Rollout {
                reads,
                old: vec![0.0],
                reference: vec![0.0],
                values: Vec::new(),
                reward: rewards[i],
            };
            let rollouts: Vec<Rollout> = reads.into_iter().zip([a, b]).map(rollout).collect();
            let mut gradient = logits.clone();
            reinforce::loss(0.0, 1, &rollouts, &pack, &mut gradient);
            let chance = softmax[a] * softmax[b];
            estimate.iter_mut().zip(&gradient).for_each(|(e, g)| *e += chance * f64::from(*g));
        }
    }
    for (e, x) in estimate.iter().zip(&exact) {
        assert!((e - x).abs() < 1e-5, "{estimate:?} and {exact:?}");
    }
}

/// All outcomes of two episodes of two rounds of the stag hunt against tit-for-tat, with their probabilities.
///
/// The second round's state, and so its reward, depends on the first round's answer. The mean gradient is that of the
/// expected rewards all the same, because an episode's baseline is the other episode.
#[test]
fn reinforce_has_no_bias_from_later_rounds() {
    /// A state, and the answer in it.
    type Round = ([usize; 2], usize);
    const ROUNDS: usize = 2;
    let payoffs = [[4.0, 0.0], [3.0, 1.0]];
    // A state is the own last action and the other's; each has a prompt of one token, and logits of its own.
    let states: Vec<[usize; 2]> = (0..4).map(|s| [s / 2, s % 2]).collect();
    let token = |state: [usize; 2]| (2 + 2 * state[0] + state[1]) as Token;
    let bias = random(4, 21);
    let p = |state: [usize; 2], action: usize| {
        let defects = 1.0 / (1.0 + f64::from(-bias[2 * state[0] + state[1]]).exp());
        if action == 1 { defects } else { 1.0 - defects }
    };
    // Tit-for-tat repeats the own last action.
    let reward = |state: [usize; 2], action: usize| payoffs[action][state[0]];
    let next = |state: [usize; 2], action: usize| [action, state[0]];
    let episodes: Vec<(f64, Vec<Round>)> = states
        .iter()
        .flat_map(|&start| (0..4).map(move |actions| (start, [actions / 2, actions % 2])))
        .map(|(start, [first, second])| {
            let then = next(start, first);
            (0.25 * p(start, first) * p(then, second), vec![(start, first), (then, second)])
        })
        .collect();
    assert!((episodes.iter().map(|(chance, _)| chance).sum::<f64>() - 1.0).abs() < 1e-12);

    let mut exact = [[0.0; 2]; 4];
    for (chance, rounds) in &episodes {
        for &(state, _) in rounds {
            let value: f64 = (0..2).map(|action| p(state, action) * reward(state, action)).sum();
            for (action, gradient) in exact[2 * state[0] + state[1]].iter_mut().enumerate() {
                *gradient -= chance * p(state, action) * (reward(state, action) - value) / ROUNDS as f64;
            }
        }
    }

    let mut estimate = [[0.0; 2]; 4];
    for (one, first) in &episodes {
        for (other, second) in &episodes {
            let rounds: Vec<Round> = [&first[..], second].concat();
            let sample = |&(state, action): &Round| Sample {
                prompt: vec![1, token(state)],
                answer: vec![action as Token],
                action: Some(action),
                reward: 0.0,
            };
            let (pack, reads) = probity_train::rollout::pack(&rounds.iter().map(sample).collect::<Vec<_>>());
            let rollout = |(reads, &(state, action)): (Vec<Read>, &Round)| Rollout {
                reads,
                old: vec![0.0],
                reference: vec![0.0],
                values: Vec::new(),
                reward: reward(state, action),
            };
            let rollouts: Vec<Rollout> = reads.into_iter().zip(&rounds).map(rollout).collect();
            // Tokens that are no action have no probability.
            let mut logits = vec![-60.0; pack.outputs.len() * VOCABULARY];
            for (rollout, &(state, _)) in rollouts.iter().zip(&rounds) {
                let row = rollout.reads[0].0 * VOCABULARY;
                logits[row..row + 2].copy_from_slice(&[0.0, bias[2 * state[0] + state[1]]]);
            }
            reinforce::loss(0.0, ROUNDS, &rollouts, &pack, &mut logits);
            let mut seen = Vec::new();
            for (rollout, &(state, _)) in rollouts.iter().zip(&rounds) {
                let (row, number) = (rollout.reads[0].0, 2 * state[0] + state[1]);
                if !seen.contains(&row) {
                    seen.push(row);
                    for (action, gradient) in estimate[number].iter_mut().enumerate() {
                        *gradient += one * other * f64::from(logits[row * VOCABULARY + action]);
                    }
                }
            }
        }
    }
    for (e, x) in estimate.iter().flatten().zip(exact.iter().flatten()) {
        assert!((e - x).abs() < 1e-6, "{estimate:?} and {exact:?}");
    }
}

/// TRL's GRPO loss: the clipped ratios, and the divergence by `p_ref / p - log(p_ref / p) - 1`.
#[test]
fn the_loss_of_grpo_on_paper() {
    let (pack, rollouts) = batch();
    let now = -(VOCABULARY as f64).ln();
    let reference = |i: usize| now + if i < 2 { 2.0_f64.ln() } else { -(2.0_f64.ln()) };
    let rollouts: Vec<Rollout> = (0..)
        .zip(with_ratios(&rollouts, [1.25, 0.5]))
        .map(|(i, r)| Rollout { reference: vec![reference(i); 2], ..r })
        .collect();
    let g: Grpo = toml::from_str("clip = 0.2").unwrap();
    let advantages = [1.0, -1.0, 0.0, 0.0];
    let loss = grpo::loss(&g, 0.1, &advantages, &rollouts, &pack, &mut vec![0.0; pack.outputs.len() * VOCABULARY]);
    // Four tokens have 2 - ln 2 - 1 = 0.3069, and four 0.5 + ln 2 - 1 = 0.1931: their sum is 2.
    let expected = (-1.2 - 0.5 + 1.25 + 0.8 + 0.1 * 2.0) / 8.0;
    assert!((loss - expected).abs() < 1e-6, "{loss}, expected {expected}");
}

#[test]
fn the_gradient_of_grpo() {
    let (pack, rollouts) = batch();
    let advantages = grpo::advantages(&rollouts, 2);
    // Two groups of two: half the difference, over its standard deviation and a little.
    let of = |a: f64, b: f64| (a - b) / 2.0 / ((a - b).abs() / 2.0_f64.sqrt() + 1e-4);
    let expected = [of(3.0, -6.0), of(-6.0, 3.0), of(0.5, 1.0), of(1.0, 0.5)];
    assert!(advantages.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{advantages:?}");
    let equal: Vec<Rollout> = rollouts.iter().map(|r| Rollout { reward: 2.0, ..r.clone() }).collect();
    assert_eq!(grpo::advantages(&equal, 4), [0.0; 4]);

    let logits = random(pack.outputs.len() * VOCABULARY, 1);
    for (clip, beta) in [(0.2, 0.0), (0.05, 0.3), (10.0, 0.3)] {
        let g: Grpo = toml::from_str(&format!("clip = {clip}")).unwrap();
        let value = |logits: &[f32]| grpo::loss(&g, beta, &advantages, &rollouts, &pack, &mut logits.to_vec());
        let mut gradient = logits.clone();
        grpo::loss(&g, beta, &advantages, &rollouts, &pack, &mut gradient);
        for (i, found) in gradient.iter().enumerate() {
            let at = |step: f32| {
                let mut logits = logits.clone();
                logits[i] += step;
                value(&logits)
            };
            let difference = (at(5e-3) - at(-5e-3)) / 1e-2;
            assert!((difference - f64::from(*found)).abs() < 3e-3, "logit {i}, clip {clip}: {difference} and {found}");
        }
    }
}

#[test]
fn a_group_answers_one_prompt() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let styles: Vec<Style> = Style::all().collect();
    let mut drawn = 0;
    let style = |_: &mut ChaCha8Rng| {
        drawn += 1;
        styles[drawn % styles.len()]
    };
    let reward: Mixture = framework("game").into();
    let opponent = Opponent::Strategy(strategy("tit-for-tat"));
    let answer = |asked: &probity_train::rollout::episode::Asked<'_>, _: &mut ChaCha8Rng| {
        Ok([asked.options[1].tokens(), asked.options[1].last()].concat())
    };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let samples =
        play(&model, &ipd(), (Course::Group, 6), (&reward, &opponent), &mut rng, style, answer).unwrap().remove(0);
    assert!(samples.iter().all(|s| s.prompt == samples[0].prompt && s.reward == samples[0].reward));
    assert_eq!((samples.len(), drawn), (6, 1));
}
