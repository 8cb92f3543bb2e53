//! A decision in words.

use std::fmt::Write;

use probity_game::{MatrixGame, Player};

use super::decision::{Consideration, Decision};

impl Consideration {
    /// The game and its last round, in words.
    #[must_use]
    pub fn situation(&self, game: &MatrixGame) -> String {
        match self.state {
            None => format!("{}, first round", game.name()),
            Some(p) => format!(
                "{}, after {:?} against {:?}",
                game.name(),
                game.labels(Player::Row)[p.own],
                game.labels(Player::Column)[p.other]
            ),
        }
    }

    /// A line for every action: probability, payoffs, every framework's reward.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for a in &self.actions {
            let (own, other) = (a.account.payoff_own, a.account.payoff_other);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "  {:?}: probability {:.4}; expected points {own:.2}, the other's {other:.2}",
                a.label, a.probability
            );
            for v in &a.account.rewards {
                let _ = write!(text, "; {} {:.2}", v.reward.framework.name(), v.value);
            }
            text.push('\n');
        }
        let _ =
            writeln!(text, "Probability that the model answers with a legal action at all: {:.4}.", self.legality_mass);
        if let Some(unreliable) = &self.unreliable {
            let _ = writeln!(text, "Not reliable: {unreliable}.");
        }
        text
    }
}

impl Decision {
    /// What was chosen, in which state, and [`Consideration::explain`].
    #[must_use]
    pub fn explain(&self, game: &MatrixGame) -> String {
        let considered = &self.considered;
        format!("In {}, takes {:?}.\n{}", considered.situation(game), self.label(), considered.explain())
    }
}
