//! The log of a run: a line of JSON a step.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use probity_engine::Error as EngineError;
use probity_engine::files::write_whole;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The part that every line has.
#[derive(Deserialize)]
struct Numbered {
    step: u64,
}

/// The log of a run, whose folder belongs to this process while it is open.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    /// Held until the log is dropped.
    _lock: File,
}

impl Log {
    /// Puts the resolved config into a run folder and opens its log behind step `done`.
    ///
    /// Lines of later steps are cut off: an interrupted run lost those steps and takes them again.
    /// Returns the log and the lines left in it.
    ///
    /// # Errors
    /// [`EngineError::Io`]; [`Error::Training`] for a folder that another process works in.
    pub fn open(folder: &Path, config: &str, done: u64) -> Result<(Self, Vec<String>)> {
        let lock = Self::lock(folder)?;
        let (written, path) = (folder.join("config.toml"), folder.join("steps.jsonl"));
        write_whole(&written, |out| out.write_all(config.as_bytes()))?;
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(EngineError::io(&path))?,
        };
        let kept = |line: &&str| serde_json::from_str::<Numbered>(line).is_ok_and(|line| line.step <= done);
        let lines: Vec<String> = text.lines().filter(kept).map(str::to_owned).collect();
        write_whole(&path, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))?;
        let file = File::options().append(true).open(&path).map_err(EngineError::io(&path))?;
        Ok((Self { file, path, _lock: lock }, lines))
    }

    /// Takes the folder for this process.
    fn lock(folder: &Path) -> Result<File> {
        let path = folder.join("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(EngineError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let problem = format!("{}: another process works in this run folder", folder.display());
                Err(Error::Training { problem })
            }
            // Some file systems know no locks; a run on them has the folder for itself, as far as anybody can tell.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => Ok(file),
            Err(TryLockError::Error(e)) => Err(EngineError::io(&path)(e).into()),
        }
    }

    /// Writes a value as a line.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line).expect("plain data becomes JSON");
        Ok(writeln!(self.file, "{text}").map_err(EngineError::io(&self.path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_folder_is_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = Log::open(folder.path(), "", 0).unwrap();
        let refused = Log::open(folder.path(), "", 0).unwrap_err();
        assert!(refused.to_string().contains("another process works in this run folder"), "{refused}");
        drop(first);
        assert!(Log::open(folder.path(), "", 0).is_ok());
    }
}
