//! Sessions: agents that share one, adapters that work together, and answers that mean nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use probity::agent::legality::{Cause, DEFAULT_FLOOR, Unreliable};
use probity::agent::{Agent, Floor, Record, Scenario, Seeds, Session, SessionOptions};
use probity::{Error, Result};
use probity_engine::gguf::GgmlType;
use probity_engine::{Adapter, ContextOptions, Error as EngineError, Model};
use probity_game::{CatalogGame, Profile};
use probity_train::curriculum::Precision;
use probity_train::finish::foreign_manifest;
use probity_train::lora::AdapterWeights;
use probity_train::lora::merge::mix;

fn scenario(game: &str, seed: u64) -> Scenario {
    let mut scenario = Scenario::new(CatalogGame::find(game).unwrap().labelled(["zork", "blip"]).unwrap());
    scenario.seed = seed;
    scenario
}

/// Plays some rounds against a player who repeats the agent's last move.
fn play(agent: &mut Agent, rounds: usize) -> Vec<Record> {
    let mut last = 0;
    let mut round = || {
        let decision = agent.decide().unwrap();
        agent.observe(Profile { own: decision.action, other: last }).unwrap();
        last = decision.action;
        agent.record().unwrap()
    };
    (0..rounds).map(|_| round()).collect()
}

