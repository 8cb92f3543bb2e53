//! Weighted votes by question, and the scores that they depend on.

use std::collections::HashMap;

use super::Settings;
use crate::{Answer, Ballot, Ballots, Tally};

/// A score's context, `None` for everywhere, and its card.
pub(super) type ScoreKey = (Option<u32>, u32);

/// All answers to one question: an ordered pair of cards in a context.
///
/// Answers of known voters and of published sums are separate.
pub(super) struct Question {
    /// Scores of the two cards, by number.
    pub from: u32,
    /// The same.
    pub to: u32,
    /// Weight of the yes among the answers; a not sure is half of one.
    pub yes: f64,
    /// Weight of all of them.
    pub all: f64,
    /// How many of the answers, whatever their weight, were yes.
    pub upgrades: u32,
    /// Whether they are published sums, whose edges were selected for their yes.
    pub chosen: bool,
}

/// The questions, and the scores that they speak of.
pub(super) struct Questions {
    /// All of them, by context and cards.
    pub asked: Vec<Question>,
    /// Where each score belongs, those everywhere first.
    pub places: Vec<ScoreKey>,
    /// The number of every place.
    pub number: HashMap<ScoreKey, u32>,
    /// For a score in a context the number of its card's score everywhere.
    pub everywhere: Vec<Option<u32>>,
    /// Voters who said yes to an upgrade, in any context.
    ///
    /// Known voters count once each; of sums the least possible number counts.
    pub agreed: HashMap<(u32, u32), u32>,
    /// How many voters each card was judged by, in the score's context or anywhere.
    pub voters: Vec<u32>,
}

/// What one vote, or one sum of votes, says about a question.
struct Said {
    context: Option<u32>,
    from: u32,
    to: u32,
    /// Who, where that is known.
    voter: Option<u32>,
    yes: f64,
    all: f64,
    upgrades: u32,
}

impl Said {
    fn question(&self) -> (Option<u32>, u32, u32, bool) {
        (self.context, self.from, self.to, self.voter.is_none())
    }
}

impl Questions {
    /// Gathers votes and imported sums by question.
    ///
    /// A sum with one context belongs to this context, any other sum to none.
    pub fn gather(ballots: &Ballots, settings: &Settings) -> Self {
        let mut said = weigh(ballots, settings.cap);
        let mut nameless = Vec::new();
        say_tallies(&ballots.tallies, &mut said, &mut nameless);
        // In the order of contexts and cards, not of votes.
        said.sort_unstable_by_key(|s| (s.question(), s.voter));
        let mut places: Vec<ScoreKey> =
            said.chunk_by(|a, b| a.question() == b.question()).flat_map(spoken_of).collect();
        places.sort_unstable();
        places.dedup();
        let number: HashMap<ScoreKey, u32> = places.iter().enumerate().map(|(i, &place)| (place, i as u32)).collect();
        let everywhere: Vec<Option<u32>> =
            places.iter().map(|&(context, card)| context.map(|_| number[&(None, card)])).collect();
        let mut named: Vec<[u32; 2]> = Vec::with_capacity(ballots.rows.len());
        let mut asked: Vec<Question> = Vec::new();
        for same in said.chunk_by(|a, b| a.question() == b.question()) {
            let (context, from, to, chosen) = same[0].question();
            named.extend(same.iter().filter_map(|s| Some([s.voter?, asked.len() as u32])));
            asked.push(Question {
                from: number[&(context, from)],
                to: number[&(context, to)],
                yes: same.iter().map(|s| s.yes).sum(),
                all: same.iter().map(|s| s.all).sum(),
                upgrades: same.iter().fold(0, |sum, s| sum.saturating_add(s.upgrades)),
                chosen,
            });
        }
        let agreed = agreed(&said);
        let mut voters = vec![0_u32; places.len()];
        // A nameless voter may have answered about several pairs. So the largest count of one pair is the least
        // possible number of voters.
        for (place, count) in nameless {
            let voters = &mut voters[number[&place] as usize];
            *voters = count.max(*voters);
        }
        named.sort_unstable();
        let mut judged = Vec::new();
        for own in named.chunk_by(|a, b| a[0] == b[0]) {
            judged.clear();
            for &[_, question] in own {
                let Question { from, to, .. } = asked[question as usize];
                judged.extend([from, to].iter().flat_map(|&i| [Some(i), everywhere[i as usize]]).flatten());
            }
            judged.sort_unstable();
            judged.dedup();
            judged.iter().for_each(|&i| voters[i as usize] = voters[i as usize].saturating_add(1));
        }
        Self { asked, places, number, everywhere, agreed, voters }
    }
}

