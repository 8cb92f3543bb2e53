//! From trained parameters to a verified adapter file.

use std::collections::BTreeMap;
use std::path::Path;

use probity::agent::legality::reading_under;
use probity::agent::manifest::{Manifest, SelfTest};
use probity::agent::prompt::{PROMPT_VERSION, Style, encode, prompt};
use probity::agent::scenario::Scenario;
use probity::agent::verify::{Verification, record, verify_first};
use probity::agent::{Floor, Session};
use probity_engine::Error as EngineError;
use probity_engine::files::replace;
use probity_engine::gguf::GgmlType;
use probity_engine::{Adapter, ContextOptions, Model, ModelOptions};
use probity_game::{CatalogGame, MatrixGame, states};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::corpus::Kind;
use super::course::{Accuracy, named, reads};
use super::curriculum::{GivenGame, Labels, Norms, Precision, Reference, Seats, Styles, TrainConfig};
use super::finetune::Trained;
use super::games::{Reach, Reading};
use super::labels::{Split, labelled, plain};
use super::literacy::LiteracyConfig;
use super::lora::AdapterWeights;
use super::lora::merge::write_merged;
use crate::{Error, Result};

/// Decisions recorded in an adapter: at most five games, a style each.
///
/// The states of a game share its style, so that a prompt's fixed part is computed once. Of a larger game the first
/// states are recorded.
fn self_tests(games: Vec<MatrixGame>, labels: &Labels, seed: u64) -> Result<Vec<SelfTest>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5e1f);
    let styles: Vec<Style> = Style::all().collect();
    let mut tests = Vec::new();
    for (i, game) in games.into_iter().take(5).enumerate() {
        let game = match labels {
            // A model may be certain of one of two unusual labels, under any adapter: nothing would be shown.
            Labels::Pool => labelled(&mut rng, game, Split::Test, plain),
            Labels::Own | Labels::Fixed(_) => labels.apply(game, Split::Test, &mut rng)?,
        };
        let style = styles[3 * i % styles.len()];
        for state in states(&game).into_iter().take(10) {
            tests.push(SelfTest { game: game.clone(), style, state, probabilities: Vec::new() });
        }
    }
    Ok(tests)
}

/// What the recorded decisions may take of a run: this share of its tokens.
///
/// Two passes over them are then a small part of the run. At least the decisions of one game are recorded.
const SHARE: u64 = 40;

/// The first of some recorded decisions, whole games, that fit into a run's tokens.
fn within(model: &Model, tests: Vec<SelfTest>, tokens: u64) -> Result<Vec<SelfTest>> {
    let mut left = tokens / SHARE;
    let mut kept: Vec<SelfTest> = Vec::new();
    for test in tests {
        let asked = encode(model, &prompt(&test.game, test.state, test.style))?;
        let first = kept.last().is_none_or(|last| last.game != test.game);
        let takes = (asked.tokens.len() - if first { 0 } else { asked.fixed }) as u64;
        if first && !kept.is_empty() && takes * 2 > left {
            break;
        }
        left = left.saturating_sub(takes);
        kept.push(test);
    }
    Ok(kept)
}

/// The protocol's five games.
fn protocol() -> Vec<MatrixGame> {
    CatalogGame::protocol().map(CatalogGame::game).collect()
}

