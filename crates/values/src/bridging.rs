//! Bridging scores: the support for an upgrade in every group of voters.

use std::collections::{BTreeMap, HashMap};

use super::Ballots;

/// Virtual answers of a group at the share of all groups: the shrinkage.
const PRIOR: f64 = 2.0;

/// An upgrade's support by group, in one context or over all.
///
/// ```
/// use probity_values::{Deliberation, bridging};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let deliberation = Deliberation::example();
/// // Half of the voters are of one group, half of the other.
/// let groups: Vec<Option<u32>> = (0..8).map(|voter| Some(voter % 2)).collect();
/// let bridges = bridging(&deliberation.ballots()?, &groups, None);
/// assert_eq!(bridges[0].groups.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    /// Number of the card that was left.
    pub from: u32,
    /// Of the one gone to.
    pub to: u32,
    /// Number, votes and share of yes of every group that voted on it.
    ///
    /// The share is shrunk towards the share of all groups. Not sure is half a yes.
    pub groups: Vec<(u32, u32, f64)>,
    /// The least of these shares: the group that it has least of.
    pub score: f64,
}

/// The upgrades that at least two groups voted on, by bridging score.
///
/// `group_of` holds each voter's group number. Voters without a group do not count, and neither do imported sums, whose
/// voters are unknown. Equal scores are in the order of the cards.
///
/// The score is the least, over groups, of the probability of a yes (`moral-graph.md` section 12), with
/// `(yes + 2 y) / (votes + 2)` for a group's, where `y` is the share over all of them.
#[must_use]
pub fn bridging(ballots: &Ballots, group_of: &[Option<u32>], context: Option<u32>) -> Vec<Bridge> {
    let mut asked: HashMap<(u32, u32), BTreeMap<u32, (u32, f64)>> = HashMap::new();
    for row in ballots.rows.iter().filter(|row| context.is_none_or(|c| c == row.context)) {
        if let Some(&Some(group)) = group_of.get(row.voter as usize) {
            let (votes, yes) = asked.entry((row.from, row.to)).or_default().entry(group).or_default();
            *votes += 1;
            *yes += row.answer.yes();
        }
    }
    let bridge = |((from, to), groups): ((u32, u32), BTreeMap<u32, (u32, f64)>)| {
        let (votes, yes) = groups.values().fold((0, 0.0), |(n, y), (votes, yes)| (n + votes, y + yes));
        let all = yes / f64::from(votes);
        let share = |(votes, yes): (u32, f64)| (yes + PRIOR * all) / (f64::from(votes) + PRIOR);
        let groups: Vec<_> = groups.into_iter().map(|(group, said)| (group, said.0, share(said))).collect();
        let score = groups.iter().map(|group| group.2).fold(1.0, f64::min);
        Bridge { from, to, groups, score }
    };
    let mut bridges: Vec<Bridge> = asked.into_iter().filter(|(_, groups)| groups.len() > 1).map(bridge).collect();
    bridges.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.from, a.to).cmp(&(b.from, b.to))));
    bridges
}
