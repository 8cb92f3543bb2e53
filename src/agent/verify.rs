//! Verification of a loaded adapter against its manifest.
//!
//! An adapter without effect is an error.

use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::score::Scorer;
use probity_engine::{Adapter, Context, ContextOptions, Model, Source};
use serde::Serialize;

use super::manifest::{Manifest, SelfTest};
use super::policy::PolicyOptions;
use super::prompt::{encode, options, prompt};
use crate::{Error, Result};

/// How far a probability may lie from the recorded one.
///
/// It covers the rounding of other processors and thread counts. A missing or half-applied adapter changes more.
pub const TOLERANCE: f64 = 0.02;
/// The least effect on a recorded decision, as a probability.
///
/// An adapter that is not in force has an effect of 0.
pub const EFFECT: f64 = 1e-4;

/// What a verification found.
///
/// ```
/// use std::path::Path;
///
/// use probity::agent::verify::{EFFECT, TOLERANCE, load, verify};
/// use probity::engine::{Model, ModelOptions};
///
/// # fn main() -> probity::Result<()> {
/// let model = Model::open(Path::new("models/default.gguf"), ModelOptions::default(), |_| true)?;
/// let found = verify(&load(&model, Path::new("models/deontological.gguf"))?)?;
/// assert!(found.deviation <= TOLERANCE && found.effect >= EFFECT);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verification {
    /// Recorded decisions taken again.
    pub vectors: usize,
    /// Largest difference from a recorded probability.
    pub deviation: f64,
    /// Largest difference from the bare model's probability.
    pub effect: f64,
}

/// Takes every recorded decision again, with the adapter and without.
///
/// # Errors
/// As [`verify_with`].
pub fn verify(adapter: &Adapter) -> Result<Verification> {
    verify_with(adapter, |_| true)
}

/// As [`verify`], with progress.
///
/// `progress` is told the finished share, 0 to 1, and stops the work by returning `false`.
///
/// # Errors
/// [`EngineError::Cancelled`] if `progress` stops it;
/// [`Error::Unverified`] without a manifest or recorded decisions, for another prompt version, and for differing
/// figures; [`EngineError::AdapterMismatch`] if the manifest names another base; the engine's errors.
pub fn verify_with(adapter: &Adapter, progress: impl FnMut(f32) -> bool) -> Result<Verification> {
    verify_first(adapter, usize::MAX, progress)
}

/// As [`verify_with`], of the first recorded decisions alone.
///
/// Some of the decisions need not show an effect.
///
/// # Errors
/// As [`verify_with`].
pub fn verify_first(adapter: &Adapter, decisions: usize, progress: impl FnMut(f32) -> bool) -> Result<Verification> {
    let bad = |problem: String| Error::Unverified { file: adapter.path().display().to_string(), problem };
    let manifest = Manifest::of(adapter.gguf())?
        .ok_or_else(|| bad("has no manifest, expected an adapter written by `probity train`".into()))?;
    manifest.check_for(adapter.model(), adapter.path())?;
    if !manifest.base_content.is_empty() && manifest.base_content != adapter.model().content()? {
        let problem = "the base model has changed since it was trained".into();
        return Err(EngineError::AdapterMismatch { file: adapter.path().display().to_string(), problem }.into());
    }
    if manifest.self_test.is_empty() {
        return Err(bad("its manifest records no decisions to check".into()));
    }
    for test in &manifest.self_test {
        if let Some(p) = test.state {
            test.game
                .check_profile(p)
                .map_err(|e| bad(format!("a recorded decision is of no state of its game: {e}")))?;
        }
    }
    let tests = &manifest.self_test[..decisions.min(manifest.self_test.len())];
    let taken = take(adapter, tests, progress)?;
    let mut found = Verification { vectors: tests.len(), deviation: 0.0, effect: 0.0 };
    for (test, Taken { bare, now }) in tests.iter().zip(taken) {
        if test.probabilities.len() != now.len() {
            return Err(bad(format!("a recorded decision has {} probabilities", test.probabilities.len())));
        }
        found.deviation = found.deviation.max(distance(&now, &test.probabilities));
        found.effect = found.effect.max(distance(&now, &bare));
    }
    if found.deviation.is_nan() || found.deviation > TOLERANCE {
        let off = found.deviation;
        return Err(bad(format!(
            "probabilities differ by {off:.4} from the recorded ones, expected at most {TOLERANCE}"
        )));
    }
    if tests.len() == manifest.self_test.len() {
        in_force(adapter, found.effect)?;
    }
    Ok(found)
}

