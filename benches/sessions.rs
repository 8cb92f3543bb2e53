//! A village of agents on one session, through C, beside llama-cpp-python.
//!
//! A thousand agents play twenty rounds of one game. llama-cpp-python does a decision's work for one agent after the
//! other: the whole prompt, and one label under a grammar. `PROBITY_LIB_DIR` names the library's folder, `PYTHON` an
//! interpreter that has llama-cpp-python; `make bench` makes both.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_benches::median;
use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_engine::score::Continuation;
use probity_engine::{Model, ModelOptions};
use probity_game::{CatalogGame, History, Player};
use serde_json::{Value, json};

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let root = probity_benches::root();
    let library =
        std::env::var_os("PROBITY_LIB_DIR").map_or_else(|| root.join("target/portable/release"), PathBuf::from);
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("sessions");
    let compiled = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, &root.join("benches/sessions.c")])
        .arg(format!("-I{}", root.join("include").display()))
        .args([format!("-L{}", library.display()), format!("-Wl,-rpath,{}", library.display()), "-lprobity".into()])
        .status()?;
    if !compiled.success() {
        return Err(format!("benches/sessions.c does not link {}: run `make lib`", library.display()).into());
    }

    let file = root.join("models/default.gguf");
    let model = Model::open(&file, ModelOptions::default(), |_| true)?;
    let game = CatalogGame::find("ipd")?.labelled(["share", "keep"])?;
    let states: Vec<_> = History::states(&game).collect();
    let asked = |state| encode(&model, &prompt(&game, Some(state), Style::default())).map(|prompt| prompt.tokens);
    let prompts = states.iter().map(|&state| asked(state)).collect::<Result<Vec<_>, _>>()?;
    let labels = options(&model, &game)?;
    let labels = game.labels(Player::Row).iter().zip(&labels);
    let tokens = |option: &Continuation| [option.tokens(), &option.last()[..1]].concat();
    let written: Vec<Value> = labels.map(|(text, option)| json!({ "text": text, "tokens": tokens(option) })).collect();
    let job = json!({ "model": file, "prompts": prompts, "options": written, "threads": 1 });
    let mut rival = Rival::start("rival.py", &job)?;

    let scenario = r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#;
    let names = ["made", "decision", "known", "bytes"];
    let mut ours: [Vec<f64>; 4] = Default::default();
    let mut theirs = Vec::new();
    for round in 0..ROUNDS {
        let output = Command::new(&program).arg(&file).arg(scenario).output()?;
        let figures: Value = serde_json::from_slice(&output.stdout)?;
        for (name, times) in names.iter().zip(&mut ours) {
            times.push(figures[name].as_f64().ok_or("a figure")?);
        }
        for prompt in 0..prompts.len() {
            let command = json!({ "command": "generate cold", "prompt": (prompt + round) % prompts.len() });
            theirs.push(rival.time(&command.to_string())?);
        }
    }
    let [made, decision, known, bytes] = ours.map(|mut times| median(&mut times));
    let theirs = median(&mut theirs);
    let mut report = Report::new(
        "sessions",
        format!(
            "1000 agents play 20 rounds of one game on one session of the built-in model, through the C library; medians of \
             {ROUNDS} runs."
        ),
    );
    report.row("making an agent", format!("{:.1} us", 1e6 * made));
    report.row("a decision with its observation", format!("{:.2} us", 1e6 * decision));
    report.row("a decision in a known state", format!("{:.2} us (aim: under 1)", 1e6 * known));
    report.row("bytes an agent, its 20 rounds included", format!("{bytes:.0} (aim: under 4096)"));
    report.row("llama-cpp-python, a decision's work for one agent", format!("{:.1} ms", 1e3 * theirs));
    report.row("decisions in the time of one of theirs", format!("{:.0} (aim: at least 5)", theirs / decision));
    Ok(report.publish()?)
}
