//! A rival: a Python script in its own process, driven by lines of JSON.

use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// glibc settings that keep freed memory; our side keeps it, too.
const TUNED: [(&str, &str); 3] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "100000000000"), ("MALLOC_TOP_PAD_", "268435456")];

/// A script that runs; it ends with this.
pub struct Rival {
    script: &'static str,
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Rival {
    /// Starts `benches/SCRIPT` under `PYTHON`, with a job in JSON.
    pub fn start(script: &'static str, job: &Value) -> Result<Self, Box<dyn Error>> {
        let python = std::env::var_os("PYTHON").ok_or_else(|| {
            format!(
                "{script} wants PYTHON to name an interpreter with what it imports; the Makefile's targets make one"
            )
        })?;
        let path = crate::root().join("benches").join(script);
        let mut child =
            Command::new(python).arg(path).envs(TUNED).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = BufWriter::new(child.stdin.take().ok_or("no standard input")?);
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        writeln!(input, "{job}")?;
        Ok(Self { script, child, input, output })
    }

    /// Its answer to a command, a line of JSON.
    pub fn ask(&mut self, command: &str) -> Result<Value, Box<dyn Error>> {
        writeln!(self.input, "{command}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line)
            .map_err(|_| format!("{} gave no answer to {command:?}: {line:?}", self.script).into())
    }

    /// The seconds that it says a command took.
    pub fn time(&mut self, command: &str) -> Result<f64, Box<dyn Error>> {
        Ok(self.ask(command)?["seconds"].as_f64().ok_or("an answer without a time")?)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // Killing fails only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
