//! Files that somebody wrote: read whole, and named in whatever is wrong with them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use probity_engine::Error as EngineError;
use probity_game::moral::{Framework, Reward};
use probity_game::{CatalogGame, MatrixGame};
use probity_train::curriculum::TrainConfig;
use serde::de::DeserializeOwned;

use crate::errors::Usage;

/// The largest input file, bytes.
///
/// A graph of all published studies is far smaller, and its parsed form fits into memory.
const MOST: u64 = 1 << 30;

/// Reads a file and what it says.
///
/// It skips a byte order mark, which some editors write before JSON.
pub fn read<T, E: Into<anyhow::Error>>(
    path: impl AsRef<Path>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> anyhow::Result<T> {
    let path = path.as_ref();
    let name = || path.display().to_string();
    let mut text = Vec::new();
    let size = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text)).with_context(name)?;
    if size as u64 > MOST {
        return Err(Usage(format!("{}: larger than {MOST} bytes, expected a smaller file", name())).into());
    }
    let text = String::from_utf8(text).map_err(|_| Usage(format!("{}: no UTF-8 text", name())))?;
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(Into::into).with_context(name)
}

/// Reads a document that is checked by its caller.
pub fn json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, EngineError> {
    serde_json::from_str(text).map_err(|e| {
        let problem = e.to_string();
        // An error of the library names the document itself.
        let problem =
            problem.strip_prefix(what).and_then(|rest| rest.strip_prefix(": ")).map_or(problem.clone(), Into::into);
        EngineError::Document { what, problem }
    })
}

/// Reads a TOML document that is checked by its caller.
pub fn toml<T: DeserializeOwned>(what: &'static str, path: &Path) -> anyhow::Result<T> {
    read(path, |text| {
        let problem = |e: toml::de::Error| e.to_string().replace('\n', " ");
        toml::from_str(text).map_err(|e| EngineError::Document { what, problem: problem(e) })
    })
}

/// A reward by its framework's name, or from a file of `values score`.
pub fn reward(name: &str) -> anyhow::Result<Reward> {
    if !name.ends_with(".json") {
        return Ok(Framework::find(name)?.into());
    }
    read(name, |text| {
        let reward: Reward = json("reward", text)?;
        reward.check()?;
        Ok::<_, probity::Error>(reward)
    })
}

/// A game by its name, or from a file.
pub fn game(name: &str) -> anyhow::Result<MatrixGame> {
    if !name.ends_with(".json") {
        return Ok(CatalogGame::find(name)?.game());
    }
    read(name, MatrixGame::from_json)
}

/// A training config from a file.
///
/// Game files that it names are read from its folder.
pub fn config(path: impl AsRef<Path>) -> anyhow::Result<TrainConfig> {
    let folder = path.as_ref().parent().unwrap_or(Path::new(""));
    read(path.as_ref(), |text| {
        let mut table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            // The config's own reader tells what is wrong.
            Err(_) => return Ok(TrainConfig::from_toml(text)?),
        };
        let games = table.get_mut("games").and_then(|games| games.get_mut("catalogue"));
        let mut found = false;
        for entry in games.and_then(toml::Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = entry.as_str().filter(|name| name.ends_with(".json")) {
                *entry = toml::Value::try_from(read(folder.join(name), MatrixGame::from_json)?)?;
                found = true;
            }
        }
        let resolved = if found { toml::to_string(&table)? } else { text.to_owned() };
        anyhow::Ok(TrainConfig::from_toml(&resolved)?)
    })
}

/// The labels of a 2x2 game.
pub fn two_labels(labels: &[String]) -> Result<[&str; 2], Usage> {
    match labels {
        [one, other] => Ok([one, other]),
        _ => Err(Usage(format!("--labels: {} given, expected two", labels.len()))),
    }
}

/// Refuses an output file in a missing folder, before long work.
pub fn writable(out: &Path) -> Result<(), Usage> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.is_none_or(Path::is_dir) && !out.is_dir() {
        true => Ok(()),
        false => Err(Usage(format!("--out {}: expected a file in an existing folder", out.display()))),
    }
}

/// Checks that a run's folder fits a run that starts or is resumed.
///
/// A resumed run needs a checkpoint there, a fresh run needs that there is none.
pub fn run_folder(folder: &Path, resume: bool) -> Result<(), Usage> {
    let found = folder.join("checkpoint.bin").exists();
    let folder = folder.display();
    match (found, resume) {
        (true, false) => {
            Err(Usage(format!("{folder} holds a checkpoint already; --resume continues it, another --run starts anew")))
        }
        (false, true) => Err(Usage(format!("{folder} holds no checkpoint; a run starts without --resume"))),
        _ => Ok(()),
    }
}
