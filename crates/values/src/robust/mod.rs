//! The robust ranking: scores by context, with errors, of one model.
//!
//! A vote that `v` is wiser than `u` in context `k` is a yes with probability `lapse/2 + (1 - lapse) sigma(s_k(v) -
//! s_k(u) + delta)`: a Bradley-Terry model (Bradley and Terry 1952). `delta`, the acquiescence, is the readiness to say
//! yes to any suggested upgrade. Votes on reversed pairs separate it from the scores. A published graph holds only the
//! pairs with many yes, so there `delta` is assumed. A share `lapse` of the answers is random, which bounds the
//! influence of a single answer. A card's score in a context is shrunk towards its score everywhere, and that towards
//! 0, so that few votes move it little. With lapses the posterior may have several maxima; the fit is the maximum
//! nearest to the prior's centre. Its uncertainty is that of the Laplace approximation there, with the expected
//! curvature.

mod fit;
mod problem;
mod questions;
mod system;
mod upgrades;

pub use fit::{Fit, Settings, Standing};
pub use upgrades::{Upgrade, Verdict};
