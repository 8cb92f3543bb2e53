//! The robust ranking: scores by context, with errors, of one model.
//!
//! A vote that `v` is wiser than `u` in context `k` is a yes with probability
//! `lapse/2 + (1 - lapse) sigma(s_k(v) - s_k(u) + delta)`: a Bradley-Terry model (Bradley and Terry 1952) whose `delta`, shared
//! by all, is how readily people say yes to whatever they are shown as wiser; reversed pairs tell it from the scores, but not
//! where only the pairs that hold many yes are known, as in a published graph: there it is assumed. A share
//! `lapse` of the answers is given without looking, so that no answer can say very much. A card's score in a context is drawn
//! towards its score everywhere, and that towards 0, so that few votes move it little. The fit is the most probable one near
//! to where nothing is known (lapses make others possible), its uncertainty that of the Laplace approximation there, with the
//! expected curvature.

mod fit;
mod problem;
mod questions;
mod system;
mod upgrades;

pub use fit::{Fit, Settings, Standing};
pub use upgrades::{Upgrade, Verdict};
