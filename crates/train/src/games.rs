//! Random games, split into games for training and games for testing.
//!
//! The split is by a game's order: the ranks of its payoffs, whatever its actions are called and whoever sits where. A
//! quarter of the orders is for testing. So a run, whatever its seed, draws no game that orders the outcomes as a game
//! of an evaluation does.

use std::cmp::Ordering;

use probity_game::{CatalogGame, MatrixGame, Player};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::labels::{Split, any, labelled};

pub use probity_game::{Reach, Reading, Wording};

/// The name of random games.
pub const RANDOM: &str = "random";

/// A random game of a reach, with labels of the same split.
///
/// The kindest action is the cooperative one where there is one; otherwise any is.
pub fn random_game(rng: &mut impl Rng, split: Split, reach: Reach) -> MatrixGame {
    let [rows, columns] = match reach {
        Reach::Digits | Reach::Numbers => [2, 2],
        Reach::Actions => loop {
            let counts = [(); 2].map(|()| rng.random_range(2..=4_usize));
            if counts != [2, 2] {
                break counts;
            }
        },
    };
    let labels = |player: &str, n| (0..n).map(|i| format!("{player}{i}")).collect::<Vec<_>>();
    loop {
        let payoffs = payoffs(rng, [rows, columns], reach);
        let game = MatrixGame::new(RANDOM, [labels("r", rows), labels("c", columns)], payoffs, [0, 0]);
        let game = game.expect("drawn payoffs are finite");
        if Reach::of(&game) != Some(reach) || split_of(&game) != split {
            continue;
        }
        let cooperative = [Player::Row, Player::Column]
            .map(|player| game.kindest(player).unwrap_or_else(|| rng.random_range(0..game.count(player))));
        return labelled(rng, game.with_cooperative(cooperative).expect("an action"), split, any);
    }
}

/// A table of payoffs, half of the square ones symmetric.
fn payoffs(rng: &mut impl Rng, [rows, columns]: [usize; 2], reach: Reach) -> Vec<Vec<[f64; 2]>> {
    let digits = [2, 3, 4, 4, 4, 5, 5, 6, 7, 9];
    let (least, most, step) = match reach {
        Reach::Digits | Reach::Actions => (0, digits[rng.random_range(0..digits.len())], 1),
        Reach::Numbers => {
            [(-9, 9, 1), (-5, 5, 1), (0, 20, 1), (0, 99, 1), (-20, 20, 1), (0, 90, 10), (0, 50, 5), (-99, 99, 1)]
                [rng.random_range(0..8_usize)]
        }
    };
    let mut cell = || f64::from(step * rng.random_range(least / step..=most / step));
    let mut table = vec![vec![[0.0; 2]; columns]; rows];
    for pair in table.iter_mut().flatten() {
        *pair = [cell(), cell()];
    }
    if rows == columns && rng.random_bool(0.5) {
        // A symmetric game: my payoff from (a, b) is yours from (b, a).
        let drawn = table.clone();
        for (r, row) in table.iter_mut().enumerate() {
            for (c, cell) in row.iter_mut().enumerate() {
                let [own, other] = drawn[r.max(c)][r.min(c)];
                *cell = match r.cmp(&c) {
                    Ordering::Greater => [own, other],
                    Ordering::Equal => [own, own],
                    Ordering::Less => [other, own],
                };
            }
        }
    }
    table
}

/// The split that a game belongs to.
///
/// The five games of the protocol belong to the test split, with every game of their order.
#[must_use]
pub fn split_of(game: &MatrixGame) -> Split {
    let order = order(game);
    let hash = blake3::hash(&order);
    let reserved = || CatalogGame::protocol().any(|known| self::order(&known.game()) == order);
    if hash.as_bytes()[0] < 64 || reserved() { Split::Test } else { Split::Train }
}

