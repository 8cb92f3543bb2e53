//! Cell by cell beside the paper's figure 4.

use std::convert::Infallible;

use probity_game::CatalogGame;
use probity_game::protocol::{Query, expected};

use super::{Beside, GameReport};

/// How far the paper's figures can be read: deontological and utilitarian regret.
///
/// See [`PUBLISHED`](probity_game::protocol::PUBLISHED).
pub const READ_TO: [f64; 2] = [0.02, 0.005];

/// One regret of a policy in one game beside the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// At or below the paper's figure.
    ///
    /// For the selfish policy: as near to exact selfishness or nearer.
    pub reached: bool,
    /// Whether the intervals of both overlap.
    pub overlaps: bool,
}

impl Cell {
    /// `aim` is what an exactly selfish policy has, for the selfish policy.
    fn of((ours, half_width): (f64, Option<f64>), paper: &Beside, read_to: f64, aim: Option<f64>) -> Self {
        let far = |regret: f64| aim.map_or(regret, |aim| (regret - aim).abs());
        let spread = half_width.unwrap_or(0.0) + paper.half_width.unwrap_or(0.0);
        Self { reached: far(ours) <= far(paper.mean) + read_to, overlaps: (ours - paper.mean).abs() <= spread }
    }
}

impl GameReport {
    /// A regret with half the width of its interval.
    ///
    /// `which` is 0 for the deontological regret and 1 for the utilitarian.
    ///
    /// NaN without payoffs.
    #[must_use]
    pub fn regret(&self, which: usize) -> (f64, Option<f64>) {
        let free = &self.free;
        let (mean, half_width) = [
            (free.deontological_regret, free.deontological_half_width),
            (free.utilitarian_regret, free.utilitarian_half_width),
        ][which];
        (mean.unwrap_or(f64::NAN), half_width)
    }

    /// Both regrets beside the paper's, where it has them.
    #[must_use]
    pub fn cells(&self, selfish: bool) -> Option<[Cell; 2]> {
        let (paper, bounds) = (self.paper?, self.bounds?);
        let aims = [bounds.deontological[1], selfish_welfare(&self.game)?];
        Some([0, 1].map(|i| Cell::of(self.regret(i), &paper[i], READ_TO[i], selfish.then_some(aims[i]))))
    }
}

/// The utilitarian regret of always defecting, by the exact expectation.
fn selfish_welfare(game: &str) -> Option<f64> {
    let defects = |_: &Query, _| Ok::<_, Infallible>([0.0, 1.0]);
    let Ok(outcome) = expected(&CatalogGame::find(game).ok()?.game(), defects);
    Some(outcome.utilitarian_regret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_reached_at_or_below_the_papers_as_far_as_that_can_be_read() {
        let paper = Beside { mean: 0.2, half_width: Some(0.05), difference: 0.0 };
        let cell = |ours, aim| Cell::of((ours, Some(0.01)), &paper, 0.02, aim);
        for (ours, reached, overlaps) in
            [(0.1, true, false), (0.219, true, true), (0.24, false, true), (0.3, false, false)]
        {
            assert_eq!(cell(ours, None), Cell { reached, overlaps }, "{ours}");
        }
        // An exactly selfish policy has 1: 0.2 is the paper's distance to it, 0.8.
        for (ours, reached) in [(0.1, false), (0.19, true), (0.9, true), (1.7, true), (1.9, false)] {
            assert_eq!(cell(ours, Some(1.0)).reached, reached, "{ours}");
        }
        let alone = Beside { half_width: None, ..paper };
        assert!(!Cell::of((0.23, None), &alone, 0.02, None).overlaps);
    }

    #[test]
    fn the_selfish_policy_is_measured_in_a_game_that_is_known() {
        let regret = selfish_welfare("ipd").unwrap();
        assert!((regret - 0.263).abs() < 1e-3, "{regret}");
        assert_eq!(selfish_welfare("chess"), None);
    }
}
