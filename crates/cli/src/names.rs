//! Names for help texts, from the tables of the library.

use probity_game::moral::Framework;
use probity_game::{CATALOG, Strategy};

use crate::errors::Usage;
use crate::model::CATALOGUE;
use crate::{builtin, train};

/// The games of the catalogue.
pub fn games() -> String {
    CATALOG.iter().map(|game| game.name).collect::<Vec<_>>().join(", ")
}

/// The moral frameworks.
pub fn frameworks() -> String {
    Framework::names().join(", ")
}

/// The scripted players.
pub fn strategies() -> String {
    Strategy::names().join(", ")
}

/// The built-in adapters.
pub fn adapters() -> String {
    builtin::ADAPTERS.map(|(name, _)| name).join(", ")
}

/// The models that can be fetched.
pub fn models() -> String {
    CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

/// The configs that come with the program.
pub fn recipes() -> String {
    train::RECIPES.map(|(name, _)| name).join(", ")
}

/// Splits `NAME:NUMBER`, as in `deontological:0.5`.
///
/// `None` if no number follows the last colon; the colon then belongs to the name, such as a file's.
pub fn with_number<N: std::str::FromStr>(given: &str) -> Option<(&str, N)> {
    let (name, number) = given.rsplit_once(':')?;
    Some((name, number.parse().ok()?))
}

/// An adapter with its scale or weight: `NAME[:NUMBER]`, 1 without a number.
pub fn scaled(given: &str) -> (&str, f32) {
    with_number(given).unwrap_or((given, 1.0))
}

/// As [`with_number`], where the number is needed.
pub fn with_needed_number<'a, N: std::str::FromStr>(
    flag: &str,
    given: &'a str,
    expected: &str,
) -> Result<(&'a str, N), Usage> {
    with_number(given).ok_or_else(|| Usage(format!("--{flag} {given:?}, expected {expected}")))
}
