//! Habits that pass for a policy: what an answer depends on besides the game.

use std::collections::BTreeMap;

use probity::agent::prompt::{Layout, Style};
use probity_game::{Player, argmax_set};
use serde::Serialize;

use super::{Aim, Labelling, Sheet, Telling};
use crate::Result;

/// How often the likeliest action changes with the presentation alone.
///
/// The figures are shares of the states that were compared. `None` where no two tellings differ in that alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Flips {
    /// Between labels in order and the same labels in reverse order.
    pub labels: Option<f64>,
    /// Between orders of mention.
    pub order: Option<f64>,
    /// Between layouts of the table.
    pub layout: Option<f64>,
    /// Between the seats, of a game that is not the same from both.
    pub seat: Option<f64>,
}

impl Flips {
    pub(super) fn of(sheets: &[Sheet]) -> Self {
        let usual = |style: Style| style == Style::default().with(|o| o.norm = style.norm);
        Self {
            labels: share(sheets, |a, b| {
                (a.labelling, b.labelling) == (Labelling::Shared, Labelling::Turned)
                    && a.style == b.style
                    && a.seat == b.seat
            }),
            order: share(sheets, |a, b| {
                usual(a.style) && a.style.layout == b.style.layout && same(a, b) && a.seat == b.seat
            }),
            layout: share(sheets, |a, b| {
                let orders = |style: Style| (style.mention_reversed, style.answer_reversed);
                usual(a.style) && orders(a.style) == orders(b.style) && same(a, b) && a.seat == b.seat
            }),
            seat: share(sheets, |a, b| {
                let square = a.game.count(Player::Row) == a.game.count(Player::Column);
                square && (a.seat, b.seat) == (Player::Row, Player::Column) && same(a, b) && a.style == b.style
            }),
        }
    }
}

fn same(a: &Telling, b: &Telling) -> bool {
    a.labelling == b.labelling
}

/// The share of states with another likeliest action, over pairs of tellings.
fn share(sheets: &[Sheet], alike: impl Fn(&Telling, &Telling) -> bool) -> Option<f64> {
    let (mut flips, mut pairs) = (0_u64, 0_u64);
    for Sheet { telling: a, answers } in sheets {
        for Sheet { telling: b, answers: others } in sheets.iter().filter(|sheet| sheet.telling.labels == a.labels) {
            let another = a.style != b.style || a.seat != b.seat || a.labelling != b.labelling;
            if !another || answers.len() != others.len() || !alike(a, b) {
                continue;
            }
            // Both are seen from the measured player, so that a state has the same number in both.
            for ((_, one), (_, other)) in answers.iter().zip(others) {
                flips += u64::from(likeliest(&one.policy) != likeliest(&other.policy));
                pairs += 1;
            }
        }
    }
    (pairs > 0).then(|| flips as f64 / pairs as f64)
}

/// The likeliest action; of equals the one with the smaller id.
fn likeliest(policy: &[f64]) -> usize {
    (0..policy.len()).fold(0, |best, next| if policy[next] > policy[best] { next } else { best })
}

/// A habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// One action in every state, although the best action depends on the state.
    Constant,
    /// The other player's last word, also where it is another action.
    Word,
    /// The action at one end of the table, or of the list of actions.
    Position,
}

impl Habit {
    /// The habit in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Constant => "always the same",
            Self::Word => "repeats the word",
            Self::Position => "picks by position",
        }
    }
}

/// From this share on, a sign counts as a habit.
const HABIT: f64 = 0.8;

/// Signs of habits, as shares from 0 to 1; `None` where a sign cannot be seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Habits {
    /// Tellings in which one action is the likeliest in every state.
    ///
    /// It counts where the reward's best action depends on the state.
    pub constant: Option<f64>,
    /// States in which the likeliest label is the other player's last one.
    ///
    /// It counts where the label is another action. A policy that copies the act has 0 here, a policy that repeats the
    /// word 1, and a constant policy a half.
    pub word: Option<f64>,
    /// States in which the likeliest action is the first of the table.
    ///
    /// The layouts put each end first as often. A policy that reads the table has a half where the game has two
    /// actions.
    pub first: Option<f64>,
    /// The same for the sentence that tells what one may pick.
    pub first_mentioned: Option<f64>,
    /// The same for the sentence that tells what to answer with.
    pub first_answer: Option<f64>,
    /// The habits.
    pub found: Vec<Habit>,
}

