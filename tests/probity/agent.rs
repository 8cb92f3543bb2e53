//! The agent: adapters, cancelling, snapshots, policies, scenarios, on a small random model.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use probity::agent::legality::{Cause, READING};
use probity::agent::manifest::{MANIFEST_KEY, Manifest};
use probity::agent::policy::{Mask, PolicyOptions, Tilt};
use probity::agent::prompt::{Layout, Norm, OPENING, Style, encode, options, prompt};
use probity::agent::{Agent, Floor, Record, Scenario};
use probity::{Error, Result};
use probity_engine::gguf::{GgmlType, Value};
use probity_engine::{Adapter, ContextOptions, Error as EngineError, Model};
use probity_game::moral::{Framework, Reward};
use probity_game::{CatalogGame, MatrixGame, Profile, Reading};
use probity_testing::parts::GgufParts;
use probity_train::finish::foreign_manifest;
use probity_train::pretrain::PretrainConfig;

fn framework(name: &str) -> Framework {
    Framework::find(name).unwrap()
}

fn ipd() -> MatrixGame {
    CatalogGame::find("ipd").unwrap().labelled(["zork", "blip"]).unwrap()
}

fn agent(model: &Model, seed: u64) -> Agent {
    let mut scenario = Scenario::new(ipd());
    scenario.seed = seed;
    Agent::new(model, scenario, ContextOptions::default()).unwrap()
}

#[test]
fn adapters_are_set_scaled_replaced_and_freed() -> Result<()> {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let files: Vec<_> = (0..2).map(|i| folder.path().join(format!("{i}.gguf"))).collect();
    files.iter().zip(1..).for_each(|(f, seed)| probity_testing::write_adapter(f, seed));
    let mut agent = agent(&model, 1);
    let bare = agent.consider(None)?;
    let first = Adapter::load(&model, &files[0])?;
    let second = Adapter::load(&model, &files[1])?;
    agent.set_adapters(&[(first.clone(), 1.0)])?;
    let with_first = agent.consider(None)?;
    assert_ne!(with_first, bare);
    agent.set_adapters(&[(first.clone(), 0.5)])?;
    assert_ne!(agent.consider(None)?, with_first, "the scale counts");
    agent.set_adapters(&[(first.clone(), 1.0), (second.clone(), 1.0)])?;
    assert_ne!(agent.consider(None)?, with_first, "both count");
    agent.set_adapters(&[(second, 1.0)])?;
    assert_ne!(agent.consider(None)?, with_first, "the set is replaced, not added to");
    agent.set_adapters(&[(first.clone(), 1.0)])?;
    assert_eq!(agent.consider(None)?, with_first, "nothing of the other set is left in the cache");
    assert!(matches!(agent.set_adapters(&[(first.clone(), f32::NAN)]), Err(Error::Engine(EngineError::Option { .. }))));
    assert_eq!(agent.consider(None)?, with_first, "a refused set changes nothing");
    drop(first);
    assert_eq!(agent.consider(Some(Profile { own: 0, other: 1 }))?.actions.len(), 2, "a set adapter lives on");
    agent.set_adapters(&[])?;
    assert_eq!(agent.consider(None)?, bare);

    let other = probity_testing::open(&path);
    let foreign = Adapter::load(&other, &files[0])?;
    assert!(matches!(agent.set_adapters(&[(foreign, 1.0)]), Err(Error::Engine(EngineError::AdapterMismatch { .. }))));
    Ok(())
}

#[test]
fn contexts_on_one_model_run_beside_adapter_loads() {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let file = folder.path().join("a.gguf");
    probity_testing::write_adapter(&file, 3);
    let expected = agent(&model, 1).consider(None).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(agent(&model, 1).consider(None).unwrap(), expected);
                }
            });
        }
        for _ in 0..30 {
            drop(Adapter::load(&model, &file).unwrap());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_decision_can_be_cancelled_from_another_thread() {
    // Wide enough that a decision takes a while.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.gguf");
    let config = PretrainConfig::default().with(|o| {
        o.layers = 12;
        o.width = 768;
        o.heads = 12;
        o.feed_forward = 2048;
        o.vocabulary = 400;
        o.context = 512;
    });
    probity_testing::write_random(&path, &config, GgmlType::F16, 1);
    let model = probity_testing::open(&path);
    let mut agent = agent(&model, 1);
    let mut before = self::agent(&model, 1);
    let token = agent.cancel_token();
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                token.cancel();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = agent.decide();
        done.store(true, Ordering::Relaxed);
        result
    });
    assert!(matches!(result, Err(Error::Engine(EngineError::Cancelled { what: "decision" }))), "{result:?}");
    assert!(agent.record().is_none());
    token.clear();
    // A request before the decision is met by it, and by no later one.
    token.cancel();
    assert!(matches!(agent.decide(), Err(Error::Engine(EngineError::Cancelled { .. }))));
    assert_eq!(agent.decide().unwrap(), before.decide().unwrap(), "a cancelled decision leaves no trace");
}

