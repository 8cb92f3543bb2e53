//! The exact objective: its gradient against finite differences, its closed-form optimum, repeated play on paper.

use probity_engine::Token;
use probity_engine::score::Continuation;
use probity_game::moral::{Framework, Reward};
use probity_game::play::Chain;
use probity_game::{CatalogGame, MatrixGame, Strategy};
use probity_train::Pack;
use probity_train::init::normal;
use probity_train::objective::repeated::Repeated;
use probity_train::objective::{
    Aim, Group, Judged, ObjectiveParts, ObjectiveTerms, PromptedState, all_scores, objective, optimum, push, push_all,
    softmax,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn strategy(name: &str) -> Strategy {
    Strategy::find(name).unwrap()
}

const WIDTH: usize = 8;

/// Scores of a bare model that gives legal labels alone.
fn logs(policies: &[Vec<f64>]) -> Vec<Vec<f64>> {
    policies.iter().map(|policy| policy.iter().map(|p| p.ln()).collect()).collect()
}

/// The parts of all decisions, not divided by their weight.
fn total(judged: &[Judged]) -> ObjectiveParts {
    let mean = ObjectiveParts::mean(judged.iter().map(|j| &j.parts));
    let w = mean.weight;
    ObjectiveParts {
        weight: w,
        reward: w * mean.reward,
        best: w * mean.best,
        kl: w * mean.kl,
        distance: w * mean.distance,
        miss: w * mean.miss,
        reference_distance: w * mean.reference_distance,
        free_distance: w * mean.free_distance,
        legality: w * mean.legality,
        objective: w * mean.objective,
        bare: w * mean.bare,
    }
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| normal(&mut rng)).collect()
}

/// The gradient in every logit against finite differences.
fn check_gradient(groups: &[Group], references: &[Vec<f64>], pack: &Pack) {
    let terms = ObjectiveTerms { aim: Aim::Objective, beta: 0.5, legality: 0.2 };
    let logits = random(pack.outputs.len() * WIDTH, 1);
    let value = |l: &[f32]| total(&objective(groups, references, terms, 1.0, pack, &mut l.to_vec())).objective;
    let mut gradient = logits.clone();
    objective(groups, references, terms, 1.0, pack, &mut gradient);
    assert!(gradient.iter().any(|g| g.abs() > 0.01));
    for i in 0..logits.len() {
        let at = |step: f32| {
            let mut l = logits.clone();
            l[i] += step;
            value(&l)
        };
        let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((difference + f64::from(gradient[i])).abs() < 2e-3, "logit {i}: {difference} and {}", -gradient[i]);
    }
}

#[test]
fn the_gradient_of_one_round() {
    let mut pack = Pack::default();
    // The first option may end in either of two ways.
    let options = [Continuation::new(vec![4, 5], [0, 7]), [4, 6, 0].into()];
    let prompts = [vec![1, 2, 3], vec![1, 2, 2]];
    let question = |(prompt, weight)| PromptedState { prompt, rewards: vec![1.0, -2.0 * weight], weight };
    let decisions = push(&mut pack, prompts.into_iter().zip([0.3, 0.7]).map(question).collect(), &options);
    let groups = [Group { decisions, repeated: None }];
    check_gradient(&groups, &logs(&[vec![0.4, 0.6], vec![0.9, 0.1]]), &pack);
}

