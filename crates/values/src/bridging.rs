//! Bridging scores: the support for an upgrade in every group of voters.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{Ballots, CardId, Graph};

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
    /// Number of the less wise card.
    pub from: u32,
    /// Number of the wiser card.
    pub to: u32,
    /// Number, votes and share of yes of every group that voted on it.
    ///
    /// The share is shrunk towards the share of all groups. Not sure is half a yes.
    pub groups: Vec<(u32, u32, f64)>,
    /// The least share of a group.
    pub score: f64,
}

/// A bridge with the names of its cards and groups.
///
/// It is part of the document of `probity values graph --json`.
///
/// ```
/// use probity_values::robust::Settings;
/// use probity_values::{Deliberation, Graph};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let group = |voter: u32| (format!("voter {voter}"), if voter < 4 { "north" } else { "south" }.to_owned());
/// let deliberation = Deliberation { groups: (0..8).map(group).collect(), ..Deliberation::example() };
/// let bridge = &Graph::new(deliberation, &Settings::default())?.bridges(None)[0];
/// assert_eq!((bridge.to.as_str(), bridge.score), ("2", 1.0));
/// assert_eq!((bridge.groups[1].group.as_str(), bridge.groups[1].votes), ("south", 4));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedBridge {
    /// The less wise card.
    pub from: CardId,
    /// The wiser card.
    pub to: CardId,
    /// The least share of yes in any group.
    pub score: f64,
    /// Every group that voted on it.
    pub groups: Vec<GroupSupport>,
}

/// A group's support for an upgrade.
///
/// ```
/// use probity_values::GroupSupport;
///
/// let support = GroupSupport { group: "north".into(), votes: 4, share: 1.0 };
/// assert_eq!(serde_json::to_value(&support).unwrap()["votes"], 4);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupSupport {
    /// Its name.
    pub group: String,
    /// Its votes.
    pub votes: u32,
    /// Its share of yes, shrunk towards the share of all groups.
    pub share: f64,
}

impl Graph {
    /// The bridges between the groups that voters named, in one context or over all.
    ///
    /// As [`bridging`], with the deliberation's groups in alphabetical order.
    #[must_use]
    pub fn bridges(&self, context: Option<u32>) -> Vec<NamedBridge> {
        let groups = &self.deliberation().groups;
        let names: Vec<&String> = groups.values().collect::<BTreeSet<_>>().into_iter().collect();
        let number = |group: &String| names.binary_search(&group).ok().map(|i| i as u32);
        let voters = &self.ballots().voters;
        let group_of: Vec<Option<u32>> = voters.iter().map(|voter| groups.get(voter).and_then(number)).collect();
        let id = |card: u32| self.card(card).id.clone();
        let support = |(group, votes, share): (u32, u32, f64)| GroupSupport {
            group: names[group as usize].clone(),
            votes,
            share,
        };
        let named = |bridge: Bridge| NamedBridge {
            from: id(bridge.from),
            to: id(bridge.to),
            score: bridge.score,
            groups: bridge.groups.into_iter().map(support).collect(),
        };
        bridging(self.ballots(), &group_of, context).into_iter().map(named).collect()
    }
}

/// The upgrades that at least two groups voted on, by bridging score.
///
/// `group_of` holds each voter's group number. Voters without a group do not count, and neither do imported sums, whose
/// voters are unknown. Equal scores are in the order of the cards.
///
/// The score, this library's own, is the least, over groups, of the probability of a yes, with
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
