//! Calibration of similarity thresholds and of a model's verdicts.
//!
//! Both are measured for the embedder and the model at hand, on labelled cards.

use probity_engine::Error as EngineError;
use probity_values::store::Store;
use serde::{Deserialize, Serialize};

use super::duplicates::ask;
use super::labelled::{LabelledContext, labelled_cards, labelled_contexts};
use super::likeness::Likeness;
use super::{Judge, Progress};
use crate::Result;
use crate::embed::{Embedder, cosine};

/// The least balanced accuracy of a usable threshold: 0.75.
const WORTH: f64 = 0.75;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The embedder it is for.
    pub embedder: String,
    /// Cards that are at least as alike may be the same.
    pub cards: Threshold,
    /// The least cosine of two contexts with the same meaning.
    pub contexts: f64,
    /// The least cosine of a situation and its context.
    pub situations: Threshold,
    /// The model's verdicts; none where no model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<Verdicts>,
}

/// A model's verdicts on whether two cards are the same value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    /// Fingerprint of the model.
    pub model: String,
    /// Log-odds of a yes.
    pub odds: Threshold,
}

impl Verdicts {
    /// Whether they are worth asking for.
    #[must_use]
    pub fn count(&self) -> bool {
        self.odds.counts()
    }
}

/// What tells two kinds apart, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// At least this much is of the first kind.
    pub at: f64,
    /// Balanced accuracy on what it was chosen by: 0.5 is chance, 1 is certainty.
    pub accuracy: f64,
}

impl Threshold {
    /// Whether the balanced accuracy is at least 0.75.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.accuracy >= WORTH
    }

    /// The middle of the widest gap among those that tell best.
    fn between(of_the_kind: &[f64], others: &[f64]) -> Self {
        let mut all: Vec<f64> = of_the_kind.iter().chain(others).copied().collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        let share = |values: &[f64], above: bool, at: f64| {
            values.iter().filter(|&&value| (value >= at) == above).count() as f64 / values.len().max(1) as f64
        };
        let mut best = (Self { at: f64::INFINITY, accuracy: 0.5 }, 0.0);
        for pair in all.windows(2) {
            let (at, gap) = (f64::midpoint(pair[0], pair[1]), pair[1] - pair[0]);
            let accuracy = f64::midpoint(share(of_the_kind, true, at), share(others, false, at));
            if (accuracy, gap) > (best.0.accuracy, best.1) {
                best = (Self { at, accuracy }, gap);
            }
        }
        best.0
    }
}

impl Calibration {
    /// The calibration in a store, or a new calibration for it.
    ///
    /// A store holds a calibration for each pair of embedder and judge.
    ///
    /// # Errors
    /// The errors of [`Calibration::of`] and [`Calibration::ask`]; [`crate::Error::Store`].
    pub fn kept(
        store: &mut Store,
        embedder: &mut dyn Embedder,
        judge: Option<&mut Judge>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let model = judge.as_ref().map(|judge| judge.model().fingerprint().to_owned());
        let name = format!("{} {}", embedder.fingerprint(), model.as_deref().unwrap_or("-"));
        let kept = store.calibration(&name)?.and_then(|body| serde_json::from_str(&body).ok());
        if let Some(calibration) = kept {
            return Ok(calibration);
        }
        let mut calibration = Self::of(embedder)?;
        if let Some(judge) = judge {
            calibration.ask(judge, embedder, progress)?;
        }
        store.put_calibration(&name, &serde_json::to_string(&calibration).expect("plain data becomes JSON"))?;
        Ok(calibration)
    }

    /// Measures an embedder.
    ///
    /// # Errors
    /// [`crate::Error::Embedder`].
    pub fn of(embedder: &mut dyn Embedder) -> Result<Self> {
        let likeness = Likeness::of_labelled(embedder)?;
        let (mut same, mut different) = (Vec::new(), Vec::new());
        for (a, b, is_same) in labelled_pairs() {
            if is_same { &mut same } else { &mut different }.push(likeness.between(a, b));
        }
        let contexts = labelled_texts(|labelled| &labelled.contexts);
        let vectors = embedder.embed(&contexts.iter().map(|(_, text)| *text).collect::<Vec<_>>())?;
        let mut most = -1.0_f64;
        for (i, a) in contexts.iter().enumerate() {
            for (j, b) in contexts.iter().enumerate().take(i) {
                if a.0 != b.0 {
                    most = most.max(cosine(&vectors[i], &vectors[j]));
                }
            }
        }
        Ok(Self {
            embedder: embedder.fingerprint().to_owned(),
            cards: Threshold::between(&same, &different),
            // A missed synonym costs little. Two contexts merged into one cost people's words.
            contexts: f64::midpoint(most, 1.0),
            situations: Self::situations_of(embedder, &mut |_, _| true)?,
            verdicts: None,
        })
    }

