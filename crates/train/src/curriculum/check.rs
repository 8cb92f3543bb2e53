//! What a training config must be.

use probity_engine::Error as EngineError;
use probity_game::moral::ILLEGAL;
use probity_game::{CatalogGame, MatrixGame, states};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Algorithm, Labels, Opponent, TrainConfig, Validation};
use crate::Result;
use crate::decoder::LINEARS;
use crate::games::{Reach, random_game};
use crate::labels::Split;

impl TrainConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the field, what it is and what would be right.
    pub fn check(&self) -> Result<()> {
        let need = |ok: bool, name: &'static str, given: String, expected: &str| {
            if ok { Ok(()) } else { Err(EngineError::Option { name, given, expected: expected.into() }.into()) }
        };
        need(!self.phases.is_empty(), "phases", "none".into(), "at least one")?;
        let steps = self.phases.iter().try_fold(0_u64, |sum, phase| sum.checked_add(phase.steps));
        need(steps.is_some_and(|s| s <= 1 << 40), "phase steps", "too many".into(), "at most 2^40 in all")?;
        need(self.games_per_step <= 1 << 16, "games_per_step", self.games_per_step.to_string(), "at most 65536")?;
        for phase in &self.phases {
            phase.reward.check()?;
            need(phase.steps > 0, "phase steps", "0".into(), "at least 1")?;
            if self.algorithm.rounds().is_none() {
                let illegal = phase.reward.shares().iter().map(|share| share.reward.illegal).find(|&i| i != ILLEGAL);
                let expected = "none: exact training has no illegal answers, and weighs legality instead";
                need(illegal.is_none(), "reward illegal", illegal.unwrap_or_default().to_string(), expected)?;
            }
            let learner = self.learners() > 1 || phase.opponent == Some(Opponent::Learner);
            let alone = phase.opponent.is_none() || !learner;
            need(alone, "phase opponent", "one beside a learner".into(), "the learner in the config and every phase")?;
        }
        self.algorithm.check()?;
        for (i, given) in self.games.catalogue.iter().enumerate() {
            let once = self.games.catalogue[..i].iter().all(|other| other.name() != given.name());
            let twice = format!("{:?} twice", given.name());
            need(once, "games.catalogue", twice, "each game once; games.weights weighs them")?;
            self.check_game(&given.0)?;
            if let Labels::Fixed(labels) = &self.labels {
                given.0.clone().with_labels(labels, labels)?;
            }
        }
        if self.games.random > 0.0 {
            need(!self.games.reach.is_empty(), "games.reach", "none".into(), "at least one, with random games")?;
            for reach in &self.games.reach {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                (0..8).try_for_each(|_| self.check_game(&random_game(&mut rng, Split::Train, *reach)))?;
            }
        }
        for (name, weight) in &self.games.weights {
            let known = self.games.catalogue.iter().any(|given| given.name() == name);
            need(known, "games.weights", name.clone(), "games of this config")?;
            let above = *weight > 0.0 && *weight <= 1e6;
            need(above, "games.weights", weight.to_string(), "numbers above 0, at most 1e6")?;
        }
        let earlier = self.earlier_steps > 0.0 && self.earlier_steps <= 1.0;
        need(earlier, "earlier_steps", self.earlier_steps.to_string(), "a share above 0, at most 1")?;
        let share = self.games.random;
        need((0.0..=1.0).contains(&share), "games.random", share.to_string(), "a share from 0 to 1")?;
        let some = share >= 1.0 || !self.games.catalogue.is_empty();
        need(some, "games.catalogue", "empty".into(), "a game, or games.random = 1")?;
        need((1..=512).contains(&self.rank), "rank", self.rank.to_string(), "1 to 512")?;
        let known = |t: &String| LINEARS.contains(&t.as_str());
        let distinct = (1..self.targets.len()).all(|i| !self.targets[..i].contains(&self.targets[i]));
        let targets = !self.targets.is_empty() && distinct && self.targets.iter().all(known);
        need(targets, "targets", format!("{:?}", self.targets), &format!("some of {}, each once", LINEARS.join(", ")))?;
        let alpha = self.alpha.is_finite() && self.alpha > 0.0;
        need(alpha, "alpha", self.alpha.to_string(), "a number above 0")?;
        need(self.rate.is_finite() && self.rate > 0.0, "rate", self.rate.to_string(), "a number above 0")?;
        if let Some(beta2) = self.beta2 {
            need((0.0..1.0).contains(&beta2), "beta2", beta2.to_string(), "at least 0 and below 1")?;
        }
        let beta = self.beta == 0.0 || (1e-6..=1e6).contains(&self.beta);
        need(beta, "beta", self.beta.to_string(), "0, or a number from 1e-6 to 1e6")?;
        need(self.max_norm > 0.0, "max_norm", self.max_norm.to_string(), "a number above 0")?;
        if let Some(t) = self.kl_target {
            need(self.beta > 0.0, "beta", "0 with a kl_target".into(), "a number above 0 to start from")?;
            need(t.target.is_finite() && t.target > 0.0, "kl_target.target", t.target.to_string(), "nats above 0")?;
            let horizon = t.horizon.is_finite() && t.horizon >= 1.0;
            need(horizon, "kl_target.horizon", t.horizon.to_string(), "at least 1 step")?;
        }
        let legality = self.legality.is_finite() && self.legality >= 0.0;
        need(legality, "legality", self.legality.to_string(), "a number of at least 0")?;
        need(self.measure_every > 0, "measure_every", "0".into(), "at least 1")?;
        if let Some(stop) = self.early_stop {
            let distance = (0.0..1.0).contains(&stop.distance);
            need(distance, "early_stop.distance", stop.distance.to_string(), "at least 0 and below 1")?;
            need(stop.patience > 0, "early_stop.patience", "0".into(), "at least 1")?;
        }
        if let Some(Validation { games, labels, every, patience }) = self.validation.clone() {
            let trained = matches!(&self.labels, Labels::Fixed(trained) if labels.contains(trained));
            need(!trained, "validation.labels", format!("{labels:?}"), "others than labels.fixed")?;
            need((1..=1 << 16).contains(&games), "validation.games", games.to_string(), "1 to 65536")?;
            need(every > 0, "validation.every", "0".into(), "at least 1")?;
            need(patience > 0, "validation.patience", "0".into(), "at least 1")?;
        }
        need((0.0..=1.0).contains(&self.arrival), "arrival", self.arrival.to_string(), "a distance from 0 to 1")?;
        if self.algorithm.rounds().is_some() {
            let expected = "0 for a sampling algorithm, whose reward has a penalty for illegal answers";
            need(self.legality == 0.0, "legality", self.legality.to_string(), expected)?;
            need(self.games_per_step > 0, "games_per_step", "0".into(), "how many episodes or groups a step plays")?;
            let baseline = !matches!(self.algorithm, Algorithm::Reinforce(_)) || self.games_per_step > 1;
            let expected = "at least 2: the baseline of an episode is the mean of the other episodes";
            need(baseline, "games_per_step", self.games_per_step.to_string(), expected)?;
            let expected = "no weights for a sampling algorithm, which weighs a game by its share of the episodes";
            need(self.games.weights.is_empty(), "games.weights", format!("{:?}", self.games.weights), expected)?;
        }
        if let Some(play) = self.play {
            let exact = self.algorithm == Algorithm::Exact {};
            need(exact, "play", "repeated play without exact gradients".into(), "algorithm.name = \"exact\"")?;
            // Nearer to 1 the linear systems lose the digits that tell actions apart.
            let discount = play.discount > 0.0 && play.discount <= 0.9999;
            need(discount, "play.discount", play.discount.to_string(), "a number above 0, at most 0.9999")?;
        }
        need(self.shards > 0, "shards", "0".into(), "at least 1")?;
        need(
            self.games_per_step.is_multiple_of(self.shards),
            "games_per_step",
            self.games_per_step.to_string(),
            "a multiple of shards, or 0 for every game in every style",
        )?;
        let full = self.games_per_step > 0 || (!self.games.catalogue.is_empty() && self.games.random == 0.0);
        need(full, "games_per_step", "0 with random games".into(), "catalogue games only, for a full batch")?;
        match &self.labels {
            Labels::Fixed(labels) if share > 0.0 => {
                let small = !self.games.reach.contains(&Reach::Actions);
                need(small, "games.reach", "actions".into(), "games of two actions for fixed labels")?;
                let [c, d] = labels.as_slice() else {
                    return need(false, "labels.fixed", format!("{labels:?}"), "two labels for random games");
                };
                CatalogGame::find("ipd")?.labelled([c, d])?;
            }
            Labels::Own => need(share == 0.0, "labels", "own, with random games".into(), "pool or fixed labels")?,
            Labels::Fixed(_) | Labels::Pool => {}
        }
        // Labels of another number of actions.
        self.validation_tasks()?;
        Ok(())
    }

    /// Whether every reward knows a game, and every opponent plays it.
    fn check_game(&self, game: &MatrixGame) -> Result<()> {
        for phase in &self.phases {
            phase.reward.check_for(game)?;
            let opponent = phase.opponent.as_ref().unwrap_or(&self.opponent);
            for seat in self.seats.all() {
                let game = game.clone().seen_from(*seat);
                states(&game).into_iter().try_for_each(|state| opponent.policy(&game, state).map(|_| ()))?;
            }
        }
        Ok(())
    }
}