/// `-KL(optimum || pi)`: its gradient against finite differences. Near 0, times beta, it is nearly the objective's
/// gradient; it is far from it where a policy is wrongly certain.
#[test]
fn the_optimum_from_its_other_side() {
    let (beta, legality) = (0.5, 0.2);
    let mut pack = Pack::default();
    let options = [[4, 0], [5, 0], [6, 0]].map(Continuation::from);
    let (rewards, reference) = (vec![1.0, 0.7, -0.4], vec![0.2, 0.5, 0.3]);
    let question = PromptedState { prompt: vec![1, 2, 3], rewards: rewards.clone(), weight: 0.8 };
    let groups = [Group { decisions: push(&mut pack, vec![question], &options), repeated: None }];
    let references = logs(std::slice::from_ref(&reference));
    let best = optimum(&reference, &rewards, beta);
    let gradient = |aim, legality, logits: &[f32]| {
        let mut gradient = logits.to_vec();
        objective(&groups, &references, ObjectiveTerms { aim, beta, legality }, 1.0, &pack, &mut gradient);
        gradient
    };
    let value = |logits: &[f32]| {
        let scores = all_scores(&groups[0].decisions, &mut logits.to_vec(), &pack).remove(0);
        let mass: f64 = scores.iter().map(|s| s.exp()).sum();
        let kl: f64 = best.iter().zip(softmax(&scores)).map(|(b, p)| b * (b / p).ln()).sum();
        0.8 * (legality * mass.ln() - kl)
    };
    let logits = random(pack.outputs.len() * WIDTH, 1);
    for (i, g) in gradient(Aim::Optimum, legality, &logits).into_iter().enumerate() {
        let at = |step: f32| {
            let mut l = logits.clone();
            l[i] += step;
            value(&l)
        };
        let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((difference + f64::from(g)).abs() < 2e-3, "logit {i}: {difference} and {}", -g);
    }

    // Logits that make a policy: the label, then its end with certainty.
    let reads = &groups[0].decisions[0].reads;
    let policy = |scores: &[f64]| {
        let mut logits = vec![-60.0; pack.outputs.len() * WIDTH];
        for (reads, score) in reads.iter().zip(scores) {
            let [(first, label), (second, end)] = &reads[..] else { unreachable!("two tokens") };
            logits[first * WIDTH + label[0] as usize] = *score as f32;
            logits[second * WIDTH + end[0] as usize] = 0.0;
        }
        logits
    };
    let pulls = |aim, scores: &[f64]| {
        let gradient = gradient(aim, 0.0, &policy(scores));
        reads.iter().map(|reads| f64::from(gradient[reads[0].0 * WIDTH + reads[0].1[0] as usize])).collect::<Vec<_>>()
    };
    let near: Vec<f64> = best.iter().zip([0.01, -0.02, 0.0]).map(|(p, step)| p.ln() + step).collect();
    let [from, to] = [pulls(Aim::Objective, &near), pulls(Aim::Optimum, &near)];
    assert!(from.iter().zip(&to).all(|(a, b)| (a - beta * b).abs() < 2e-5) && to[0] > 4e-3, "{from:?} and {to:?}");
    let certain = [0.0, -25.0, -25.0];
    let [from, to] = [pulls(Aim::Objective, &certain), pulls(Aim::Optimum, &certain)];
    assert!(from.iter().all(|g| g.abs() < 1e-6) && to.iter().all(|g| g.abs() > 1e-2), "{from:?} and {to:?}");
}

#[test]
fn groups_share_a_trie() {
    // The second group has other options, and a prompt in common with the first.
    let ask = |prompt: Vec<Token>| PromptedState { prompt, rewards: vec![0.0; 2], weight: 1.0 };
    let first = (vec![ask(vec![1, 2, 3]), ask(vec![1, 2, 4])], vec![Continuation::from([5, 0]), [6, 0].into()]);
    let second = (vec![ask(vec![1, 2, 3])], vec![Continuation::from([5, 7, 0]), [7, 0].into()]);
    let mut together = Pack::default();
    let groups = push_all(&mut together, vec![first.clone(), second.clone()]);
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(together.trees.len(), 1);
    // 1 2 3 4, 5 and 6 after each of the two prompts, 7 after the first, 7 after its 5.
    assert_eq!(together.len(), 4 + 4 + 2);
    for ((questions, options), decisions) in [first, second].into_iter().zip(groups) {
        for (q, d) in questions.iter().zip(decisions) {
            for (reads, option) in d.reads.iter().zip(&options) {
                let spelled: Vec<Token> = reads.iter().map(|(_, tokens)| tokens[0]).collect();
                assert!(option.matches(&spelled), "{spelled:?}");
                let nodes = reads.iter().map(|(row, _)| together.outputs[*row] as usize);
                let before: Vec<Token> = nodes.map(|node| together.tokens[node]).collect();
                let prompt_end = *q.prompt.last().unwrap();
                let expected: Vec<Token> = [prompt_end].into_iter().chain(option.tokens().to_vec()).collect();
                assert_eq!(before, expected);
            }
        }
    }
}

