//! A bare model pulled towards a reward without training, its record, and the same decision taken again from the
//! record.
//!
//! ```sh
//! cargo run --release --example tilt -- models/default.gguf
//! ```

use std::path::Path;

use probity::agent::policy::{Mask, PolicyOptions, Tilt};
use probity::agent::{Agent, Record, Scenario};
use probity::engine::{ContextOptions, Model, ModelOptions};
use probity::game::{CatalogGame, Profile};
use probity::moral::Framework;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: tilt MODEL.gguf")?;
    let model = Model::open(Path::new(&file), ModelOptions::default(), |_| true)?;

    let mut scenario = Scenario::new(CatalogGame::find("ish")?.labelled(["hunt", "gather"])?);
    scenario.seed = 3;
    scenario.history = vec![Profile { own: 0, other: 0 }];
    // A smaller beta pulls harder. Defecting on a player who cooperated last is out of the question.
    let tilt = Tilt { reward: Framework::find("utilitarian")?.into(), beta: 2.0 };
    for policy in [
        PolicyOptions::default(),
        PolicyOptions::default().with(|o| o.tilt = Some(tilt)),
        PolicyOptions::default().with(|o| o.mask = Some(Mask::Betrayal)),
    ] {
        let mut scenario = scenario.clone();
        scenario.policy = policy;
        let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
        let decision = agent.decide()?;
        println!("hunt {:.3}, gather {:.3}", decision.policy()[0], decision.policy()[1]);

        // The record is a document. The same build takes the same decision from it, to the bit.
        let text = serde_json::to_string(&agent.record().expect("a decision was taken"))?;
        let record: Record = serde_json::from_str(&text)?;
        let again = record.retake(&model, &[], ContextOptions::default())?;
        assert_eq!(again, record);
    }
    println!("three records, taken again to the bit");
    Ok(())
}
