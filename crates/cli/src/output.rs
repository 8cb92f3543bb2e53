//! Printing that the subcommands share.

use std::io::{IsTerminal, Write};

use probity_game::Reading;
use probity_train::curriculum::Precision;
use serde::Serialize;

/// Reads the element type of an adapter.
pub fn precision(given: &str) -> Result<Precision, String> {
    match given {
        "f32" => Ok(Precision::F32),
        "f16" => Ok(Precision::F16),
        "q8_0" => Ok(Precision::Q8_0),
        _ => Err("expected f32, f16 or q8_0".into()),
    }
}

/// A word as a shell takes it for one.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:+@%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Prints a line; with a closed pipe (`| head`) the work goes on in silence.
pub fn line(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("probity: standard output: {e}");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// A number with its sign and three digits; 0 has a plus.
pub fn signed(value: f64) -> String {
    format!("{:+.3}", rounded(value))
}

/// A number rounded to three digits, without a negative zero.
pub fn rounded(value: f64) -> f64 {
    // Adding 0 turns -0 into 0.
    (1e3 * value).round() / 1e3 + 0.0
}

/// `println!` by way of [`line`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints a value as one JSON document.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(format_args!("{}", serde_json::to_string_pretty(value)?));
    Ok(())
}

/// Prints a value as one line of JSON, at once.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line(format_args!("{}", serde_json::to_string(value)?));
    Ok(())
}

/// A table without borders that would not survive a narrow terminal.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table
}

/// A table for the terminal and for a page.
///
/// Its cells are Markdown: a stroke is written as `\\|`.
#[derive(Debug, Default)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn with_header(header: &[&str]) -> Self {
        Self { header: header.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|---|{}\n", "--:|".repeat(self.header.len().saturating_sub(1)));
        line(&self.header) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |cells: &[String]| cells.iter().map(|cell| cell.replace("\\|", "|")).collect::<Vec<_>>();
        let header = plain(&self.header);
        let mut shown = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &self.rows {
            shown.add_row(plain(row));
        }
        shown.fmt(f)
    }
}

/// The kinds of games that an adapter reads, in a line.
pub fn reads(kinds: &[Reading]) -> String {
    let kinds = kinds.iter().map(Reading::to_string).collect::<Vec<_>>().join(", ");
    format!("decisions are relied on in games of {}", if kinds.is_empty() { "no kind".into() } else { kinds })
}

/// A progress bar on standard error, hidden where nobody looks.
pub fn bar(length: u64, what: &str) -> indicatif::ProgressBar {
    progress(length, what, "{msg:>24} {wide_bar} {pos}/{len} {eta}")
}

/// A line about a stage of long work, where no bar shows it.
pub fn stage(bar: &indicatif::ProgressBar, what: std::fmt::Arguments<'_>) {
    if bar.is_hidden() {
        eprintln!("{what}");
    }
}

/// A progress bar of bytes.
pub fn download(bytes: u64, what: &str) -> indicatif::ProgressBar {
    progress(bytes, what, "{msg:>24} {wide_bar} {bytes}/{total_bytes} {eta}")
}

fn progress(length: u64, what: &str, style: &str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(length).with_message(what.to_owned());
    bar.set_style(
        indicatif::ProgressStyle::with_template(style).unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()),
    );
    bar
}
