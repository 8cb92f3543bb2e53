//! A policy over many games: the figures of a model card.
//!
//! Each game is told from both seats, with shared labels, with the other player's labels in another order, and with
//! labels of its own, each in another layout or order of mention. States include the first round; the other player is
//! a fair coin.

use probity::agent::prompt::Norm;
use probity_game::{MatrixGame, Player};
use rand_chacha::ChaCha8Rng;

use super::exact::{Aim, AimFigures, Figures, LabelSet, Labelling, Spread, Telling, tellings, view};
use super::respondent::Respondent;
use crate::Result;
use crate::labels::Maker;

/// A kind of labels.
pub type Labels = fn(&mut ChaCha8Rng) -> Maker<ChaCha8Rng>;

/// How the game of a number is told on a card.
///
/// # Errors
/// [`probity::Error::Game`] for labels that are unfit, or too few.
pub fn told(game: &MatrixGame, number: usize, labels: Labels) -> Result<Vec<Telling>> {
    let most = [Player::Row, Player::Column].map(|player| game.count(player)).into_iter().max().unwrap_or(2);
    let sets = LabelSet::of_kind(1, most, 2410 + number as u64, labels);
    let all = tellings(game, &sets, Norm::default())?;
    let mut kept: Vec<Telling> = Vec::new();
    for styles in all.chunk_by(|a, b| (a.seat, a.labelling) == (b.seat, b.labelling)) {
        if styles[0].labelling != Labelling::Turned {
            kept.push(styles[(2410 + number + kept.len()) % styles.len()].clone());
        }
    }
    Ok(kept)
}

/// A policy's figures in one telling of a game.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The game's place in the list.
    pub game: usize,
    /// The seat in the game as it was given.
    pub seat: Player,
    /// How the labels stand to each other.
    pub labelling: Labelling,
    /// The figures.
    pub figures: Figures,
}

/// A policy's figures in every telling of some games.
#[derive(Debug, Clone, PartialEq)]
pub struct Card(Vec<Entry>);

/// A figure over games: the mean, and the worst game.
///
/// That of a game is the mean over its tellings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Over {
    /// The mean over the games.
    pub mean: f64,
    /// The game with the largest figure.
    pub worst: f64,
}

impl Card {
    /// Asks a policy.
    ///
    /// `tellings` are those of each game, and `progress` is called after each.
    ///
    /// # Errors
    /// As [`view`].
    pub fn of(
        respondent: &mut Respondent,
        tellings: &[Vec<Telling>],
        aim: Option<&Aim>,
        mut progress: impl FnMut(),
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for (game, told) in tellings.iter().enumerate() {
            for telling in told {
                let figures = view(std::slice::from_ref(telling), respondent, None, aim, &mut progress)?.figures;
                let Telling { seat, labelling, .. } = *telling;
                entries.push(Entry { game, seat, labelling, figures });
            }
        }
        Ok(Self(entries))
    }

    /// The tellings of some kind alone.
    #[must_use]
    pub fn only(&self, of: impl Fn(&Entry) -> bool) -> Self {
        Self(self.0.iter().filter(|entry| of(entry)).cloned().collect())
    }

    /// A figure over games, of which less is better.
    ///
    /// `None` where no telling has it.
    fn over(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Over> {
        let of_game = |told: &[Entry]| {
            let values: Vec<f64> = told.iter().filter_map(|entry| figure(&entry.figures)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let games: Vec<f64> = self.0.chunk_by(|a, b| a.game == b.game).filter_map(of_game).collect();
        let mean = games.iter().sum::<f64>() / games.len() as f64;
        (!games.is_empty()).then(|| Over { mean, worst: games.iter().copied().fold(f64::NEG_INFINITY, f64::max) })
    }

    /// Probability that is not on the legal answers.
    #[must_use]
    pub fn illegal(&self) -> Option<Over> {
        self.over(|f| Some(1.0 - f.legality_mass.mean))
    }

    /// P(D given C).
    #[must_use]
    pub fn betrayal(&self) -> Option<Over> {
        self.over(|f| Some(f.betrayal.mean))
    }

    /// Utilitarian regret above the least that any policy has.
    #[must_use]
    pub fn above_best(&self) -> Option<Over> {
        self.over(|f| Some(f.utilitarian_above_best.mean))
    }

    fn by_aim(&self, figure: impl Fn(&AimFigures) -> Option<Spread>) -> Option<Over> {
        self.over(|f| Some(figure(f.aim.as_ref()?)?.mean))
    }

    /// Probability of actions that the policy's own reward does not prefer.
    #[must_use]
    pub fn miss(&self) -> Option<Over> {
        self.by_aim(|aim| Some(aim.miss))
    }

    /// The same where the best action is clear.
    #[must_use]
    pub fn clear_miss(&self) -> Option<Over> {
        self.by_aim(|aim| aim.clear_miss)
    }

    /// Share of the clear states in which the policy is sure of another action.
    #[must_use]
    pub fn sure_miss(&self) -> Option<Over> {
        self.by_aim(|aim| aim.sure_miss)
    }
}

#[cfg(test)]
mod tests {
    use probity_game::{CatalogGame, Strategy};

    use super::*;
    use crate::labels::any;

    #[test]
    fn a_card_has_both_seats_and_labels_that_are_not_shared() {
        let games: Vec<MatrixGame> = CatalogGame::protocol().map(CatalogGame::game).collect();
        let tellings: Vec<_> = games.iter().enumerate().map(|(i, game)| told(game, i, any).unwrap()).collect();
        let defector = || Respondent::scripted(Strategy::find("always-defect").unwrap());
        let card = Card::of(&mut defector(), &tellings, None, || ()).unwrap();
        assert_eq!(card.betrayal(), Some(Over { mean: 1.0, worst: 1.0 }));
        assert_eq!(card.illegal(), Some(Over { mean: 0.0, worst: 0.0 }));
        assert_eq!(card.miss(), None, "no reward to hold it against");
        for labelling in [Labelling::Shared, Labelling::OtherTurned, Labelling::Distinct] {
            let part = card.only(|entry| entry.labelling == labelling);
            let [part, whole] = [&part, &card].map(|card| card.above_best().unwrap().mean);
            assert!((part - whole).abs() < 1e-12, "{labelling:?}: {part} of {whole}");
        }
        assert_eq!(card.only(|entry| entry.labelling == Labelling::Turned).betrayal(), None);
    }
}
