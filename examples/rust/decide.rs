//! Ten rounds of the prisoner's dilemma against a player who repeats our last move, then the last decision in words.
//!
//! ```sh
//! cargo run --release --example decide -- models/default.gguf models/deontological.gguf
//! ```

use std::path::Path;

use probity::agent::{Agent, Scenario, verify};
use probity::engine::{ContextOptions, Model, ModelOptions};
use probity::game::{Player, Profile};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, adapter] = arguments.as_slice() else {
        return Err("usage: decide MODEL.gguf ADAPTER.gguf".into());
    };

    let model = Model::open(Path::new(model), ModelOptions::default(), |_| true)?;
    // An adapter that was made for another model is refused here.
    let kind = verify::load(&model, Path::new(adapter))?;
    let scenario = Scenario::from_json(r#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#)?;
    let labels = scenario.game.labels(Player::Row).to_vec();
    let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
    agent.set_adapters(&[(kind, 1.0)])?;

    let mut theirs = 0;
    for round in 1..=10 {
        let decision = agent.decide()?;
        let mine = decision.action;
        let probability = decision.policy()[mine];
        println!("round {round:2}: {:5} ({probability:.3}), the other {}", labels[mine], labels[theirs]);
        agent.observe(Profile { own: mine, other: theirs })?;
        theirs = mine;
    }
    println!("\n{}", agent.explain().expect("a decision was taken"));
    Ok(())
}
