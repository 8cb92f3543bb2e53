//! Lessons on a list of actions, without another player.

use probity::agent::prompt::enumerate;
use rand::{Rng, RngExt};

use super::question::{Kind, LessonQuestion, RowTotals};
use super::{Lesson, Split, labels};

/// Draws a short list in the words of a payoff table's lines.
///
/// There are no rules and no last round. It trains the lookups and comparisons that games need over longer distances.
/// `plain` is the probability of plain labels.
pub(super) fn lesson(rng: &mut impl Rng, split: Split, [chains, turns]: [usize; 2], plain: f64) -> Lesson {
    let kind = if rng.random_bool(plain) { labels::plain } else { labels::any };
    let n = rng.random_range(2..=4_usize);
    let own = labels::draw_labels(rng, n, split, kind);
    let most = rng.random_range(2..=9_u8);
    let totals = own.iter().map(|_| [(); 2].map(|()| f64::from(rng.random_range(0..=most)))).collect();
    let rows = RowTotals { labels: &own, totals, other: "A" };
    let lines = own.iter().zip(&rows.totals).map(|(label, [you, a])| format!("you {you}, A {a}: you \"{label}\".\n"));
    let rules = lines.collect::<String>() + &format!("Answer {} and nothing else.\n", enumerate(&own));
    let chains = (0..chains).map(|_| (0..turns).map(|_| about(rng, &rows)).collect()).collect();
    Lesson { rules, chains }
}

/// Draws a question about a list.
fn about(rng: &mut impl Rng, rows: &RowTotals) -> LessonQuestion {
    let row = rng.random_range(0..rows.labels.len());
    let whose = rng.random_range(0..3_usize);
    match rng.random_range(0..10_u32) {
        0..4 => rows.sums(row),
        4 => rows.total(row),
        5..7 => {
            let one = usize::from(whose == 1);
            let wanted = rows.totals[row][one];
            let answers = rows.only(|other| rows.totals[other][one] == wanted);
            LessonQuestion::label(Kind::Find, format!("{} {wanted}?", ["You", "A"][one]), answers)
        }
        _ => rows.more(whose),
    }
}
