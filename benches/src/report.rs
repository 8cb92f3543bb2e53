//! A benchmark's figures, printed, and written on request.
//!
//! The page is `docs/benchmarks.md`.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Set to anything, makes every benchmark write its table.
const UPDATE: &str = "PROBITY_UPDATE_BENCHMARKS";

/// The figures of one benchmark.
pub struct Report {
    name: &'static str,
    conditions: String,
    rows: Vec<(String, String)>,
}

impl Report {
    /// Starts the table `name`; `conditions` is a sentence on what is measured.
    pub fn new(name: &'static str, conditions: impl Into<String>) -> Self {
        let conditions = conditions.into();
        println!("{conditions}");
        Self { name, conditions, rows: Vec::new() }
    }

    /// Adds a figure with its unit.
    pub fn row(&mut self, figure: impl Into<String>, value: impl Into<String>) {
        let (figure, value) = (figure.into(), value.into());
        println!("  {figure:52} {value}");
        self.rows.push((figure, value));
    }

    /// Writes the table between its marks in `docs/benchmarks.md`.
    ///
    /// It names machine and date. Without `PROBITY_UPDATE_BENCHMARKS` nothing is written.
    pub fn publish(self) -> io::Result<()> {
        if std::env::var_os(UPDATE).is_none() {
            return Ok(());
        }
        let path = crate::root().join("docs/benchmarks.md");
        fs::write(&path, self.within(&fs::read_to_string(&path)?)?)
    }

    /// Copies a picture from `target/bench` into `docs`.
    ///
    /// Without `PROBITY_UPDATE_BENCHMARKS` nothing is copied.
    pub fn picture(&self, drawn: &Path) -> io::Result<()> {
        println!("  drawn: {}", drawn.display());
        if let (Some(_), Some(name)) = (std::env::var_os(UPDATE), drawn.file_name()) {
            fs::copy(drawn, crate::root().join("docs").join(name))?;
        }
        Ok(())
    }

    fn within(&self, page: &str) -> io::Result<String> {
        let [open, close] = [format!("<!-- {} -->\n", self.name), format!("<!-- /{} -->", self.name)];
        let (Some(start), Some(end)) = (page.find(&open), page.find(&close)) else {
            return Err(io::Error::other(format!("docs/benchmarks.md has no marks {open:?} and {close:?}")));
        };
        let mut table = format!("\n{}\n\n| figure | value |\n|---|---|\n", self.conditions);
        for (figure, value) in &self.rows {
            let _ = writeln!(table, "| {figure} | {value} |");
        }
        let _ = writeln!(table, "\n{}.\n", machine());
        Ok(format!("{}{table}{}", &page[..start + open.len()], &page[end..]))
    }
}

/// The processor, its threads, the system and the date.
fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok();
    let listed = cpuinfo.as_deref().and_then(|text| text.lines().find(|line| line.starts_with("model name")));
    let processor = listed
        .and_then(|line| line.split_once(": "))
        .map(|(_, name)| name.to_owned())
        .or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]))
        .unwrap_or_else(|| "unknown processor".into());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let widest = if cfg!(target_feature = "avx512f") { ", built with AVX-512" } else { "" };
    let date = said("date", &["+%F"]).unwrap_or_else(|| "unknown date".into());
    format!("{processor}, {threads} threads{widest}, {}, {date}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_old_ones_place() {
        let page = "before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n";
        let mut report = Report::new("speed", "Of light.");
        report.row("in vacuum", "1 c");
        let page = report.within(page).unwrap();
        assert!(
            page.starts_with("before\n<!-- speed -->\n\nOf light.\n") && page.ends_with("\n<!-- /speed -->\nafter\n")
        );
        assert!(page.contains("| in vacuum | 1 c |") && !page.contains("old"));
        assert_eq!(report.within(&page).unwrap(), page);
        assert!(report.within("no marks").is_err());
    }
}