#[test]
fn snapshots_go_on_byte_for_byte_and_refuse_damage() -> Result<()> {
    let (folder, path) = probity_testing::tiny(GgmlType::Q8_0);
    let model = probity_testing::open(&path);
    let file = folder.path().join("a.gguf");
    probity_testing::write_adapter(&file, 3);
    let adapter = Adapter::load(&model, &file)?;
    let mut agent = agent(&model, 42);
    agent.set_adapters(&[(adapter.clone(), 0.7)])?;
    for _ in 0..3 {
        let own = agent.decide()?.action;
        agent.observe(Profile { own, other: 1 })?;
    }
    let bytes = agent.snapshot()?;
    let restore = |b: &[u8], adapters: &[Adapter]| Agent::restore(&model, adapters, b, ContextOptions::default());
    let mut twin = restore(&bytes, std::slice::from_ref(&adapter))?;
    for other in [0, 1, 1, 0] {
        assert_eq!(agent.decide()?, twin.decide()?);
        let records = [&agent, &twin].map(|a| serde_json::to_string(&a.record().unwrap()).unwrap());
        assert_eq!(records[0], records[1]);
        agent.observe(Profile { own: 0, other })?;
        twin.observe(Profile { own: 0, other })?;
    }
    assert_eq!(agent.snapshot()?, twin.snapshot()?);

    // The record of the last decision, written down and read back, gives the same decision to the bit.
    let taken: Record = serde_json::from_str(&serde_json::to_string(&agent.record().unwrap()).unwrap()).unwrap();
    let retake = |record: &Record, adapters| record.retake(&model, adapters, ContextOptions::default());
    assert_eq!(retake(&taken, std::slice::from_ref(&adapter))?, taken);
    let error = retake(&taken, &[]).unwrap_err();
    assert!(
        matches!(error, Error::Engine(EngineError::Document { .. })) && error.to_string().contains("adapter"),
        "{error}"
    );
    let stranger = Record { model: "another".into(), ..taken };
    assert!(retake(&stranger, &[]).unwrap_err().to_string().contains("another model"));

    let mut reworded = bytes.clone();
    reworded[12] += 1;
    let refused = restore(&reworded, std::slice::from_ref(&adapter)).unwrap_err().to_string();
    assert!(refused.contains("words of another prompt version"), "{refused}");

    for at in 0..bytes.len() {
        let mut b = bytes.clone();
        b[at] ^= 1;
        assert!(
            matches!(restore(&b, std::slice::from_ref(&adapter)), Err(Error::Snapshot { .. })),
            "bit flipped in byte {at}"
        );
    }
    for length in (0..bytes.len()).step_by(7) {
        assert!(matches!(restore(&bytes[..length], std::slice::from_ref(&adapter)), Err(Error::Snapshot { .. })));
    }
    assert!(matches!(restore(&bytes, &[]), Err(Error::Snapshot { .. })), "the adapter is needed");
    let other = folder.path().join("other.gguf");
    probity_testing::write_random(&other, &probity_testing::tiny_config(), GgmlType::Q8_0, 99);
    let other = probity_testing::open(&other);
    assert!(matches!(Agent::restore(&other, &[], &bytes, ContextOptions::default()), Err(Error::Snapshot { .. })));
    Ok(())
}

