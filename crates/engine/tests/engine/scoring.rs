//! Scores, caching and cancelled loads, on a small random model.

use probity::agent::prompt::{Style, encode, options, prompt};
use probity::agent::{Agent, Scenario};
use probity_engine::gguf::GgmlType;
use probity_engine::score::{Continuation, PromptTokens, Scorer};
use probity_engine::{Context, ContextOptions, Error, Model, ModelOptions};
use probity_game::{CatalogGame, History, MatrixGame};

fn scorer(model: &Model) -> Scorer {
    let exact = ContextOptions::default().with(|o| {
        o.threads = 1;
        o.exact_cache = true;
    });
    Scorer::new(Context::new(model, exact).unwrap())
}

fn ipd() -> MatrixGame {
    CatalogGame::find("ipd").unwrap().labelled(["zork", "blip"]).unwrap()
}

#[test]
fn the_trie_equals_one_full_prefill_an_option() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let mut scorer = scorer(&model);
    let tokens = encode(&model, &prompt(&ipd(), None, Style::default())).unwrap();
    // Shared prefixes of every length, among them single tokens.
    let options: Vec<Vec<i32>> = vec![
        vec![7, 8, 9, 0],
        vec![7, 8, 10, 0],
        vec![7, 0],
        vec![11],
        vec![12, 13, 14, 15, 16, 0],
        vec![7, 8, 9, 9, 0],
    ];
    let together = scorer.score(&tokens, &continuations(&options)).unwrap();
    for (option, expected) in options.iter().zip(&together) {
        // One token at a time, each as the only option after a longer prompt.
        let mut alone = 0.0;
        for i in 0..option.len() {
            let longer = PromptTokens { tokens: [&tokens.tokens, &option[..i]].concat(), fixed: 0 };
            alone += scorer.score(&longer, &[[option[i]].into()]).unwrap()[0];
        }
        assert!((alone - expected).abs() < 1e-4, "{option:?}: {alone} and {expected}");
    }
    let all: Vec<i32> = (0..model.shape().n_vocab as i32).collect();
    let mut sum = 0.0;
    for some in all.chunks(128) {
        let options: Vec<Continuation> = some.iter().map(|&token| [token].into()).collect();
        sum += scorer.score(&tokens, &options).unwrap().iter().map(|s| s.exp()).sum::<f64>();
    }
    assert!((sum - 1.0).abs() < 1e-5, "all tokens together have probability {sum}");
}

#[test]
fn any_of_several_last_tokens_has_their_probabilities_together() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let mut scorer = scorer(&model);
    let tokens = encode(&model, &prompt(&ipd(), None, Style::default())).unwrap();
    let ends = [0, 5, 17];
    let together = [Continuation::new(vec![7, 8], ends), Continuation::new(vec![7], ends), [7, 8, 9, 0].into()];
    let scores = scorer.score(&tokens, &together).unwrap();
    for (prefix, score) in [(&[7, 8][..], scores[0]), (&[7], scores[1])] {
        let apart: Vec<Continuation> = ends.iter().map(|&end| [prefix, &[end]].concat().into()).collect();
        let sum: f64 = scorer.score(&tokens, &apart).unwrap().iter().map(|s| s.exp()).sum();
        assert!((sum.ln() - score).abs() < 1e-6, "{prefix:?}: {} and {score}", sum.ln());
    }
    assert_eq!(scores[2], scorer.score(&tokens, &together[2..]).unwrap()[0]);
    let anything = Continuation::new(Vec::new(), (0..model.shape().n_vocab as i32).collect::<Vec<_>>());
    assert!(scorer.score(&tokens, &[anything]).unwrap()[0].abs() < 1e-6, "some token comes next");
}

fn continuations(options: &[Vec<i32>]) -> Vec<Continuation> {
    options.iter().cloned().map(Continuation::from).collect()
}

#[test]
fn many_options_and_permutations() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let mut scorer = scorer(&model);
    let tokens = encode(&model, &prompt(&ipd(), None, Style::default())).unwrap();
    let options: Vec<Continuation> = (0..128).map(|i| [20 + i % 7, 40 + i / 7, 60, i, 0].into()).collect();
    let scores = scorer.score(&tokens, &options).unwrap();
    let reversed: Vec<Continuation> = options.iter().rev().cloned().collect();
    let again: Vec<f64> = scorer.score(&tokens, &reversed).unwrap().into_iter().rev().collect();
    assert_eq!(scores, again, "the order of the options changes no bit");
    let one_more: Vec<Continuation> = (0..129).map(|i| [i].into()).collect();
    assert!(matches!(scorer.score(&tokens, &one_more), Err(Error::TooManyOptions { found: 129, most: 128 })));
    assert!(matches!(scorer.score(&tokens, &[]), Err(Error::TooManyOptions { found: 0, .. })));
}

#[test]
fn a_warm_cache_gives_the_bits_of_a_cold_one() {
    for ty in [GgmlType::F32, GgmlType::Q8_0] {
        let (_folder, path) = probity_testing::tiny(ty);
        let model = probity_testing::open(&path);
        for style in Style::all().step_by(5) {
            let mut scenario = Scenario::new(ipd());
            scenario.style = style;
            let warm = Agent::new(&model, scenario.clone(), ContextOptions::default()).unwrap();
            for state in std::iter::once(None).chain(History::states(&ipd()).map(Some)) {
                let cold = Agent::new(&model, scenario.clone(), ContextOptions::default()).unwrap();
                let expected = cold.consider(state).unwrap();
                assert_eq!(warm.consider(state).unwrap(), expected, "{style:?}");
                assert_eq!(warm.consider(state).unwrap(), expected, "from the memo");
            }
        }
    }
}

#[test]
fn a_prompt_that_does_not_fit() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let small = Context::new(
        &model,
        ContextOptions::default().with(|o| {
            o.context = 64;
            o.threads = 1;
            o.exact_cache = false;
        }),
    )
    .unwrap();
    let mut scorer = Scorer::new(small);
    let tokens = encode(&model, &prompt(&ipd(), None, Style::default())).unwrap();
    let options = options(&model, &ipd()).unwrap();
    assert!(matches!(scorer.score(&tokens, &options), Err(Error::PromptTooLong { context: 64, .. })));
    let short = PromptTokens { tokens: tokens.tokens[..20].to_vec(), fixed: 5 };
    assert!(scorer.score(&short, &options).is_ok(), "and the scorer still works");
    let too_long = ContextOptions::default().with(|o| o.context = 100_000);
    assert!(matches!(Context::new(&model, too_long), Err(Error::Option { name: "context", .. })));
}

#[test]
fn a_load_can_be_cancelled_and_told_from_a_failure() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let stopped = Model::open(&path, ModelOptions::default(), |_| false);
    assert!(matches!(stopped, Err(Error::Cancelled { what: "model load" })));
    let panicked = Model::open(&path, ModelOptions::default(), |_| panic!("in the callback"));
    assert!(matches!(panicked, Err(Error::Cancelled { .. })));
}
