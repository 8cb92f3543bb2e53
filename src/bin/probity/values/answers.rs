//! Answers as they come: from a file, or from the keyboard, where each is a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::PathBuf;

use anyhow::Context;
use probity::elicit::MAX_ANSWER;

use crate::output::Usage;

/// Answers that are yet to be given.
pub struct Answers {
    lines: Box<dyn BufRead>,
    /// What was read already, to be given again.
    ahead: VecDeque<String>,
}

impl Answers {
    /// Those of a file, or of the keyboard.
    pub fn open(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let lines: Box<dyn BufRead> = match path {
            Some(path) => Box::new(BufReader::new(File::open(path).with_context(|| path.display().to_string())?)),
            None => Box::new(BufReader::new(stdin())),
        };
        Ok(Self { lines, ahead: VecDeque::new() })
    }

    /// Passes over what was answered already, where that is what comes first: the same file again is the same interview, and the
    /// beginning of it says nothing new.
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
            (&mut self.lines).take(most).read_until(b'\n', &mut line).context("the answer")?;
            if line.is_empty() {
                return Ok(None);
            }
            let text = String::from_utf8(line).map_err(|_| Usage("the answer is no UTF-8 text".into()))?;
            if text.trim_end().len() > MAX_ANSWER {
                return Err(Usage(format!("the answer is longer than {MAX_ANSWER} bytes; say it shorter")).into());
            }
            if !text.trim().is_empty() {
                return Ok(Some(text.trim().to_owned()));
            }
        }
    }
}