/// Writes the adapter of a run and verifies what was written.
///
/// `model` is the base with its weights loaded.
///
/// # Errors
/// As [`write_proven`].
pub fn write_verified(run: &Trained, model: &Model, path: &Path) -> Result<Verification> {
    let c = &run.config;
    let given: Vec<MatrixGame> = c.games.catalogue.iter().map(|given| given.0.clone()).collect();
    let games = if given.is_empty() { protocol() } else { given.clone() };
    let manifest = Manifest {
        version: 1,
        name: c.name.clone(),
        base: model.fingerprint().into(),
        base_content: model.content()?.into(),
        rewards: c.phases.iter().map(|p| p.reward.clone()).collect(),
        algorithm: c.algorithm.name().into(),
        beta: run.beta,
        legality: Some(c.legality),
        opponent: Some(c.phases.last().and_then(|phase| phase.opponent.clone()).unwrap_or_else(|| c.opponent.clone())),
        learner: (c.learners() > 1).then_some(run.learner),
        discount: c.play.map(|play| play.discount),
        rank: Some(c.rank),
        start: c.start.clone(),
        from_start: c.reference == Reference::Start,
        games: trained_games(c),
        random_games: if c.games.random > 0.0 { c.games.reach.clone() } else { Vec::new() },
        named_games: given,
        labels: match &c.labels {
            Labels::Pool => "drawn anew for every game from the training split".into(),
            Labels::Own => "the games' own".into(),
            Labels::Fixed(labels) => labels.join(", "),
        } + match c.styles {
            Styles::All => "; every layout and order",
            Styles::OriginalLayout => "; original layout, every order",
        } + match c.seats {
            Seats::Both => "; both seats",
            Seats::Row => "; the row player's seat",
        } + match c.norms {
            Norms::Told => "; the norm told",
            Norms::Untold => "; the norm untold",
            Norms::Both => "; the norm told to half",
            Norms::AsAsked => "; the norm told, or to half where the reward does not ask for it",
        },
        norm_told: c.tells_norm(),
        prompt_version: PROMPT_VERSION,
        seed: c.seed,
        steps: run.steps,
        reading: run.known.reading.clone(),
        accuracy: run.known.accuracy.clone(),
        trainer: match &run.engine {
            Some(engine) => format!("{}, its steps by {engine}", env!("CARGO_PKG_VERSION")),
            None => env!("CARGO_PKG_VERSION").into(),
        },
        self_test: within(model, self_tests(games, &c.labels, c.seed)?, run.tokens)?,
    };
    write_proven(&run.weights(), c.precision, manifest, model, path)
}

/// The games of a config, in words.
///
/// Such as `ipd, bos; 0.5 of them random: digits, of orders that are not held out`.
fn trained_games(c: &TrainConfig) -> String {
    let names: Vec<&str> = c.games.catalogue.iter().map(GivenGame::name).collect();
    let reach: Vec<String> = c.games.reach.iter().map(Reach::to_string).collect();
    let random = format!("random: {}, of orders that are not held out", reach.join(", "));
    match (names.is_empty(), c.games.random) {
        (false, 0.0) => names.join(", "),
        (false, share) => format!("{}; {share} of them {random}", names.join(", ")),
        (true, _) => random,
    }
}

/// The manifest of an adapter that reads games, without recorded decisions.
///
/// # Errors
/// [`probity::Error::Game`] for unfit labels, which the pool does not hold.
pub fn literacy_manifest(
    model: &Model,
    config: &LiteracyConfig,
    steps: u64,
    tokens: u64,
    accuracy: &BTreeMap<Reading, Accuracy>,
) -> Result<Manifest> {
    let accuracy = named(accuracy);
    Ok(Manifest {
        algorithm: "lessons".into(),
        rank: Some(config.rank),
        labels: "drawn anew for every game from the training split; every layout and order; both seats; the norm told \
                 to most"
            .into(),
        seed: config.seed,
        steps,
        reading: Some(reads(&accuracy, &Kind::READING)),
        accuracy,
        self_test: within(model, self_tests(protocol(), &Labels::Pool, config.seed)?, tokens)?,
        ..foreign_manifest(model, "literacy", "lessons on random games, of orders that are not held out")?
    })
}

/// The manifest of an imported adapter, without recorded decisions.
///
/// # Errors
/// [`probity::Error::Game`] for unfit labels, which the pool does not hold.
pub fn foreign_manifest(model: &Model, name: &str, origin: &str) -> Result<Manifest> {
    Ok(Manifest {
        version: 1,
        name: name.into(),
        base: model.fingerprint().into(),
        base_content: model.content()?.into(),
        rewards: Vec::new(),
        algorithm: String::new(),
        beta: 0.0,
        legality: None,
        opponent: None,
        learner: None,
        discount: None,
        rank: None,
        start: None,
        from_start: false,
        games: origin.into(),
        named_games: Vec::new(),
        random_games: Vec::new(),
        labels: "unknown".into(),
        norm_told: false,
        prompt_version: PROMPT_VERSION,
        seed: 0,
        steps: 0,
        reading: None,
        accuracy: BTreeMap::new(),
        trainer: env!("CARGO_PKG_VERSION").into(),
        self_test: self_tests(protocol(), &Labels::Pool, 0)?,
    })
}

