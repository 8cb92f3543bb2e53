//! Which upgrades are upheld by every group of voters, rather than by the largest one.

use std::collections::{BTreeMap, HashMap};

use super::Ballots;

/// What a group says about an upgrade before its own members answered it: as much as so many answers at the share of all
/// groups.
const PRIOR: f64 = 2.0;

/// How an upgrade stands with the groups that voted on it, in one context or over all.
///
/// ```
/// use probity_values::{Answer, Deliberation, ValuesCard, Vote, bridging};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let card = |id: &str, title: &str| ValuesCard::new(id.into(), title, "A way to be a friend.", vec!["MOMENTS of silence".into()]);
/// # let vote = |n: u32| Vote { voter: format!("voter {n}"), from: "1".into(), to: "2".into(), context: "When a friend grieves".into(), answer: Answer::Yes };
/// # let deliberation = Deliberation {
/// #     cards: vec![card("1", "Advice"), card("2", "Presence")],
/// #     votes: (0..8).map(vote).collect(),
/// #     ..Deliberation::default()
/// # };
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
    /// Every group that voted on it: its number, its votes, and the share of yes among them, drawn a little towards that of
    /// all groups. A not sure is half a yes.
    pub groups: Vec<(u32, u32, f64)>,
    /// The least of these shares: the group that it has least of.
    pub score: f64,
}

/// The upgrades that at least two groups voted on, the one that the most divided groups agree on first; equals in the order
/// of the cards. `group_of` tells for every voter the number of their group; voters without one are left out, and so are
/// imported sums of votes, whose voters are not known.
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