/// How many said yes to each upgrade, wherever they were asked.
fn agreed(said: &[Said]) -> HashMap<(u32, u32), u32> {
    let mut yes: Vec<(u32, u32, u32)> =
        said.iter().filter(|s| s.upgrades > 0).filter_map(|s| Some((s.from, s.to, s.voter?))).collect();
    yes.sort_unstable();
    yes.dedup();
    let mut agreed: HashMap<(u32, u32), u32> = HashMap::new();
    yes.iter().for_each(|&(from, to, _)| *agreed.entry((from, to)).or_default() += 1);
    // Several sums may come from the same people.
    let mut most: HashMap<(u32, u32), u32> = HashMap::new();
    for sum in said.iter().filter(|s| s.voter.is_none()) {
        let most = most.entry((sum.from, sum.to)).or_default();
        *most = sum.upgrades.max(*most);
    }
    for (pair, most) in most {
        let agreed = agreed.entry(pair).or_default();
        *agreed = agreed.saturating_add(most);
    }
    agreed
}

/// The unknowns of a question: both cards, in its context and over all.
fn spoken_of(same: &[Said]) -> impl Iterator<Item = ScoreKey> {
    let (context, from, to, _) = same[0].question();
    [(None, from), (None, to), (context, from), (context, to)].into_iter()
}

/// Votes of one voter that always count.
///
/// The published process asks each voter 3 or 5 questions.
const ALWAYS: f64 = 5.0;

/// Every vote with its weight.
///
/// In a context a voter's votes weigh at most a share of the others' votes there, or one vote if that is more. Over all
/// contexts they weigh at most this share of all others' votes, or [`ALWAYS`] votes: anybody can invent more contexts.
fn weigh(ballots: &Ballots, cap: f64) -> Vec<Said> {
    let mut within = vec![0_u32; ballots.contexts.len()];
    ballots.rows.iter().for_each(|row| within[row.context as usize] += 1);
    let mut rows = ballots.rows.clone();
    rows.sort_unstable_by_key(|row| (row.voter, row.context, row.from, row.to));
    let mut weighed = Vec::with_capacity(rows.len());
    for own in rows.chunk_by(|a, b| (a.voter, a.context) == (b.voter, b.context)) {
        let others = f64::from(within[own[0].context as usize]) - own.len() as f64;
        let weight = ((cap * others).max(1.0) / own.len() as f64).min(1.0);
        weighed.extend(own.iter().map(|row| (*row, weight)));
    }
    let total = |own: &[(Ballot, f64)]| own.iter().map(|(_, weight)| weight).sum::<f64>();
    let all = total(&weighed);
    let mut said = Vec::with_capacity(rows.len() + 2 * ballots.tallies.len());
    for own in weighed.chunk_by(|(a, _), (b, _)| a.voter == b.voter) {
        let total = total(own);
        let share = ((cap * (all - total)).max(ALWAYS) / total).min(1.0);
        said.extend(own.iter().map(|(row, weight)| {
            let Ballot { voter, from, to, context, answer } = *row;
            let all = weight * share;
            let upgrades = u32::from(answer == Answer::Yes);
            Said { context: Some(context), from, to, voter: Some(voter), yes: all * answer.yes(), all, upgrades }
        }));
    }
    said
}

/// Adds imported sums, and the least number of voters behind each unknown.
fn say_tallies(tallies: &[Tally], said: &mut Vec<Said>, nameless: &mut Vec<(ScoreKey, u32)>) {
    for tally in tallies {
        let (&Tally { from, to, counts, .. }, context) = (tally, tally.context());
        let known = counts.wiser + counts.not_wiser + counts.unsure;
        let yes = f64::from(counts.wiser) + f64::from(counts.unsure) / 2.0;
        let others = if tally.reverse_known { 0 } else { counts.impressions.saturating_sub(known) };
        if known > 0 {
            said.push(Said { context, from, to, voter: None, yes, all: known.into(), upgrades: counts.wiser });
        }
        if others > 0 {
            // Of the votes on the reversed pair only the yes are known; the others count as no.
            let (yes, all) = (counts.less_wise.into(), others.into());
            said.push(Said { context, from: to, to: from, voter: None, yes, all, upgrades: counts.less_wise });
        }
        if known.max(others) > 0 {
            let mut places = vec![(None, from), (None, to), (context, from), (context, to)];
            places.sort_unstable();
            places.dedup();
            nameless.extend(places.into_iter().map(|place| (place, known.max(others))));
        }
    }
}