/// Ranks of a game's payoffs, the least of all spellings of the game.
///
/// Spellings differ in the order of the actions and in who is the row player.
fn order(game: &MatrixGame) -> Vec<u8> {
    let seats = [game.clone(), game.transposed()];
    let spellings = seats.iter().flat_map(|game| {
        let [rows, columns] = [Player::Row, Player::Column].map(|player| game.count(player));
        let ranks = [0, 1].map(|player| {
            let all: Vec<f64> = game.payoffs().map(|cell| cell[player]).collect();
            let rank = |p: &f64| {
                let mut below: Vec<f64> = all.iter().copied().filter(|other| other < p).collect();
                below.sort_by(f64::total_cmp);
                below.dedup();
                below.len() as u8
            };
            all.iter().map(rank).collect::<Vec<u8>>()
        });
        let columns_of = permutations(columns);
        permutations(rows).into_iter().flat_map(move |r| {
            let ranks = ranks.clone();
            columns_of.clone().into_iter().map(move |c| {
                let cells = r.iter().flat_map(|&r| c.iter().map(move |&c| r * columns + c));
                let ranked = cells.flat_map(|cell| [ranks[0][cell], ranks[1][cell]]);
                [rows as u8, columns as u8].into_iter().chain(ranked).collect::<Vec<u8>>()
            })
        })
    });
    spellings.min().expect("a game has a spelling")
}

/// All orders of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for i in 0..n {
        all = all
            .into_iter()
            .flat_map(|order| {
                (0..=i).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, i);
                    longer
                })
            })
            .collect();
    }
    all
}

/// Sixty games that no training draws: the measure of how far a policy travels.
///
/// All payoffs are from 0 to 9. In 12 games of two actions each player ranks the outcomes strictly, in 32 not; 16 have
/// up to four actions. No two games are of one order. `docs/reference/held-out.json` lists them.
#[must_use]
pub fn held_out() -> Vec<MatrixGame> {
    let mut rng = ChaCha8Rng::seed_from_u64(60);
    let protocol: Vec<Vec<u8>> = CatalogGame::protocol().map(|known| order(&known.game())).collect();
    let mut taken = protocol;
    let mut games = Vec::new();
    for (name, reach, strict, most) in [
        ("ordinal", Reach::Digits, true, 12),
        ("table", Reach::Digits, false, 32),
        ("larger", Reach::Actions, false, 16),
    ] {
        let mut n = 0;
        let mut tries = 0;
        while n < most {
            tries += 1;
            assert!(tries < 100_000, "{n} of {most} games {name}: no more orders are held out");
            let game = random_game(&mut rng, Split::Test, reach);
            let order = order(&game);
            let ordinal = [0, 1].into_iter().all(|player| {
                let mut payoffs: Vec<f64> = game.payoffs().map(|cell| cell[player]).collect();
                payoffs.sort_by(f64::total_cmp);
                payoffs.windows(2).all(|pair| pair[0] < pair[1])
            });
            if taken.contains(&order) || ordinal != strict {
                continue;
            }
            taken.push(order);
            n += 1;
            games.push(game.named(format!("{name}-{n}")));
        }
    }
    games
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_game_is_that_of_all_its_spellings() {
        let game = CatalogGame::find("bos").unwrap().game();
        let doubled = |f: f64| 2.0 * f + 1.0;
        let table = game.payoffs().map(|cell| cell.map(doubled)).collect::<Vec<_>>();
        // The rows in reverse, and another scale.
        let table = vec![table[2..].to_vec(), table[..2].to_vec()];
        let labels = || vec!["x".to_owned(), "y".to_owned()];
        let other = MatrixGame::new("other", [labels(), labels()], table, [0, 0]).unwrap();
        assert_eq!(order(&game), order(&other));
        assert_eq!(order(&game), order(&other.transposed()));
        assert_ne!(order(&game), order(&CatalogGame::find("ipd").unwrap().game()));
    }

    #[test]
    fn a_quarter_of_the_78_ordinal_games_is_for_testing() {
        let mut seen = std::collections::BTreeMap::new();
        let ranks: Vec<Vec<usize>> = permutations(4);
        for own in &ranks {
            for other in &ranks {
                let cell = |i: usize| [own[i] as f64 + 1.0, other[i] as f64 + 1.0];
                let labels = || vec!["x".to_owned(), "y".to_owned()];
                let table = vec![vec![cell(0), cell(1)], vec![cell(2), cell(3)]];
                let game = MatrixGame::new("ordinal", [labels(), labels()], table, [0, 0]).unwrap();
                seen.insert(order(&game), split_of(&game));
            }
        }
        // Rapoport and Guyer 1966: 78 games of two actions in which each player ranks the four outcomes strictly.
        assert_eq!(seen.len(), 78);
        let tested = seen.values().filter(|split| **split == Split::Test).count();
        // Three of them are games of the protocol.
        assert_eq!(tested, 18);
    }
}
