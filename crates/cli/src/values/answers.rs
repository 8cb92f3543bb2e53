//! Answers from a file or from the keyboard, one a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::PathBuf;

use anyhow::Context;
use probity_elicit::MAX_ANSWER;

use crate::errors::Usage;

/// The byte order mark, which some editors write before a text.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Answers that are yet to be given.
pub struct Answers {
    /// What they come from.
    name: String,
    lines: Box<dyn BufRead>,
    /// What was read already, to be given again.
    ahead: VecDeque<String>,
}

impl Answers {
    /// Those of a file, or of the keyboard.
    pub fn open(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let name = path.map_or("the answer".into(), |path| path.display().to_string());
        let mut lines: Box<dyn BufRead> = match path {
            Some(path) => Box::new(BufReader::new(File::open(path).with_context(|| name.clone())?)),
            None => Box::new(BufReader::new(stdin())),
        };
        // A wrong file fails before the first question. The keyboard has no answer ready yet.
        if path.is_some() && lines.fill_buf().with_context(|| name.clone())?.starts_with(MARK) {
            lines.consume(MARK.len());
        }
        Ok(Self { name, lines, ahead: VecDeque::new() })
    }

    /// Skips answers that the store has already.
    ///
    /// So the same file continues an interrupted interview.
    pub fn skip(&mut self, known: &[&str]) -> anyhow::Result<()> {
        let mut read = VecDeque::new();
        for answer in known {
            let Some(line) = self.next()? else { break };
            let other = line != *answer;
            read.push_back(line);
            if other {
                self.ahead = read;
                break;
            }
        }
        Ok(())
    }

    /// The next that is not blank. No more is read of a line than an answer may have.
    pub fn next(&mut self) -> anyhow::Result<Option<String>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        loop {
            let mut line = Vec::new();
            let most = MAX_ANSWER as u64 + 2;
            (&mut self.lines).take(most).read_until(b'\n', &mut line).with_context(|| self.name.clone())?;
            if line.is_empty() {
                return Ok(None);
            }
            if line.trim_ascii_end().len() > MAX_ANSWER {
                let problem = format!("{}: longer than {MAX_ANSWER} bytes; say it shorter", self.name);
                return Err(Usage(problem).into());
            }
            let text = String::from_utf8(line).map_err(|_| Usage(format!("{}: no UTF-8 text", self.name)))?;
            if !text.trim().is_empty() {
                return Ok(Some(text.trim().to_owned()));
            }
        }
    }
}
