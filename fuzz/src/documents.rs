//! Scenarios, snapshots, records and moral graphs.

use std::str::from_utf8;
use std::sync::OnceLock;

use probity::agent::record::retake_json;
use probity::agent::{Agent, Scenario, Session};
use probity::game::Profile;
use probity_engine::Adapter;
use probity_values::compat::Thresholds;
use probity_values::robust::Settings;
use probity_values::{Deliberation, Graph, Method, MoralGraph};

use super::files::{context, small, small_model};

/// A session on the small model, and an adapter for it.
fn small_session() -> &'static (Session, Adapter) {
    static SESSION: OnceLock<(Session, Adapter)> = OnceLock::new();
    SESSION.get_or_init(|| {
        let adapter = Adapter::load(small_model(), &small()[1]).expect("the small adapter");
        (Session::new(small_model(), context()).expect("a session"), adapter)
    })
}

/// Decides, tells, and comes back to life.
fn play(agent: &mut Agent) {
    let (session, adapter) = small_session();
    for _ in 0..2 {
        if let Ok(decision) = agent.decide() {
            _ = agent.explain();
            let record = agent.record().map(|record| serde_json::to_string(&record).expect("plain data"));
            if let Some(record) = record {
                let (again, same) = retake_json(session, std::slice::from_ref(adapter), &record).expect("its record");
                assert!(same, "{record}\n{again}");
            }
            _ = agent.observe(Profile { own: decision.action, other: 0 });
        }
    }
    if let Ok(bytes) = agent.snapshot() {
        let twin = session.restore(std::slice::from_ref(adapter), &bytes).expect("its own snapshot");
        assert_eq!(twin.snapshot().expect("a snapshot"), bytes);
    }
}

/// A scenario: any game, any words.
pub fn scenario(json: &[u8]) {
    let Ok(Ok(scenario)) = from_utf8(json).map(Scenario::from_json) else { return };
    let again = Scenario::from_json(&scenario.to_json()).expect("its own document");
    assert_eq!(again, scenario);
    if let Ok(mut agent) = small_session().0.agent(scenario) {
        play(&mut agent);
    }
}

/// A snapshot of an agent on the small model.
pub fn snapshot(bytes: &[u8]) {
    let (session, adapter) = small_session();
    if let Ok(mut agent) = session.restore(std::slice::from_ref(adapter), bytes) {
        play(&mut agent);
    }
}

/// A record of a decision.
pub fn record(json: &[u8]) {
    let (session, adapter) = small_session();
    if let Ok(json) = from_utf8(json) {
        _ = retake_json(session, std::slice::from_ref(adapter), json);
    }
}

/// A moral graph: a deliberation, or the published format.
pub fn graph(json: &[u8]) {
    let Ok(text) = from_utf8(json) else { return };
    if let Ok(held) = Deliberation::from_json(text) {
        let again = Deliberation::from_json(&held.to_json()).expect("its own document");
        assert_eq!(again.to_json(), held.to_json());
        if let Ok(graph) = held.published(Thresholds::default()) {
            MoralGraph::from_json(&graph.to_json()).expect("its own document");
        }
        if let Ok(graph) = Graph::new(held, &Settings::default()) {
            for name in ["robust", "compat"] {
                let ranking = graph.ranking(&Method::named(name).expect("a method"), None);
                serde_json::to_string(&ranking).expect("plain data");
            }
            let standings = graph.wisest(None);
            if let Some(first) = standings.first() {
                serde_json::to_string(&graph.explain(first.card, None)).expect("plain data");
            }
            serde_json::to_string(&graph.accounts(None)).expect("plain data");
        }
    }
    _ = MoralGraph::from_json(text).and_then(|graph| graph.ballots());
}