impl Habits {
    pub(super) fn of(sheets: &[Sheet], aim: Option<&Aim>) -> Result<Self> {
        let constant = aim.map(|aim| constant(sheets, aim)).transpose()?.flatten();
        let (mut words, mut turned) = (0_u64, 0_u64);
        let mut ends = [Ends::default(); 3];
        for Sheet { telling, answers } in sheets {
            let game = &telling.game;
            let own = game.labels(Player::Row);
            let style = telling.style;
            let orders = (style.mention_reversed, style.answer_reversed);
            let usual_layout = style.layout == Layout::default();
            // Whether each list is turned, where the tellings turn it as often as not.
            let turned_lists = [
                (orders == (false, false)).then(|| style.layout.reverses_rows()),
                usual_layout.then_some(style.mention_reversed),
                usual_layout.then_some(style.answer_reversed),
            ];
            for (state, answer) in answers {
                let action = likeliest(&answer.policy);
                if let (Labelling::OtherTurned, Some(state)) = (telling.labelling, state) {
                    let word = &game.labels(Player::Column)[state.other];
                    // The middle label of an odd number is the same action, too.
                    if own[state.other] != *word {
                        words += u64::from(own[action] == *word);
                        turned += 1;
                    }
                }
                for (ends, list) in ends.iter_mut().zip(turned_lists) {
                    if let Some(turned) = list {
                        ends.count(action, own.len(), turned);
                    }
                }
            }
        }
        let word = (turned > 0).then(|| words as f64 / turned as f64);
        let mut found = Vec::new();
        if constant.is_some_and(|share| share >= HABIT) {
            found.push(Habit::Constant);
        }
        if word.is_some_and(|share| share >= HABIT) {
            found.push(Habit::Word);
        }
        if ends.iter().any(Ends::is_habit) {
            found.push(Habit::Position);
        }
        let [first, first_mentioned, first_answer] = ends.map(|ends| ends.share(ends.first));
        Ok(Self { constant, word, first, first_mentioned, first_answer, found })
    }
}

/// How often the likeliest action stands at an end of a list.
#[derive(Clone, Copy, Default)]
struct Ends {
    first: u64,
    last: u64,
    all: u64,
}

impl Ends {
    fn count(&mut self, action: usize, actions: usize, turned: bool) {
        let place = if turned { actions - 1 - action } else { action };
        self.first += u64::from(place == 0);
        self.last += u64::from(place + 1 == actions);
        self.all += 1;
    }

    fn share(&self, count: u64) -> Option<f64> {
        (self.all > 0).then(|| count as f64 / self.all as f64)
    }

    fn is_habit(&self) -> bool {
        self.share(self.first.max(self.last)).is_some_and(|share| share >= HABIT)
    }
}