    /// Measures [`Calibration::situations`] alone.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] if `progress` returns `false`; [`crate::Error::Embedder`].
    pub fn situations_of(embedder: &mut dyn Embedder, progress: &mut Progress<'_>) -> Result<Threshold> {
        /// Texts between two reports.
        const AT_ONCE: usize = 8;
        let contexts = labelled_texts(|labelled| &labelled.contexts);
        let situations = labelled_texts(|labelled| &labelled.situations);
        let texts: Vec<&str> = situations.iter().chain(&contexts).map(|(_, text)| *text).collect();
        let mut vectors = Vec::new();
        for texts_at_once in texts.chunks(AT_ONCE) {
            if !progress(vectors.len(), texts.len()) {
                return Err(EngineError::Cancelled { what: "calibration" }.into());
            }
            vectors.extend(embedder.embed(texts_at_once)?);
        }
        let (of_situations, of_contexts) = vectors.split_at(situations.len());
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for (s, vector) in situations.iter().zip(of_situations) {
            for (c, context) in contexts.iter().zip(of_contexts) {
                if s.0 == c.0 { &mut own } else { &mut others }.push(cosine(vector, context));
            }
        }
        Ok(Threshold::between(&own, &others))
    }

    /// Measures a model's verdicts as well.
    ///
    /// They are asked on all pairs with the same meaning, and on as many of the most similar other pairs.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] if `progress` returns `false`; the errors of judge and embedder.
    pub fn ask(&mut self, judge: &mut Judge, embedder: &mut dyn Embedder, progress: &mut Progress<'_>) -> Result<()> {
        self.check(embedder)?;
        let likeness = Likeness::of_labelled(embedder)?;
        let cards = labelled_cards();
        let (same, mut different): (Vec<_>, Vec<_>) = labelled_pairs().partition(|&(_, _, same)| same);
        different.sort_by(|x, y| likeness.between(y.0, y.1).total_cmp(&likeness.between(x.0, x.1)));
        different.truncate(same.len());
        let all = same.len() + different.len();
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        for (done, (a, b, same)) in same.into_iter().chain(different).enumerate() {
            if !progress(done, all) {
                return Err(EngineError::Cancelled { what: "calibration" }.into());
            }
            if same { &mut yes } else { &mut no }.push(ask(judge, &cards[a].card, &cards[b].card)?);
        }
        let odds = Threshold::between(&yes, &no);
        self.verdicts = Some(Verdicts { model: judge.model().fingerprint().to_owned(), odds });
        Ok(())
    }

    /// Checks that it is an embedder's.
    ///
    /// # Errors
    /// [`EngineError::Option`] for a calibration of another embedder or model.
    pub fn check(&self, embedder: &dyn Embedder) -> Result<()> {
        if self.embedder == embedder.fingerprint() {
            return Ok(());
        }
        Err(EngineError::Option {
            name: "calibration",
            given: format!("a calibration of embedder {}", self.embedder),
            expected: format!("one of {}", embedder.fingerprint()),
        }
        .into())
    }
}

/// Labelled texts of a kind, each with the number of what it is about.
fn labelled_texts(kind: fn(&LabelledContext) -> &[String]) -> Vec<(usize, &'static str)> {
    let labelled = labelled_contexts().iter().enumerate();
    labelled.flat_map(|(i, labelled)| kind(labelled).iter().map(move |text| (i, text.as_str()))).collect()
}

/// All pairs of labelled cards, and whether they are the same.
fn labelled_pairs() -> impl Iterator<Item = (usize, usize, bool)> {
    let cards = labelled_cards();
    (0..cards.len())
        .flat_map(move |a| (0..a).map(move |b| (a, b, cards[a].same.is_some() && cards[a].same == cards[b].same)))
}