/// Writes an adapter with recorded decisions, loads it, and verifies it.
///
/// `model` is the base with its weights loaded.
///
/// # Errors
/// [`EngineError::Io`]; [`probity::Error::Unverified`] if the file, loaded back, has no effect or another effect.
pub fn write_proven(
    weights: &AdapterWeights,
    precision: Precision,
    mut manifest: Manifest,
    model: &Model,
    path: &Path,
) -> Result<Verification> {
    // The runtime, not the trainer, computes the recorded policy: its int8 activations are part of the deployed policy.
    // Only a verified adapter replaces an adapter at `path`.
    let draft = path.with_added_extension("draft");
    let mut write = || {
        weights.write(&draft, precision, &manifest)?;
        let effect = record(&Adapter::load(model, &draft)?, &mut manifest.self_test, |_| true)?;
        weights.write(&draft, precision, &manifest)?;
        // The file that is kept has other metadata, and the same weights. Its first game shows that it loads.
        let game = &manifest.self_test[0].game;
        let first = manifest.self_test.iter().take_while(|test| test.game == *game).count();
        let found = verify_first(&Adapter::load(model, &draft)?, first, |_| true)?;
        replace(&draft, path)?;
        Ok(Verification { vectors: manifest.self_test.len(), deviation: found.deviation, effect })
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&draft);
        match e {
            Error::Probity(probity::Error::Unverified { problem, .. }) => unverified(path, problem),
            e => e,
        }
    })
}

/// What a model decides under some adapters.
fn decide(session: &Session, adapters: &[(Adapter, f32)], test: &SelfTest) -> Result<Vec<f64>> {
    let mut scenario = Scenario::new(test.game.clone());
    scenario.style = test.style;
    // What the model does is recorded, whatever its legality mass.
    scenario.legality_floor = Some(Floor::Off);
    let mut agent = session.agent(scenario)?;
    agent.set_adapters(adapters)?;
    Ok(agent.consider(test.state)?.policy())
}

/// Writes a merged model, and compares it with the base under adapters.
///
/// `mixed` is the sum of `adapters`. Returns the largest difference of a probability: the cost of rounding the changed
/// matrices. `model` is the base with its weights loaded.
///
/// # Errors
/// As [`write_merged`]; [`probity::Error::Unverified`] if the merged model cannot be opened or gives no probabilities.
/// A file at `path` is then untouched.
pub fn write_merged_proven(
    model: &Model,
    mixed: &AdapterWeights,
    adapters: &[(Adapter, f32)],
    ty: Option<GgmlType>,
    path: &Path,
) -> Result<f64> {
    let draft = path.with_added_extension("draft");
    let compare = || {
        write_merged(model, mixed, ty, reading_under(model, adapters)?.as_deref(), &draft)?;
        let merged = Model::open(&draft, ModelOptions::default(), |_| true)?;
        let session = |model| Session::new(model, ContextOptions::default());
        let (after, before) = (session(&merged)?, session(model)?);
        let mut most: f64 = 0.0;
        for test in self_tests(protocol(), &Labels::Pool, 0)? {
            let (a, b) = (decide(&after, &[], &test)?, decide(&before, adapters, &test)?);
            most = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(most, f64::max);
        }
        replace(&draft, path)?;
        Ok(most)
    };
    compare().map_err(|e: Error| {
        let _ = std::fs::remove_file(&draft);
        match e {
            e @ Error::Probity(probity::Error::Engine(
                EngineError::Io { .. } | EngineError::Option { .. } | EngineError::AdapterMismatch { .. },
            )) => e,
            e => unverified(path, format!("the merged model: {e}")),
        }
    })
}

fn unverified(path: &Path, problem: String) -> Error {
    probity::Error::Unverified { file: path.display().to_string(), problem }.into()
}
