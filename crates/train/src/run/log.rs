//! The log of a run: a line of JSON a step.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use probity_engine::Error as EngineError;
use probity_engine::files::write_whole;
use serde_json::Value;

use crate::Result;

/// Puts the resolved config into a run folder and opens its log behind step `done`.
///
/// Lines of later steps are cut off: those steps were lost with the run that took them, and will be taken again.
/// Returns the log and the lines it holds.
///
/// # Errors
/// [`EngineError::Io`].
pub fn open_log(folder: &Path, config: &str, done: u64) -> Result<(File, Vec<Value>)> {
    let (path, log) = (folder.join("config.toml"), folder.join("steps.jsonl"));
    write_whole(&path, |out| out.write_all(config.as_bytes()))?;
    let text = match std::fs::read_to_string(&log) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(EngineError::io(&log))?,
    };
    let mut lines = Vec::new();
    let kept = |line: &&str| {
        let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
        let keep = value["step"].as_u64().is_some_and(|step| step <= done);
        lines.extend(keep.then_some(value));
        keep
    };
    let text: String = text.lines().filter(kept).map(|line| format!("{line}\n")).collect();
    write_whole(&log, |out| out.write_all(text.as_bytes()))?;
    let file = File::options().append(true).open(&log).map_err(EngineError::io(&log))?;
    Ok((file, lines))
}