#[test]
fn the_closed_form_is_the_optimum() {
    let reference = [0.2, 0.5, 0.3];
    let rewards = [1.0, -1.0, 0.5];
    let beta = 0.7;
    let value = |pi: &[f64]| -> f64 {
        pi.iter().zip(&reference).zip(&rewards).map(|((p, q), r)| p * r - beta * p * (p / q).ln()).sum()
    };
    let best = optimum(&reference, &rewards, beta);
    // J* = beta log sum ref exp(R / beta).
    let closed =
        beta * reference.iter().zip(&rewards).map(|(q, r): (&f64, &f64)| q * (r / beta).exp()).sum::<f64>().ln();
    assert!((value(&best) - closed).abs() < 1e-12);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..1000 {
        let scores: Vec<f64> = (0..3).map(|_| f64::from(normal(&mut rng))).collect();
        assert!(value(&softmax(&scores)) <= closed + 1e-12);
    }
}

fn ipd() -> MatrixGame {
    CatalogGame::find("ipd").unwrap().labelled(["coop", "defect"]).unwrap()
}

fn reward(name: &str) -> Reward {
    Framework::find(name).unwrap().into()
}

/// The decisions of a game against a strategy, on a trie of one token a state; rewards are the mover's own payoffs.
fn repeated(game: &MatrixGame, other: Strategy, reward: &Reward, discount: f64, start: &[f64]) -> (Pack, Group) {
    let states = probity_game::states(game);
    let beliefs: Vec<Vec<f64>> = states.iter().map(|&s| other.policy(game, s).unwrap()).collect();
    let questions = states.iter().zip(&beliefs).enumerate().map(|(i, (&state, belief))| PromptedState {
        prompt: vec![1, 2 + i as Token],
        rewards: reward.expected(game, state, belief).unwrap(),
        weight: 0.2,
    });
    let mut pack = Pack::default();
    let decisions = push(&mut pack, questions.collect(), &[[3, 0], [4, 0]].map(Continuation::from));
    let play = Repeated { game: game.clone(), other: beliefs, discount, start: start.to_vec() };
    (pack, Group { decisions, repeated: Some(play) })
}

#[test]
fn the_gradient_of_repeated_play() {
    let game = ipd();
    let references: Vec<Vec<f64>> = [0.3, 0.5, 0.6, 0.2, 0.9].map(|p| vec![p, 1.0 - p]).to_vec();
    for other in [strategy("tit-for-tat"), strategy("random")] {
        for start in [[0.2; 5], [1.0, 0.0, 0.0, 0.0, 0.0]] {
            let (pack, group) = repeated(&game, other, &reward("game"), 0.8, &start);
            check_gradient(&[group], &logs(&references), &pack);
        }
    }
}

