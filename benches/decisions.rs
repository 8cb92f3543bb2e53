//! Decisions on the built-in model, and training steps.
//!
//! Decisions are cold, with a cached prefix, and cached, beside a full prefill for every candidate.

use std::cell::RefCell;

use probity::agent::prompt::{Style, encode, options, prompt};
use probity_benches::report::Report;
use probity_benches::{Rounds, median, peak_memory, seconds};
use probity_engine::score::Scorer;
use probity_engine::{Context, ContextOptions, Model, ModelOptions};
use probity_game::{CatalogGame, History};
use probity_train::Schedule;
use probity_train::curriculum::TrainConfig;
use probity_train::finetune::Finetuning;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = probity_benches::root();
    let model = Model::open(&root.join("models/default.gguf"), ModelOptions::default(), |_| true)?;
    let game = CatalogGame::find("ipd")?.labelled(["zork", "blip"])?;
    let labels = options(&model, &game)?;
    let states: Vec<_> = History::states(&game).collect();
    let ask = |i: usize| encode(&model, &prompt(&game, Some(states[i % states.len()]), Style::default()));
    let scorer = RefCell::new(Scorer::new(Context::new(&model, ContextOptions::default())?));
    let turn = RefCell::new(0..);
    let next = || turn.borrow_mut().next().unwrap_or(0);

    let mut rounds = Rounds::new();
    let score = |i: usize| scorer.borrow_mut().score(&ask(i).expect("a prompt"), &labels).expect("a score");
    rounds
        .way("cold", || {
            let i = next();
            scorer.borrow_mut().forget();
            seconds(|| score(i))
        })
        // The cold decision has left the game's fixed part in the cache; the state is another.
        .way("warm", || {
            let i = next();
            seconds(|| score(i))
        })
        .way("cached", || {
            let i = turn.borrow().start - 1;
            seconds(|| score(i))
        })
        .way("each candidate alone, full prefill", || {
            let prompt = ask(next()).expect("a prompt");
            seconds(|| {
                for label in &labels {
                    scorer.borrow_mut().forget();
                    scorer.borrow_mut().score(&prompt, std::slice::from_ref(label)).expect("a score");
                }
            })
        });
    let medians = rounds.medians(200);
    drop(rounds);
    let naive = medians[3].1;
    let tokens = ask(0)?.tokens.len();
    let mut report = Report::new(
        "decisions",
        format!("Decisions on the built-in model: {tokens} prompt tokens, 2 options, medians of 200."),
    );
    for (name, time) in &medians {
        report.row(*name, format!("{:.3} ms, {:.2} times the speed of each candidate alone", 1e3 * time, naive / time));
    }
    report.row("peak memory", format!("{:.0} MiB", peak_memory()));

    let config = TrainConfig::from_toml(
        &std::fs::read_to_string(root.join("configs/deontological.toml")).expect("the recipe is there"),
    )?;
    let games = config.games_per_step;
    let mut training = Finetuning::new(&model, config, Schedule::Wide)?;
    let mut times: Vec<f64> = (0..8).map(|_| seconds(|| training.step().expect("a step"))).collect();
    let time = median(&mut times[1..]);
    report.row(format!("a training step of {games} games, all states"), format!("{time:.2} s"));
    report.row("peak memory, training included", format!("{:.0} MiB", peak_memory()));
    Ok(report.publish()?)
}
