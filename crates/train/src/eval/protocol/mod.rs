//! The published evaluation (arXiv 2410.01639), beside the paper's figures.
//!
//! A free answer is legal where the model writes a label and closes its quotation mark, so that its distribution
//! follows from the scores: no text is generated. The paper cuts its answers after two tokens.

mod beside;
mod variants;

use std::convert::Infallible;

use probity_engine::Error as EngineError;
use probity_game::moral::ActionTypes;
use probity_game::protocol::{Bounds, Figure, Outcome, Published, Query, bounds, expected, queries, sampled};
use probity_game::{MatrixGame, Profile};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

pub use beside::{Cell, READ_TO};
pub use variants::{Ground, TEST_LABELS, VARIANTS, Variant};

/// Runs of free answers of one policy, over which an interval is taken.
pub const RUNS: u64 = 5;

use super::respondent::{Answer, Respondent};
use crate::Result;

/// A policy's figures in one game, asked in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GameReport {
    /// The game's name; `none` without payoffs.
    pub game: String,
    /// Where free answers are taken, illegal ones included, as the paper takes them.
    #[serde(flatten)]
    pub free: Runs,
    /// Where the choice is narrowed to the legal answers.
    pub constrained: Runs,
    /// Legality mass, as the mean over the queries.
    pub legality_mass: f64,
    /// The least legality mass of a query.
    pub least_legality_mass: f64,
    /// Floor and ceiling of policies that answer legally; `None` without payoffs.
    pub bounds: Option<Bounds>,
    /// The paper's deontological and utilitarian regret, where it has them.
    pub paper: Option<[Beside; 2]>,
}

/// Means over runs; the regrets are `None` without payoffs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// Deontological regret, 0 to 6.
    pub deontological_regret: Option<f64>,
    /// Half the width of its 95% interval; `None` for a single run.
    pub deontological_half_width: Option<f64>,
    /// Utilitarian regret, 0 to 1.
    pub utilitarian_regret: Option<f64>,
    /// Half the width of its 95% interval; `None` for a single run.
    pub utilitarian_half_width: Option<f64>,
    /// How many of the fifty answers are of each type.
    pub actions: ActionTypes,
    /// The exact expectation, which the means approach with more runs.
    pub expected: Option<Outcome>,
}

/// A figure of the paper beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// The paper's.
    pub mean: f64,
    /// Half the width of its interval, where it could be read.
    pub half_width: Option<f64>,
    /// The mean of our runs less the paper's.
    pub difference: f64,
}

/// A policy's figures, asked in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantReport {
    /// The variant's name.
    pub variant: &'static str,
    /// Game by game.
    pub games: Vec<GameReport>,
}

/// Measures a policy in one variant.
///
/// Each respondent is one run; a single one makes `runs` runs of its own. `published` is the paper's model of the same
/// rewards, whose figure 4 is of the first variant. `progress` is called after every game.
///
/// # Errors
/// The errors of [`Respondent::answer`]; [`EngineError::Option`] for no respondent or no run.
pub fn measure(
    respondents: &mut [Respondent],
    variant: &'static Variant,
    runs: u64,
    published: Option<&Published>,
    mut progress: impl FnMut(),
) -> Result<VariantReport> {
    if respondents.is_empty() || runs == 0 {
        let expected = "at least one policy and one run".into();
        return Err(EngineError::Option { name: "runs", given: "0".into(), expected }.into());
    }
    let mut games = Vec::new();
    for (index, game) in variant.games().iter().enumerate() {
        let paper = published.map(|row| [row.deontological[index], row.utilitarian[index]]);
        games.push(of_game(respondents, variant, game, runs, paper)?);
        progress();
    }
    Ok(VariantReport { variant: variant.name, games })
}

/// A policy's exact answers where nothing is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Control {
    /// The variant's name.
    pub variant: &'static str,
    /// Share of the first label among the legal answers.
    ///
    /// It is the mean over the fifty queries, after either own last action.
    pub first_label: f64,
    /// Legality mass, as the mean over the same.
    pub legality_mass: f64,
}

/// Asks a policy in every variant that has nothing to do with games.
///
/// # Errors
/// The errors of [`Respondent::answer`].
pub fn controls(respondent: &mut Respondent) -> Result<Vec<Control>> {
    let unrelated = VARIANTS.iter().filter(|variant| variant.ground == Ground::Unrelated);
    let control = |variant: &'static Variant| {
        let Answers(answers) = Answers::of(respondent, variant, &variant.games()[0])?;
        let mean = |of: fn(&Answer) -> f64| answers.iter().flatten().map(of).sum::<f64>() / (2 * answers.len()) as f64;
        let (first_label, legality_mass) = (mean(|answer| answer.policy[0]), mean(|answer| answer.legality_mass));
        Ok(Control { variant: variant.name, first_label, legality_mass })
    };
    unrelated.map(control).collect()
}

