//! Games on paper: no model needed.

use std::ffi::c_char;

use probity_game::moral::{Framework, account};
use probity_game::{CatalogGame, MAX_ACTIONS, MatrixGame, Profile, fair_coin};

use super::boundary::{Failure, Outcome, call, call_for, slice};
use super::handle::object;
use super::status::{probity_error_t, probity_status_t};
use super::strings::{json, text};
use crate::Status;

/// A game. May be used by many threads at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_game_t {
    /// Opaque.
    pub id: u64,
}

object!(MatrixGame, probity_game_t, "game");

/// A round: what the agent did and what the other player did, by action id.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_round_t {
    /// The agent's own action.
    pub own: u32,
    /// The other player's action.
    pub other: u32,
}

impl From<probity_round_t> for Profile {
    fn from(r: probity_round_t) -> Self {
        Self { own: r.own as usize, other: r.other as usize }
    }
}

impl From<Profile> for probity_round_t {
    fn from(p: Profile) -> Self {
        Self { own: p.own as u32, other: p.other as u32 }
    }
}

/// Makes a game. Action 0 of each player counts as cooperation.
///
/// - `name`: read during the call; not NULL.
/// - `rows`, `columns`: how many actions the two players have, 2 to 128 each.
/// - `payoffs`: `rows * columns` pairs, row by row, the row player's points before the column player's; read during the
///   call; not NULL.
/// - `row_labels`, `column_labels`: `rows` and `columns` strings; read during the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_new(
    name: *const c_char,
    rows: usize,
    columns: usize,
    payoffs: *const f64,
    row_labels: *const *const c_char,
    column_labels: *const *const c_char,
    game: *mut probity_game_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        if rows > MAX_ACTIONS || columns > MAX_ACTIONS {
            let message = format!("{rows} x {columns} actions, expected at most {MAX_ACTIONS} each");
            return Err(Failure::new(Status::GAME_ACTIONS, message));
        }
        // SAFETY: the contract; the counts are small, so the product does not overflow.
        let (name, payoffs) = unsafe { (text(name, "name")?, slice(payoffs, rows * columns * 2, "payoffs")?) };
        let cell = |row: usize, column: usize| {
            let at = 2 * (row * columns + column);
            [payoffs[at], payoffs[at + 1]]
        };
        let table = (0..rows).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect();
        let labels = |pointers, count, name| -> Outcome<Vec<String>> {
            // SAFETY: the contract.
            let pointers = unsafe { slice(pointers, count, name)? };
            // SAFETY: the contract.
            pointers.iter().map(|&label| Ok(unsafe { text(label, name)? }.to_owned())).collect()
        };
        let actions = [labels(row_labels, rows, "row_labels")?, labels(column_labels, columns, "column_labels")?];
        Ok(MatrixGame::new(name, actions, table, [0, 0])?)
    };
    // SAFETY: the contract.
    unsafe { call_for(game, "game", error, body) }
}

/// Takes a game from the catalogue.
///
/// - `name`: the name of a catalogue game, such as "ipd"; an unknown one is refused with the list of names. Read during
///   the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_named(
    name: *const c_char,
    game: *mut probity_game_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(game, "game", error, || Ok(CatalogGame::find(text(name, "name")?)?.game())) }
}

/// Reads a game from its JSON form (`docs/schema/game.json`).
///
/// - `json`: read during the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_parse(
    json: *const c_char,
    game: *mut probity_game_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(game, "game", error, || Ok(MatrixGame::from_json(text(json, "json")?)?)) }
}

/// Writes a game in its JSON form.
///
/// - `game`: a live game; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_json(
    game: probity_game_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, || Ok(game.get()?.to_json())) }
}

/// Computes the moral account of every action of the row player, as JSON.
///
/// It holds expected points, and reward and regret under every framework.
///
/// - `game`: a live game; from any thread.
/// - `last`: the last round, read during the call; NULL before the first round.
/// - `belief`: `count` probabilities of the other player's actions, read during the call; NULL, with a count of 0, for
///   equal ones.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_account(
    game: probity_game_t,
    last: *const probity_round_t,
    belief: *const f64,
    count: usize,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        let game = game.get()?;
        // SAFETY: the contract.
        let state = unsafe { last.as_ref() }.map(|round| Profile::from(*round));
        if let Some(round) = state {
            game.check_profile(round)?;
        }
        if belief.is_null() && count != 0 {
            return Err(Failure::new(Status::OPTION, format!("count: {count} without a belief, expected 0")));
        }
        let belief = if belief.is_null() {
            fair_coin(&game)
        } else {
            // SAFETY: the contract.
            unsafe { slice(belief, count, "belief")? }.to_vec()
        };
        Ok(self::json(&account(&game, state, &belief, &Framework::all_rewards())?))
    };
    // SAFETY: the contract.
    unsafe { call_for(json, "json", error, body) }
}

/// Lets a game go.
///
/// - `game`: a live game; freed once, from any thread. Calls that are using it finish first.
/// - `error`: filled on failure; NULL to do without.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_free(game: probity_game_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the contract.
    unsafe { call(error, || game.remove()) }
}
