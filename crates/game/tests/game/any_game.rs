//! A game of any size and payoffs, for properties; the tests of the library draw it, too.

use probity_game::MatrixGame;
use proptest::prelude::*;

pub fn labels(n: usize, stem: char) -> Vec<String> {
    (0..n).map(|i| format!("{stem}{}", char::from(b'a' + i as u8))).collect()
}

/// Any game of 2 to 5 actions a player.
pub fn games() -> impl Strategy<Value = MatrixGame> {
    (2..=5_usize, 2..=5_usize).prop_flat_map(|(rows, columns)| {
        let cell = prop_oneof![-1000.0..1000.0_f64, (-9..=9_i32).prop_map(f64::from)];
        let table = prop::collection::vec(prop::collection::vec([cell.clone(), cell], columns), rows);
        (table, 0..rows, 0..columns).prop_map(move |(table, own, other)| {
            MatrixGame::new("any", [labels(rows, 'x'), labels(columns, 'y')], table, [own, other]).expect("valid")
        })
    })
}