/// Takes decisions with an adapter, and records them.
///
/// Returns the largest effect on a probability.
///
/// # Errors
/// [`EngineError::Cancelled`] if `progress` stops it; [`Error::Unverified`] for an adapter without effect; the engine's
/// errors.
pub fn record(adapter: &Adapter, tests: &mut [SelfTest], progress: impl FnMut(f32) -> bool) -> Result<f64> {
    let taken = take(adapter, tests, progress)?;
    let mut effect: f64 = 0.0;
    for (test, Taken { bare, now }) in tests.iter_mut().zip(taken) {
        effect = effect.max(distance(&now, &bare));
        test.probabilities = now;
    }
    in_force(adapter, effect)?;
    Ok(effect)
}

/// Refuses an adapter without effect.
fn in_force(adapter: &Adapter, effect: f64) -> Result<()> {
    if effect < EFFECT {
        let problem = format!("moves no probability by more than {effect:.6}, expected at least {EFFECT}");
        return Err(Error::Unverified { file: adapter.path().display().to_string(), problem });
    }
    Ok(())
}

/// A decision's probabilities, without an adapter and with it.
struct Taken {
    bare: Vec<f64>,
    now: Vec<f64>,
}

/// Takes decisions without an adapter and with it.
fn take(adapter: &Adapter, tests: &[SelfTest], mut progress: impl FnMut(f32) -> bool) -> Result<Vec<Taken>> {
    let mut scorer = Scorer::new(Context::new(adapter.model(), ContextOptions::default())?);
    let mut done = 0.0;
    let mut policies = |scorer: &mut Scorer| {
        let policy = |test| {
            let policy = policy(scorer, test)?;
            done += 0.5 / tests.len() as f32;
            if progress(done) { Ok(policy) } else { Err(EngineError::Cancelled { what: "verification" }.into()) }
        };
        tests.iter().map(policy).collect::<Result<Vec<_>>>()
    };
    let bare = policies(&mut scorer)?;
    scorer.set_adapters(&[(adapter.clone(), 1.0)])?;
    let now = policies(&mut scorer)?;
    Ok(bare.into_iter().zip(now).map(|(bare, now)| Taken { bare, now }).collect())
}

/// Loads an adapter, and refuses one of another base or prompt version.
///
/// An adapter without a manifest is checked by its shapes alone.
///
/// # Errors
/// As [`load_source`].
pub fn load(model: &Model, path: &Path) -> Result<Adapter> {
    load_source(model, Source::open(path)?)
}

/// As [`load`], of bytes anywhere.
///
/// # Errors
/// As [`Adapter::from_source`], and [`EngineError::AdapterMismatch`], [`Error::Unverified`] for a manifest that does
/// not parse.
pub fn load_source(model: &Model, source: Source) -> Result<Adapter> {
    let adapter = Adapter::from_source(model, source)?;
    if let Some(manifest) = Manifest::of(adapter.gguf())? {
        manifest.check_for(adapter.model(), adapter.path())?;
    }
    Ok(adapter)
}

fn policy(scorer: &mut Scorer, test: &SelfTest) -> Result<Vec<f64>> {
    let model = scorer.context().model().clone();
    let tokens = encode(&model, &prompt(&test.game, test.state, test.style))?;
    let scores = scorer.score(&tokens, &options(&model, &test.game)?)?;
    PolicyOptions::default().probabilities(&test.game, test.state, &scores)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}
