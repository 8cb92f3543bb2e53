//! Where adapters come from: their files, their runs, and what their model reads.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use probity::agent::manifest::Manifest;
use probity_engine::Model;
use probity_game::{Reach, Reading, Wording};
use probity_train::corpus::Kind;
use serde::Deserialize;

use super::Subject;
use crate::builtin;
use crate::errors::Usage;
use crate::eval::policy::trained_on;
use crate::output::Table;

/// What the adapters are, from their files.
pub(super) fn about(subjects: &[Subject]) -> anyhow::Result<String> {
    let mut table =
        Table::with_header(&["policy", "rewards", "steps", "rank", "size", "games", "labels", "divergence from"]);
    for Subject { name, file, manifest, .. } in subjects {
        let (Some(file), Some(manifest)) = (file, manifest) else { continue };
        let megabytes = std::fs::metadata(file)?.len() as f64 / 1e6;
        table.rows.push(vec![
            (*name).to_owned(),
            Some(trained_on(manifest)).filter(|rewards| !rewards.is_empty()).unwrap_or_else(|| "-".into()),
            manifest.steps.to_string(),
            manifest.rank.map_or_else(|| "-".into(), |rank| rank.to_string()),
            format!("{megabytes:.1} MB"),
            manifest.games.clone(),
            manifest.labels.clone(),
            match manifest {
                Manifest { rewards, .. } if rewards.is_empty() => "-",
                Manifest { from_start: true, .. } => "the adapter it started from",
                _ => "the bare model",
            }
            .to_owned(),
        ]);
    }
    Ok(table.markdown())
}

/// The part of a log's line that a page tells.
#[derive(Deserialize)]
struct Logged {
    #[serde(default)]
    phase: usize,
    /// Distance to the optimum (total variation); lessons have none.
    distance: Option<f64>,
    tokens: u64,
    seconds: f64,
}

/// How the training went, by the runs that lie beside the adapters.
pub(super) fn training(subjects: &[Subject]) -> anyhow::Result<String> {
    /// Steps that a figure is the mean of: each step has its own games.
    const STEPS: usize = 10;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for Subject { name, file, .. } in subjects {
        let Some(file) = file else { continue };
        let logs = ["run", ""].map(|extension| file.with_extension(extension).join("steps.jsonl"));
        let Some(log) = logs.into_iter().find(|log| log.exists()) else { continue };
        let text = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        // Lines of measurements have other fields.
        let steps: Vec<Logged> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut before = 0;
        for phase in steps.chunk_by(|a, b| a.phase == b.phase) {
            let minutes = phase.iter().map(|step| step.seconds).sum::<f64>() / 60.0;
            let tokens = phase.last().map_or(before, |step| step.tokens);
            let thousands = ((tokens - before) as f64 / 1e3).round();
            let mut row = vec![(*name).to_owned(), (phase[0].phase + 1).to_string()];
            row.extend([format!("{minutes:.0}"), format!("{thousands}")]);
            row.extend(phase.chunks(STEPS).map_while(|steps| {
                let distances = steps.iter().filter_map(|step| step.distance).collect::<Vec<_>>();
                let mean = distances.iter().sum::<f64>() / distances.len() as f64;
                (!distances.is_empty()).then(|| format!("{mean:.2}"))
            }));
            rows.push(row);
            before = tokens;
        }
    }
    let Some(columns) = rows.iter().map(Vec::len).max() else { return Ok(String::new()) };
    let mut table = Table::with_header(&["policy", "phase", "minutes", "thousand tokens"]);
    let first = table.header.len();
    table.header.extend((0..columns - first).map(|i| format!("to {}", STEPS * (i + 1))));
    rows.iter_mut().for_each(|row| row.resize(columns, "-".into()));
    table.rows = rows;
    Ok(format!(
        "\n## How the training went\n\nThe distance from the reward's optimum (total variation), a mean over ten steps of a phase. \
         Steps draw games of their own, so figures vary. Minutes are those of the steps.\n\n{}",
        table.markdown()
    ))
}

/// In which games a decision under each adapter can be relied on.
pub(super) fn reliance(subjects: &[Subject]) -> String {
    let mut table = Table::with_header(&["policy"]);
    table.header.extend(Wording::ALL.map(|wording| wording.words().to_owned()));
    for Subject { name, manifest, .. } in subjects {
        let Some(reads) = manifest.as_ref().and_then(|manifest| manifest.reading.as_ref()) else { continue };
        let under = |wording| {
            let of = reads.iter().filter(|kind| kind.wording == wording);
            let of = of.map(|kind| kind.reach.to_string()).collect::<Vec<_>>().join(", ");
            if of.is_empty() { "none".to_owned() } else { of }
        };
        table.rows.push(std::iter::once((*name).to_owned()).chain(Wording::ALL.map(under)).collect());
    }
    if table.rows.is_empty() {
        return String::new();
    }
    let kinds = Reach::ALL.map(|reach| format!("*{reach}*: {}", reach.words())).join("; ");
    format!(
        "\n## Games whose decisions are relied on\n\nThe exam after literacy answers what the rewards ask there, in at \
         least 90% of the questions. A decision in another game is flagged as not reliable. {kinds}.\n\n{}",
        table.markdown()
    )
}

/// What the adapter that the others start from was seen to read.
pub(super) fn reading(model: &Model, file: &Path) -> anyhow::Result<String> {
    let adapter = builtin::load_adapter(model, &file.display().to_string())?;
    let Some(manifest) = Manifest::of(adapter.gguf())?.filter(|manifest| !manifest.accuracy.is_empty()) else {
        return Err(
            Usage(format!("{}: no exam is recorded, expected an adapter of probity literacy", file.display())).into()
        );
    };
    let asked = |reach| Reading { reach, wording: Wording::Ascii };
    let columns: Vec<_> = Reach::ALL.into_iter().filter_map(|r| Some((r, manifest.accuracy.get(&asked(r))?))).collect();
    let mut table = Table::with_header(&["question"]);
    table.header.extend(columns.iter().map(|(reach, _)| reach.words().to_owned()));
    for kind in Kind::ALL {
        let cell = |found: &BTreeMap<String, f64>| {
            found.get(&kind.to_string()).map_or_else(|| "-".into(), |share| format!("{:.0}%", 100.0 * share))
        };
        let cells = columns.iter().map(|(_, found)| cell(found));
        table.rows.push(std::iter::once(kind.words().to_owned()).chain(cells).collect());
    }
    Ok(format!(
        "\n## What the model reads\n\nAfter literacy ({} steps), before any moral training, on labels and games that no step \
         drew. Questions that came up less than 20 times are left out.\n\n{}",
        manifest.steps,
        table.markdown()
    ))
}