fn of_game(
    respondents: &mut [Respondent],
    variant: &Variant,
    game: &MatrixGame,
    runs: u64,
    paper: Option<[Figure; 2]>,
) -> Result<GameReport> {
    let all = respondents.iter_mut().map(|one| Answers::of(one, variant, game)).collect::<Result<Vec<_>>>()?;
    let runs = if all.len() == 1 { runs } else { all.len() as u64 };
    let related = variant.ground != Ground::Unrelated;
    let figures = |free: bool| {
        let outcomes = (0..runs).map(|number| all[number as usize % all.len()].sampled(game, free, number));
        let outcomes: Vec<Outcome> = outcomes.collect();
        let exact: Vec<Outcome> = all.iter().map(|answers| answers.expected(game, free)).collect();
        let mean = Outcome::mean(&outcomes);
        let half_width = |figure: fn(&Outcome) -> f64| {
            half_width(&outcomes.iter().map(figure).collect::<Vec<_>>()).filter(|_| related)
        };
        Runs {
            deontological_regret: related.then_some(mean.deontological_regret),
            deontological_half_width: half_width(|outcome| outcome.deontological_regret),
            utilitarian_regret: related.then_some(mean.utilitarian_regret),
            utilitarian_half_width: half_width(|outcome| outcome.utilitarian_regret),
            actions: mean.actions,
            expected: related.then(|| Outcome::mean(&exact)),
        }
    };
    let (free, constrained) = (figures(true), figures(false));
    let beside = |ours: Option<f64>, figure: Figure| Beside {
        mean: figure.mean,
        half_width: figure.half_width,
        difference: ours.unwrap_or(f64::NAN) - figure.mean,
    };
    let paper = paper.map(|[de, ut]| [beside(free.deontological_regret, de), beside(free.utilitarian_regret, ut)]);
    let masses: Vec<f64> = all.iter().flat_map(Answers::legality).collect();
    Ok(GameReport {
        game: if related { game.name().to_owned() } else { "none".into() },
        free,
        constrained,
        legality_mass: masses.iter().sum::<f64>() / masses.len() as f64,
        least_legality_mass: masses.iter().copied().fold(f64::INFINITY, f64::min),
        bounds: related.then(|| bounds(game)),
        paper,
    })
}

/// Half the width of a 95% interval; `None` of one value.
///
/// `1.96 s / sqrt(n)`, with the sample's standard deviation.
///
/// Source: the code of arXiv 2410.01639.
pub(super) fn half_width(values: &[f64]) -> Option<f64> {
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    // Welford's sums, in which equal values have no spread at all.
    for value in values {
        n += 1.0;
        let before = mean;
        mean += (value - mean) / n;
        squares += (value - before) * (value - mean);
    }
    (values.len() > 1).then(|| 1.96 * (squares / (n - 1.0) / n).sqrt())
}

/// A respondent's answers to the fifty queries, after either own last action.
struct Answers(Vec<[Answer; 2]>);

impl Answers {
    fn of(respondent: &mut Respondent, variant: &Variant, game: &MatrixGame) -> Result<Self> {
        let mut after = |query: &Query, own| {
            let state = Some(Profile { own, other: query.other_last });
            let prompt = variant.prompt(game, state, query.mention_reversed, query.answer_reversed);
            respondent.answer(game, state, &prompt)
        };
        queries().map(|query| Ok([after(&query, 0)?, after(&query, 1)?])).collect::<Result<_>>().map(Self)
    }

    fn policy(&self, free: bool) -> impl Fn(&Query, Profile) -> std::result::Result<[f64; 2], Infallible> {
        move |query, state| {
            let answer = &self.0[query.number][state.own];
            let policy = if free { answer.free() } else { answer.policy.clone() };
            Ok([policy[0], policy[1]])
        }
    }

    fn expected(&self, game: &MatrixGame, free: bool) -> Outcome {
        let Ok(outcome) = expected(game, self.policy(free));
        outcome
    }

    fn sampled(&self, game: &MatrixGame, free: bool, seed: u64) -> Outcome {
        let Ok(outcome) = sampled(game, &mut ChaCha8Rng::seed_from_u64(seed), self.policy(free));
        outcome
    }

    fn legality(&self) -> impl Iterator<Item = f64> {
        self.0.iter().flatten().map(|answer| answer.legality_mass)
    }
}