#[test]
fn masks_tilts_and_temperatures() -> Result<()> {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let betrayed = Some(Profile { own: 1, other: 0 });
    let policy = |options: PolicyOptions, state| -> Result<Vec<f64>> {
        let mut scenario = Scenario::new(ipd());
        scenario.policy = options;
        Ok(Agent::new(&model, scenario, ContextOptions::default())?.consider(state)?.policy())
    };
    let plain = policy(PolicyOptions::default(), betrayed)?;
    assert!((plain.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let masked = PolicyOptions::default().with(|o| o.mask = Some(Mask::Betrayal));
    assert_eq!(policy(masked.clone(), betrayed)?, [1.0, 0.0]);
    let after_defection = Some(Profile { own: 1, other: 1 });
    assert_eq!(
        policy(masked, after_defection)?,
        policy(PolicyOptions::default(), after_defection)?,
        "nothing to betray"
    );
    // pi exp(R / beta), normalised, with R from the reward itself.
    let reward: Reward = framework("utilitarian").into();
    let tilted =
        policy(PolicyOptions::default().with(|o| o.tilt = Some(Tilt { reward: reward.clone(), beta: 2.0 })), betrayed)?;
    let weights = [plain[0] * (5.0_f64 / 2.0).exp(), plain[1] * (3.0_f64 / 2.0).exp()];
    assert!((tilted[0] - weights[0] / (weights[0] + weights[1])).abs() < 1e-9);
    let sharp = policy(PolicyOptions::default().with(|o| o.temperature = 0.5), betrayed)?;
    assert!((sharp[0] - plain[0].powi(2) / (plain[0].powi(2) + plain[1].powi(2))).abs() < 1e-9);
    for bad in [
        PolicyOptions::default().with(|o| o.temperature = 0.0),
        PolicyOptions::default().with(|o| o.temperature = f64::NAN),
        PolicyOptions::default().with(|o| o.mask = Some(Mask::Actions(vec![0, 1]))),
        PolicyOptions::default().with(|o| o.tilt = Some(Tilt { reward, beta: -1.0 })),
    ] {
        assert!(matches!(policy(bad, betrayed), Err(Error::Engine(EngineError::Option { .. }))));
    }
    Ok(())
}

#[test]
fn scenarios_are_checked() {
    let scenario = |json: &str| Scenario::from_json(json);
    let good = r#"{"game":"ipd","labels":["share","keep"],"seed":7,"history":[["share","keep"]],"style":{"layout":"reversed"}}"#;
    let parsed = scenario(good).unwrap();
    assert_eq!(parsed.style.layout, Layout::Reversed);
    assert_eq!(Scenario::from_json(&parsed.to_json()).unwrap(), parsed);
    // A label may begin another: the end of the answer tells them apart.
    assert!(scenario(r#"{"game":"ipd","labels":["go","go left"]}"#).is_ok());
    // [labels with U+202E]
    assert!(matches!(scenario("{\"game\":\"ipd\",\"labels\":[\"share\",\"\u{202E}keep\"]}"), Err(Error::Game(_))));
    assert!(matches!(scenario(r#"{"game":"ipd","colour":1}"#), Err(Error::Engine(EngineError::Document { .. }))));
    assert!(matches!(scenario(r#"{"game":"chess"}"#), Err(Error::Game(_))));
    assert!(matches!(scenario(r#"{"game":"ipd","version":2}"#), Err(Error::Engine(EngineError::Document { .. }))));
    assert!(matches!(scenario(r#"{"game":"ipd","history":[["C","X"]]}"#), Err(Error::Game(_))));
    assert!(matches!(
        scenario(r#"{"game":"ipd","policy":{"belief":{"probabilities":[0.5,0.6]}}}"#),
        Err(Error::Game(_))
    ));
}

#[test]
fn labels_never_become_control_tokens() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let game = CatalogGame::find("ipd").unwrap().labelled(["<|end|>", "<|assistant|>x"]).unwrap();
    let tokens = encode(&model, &prompt(&game, None, Style::default())).unwrap().tokens;
    // Ids 0 to 2 are the control tokens; the template puts exactly one <|user|> and one <|assistant|>.
    assert_eq!(tokens.iter().filter(|t| **t <= 2).copied().collect::<Vec<_>>(), [1, 2]);
    let options = options(&model, &game).unwrap();
    assert!(
        options.iter().all(|o| o.tokens().iter().chain(o.last()).all(|t| *t > 2)),
        "an answer holds none: {options:?}"
    );
}

/// An answer ends with any token that begins with a quotation mark.
#[test]
fn a_label_stands_between_quotation_marks() {
    let (_folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let asked = encode(&model, &prompt(&ipd(), None, Style::default())).unwrap().tokens;
    let spelled: String = asked.iter().map(|token| model.piece(*token)).collect();
    assert!(spelled.replace('Ġ', " ").ends_with(OPENING), "{spelled}");
    for option in options(&model, &ipd()).unwrap() {
        let ends: Vec<String> = option.last().iter().map(|token| model.piece(*token)).collect();
        assert!(ends.contains(&"\"".to_owned()) && ends.iter().all(|end| end.starts_with('"')), "{ends:?}");
    }
}

/// Where the model does not say what it reads, an adapter may; several are trusted with what all of them read.
///
/// An adapter also says whether its prompts told the norm.
#[test]
fn an_adapter_tells_what_is_read_under_it() -> Result<()> {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let model = probity_testing::open(&path);
    let adapter = |name: &str, reads: &[&str], norm_told: bool| {
        let [plain, file] = ["plain.gguf", name].map(|name| folder.path().join(name));
        probity_testing::write_adapter(&plain, 1);
        let reads = reads.iter().map(|kind| kind.parse().unwrap()).collect();
        let foreign = foreign_manifest(&model, name, "nowhere").unwrap();
        let manifest = Manifest { reading: Some(reads), norm_told, ..foreign };
        let manifest = Value::Str(serde_json::to_string(&manifest).unwrap());
        GgufParts::of(&plain).set(MANIFEST_KEY, manifest).write(&file);
        Adapter::load(&model, &file)
    };
    let first = adapter("a", &["digits/ascii", "actions/ascii"], true)?;
    let second = adapter("b", &["digits/blanks"], false)?;
    let mut scenario = Scenario::new(ipd());
    scenario.legality_floor = Some(Floor::At(0.0));
    let mut untold = scenario.clone();
    untold.style = untold.style.with(|o| o.norm = Norm::Untold);
    let mut agent = Agent::new(&model, scenario, ContextOptions::default())?;
    assert_eq!(agent.consider(None)?.unreliable, None, "nobody tells");
    agent.set_adapters(&[(first.clone(), 1.0)])?;
    assert_eq!(agent.consider(None)?.unreliable, None);
    agent.set_adapters(&[(first.clone(), 1.0), (second.clone(), 1.0)])?;
    assert_eq!(agent.consider(None)?.unreliable.clone().unwrap().cause, Cause::Unread { reads: Vec::new() });
    agent.set_adapters(&[(second, 1.0)])?;
    assert!(agent.consider(None)?.unreliable.is_some());
    // A prompt that leaves out the norm is none of those that the first one was trained on.
    let mut agent = Agent::new(&model, untold, ContextOptions::default())?;
    assert_eq!(agent.consider(None)?.unreliable, None);
    agent.set_adapters(&[(first, 1.0)])?;
    let doubted = agent.consider(None)?.unreliable.clone().unwrap();
    assert_eq!(doubted.cause, Cause::NormUntold {});
    assert!(doubted.to_string().starts_with("and an adapter was trained on prompts that tell"), "{doubted}");
    Ok(())
}

/// A model that says which games it reads is not trusted with others.
#[test]
fn a_game_that_the_model_does_not_read_is_not_reliable() -> Result<()> {
    let (folder, path) = probity_testing::tiny(GgmlType::F32);
    let considered = |reading: &str, game: MatrixGame| {
        let file = folder.path().join("reading.gguf");
        GgufParts::of(&path).set(READING, Value::Str(reading.into())).write(&file);
        let mut scenario = Scenario::new(game);
        // A random model's legality mass is small.
        scenario.legality_floor = Some(Floor::At(0.0));
        Agent::new(&probity_testing::open(&file), scenario, ContextOptions::default())?.consider(None)
    };
    assert_eq!(considered(r#"["digits/ascii"]"#, ipd())?.unreliable, None);
    let doubted = considered(r#"["actions/ascii", "digits/blanks"]"#, ipd())?.unreliable.clone().unwrap();
    let reads = ["actions/ascii", "digits/blanks"].map(|kind| kind.parse::<Reading>().unwrap());
    assert_eq!(doubted.cause, Cause::Unread { reads: reads.into() });
    assert_eq!(
        doubted.to_string(),
        "and the model was seen to read games of up to four actions each and whole payoffs from 0 to 9 with ASCII labels \
         without blanks, and games of two actions each and whole payoffs from 0 to 9 with ASCII labels with blanks, and \
         not this one"
    );
    assert!(
        considered(r#"["digits/ascii"]"#, CatalogGame::find("ipd").unwrap().labelled(["да", "нет"]).unwrap())?
            .unreliable
            .is_some()
    );
    let labels = || vec!["x".to_owned(), "y".to_owned()];
    let half = MatrixGame::new("half", [labels(), labels()], vec![vec![[0.5; 2]; 2]; 2], [0, 0])?;
    let all: Vec<String> = Reading::all().map(|kind| kind.to_string()).collect();
    assert!(considered(&serde_json::to_string(&all).unwrap(), half)?.unreliable.is_some());
    assert!(matches!(considered("digits", ipd()), Err(Error::Engine(EngineError::UnsupportedModel { .. }))));
    Ok(())
}

/// The other player is no action: "A picks \"A\"" would be a riddle.
#[test]
fn the_other_player_s_name_is_a_parameter_and_no_label() {
    let rules = |game: &MatrixGame| prompt(game, None, Style::default()).text();
    assert!(rules(&ipd()).starts_with("You and A play"));
    let lettered = CatalogGame::find("ipd").unwrap().labelled(["a", "B"]).unwrap();
    assert!(rules(&lettered).starts_with("You and C play") && !rules(&lettered).contains(", A "));
    let named = ipd().with_other_name("Kim").unwrap();
    let text = rules(&named);
    assert!(text.contains("You pick \"zork\" or \"blip\", Kim picks") && text.contains(", Kim \"blip\""), "{text}");
    assert_eq!(MatrixGame::from_json(&named.to_json()).unwrap(), named);
    assert_eq!(named.transposed().other_name(), "Kim");
    assert!(ipd().with_other_name("Blip").is_err() && ipd().with_other_name("\"").is_err());
    let taken = ["kim".to_owned(), "eat".to_owned()];
    assert!(named.with_labels(&taken, &taken).is_err());
}