#[test]
fn a_chain_is_the_sum_of_its_rounds() {
    let game = ipd();
    let policy = |seed| -> Vec<Vec<f64>> { random(5, seed).iter().map(|x| softmax(&[f64::from(*x), 0.0])).collect() };
    let (own, other) = (policy(3), policy(4));
    let discount = 0.9;
    let chain = Chain::new(&game, &own, &other, discount).unwrap();
    let start = [0.5, 0.1, 0.1, 0.1, 0.2];
    let reward = [1.0, -2.0, 0.5, 3.0, 0.0];
    // Round by round until the discount is used up.
    let (mut now, mut weight) = (start.to_vec(), 1.0 - discount);
    let (mut visits, mut total) = (vec![0.0; 5], 0.0);
    for _ in 0..500 {
        visits.iter_mut().zip(&now).for_each(|(v, p)| *v += weight * p);
        total += weight * now.iter().zip(&reward).map(|(p, r)| p * r).sum::<f64>();
        let mut next = vec![0.0; 5];
        for (s, p) in now.iter().enumerate() {
            for (a, pa) in own[s].iter().enumerate() {
                for (b, pb) in other[s].iter().enumerate() {
                    next[1 + 2 * a + b] += p * pa * pb;
                }
            }
        }
        now = next;
        weight *= discount;
    }
    let found = chain.visits(&start);
    assert!(found.iter().zip(&visits).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {visits:?}");
    assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let value: f64 = chain.values(&reward).iter().zip(&start).map(|(v, p)| v * p).sum();
    assert!((value - total).abs() < 1e-12);
    assert!(Chain::new(&game, &own, &other, 1.0).is_err() && Chain::new(&game, &own[1..], &other, 0.5).is_err());
}

/// Selfish play against tit-for-tat cooperates when the future counts: 3 / (1 - g) > 4 + g / (1 - g), for g above 1/3
/// (arXiv 2410.01639's game; the paper trains at g = 0 and sees defection).
#[test]
fn the_shadow_of_the_future() {
    let game = ipd();
    let reference = vec![0.5, 0.5];
    let references = vec![reference.clone(); 5];
    for (discount, cooperates) in [(0.05, false), (0.3, false), (0.36, true), (0.9, true)] {
        let (_, group) =
            repeated(&game, strategy("tit-for-tat"), &reward("game"), discount, &[1.0, 0.0, 0.0, 0.0, 0.0]);
        let stakes = group.repeated.unwrap().stakes(&group.decisions, &vec![reference.clone(); 5], &references, 1e-3);
        // After mutual cooperation (state 1), tit-for-tat cooperates this round whatever it does.
        assert_eq!(stakes[1].optimum[0] > 0.5, cooperates, "discount {discount}: {:?}", stakes[1].optimum);
        let best = stakes.iter().map(|s| s.best).sum::<f64>();
        let expected = if cooperates { 3.0 } else { 4.0 * (1.0 - discount) + discount };
        assert!((best - expected).abs() < 1e-9, "discount {discount}: best {best}, expected {expected}");
    }
}

#[test]
fn no_policy_beats_the_optimum_of_repeated_play() {
    let game = ipd();
    let references: Vec<Vec<f64>> = [0.3, 0.5, 0.6, 0.2, 0.9].map(|p| vec![p, 1.0 - p]).to_vec();
    let terms = ObjectiveTerms { aim: Aim::Objective, beta: 0.4, legality: 0.0 };
    let (pack, group) = repeated(&game, strategy("tit-for-tat"), &reward("utilitarian"), 0.7, &[0.2; 5]);
    let play = group.repeated.clone().unwrap();
    let stakes = play.stakes(&group.decisions, &references, &references, terms.beta);
    // Logits that make a policy: the label, then its end with certainty.
    let parts = |policy: &[Vec<f64>]| -> ObjectiveParts {
        let mut logits = vec![-30.0; pack.outputs.len() * WIDTH];
        for (d, pi) in group.decisions.iter().zip(policy) {
            for (reads, p) in d.reads.iter().zip(pi) {
                let [(first, label), (second, end)] = &reads[..] else { unreachable!("two tokens") };
                logits[first * WIDTH + label[0] as usize] = p.ln() as f32;
                logits[second * WIDTH + end[0] as usize] = 0.0;
            }
        }
        total(&objective(std::slice::from_ref(&group), &logs(&references), terms, 1.0, &pack, &mut logits))
    };
    let optimal: Vec<Vec<f64>> = stakes.iter().map(|s| s.optimum.clone()).collect();
    let best = parts(&optimal);
    assert!(best.distance < 1e-6 && best.reward <= best.best, "{best:?}");
    for seed in 0..300 {
        let policy: Vec<Vec<f64>> = random(5, seed).iter().map(|x| softmax(&[f64::from(*x), 0.0])).collect();
        assert!(parts(&policy).objective <= best.objective + 1e-6);
    }
}

/// Without repeated play a decision stands alone: the numbers of a game with discount 0.
#[test]
fn a_discount_near_zero_is_one_round() {
    let game = ipd();
    let references: Vec<Vec<f64>> = [0.3, 0.5, 0.6, 0.2, 0.9].map(|p| vec![p, 1.0 - p]).to_vec();
    let terms = ObjectiveTerms { aim: Aim::Objective, beta: 0.4, legality: 0.1 };
    let (pack, group) = repeated(&game, strategy("random"), &reward("game"), 1e-9, &[0.2; 5]);
    let single = Group { decisions: group.decisions.clone(), repeated: None };
    let logits = random(pack.outputs.len() * WIDTH, 5);
    let parts = |g: Group| total(&objective(&[g], &logs(&references), terms, 1.0, &pack, &mut logits.clone()));
    let (a, b) = (parts(group), parts(single));
    for (x, y) in [(a.objective, b.objective), (a.distance, b.distance), (a.best, b.best), (a.kl, b.kl)] {
        assert!((x - y).abs() < 1e-6, "{a:?} {b:?}");
    }
}

/// Without divergence the optimum is the limit of ever smaller betas.
#[test]
fn a_beta_of_zero_is_the_limit() {
    let (reference, rewards) = ([0.2, 0.5, 0.3], [1.0, 1.0, -0.4]);
    let limit = optimum(&reference, &rewards, 0.0);
    assert!(limit.iter().zip([0.2 / 0.7, 0.5 / 0.7, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{limit:?}");
    let near = optimum(&reference, &rewards, 1e-3);
    assert!(limit.iter().zip(&near).all(|(a, b)| (a - b).abs() < 1e-9), "{near:?}");
}
