//! The log of a run: a line of JSON a step.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::files::write_whole;
use serde::Deserialize;

use crate::Result;

/// The part that every line has.
#[derive(Deserialize)]
struct Numbered {
    step: u64,
}

/// Puts the resolved config into a run folder and opens its log behind step `done`.
///
/// Lines of later steps are cut off: an interrupted run lost those steps and takes them again.
/// Returns the log and the lines left in it.
///
/// # Errors
/// [`EngineError::Io`].
pub fn open_log(folder: &Path, config: &str, done: u64) -> Result<(File, Vec<String>)> {
    let (path, log) = (folder.join("config.toml"), folder.join("steps.jsonl"));
    write_whole(&path, |out| out.write_all(config.as_bytes()))?;
    let text = match std::fs::read_to_string(&log) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(EngineError::io(&log))?,
    };
    let kept = |line: &&str| serde_json::from_str::<Numbered>(line).is_ok_and(|line| line.step <= done);
    let lines: Vec<String> = text.lines().filter(kept).map(str::to_owned).collect();
    write_whole(&log, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))?;
    let file = File::options().append(true).open(&log).map_err(EngineError::io(&log))?;
    Ok((file, lines))
}
