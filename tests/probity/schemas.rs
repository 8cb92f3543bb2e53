//! The documents of the C ABI match `docs/schema`; the library refuses what the schemas refuse.

use std::fs;

use jsonschema::{Retrieve, Uri, Validator};
use probity::agent::policy::{Belief, Mask, Tilt};
use probity::agent::{Agent, Scenario};
use probity_engine::ContextOptions;
use probity_engine::gguf::GgmlType;
use probity_game::moral::Framework;
use probity_game::{CATALOG, CatalogGame, Profile, Strategy};
use serde_json::{Value, json};

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

fn strategy(name: &str) -> Strategy {
    Strategy::find(name).unwrap()
}

/// The schemas refer to each other by file name.
struct Beside;

impl Retrieve for Beside {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let name = uri.path().as_str().trim_start_matches('/').to_owned();
        Ok(serde_json::from_str(&fs::read_to_string(probity_testing::root().join("docs/schema").join(name))?)?)
    }
}

fn schema(name: &str) -> Validator {
    let text = fs::read_to_string(probity_testing::root().join("docs/schema").join(name)).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|e| panic!("{name}: {e}"));
    jsonschema::options().with_retriever(Beside).build(&schema).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn assert_valid(schema: &Validator, document: &Value) {
    let problems: Vec<String> = schema.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}\n{document:#}");
}

#[test]
fn what_the_library_writes() {
    let (game, scenario_schema, record) = (schema("game.json"), schema("scenario.json"), schema("record.json"));
    for entry in CATALOG {
        assert_valid(&game, &serde_json::to_value(entry.game()).unwrap());
    }
    let (_folder, file) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&file);
    let mut scenario = Scenario::new(CatalogGame::find("ipd").unwrap().labelled(["zork", "blip"]).unwrap());
    scenario.preamble = "You look after both players.".into();
    scenario.policy.mask = Some(Mask::Betrayal);
    scenario.policy.tilt = Some(Tilt { reward: framework("deontological").with_constant(3.0).into(), beta: 0.5 });
    for belief in [Belief::FairCoin, Belief::Strategy(strategy("tit-for-tat")), Belief::Probabilities(vec![0.25, 0.75])]
    {
        scenario.policy.belief = belief;
        let mut agent = Agent::new(&model, scenario.clone(), ContextOptions::default()).unwrap();
        for _ in 0..2 {
            let decision = agent.decide().unwrap();
            assert_valid(&scenario_schema, &serde_json::from_str(&agent.scenario().to_json()).unwrap());
            assert_valid(&record, &serde_json::to_value(agent.record().unwrap()).unwrap());
            agent.observe(Profile { own: decision.action, other: 1 }).unwrap();
        }
    }
}

#[test]
fn what_both_refuse() {
    let schema = schema("scenario.json");
    let good = json!({"game": "ipd", "labels": ["zork", "blip"], "seed": 7});
    assert_valid(&schema, &good);
    assert!(Scenario::from_json(&good.to_string()).is_ok());
    let with = |key: &str, value: Value| {
        let mut document = good.clone();
        document[key] = value;
        document
    };
    for bad in [
        json!({"labels": ["zork", "blip"]}),
        with("game", json!("chess")),
        with("version", json!(2)),
        with("labels", json!(["zork"])),
        with("labels", json!(["zork", "zork"])),
        with("labels", json!(["", "blip"])),
        with("seed", json!(-1)),
        with("colour", json!("red")),
        with("policy", json!({"temperature": 0})),
        with("policy", json!({"belief": "hope"})),
        with("policy", json!({"rewards": [{"framework": "utilitarian", "ilegal": -1}]})),
    ] {
        assert!(!schema.is_valid(&bad), "the schema lets it pass: {bad}");
        assert!(Scenario::from_json(&bad.to_string()).is_err(), "the library lets it pass: {bad}");
    }
}
