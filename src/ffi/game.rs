//! Games on paper: no model needed.
#![allow(non_camel_case_types, reason = "these are the names C sees")]

use std::ffi::c_char;

use super::boundary::{Failure, boundary, require, slice};
use super::handle::Objects;
use super::status::{PROBITY_STATUS_OPTION, probity_error_t, probity_status_t};
use super::strings::{give, text};
use crate::Error;
use crate::game::{MAX_ACTIONS, MatrixGame, Named, Profile, fair_coin};
use crate::moral::{Framework, account};

pub(super) static GAMES: Objects<MatrixGame> = Objects::new("game");

/// A game. Shareable between threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct probity_game_t {
    /// Opaque.
    pub id: u64,
}

/// The last round: what the agent did and what the other player did, by action id.
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

/// Makes a game. `payoffs` holds `rows * columns` pairs, row by row, the row player's points before the column
/// player's; action 0 of each player counts as cooperation. Labels are UTF-8. Free it with `probity_game_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with the stated numbers of values.
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
        require(game, "game")?;
        if rows > MAX_ACTIONS || columns > MAX_ACTIONS {
            let message = format!("{rows} x {columns} actions, expected at most {MAX_ACTIONS} each");
            return Err(Failure::new(super::status::PROBITY_STATUS_GAME_ACTIONS, message));
        }
        // SAFETY: the caller's promises; the counts are small, so the product does not overflow.
        let (name, payoffs) = unsafe { (text(name, "name")?, slice(payoffs, rows * columns * 2, "payoffs")?) };
        let table = (0..rows)
            .map(|r| {
                (0..columns).map(|c| [payoffs[2 * (r * columns + c)], payoffs[2 * (r * columns + c) + 1]]).collect()
            })
            .collect();
        let labels = |pointer, count, what| -> Result<Vec<String>, Failure> {
            // SAFETY: the caller's promises.
            let pointers = unsafe { slice(pointer, count, what)? };
            // SAFETY: the caller's promises.
            pointers.iter().map(|&p| Ok(unsafe { text(p, what)? }.to_owned())).collect()
        };
        let actions = [labels(row_labels, rows, "row_labels")?, labels(column_labels, columns, "column_labels")?];
        let made = MatrixGame::new(name, actions, table, [0, 0]).map_err(Error::from)?;
        let id = GAMES.insert(made)?;
        // SAFETY: not NULL, checked above.
        unsafe { game.write(probity_game_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Takes a game from the catalogue: ipd, ish, icn, bos, icd or volunteer.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_named(
    name: *const c_char,
    game: *mut probity_game_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(game, "game")?;
        // SAFETY: the caller's promise about the string.
        let name = unsafe { text(name, "name")? };
        let id = GAMES.insert(Named::find(name).map_err(Error::from)?.game())?;
        // SAFETY: not NULL, checked above.
        unsafe { game.write(probity_game_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Reads a game from its JSON form (`docs/schema/game.json`).
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_parse(
    json: *const c_char,
    game: *mut probity_game_t,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(game, "game")?;
        // SAFETY: the caller's promise about the string.
        let json = unsafe { text(json, "json")? };
        let id = GAMES.insert(MatrixGame::from_json(json).map_err(Error::from)?)?;
        // SAFETY: not NULL, checked above.
        unsafe { game.write(probity_game_t { id }) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// The game's JSON form. Free the string with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_json(
    game: probity_game_t,
    json: *mut *mut c_char,
    error: *mut probity_error_t,
) -> probity_status_t {
    let body = || {
        require(json, "json")?;
        let game = GAMES.get(game.id)?;
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(game.to_json())) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// The moral account of every action of the row player, as JSON: expected points, and every framework's reward and
/// regret. `last` is NULL before the first round; `belief` is NULL for a fair coin, or `count` probabilities of the
/// other player's actions. Free the string with `probity_string_free`.
///
/// # Safety
/// Pointers are NULL or valid as their types say, with the stated numbers of values.
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
        require(json, "json")?;
        let game = GAMES.get(game.id)?;
        // SAFETY: NULL or valid, by the caller's promise.
        let state = unsafe { last.as_ref() }.map(|r| Profile::from(*r));
        if let Some(p) = state {
            game.check_profile(p).map_err(Error::from)?;
        }
        if belief.is_null() && count != 0 {
            return Err(Failure::new(PROBITY_STATUS_OPTION, format!("count: {count} without a belief, expected 0")));
        }
        let belief = if belief.is_null() {
            fair_coin(&game)
        } else {
            // SAFETY: the caller's promise.
            unsafe { slice(belief, count, "belief")? }.to_vec()
        };
        let accounts = account(&game, state, &belief, &Framework::all_rewards()).map_err(Error::from)?;
        let text = serde_json::to_string(&accounts).expect("accounts are plain data");
        // SAFETY: not NULL, checked above.
        unsafe { json.write(give(text)) };
        Ok(())
    };
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, body) }
}

/// Lets a game go.
///
/// # Safety
/// `error` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probity_game_free(game: probity_game_t, error: *mut probity_error_t) -> probity_status_t {
    // SAFETY: the caller's promise about `error`.
    unsafe { boundary(error, || GAMES.remove(game.id).map(drop)) }
}