/// The share of tellings with one likeliest action.
///
/// `None` where some action is best in every state.
fn constant(sheets: &[Sheet], aim: &Aim) -> Result<Option<f64>> {
    let (mut constant, mut all) = (0_u64, 0_u64);
    for Sheet { telling, answers } in sheets {
        let game = &telling.game;
        let mut best_in: BTreeMap<usize, usize> = BTreeMap::new();
        for (state, _) in answers {
            let Some(values) = aim.values(game, *state)? else { return Ok(None) };
            for action in argmax_set(&values) {
                *best_in.entry(action).or_default() += 1;
            }
        }
        if best_in.values().any(|&states| states == answers.len()) {
            continue;
        }
        let first = likeliest(&answers[0].1.policy);
        constant += u64::from(answers.iter().all(|(_, answer)| likeliest(&answer.policy) == first));
        all += 1;
    }
    Ok((all > 0).then(|| constant as f64 / all as f64))
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, LabelSet, tellings};
    use super::*;
    use probity::agent::prompt::Norm;
    use probity_game::moral::Framework;
    use probity_game::{CatalogGame, MatrixGame, State, states};

    /// The sheets of a player that takes one action for certain.
    fn sheets(game: &MatrixGame, player: impl Fn(&Telling, State) -> usize) -> Vec<Sheet> {
        let all = tellings(game, &LabelSet::drawn(2, 2, 7), Norm::Told).unwrap().into_iter();
        let sheet = |telling: Telling| {
            let answer = |state| {
                let action = player(&telling, state);
                let policy = (0..2).map(|a| f64::from(u8::from(a == action))).collect();
                (state, Answer { policy, legality_mass: 1.0 })
            };
            let answers = states(&telling.game).into_iter().map(answer).collect();
            Sheet { telling, answers }
        };
        all.map(sheet).collect()
    }

    fn of(player: impl Fn(&Telling, State) -> usize) -> (Flips, Habits) {
        let sheets = sheets(&CatalogGame::find("ipd").unwrap().game(), player);
        let aim = Aim::against_a_coin(Framework::find("game-deontological").unwrap().into());
        (Flips::of(&sheets), Habits::of(&sheets, Some(&aim)).unwrap())
    }

    #[test]
    fn who_answers_the_act_has_no_habit() {
        let (flips, habits) = of(|_, state| state.map_or(0, |last| last.other));
        assert_eq!(flips, Flips { labels: Some(0.0), order: Some(0.0), layout: Some(0.0), seat: None });
        assert_eq!((habits.constant, habits.word, habits.first), (Some(0.0), Some(0.0), Some(0.5)));
        assert!(habits.found.is_empty());
    }

    #[test]
    fn who_repeats_the_word_is_seen_where_it_is_another_action() {
        let (flips, habits) = of(|telling, state| {
            let word = state.map(|last| &telling.game.labels(Player::Column)[last.other]);
            telling.game.labels(Player::Row).iter().position(|label| Some(label) == word).unwrap_or(0)
        });
        assert_eq!((flips.labels, habits.word), (Some(0.0), Some(1.0)));
        assert_eq!(habits.found, [Habit::Word]);
    }

    #[test]
    fn who_picks_by_position_flips_with_the_layout() {
        let (flips, habits) = of(|telling, _| usize::from(telling.style.layout.reverses_rows()));
        assert_eq!((flips.order, flips.layout), (Some(0.0), Some(2.0 / 3.0)));
        assert_eq!((habits.first, habits.constant), (Some(1.0), Some(1.0)));
        assert_eq!((habits.first_mentioned, habits.first_answer), (Some(0.5), Some(0.5)));
        assert_eq!(habits.found, [Habit::Constant, Habit::Position]);
    }

    #[test]
    fn who_picks_by_the_order_of_mention_has_a_habit_of_position() {
        let (flips, habits) = of(|telling, _| usize::from(telling.style.mention_reversed));
        assert_eq!((flips.layout, habits.first), (Some(0.0), Some(0.5)));
        assert_eq!((habits.first_mentioned, habits.first_answer), (Some(1.0), Some(0.5)));
        assert!(habits.found.contains(&Habit::Position));
        let (_, habits) = of(|telling, _| usize::from(!telling.style.answer_reversed));
        assert_eq!((habits.first_mentioned, habits.first_answer), (Some(0.5), Some(0.0)));
        assert!(habits.found.contains(&Habit::Position));
    }

    #[test]
    fn who_has_a_favourite_label_flips_with_the_labels() {
        let (flips, habits) = of(|telling, _| {
            let labels = telling.game.labels(Player::Row);
            usize::from(labels[1] < labels[0])
        });
        assert_eq!((flips.labels, flips.layout), (Some(1.0), Some(0.0)));
        assert_eq!(habits.found, [Habit::Constant]);
    }

    #[test]
    fn a_constant_player_has_no_habit_where_one_action_is_best_anyway() {
        let sheets = sheets(&CatalogGame::find("ipd").unwrap().game(), |_, _| 0);
        let of = |reward: &str| {
            let aim = Aim::against_a_coin(Framework::find(reward).unwrap().into());
            Habits::of(&sheets, Some(&aim)).unwrap()
        };
        assert_eq!(of("utilitarian").constant, None);
        // After a defection both actions are equal, so cooperation is among the best everywhere.
        assert_eq!(of("deontological").constant, None);
        assert_eq!(of("game-deontological").found, [Habit::Constant]);
    }

    #[test]
    fn the_seats_of_an_asymmetric_game_are_compared() {
        let sheets =
            sheets(&CatalogGame::find("bos").unwrap().game(), |telling, _| usize::from(telling.seat == Player::Row));
        assert_eq!(Flips::of(&sheets).seat, Some(1.0));
    }
}