#[test]
fn agents_of_one_session_decide_as_if_each_had_its_own() -> Result<()> {
    let (folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let file = folder.path().join("a.gguf");
    probity_testing::write_adapter(&file, 3);
    let adapter = Adapter::load(&model, &file)?;
    let alone = |game: &str, seed, scale: f32| -> Result<Vec<Record>> {
        let mut agent = Agent::new(&model, scenario(game, seed), ContextOptions::default())?;
        agent.set_adapters(&[(adapter.clone(), scale)])?;
        Ok(play(&mut agent, 6))
    };
    let session = Session::new(&model, ContextOptions::default())?;
    let kinds: Vec<_> = ["ipd", "ish", "bos"].into_iter().flat_map(|game| [(game, 1, 1.0), (game, 2, 0.5)]).collect();
    let made = kinds.iter().map(|&(game, seed, scale)| {
        let mut agent = session.agent(scenario(game, seed))?;
        agent.set_adapters(&[(adapter.clone(), scale)])?;
        Ok(agent)
    });
    let mut agents = made.collect::<Result<Vec<_>>>()?;
    // On threads, so that the order of their turns is any.
    let together: Vec<Vec<Record>> = std::thread::scope(|scope| {
        let playing: Vec<_> = agents.iter_mut().map(|agent| scope.spawn(|| play(agent, 6))).collect();
        playing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (&(game, seed, scale), records) in kinds.iter().zip(together) {
        assert_eq!(records, alone(game, seed, scale)?, "{game} {seed} {scale}");
        assert_eq!(records[3].retake_in(&session, std::slice::from_ref(&adapter))?, records[3]);
    }
    Ok(())
}

#[test]
fn a_decision_in_a_known_state_is_answered_from_memory() -> Result<()> {
    let model = probity_testing::default_model();
    let session = Session::new(&model, ContextOptions::default())?;
    let (mut first, mut second) = (session.agent(scenario("ipd", 1))?, session.agent(scenario("ipd", 2))?);
    let (a, b) = (first.decide()?, second.decide()?);
    assert!(Arc::ptr_eq(&a.considered, &b.considered));
    assert!(Arc::ptr_eq(&a.considered, &first.consider(None)?));
    let other = session.agent(scenario("ish", 1))?;
    assert!(!Arc::ptr_eq(&a.considered, &other.consider(None)?));
    assert!(size_of::<Agent>() <= 1024, "{}", size_of::<Agent>());
    Ok(())
}

#[test]
fn numbered_agents_draw_numbers_of_their_own() -> Result<()> {
    let model = probity_testing::default_model();
    let of = |seeds| Session::new(&model, SessionOptions::default().with(|o| o.seeds = seeds));
    let draws = |session: &Session| -> Result<Vec<u64>> {
        let draw = |_| {
            let mut agent = session.agent(scenario("ipd", 7))?;
            agent.decide()?;
            Ok(agent.record().unwrap().u.to_bits())
        };
        (0..20).map(draw).collect()
    };
    let (same, numbered) = (draws(&of(Seeds::Scenario)?)?, draws(&of(Seeds::Numbered)?)?);
    assert_eq!(same.iter().collect::<HashSet<_>>().len(), 1);
    assert_eq!(numbered.iter().collect::<HashSet<_>>().len(), 20);
    assert_eq!(numbered[0], same[0]);
    assert_eq!(draws(&of(Seeds::Numbered)?)?, numbered);
    Ok(())
}

#[test]
fn a_session_cancels_for_all_its_agents_and_an_agent_for_itself() -> Result<()> {
    let model = probity_testing::default_model();
    let session = Session::new(&model, ContextOptions::default())?;
    let (mut first, mut second) = (session.agent(scenario("ipd", 1))?, session.agent(scenario("ipd", 2))?);
    let is_cancelled =
        |agent: &mut Agent| matches!(agent.decide(), Err(Error::Engine(EngineError::Cancelled { what: "decision" })));
    first.cancel_token().cancel();
    assert!(!is_cancelled(&mut second));
    assert!(is_cancelled(&mut first) && !is_cancelled(&mut first));
    session.cancel_token().cancel();
    assert!(is_cancelled(&mut second) && !is_cancelled(&mut first));
    Ok(())
}

#[test]
fn a_record_taken_again_asks_the_model_and_disturbs_nobody() -> Result<()> {
    let model = probity_testing::default_model();
    let session = || Session::new(&model, SessionOptions::default().with(|o| o.seeds = Seeds::Numbered));
    let (quiet, audited) = (session()?, session()?);
    let draw = |session: &Session| -> Result<Record> {
        let mut agent = session.agent(scenario("ipd", 7))?;
        agent.decide()?;
        Ok(agent.record().unwrap())
    };
    let first = draw(&quiet)?;
    assert_eq!(draw(&audited)?, first);
    // Another agent of the same role is alive and knows the answer.
    let _witness = audited.agent(scenario("ipd", 7))?;
    let _other = quiet.agent(scenario("ipd", 7))?;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let count = move |_| counter.fetch_add(1, Ordering::Relaxed) < usize::MAX;
    audited.set_progress(Some(Box::new(count)))?;
    assert_eq!(first.retake_in(&audited, &[])?, first);
    assert!(asked.load(Ordering::Relaxed) > 0, "the model was not asked");
    assert_eq!(draw(&audited)?.u, draw(&quiet)?.u);
    Ok(())
}

#[test]
fn a_progress_callback_cannot_wait_for_its_own_session() -> Result<()> {
    let model = probity_testing::default_model();
    let session = Session::new(&model, ContextOptions::default())?;
    let inner = session.agent(scenario("ish", 1))?;
    let busy = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&busy);
    session.set_progress(Some(Box::new(move |_| {
        let refused = matches!(inner.consider(None), Err(Error::Busy { what: "session" }))
            && matches!(inner.session().set_progress(None), Err(Error::Busy { .. }));
        counter.fetch_add(usize::from(refused), Ordering::Relaxed);
        true
    })))?;
    session.agent(scenario("ipd", 1))?.decide()?;
    assert!(busy.load(Ordering::Relaxed) > 0);
    // A panic stops the decision, and leaves the session as it was.
    session.set_progress(Some(Box::new(|_| panic!("on purpose"))))?;
    let mut stopped = session.agent(scenario("bos", 1))?;
    assert!(matches!(stopped.decide(), Err(Error::Engine(EngineError::Cancelled { .. }))));
    session.set_progress(None)?;
    let mut alone = Agent::new(&model, scenario("bos", 1), ContextOptions::default())?;
    assert_eq!(stopped.decide()?, alone.decide()?);
    Ok(())
}

#[test]
fn a_session_refuses_a_floor_that_no_scenario_may_have() {
    let model = probity_testing::default_model();
    for floor in [1.5, -0.5, f64::NAN] {
        let options = SessionOptions::default().with(|o| o.legality_floor = Floor::At(floor));
        assert!(matches!(Session::new(&model, options), Err(Error::Engine(EngineError::Option { .. }))), "{floor}");
    }
}

/// llama.cpp adds several adapters in the order of an unordered map of pointers.
#[test]
fn adapters_together_give_the_same_bits_in_any_order() -> Result<()> {
    // Rounded weights make more of a difference in the order; exact ones tell the sum.
    same_bits_in_any_order(GgmlType::Q8_0)?;
    same_bits_in_any_order(GgmlType::F32)
}

fn same_bits_in_any_order(weights: GgmlType) -> Result<()> {
    let (folder, path) = probity_testing::tiny(weights);
    let model = probity_testing::open(&path);
    let files: Vec<_> = (0..4).map(|i| folder.path().join(format!("{i}.gguf"))).collect();
    files.iter().zip(1..).for_each(|(f, seed)| probity_testing::write_adapter(f, seed));
    let scales = [1.0, 0.5, -0.25, 0.75];
    let considered = |order: &[usize]| -> Result<_> {
        // Loaded and given in this order.
        let given = order.iter().map(|&i| Ok((Adapter::load(&model, &files[i])?, scales[i])));
        let mut agent = Agent::new(&model, scenario("ipd", 1), ContextOptions::default())?;
        agent.set_adapters(&given.collect::<Result<Vec<_>>>()?)?;
        agent.consider(None)
    };
    let expected = considered(&[0, 1, 2, 3])?;
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [3, 0, 1, 2], [0, 2, 1, 3]] {
        assert_eq!(considered(&order)?, expected, "{order:?}");
    }
    if weights != GgmlType::F32 {
        return Ok(());
    }
    // The sum is that of `probity merge`.
    let weights = files.iter().zip(scales).map(|(file, scale)| (AdapterWeights::load(&model, file).unwrap(), scale));
    let mixed = mix(&weights.collect::<Vec<_>>()).unwrap();
    let sum = folder.path().join("sum.gguf");
    let manifest = foreign_manifest(&model, "sum", "a sum").unwrap();
    mixed.write(&sum, Precision::F32, &manifest).unwrap();
    let mut agent = Agent::new(&model, scenario("ipd", 1), ContextOptions::default())?;
    agent.set_adapters(&[(Adapter::load(&model, &sum)?, 1.0)])?;
    for (a, b) in agent.consider(None)?.actions.iter().zip(&expected.actions) {
        assert!((a.log_prob - b.log_prob).abs() < 1e-4, "{} and {}", a.log_prob, b.log_prob);
    }
    Ok(())
}

#[test]
fn an_answer_that_means_nothing_says_so() -> Result<()> {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let considered = |floor| {
        let mut scenario = scenario("ipd", 1);
        scenario.legality_floor = Some(floor);
        let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
        let decision = agent.decide()?;
        let record = agent.record().unwrap();
        assert_eq!(record.retake(&model, &[], ContextOptions::default())?, record);
        let read: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(read, record);
        let words = agent.explain().unwrap();
        assert_eq!(words.contains("Not reliable"), decision.considered.unreliable.is_some(), "{words}");
        Ok::<_, Error>(decision.considered)
    };
    // A random model answers anything.
    let doubted = considered(Floor::default())?;
    assert!(doubted.legality_mass < DEFAULT_FLOOR);
    assert!(
        matches!(&doubted.unreliable, Some(Unreliable { floor, cause: Cause::Labels { .. } }) if *floor == DEFAULT_FLOOR),
        "{doubted:?}"
    );
    let trusted = considered(Floor::Off)?;
    assert_eq!((&trusted.unreliable, trusted.legality_mass), (&None, doubted.legality_mass));
    assert_eq!(considered(Floor::At(0.0))?.unreliable, None);
    let mut wrong = scenario("ipd", 1);
    wrong.legality_floor = Some(Floor::At(1.5));
    assert!(matches!(wrong.check(), Err(Error::Engine(EngineError::Option { name: "legality floor", .. }))));
    assert!(Scenario::from_json(r#"{"game": "ipd", "labels": ["a", "b"], "legality_floor": "none"}"#).is_err());
    let off = Scenario::from_json(r#"{"game": "ipd", "labels": ["a", "b"], "legality_floor": "off"}"#)?;
    assert_eq!(off.legality_floor, Some(Floor::Off));
    assert_eq!(Scenario::from_json(&off.to_json())?, off);
    Ok(())
}

/// The default model answers, and its answers are reliable.
#[test]
fn an_answer_that_means_something_is_reliable() -> Result<()> {
    let model: Model = probity_testing::default_model();
    let agent = Agent::new(&model, scenario("ipd", 1), ContextOptions::default())?;
    let considered = agent.consider(None)?;
    assert!(considered.unreliable.is_none() && considered.legality_mass > 0.5, "{considered:?}");
    Ok(())
}
