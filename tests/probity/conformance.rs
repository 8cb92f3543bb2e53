//! The conformance files (tests/conformance) through Rust, C and C++.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use probity::agent::record::retake_json;
use probity::agent::verify::{load, load_source, verify_with};
use probity::agent::{AdapterInfo, Agent, Consideration, Floor, ModelInfo, Scenario, Seeds, Session, SessionOptions};
use probity::engine::{Adapter, ContextOptions, Model, ModelOptions, Plan, Source};
use probity::game::{CatalogGame, MatrixGame, Player, Profile, State, fair_coin};
use probity::graphs::LiveGraph;
use probity::moral::{Framework, account};
use probity::{Error, Status};
use probity_elicit::Situation;
use probity_engine::Error as EngineError;
use probity_testing::c::{compile, run};
use probity_testing::root;
use probity_values::{CardId, Method, Vote};
use serde_json::{Value, json};

const FILES: [&str; 6] = ["decisions", "exact", "files", "games", "graphs", "records"];

fn file(name: &str) -> PathBuf {
    root().join("tests/conformance").join(name).with_extension("json")
}

/// Why a call gave nothing.
enum Fault {
    /// It failed, or its outputs are not to be relied on.
    Failed { status: Status, message: String, gives: Value },
    /// Rust cannot write it: the object is gone.
    LeftOut,
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        let error = error.into();
        fault(error.status(), error.to_string())
    }
}

fn fault(status: Status, message: impl Into<String>) -> Fault {
    Fault::Failed { status, message: message.into(), gives: json!({}) }
}

type Outcome = Result<Made, Fault>;

/// What a call made, for later calls.
enum Made {
    Nothing,
    Adapter(Adapter),
    Agent(Box<Agent>),
    Bytes(Vec<u8>),
    Game(MatrixGame),
    Graph(Box<LiveGraph>),
    Model(Model),
    Session(Session),
    /// A document, and what else the call gave.
    Text(String, Value),
    /// Outputs alone.
    Gives(Value),
}

fn document(document: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string(document).unwrap();
    let gives = json!({ "json": serde_json::from_str::<Value>(&text).unwrap() });
    Ok(Made::Text(text, gives))
}

/// What earlier calls made, by name.
#[derive(Default)]
struct Things(BTreeMap<String, Made>);

macro_rules! the {
    ($things:expr, $kind:ident, $with:expr, $argument:literal) => {
        match $things.0.get_mut($with[$argument].as_str().expect($argument)) {
            Some(Made::$kind(object)) => object,
            _ => return Err(Fault::LeftOut),
        }
    };
}

impl Things {
    /// An argument that is a text: as it stands, an earlier call's, or a document.
    fn text(&self, argument: &Value) -> Option<String> {
        match argument {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Object(fields) if fields.len() == 1 && fields.contains_key("text") => {
                match &self.0[argument["text"].as_str().unwrap()] {
                    Made::Text(text, _) => Some(text.clone()),
                    _ => panic!("{argument} is no text"),
                }
            }
            document => Some(document.to_string()),
        }
    }

    fn bytes(&self, argument: &Value) -> Vec<u8> {
        let Made::Bytes(bytes) = &self.0[argument["bytes"].as_str().unwrap()] else { panic!("{argument}: no bytes") };
        let mut bytes = bytes.clone();
        if let Some(flip) = argument["flip"].as_u64() {
            bytes[flip as usize] ^= 4;
        }
        bytes.truncate(bytes.len() - argument["cut"].as_u64().unwrap_or(0) as usize);
        bytes
    }

    fn adapters(&self, with: &Value) -> Result<Vec<(Adapter, f32)>, Fault> {
        let names = with["adapters"].as_array().expect("adapters");
        let named = |(i, name): (usize, &Value)| match self.0.get(name.as_str().unwrap()) {
            Some(Made::Adapter(adapter)) => Ok((adapter.clone(), with["scales"][i].as_f64().unwrap_or(1.0) as f32)),
            _ => Err(Fault::LeftOut),
        };
        names.iter().enumerate().map(named).collect()
    }
}

fn last(with: &Value) -> State {
    let at = |i: usize| with["last"][i].as_u64().map(|action| action as usize);
    Some(Profile { own: at(0)?, other: at(1)? })
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn labels(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
}

fn session_options(options: &Value) -> Result<SessionOptions, Fault> {
    let number = |name: &str| options[name].as_u64().unwrap_or(0);
    let seeds = match number("seeds") {
        0 => Seeds::Scenario,
        1 => Seeds::Numbered,
        _ => return Err(Fault::LeftOut),
    };
    Ok(SessionOptions::default().with(|o| {
        o.context.context = number("context") as usize;
        o.context.threads = number("threads") as usize;
        o.context.memory = number("memory");
        o.context.exact_cache = number("exact_cache") == 1;
        o.seeds = seeds;
        o.legality_floor = options["legality_floor"].as_f64().map_or(Floor::default(), Floor::At);
    }))
}

fn model_options(options: Option<String>) -> Result<ModelOptions, Fault> {
    match options {
        None => Ok(ModelOptions::default()),
        // In Rust options are fields, not a document.
        Some(_) => Err(Fault::LeftOut),
    }
}

fn source(wanted: &Value) -> Result<Source, Fault> {
    let path = root().join(wanted["path"].as_str().unwrap_or("memory"));
    let [offset, length] = ["offset", "length"].map(|name| wanted[name].as_u64());
    match wanted["kind"].as_str().unwrap() {
        "memory" => {
            let mut bytes = match wanted["hex"].as_str() {
                Some(hex) => {
                    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
                }
                None => fs::read(&path).unwrap(),
            };
            bytes.truncate(length.map_or(bytes.len(), |length| length as usize));
            Ok(Source::memory(bytes, Path::new("memory")))
        }
        "file" if offset.is_none() && length.is_none() => Ok(Source::open(&path)?),
        _ => Ok(Source::section(File::open(&path).unwrap(), offset.unwrap_or(0), length, &path)?),
    }
}

fn progress(with: &Value) -> impl FnMut(f32) -> bool + use<> {
    let stop = with["progress"] == "stop";
    move |_| !stop
}

fn plan(plan: Plan) -> Outcome {
    Ok(Made::Gives(json!({ "plan": { "weights": plan.weights, "cache": plan.cache, "buffers": plan.buffers } })))
}

/// What the C ABI returns with `PROBITY_STATUS_UNRELIABLE` is a field in Rust.
fn reliable(considered: &Consideration, gives: Value) -> Outcome {
    match &considered.unreliable {
        None => Ok(Made::Gives(gives)),
        Some(why) => Err(Fault::Failed { status: Status::UNRELIABLE, message: why.to_string(), gives }),
    }
}

fn decided<T>(last: Option<T>) -> Result<T, Fault> {
    last.ok_or_else(|| fault(Status::NO_DECISION, "no decision yet"))
}

/// Makes a call.
fn call(things: &mut Things, name: &str, with: &Value) -> Outcome {
    let text = |things: &Things, argument: &str| things.text(&with[argument]).unwrap_or_default();
    Ok(match name {
        "game_named" => Made::Game(CatalogGame::find(with["name"].as_str().unwrap())?.game()),
        "game_parse" => Made::Game(MatrixGame::from_json(&text(things, "json"))?),
        "game_new" => {
            let pair = |pair: &Value| [pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap()];
            let row = |row: &Value| row.as_array().unwrap().iter().map(pair).collect();
            let table = with["payoffs"].as_array().unwrap().iter().map(row).collect();
            let actions = ["row_labels", "column_labels"].map(|list| labels(&with[list]));
            Made::Game(MatrixGame::new(with["name"].as_str().unwrap(), actions, table, [0, 0])?)
        }
        "game_json" => {
            let text = the!(things, Game, with, "game").to_json();
            let gives = json!({ "json": serde_json::from_str::<Value>(&text).unwrap() });
            Made::Text(text, gives)
        }
        "game_account" => {
            let game = the!(things, Game, with, "game");
            let belief = if with["belief"].is_null() { fair_coin(game) } else { numbers(&with["belief"]) };
            last(with).map(|round| game.check_profile(round)).transpose()?;
            return document(&account(game, last(with), &belief, &Framework::all_rewards())?);
        }

        "model_open" => {
            let path = root().join(with["path"].as_str().unwrap());
            Made::Model(Model::open(&path, model_options(things.text(&with["options"]))?, |_| true)?)
        }
        "model_open_source" => {
            Made::Model(Model::from_source(source(&with["source"])?, ModelOptions::default(), progress(with))?)
        }
        "model_plan" => {
            let context = session_options(&with["session_options"])?.context;
            return plan(Plan::of(&source(&with["source"])?, ModelOptions::default(), context)?);
        }
        "model_info" => return document(&ModelInfo::of(the!(things, Model, with, "model"))),

        "adapter_load" => {
            let path = root().join(with["path"].as_str().unwrap());
            Made::Adapter(load(the!(things, Model, with, "model"), &path)?)
        }
        "adapter_load_source" => {
            Made::Adapter(load_source(the!(things, Model, with, "model"), source(&with["source"])?)?)
        }
        "adapter_info" => return document(&AdapterInfo::of(the!(things, Adapter, with, "adapter"))?),
        "adapter_verify" => {
            verify_with(the!(things, Adapter, with, "adapter"), progress(with))?;
            Made::Nothing
        }

        "session_new" => {
            Made::Session(Session::new(the!(things, Model, with, "model"), session_options(&with["options"])?)?)
        }
        "session_plan" => {
            return plan(the!(things, Model, with, "model").plan(session_options(&with["options"])?.context)?);
        }
        "session_retake" => {
            let adapters: Vec<Adapter> = things.adapters(with)?.into_iter().map(|(adapter, _)| adapter).collect();
            let record = text(things, "record");
            let (again, same) = retake_json(the!(things, Session, with, "session"), &adapters, &record)?;
            Made::Text(again, json!({ "same": same }))
        }
        "session_cancel" => {
            the!(things, Session, with, "session").cancel_token().cancel();
            Made::Nothing
        }

        "agent_new" => {
            let scenario = Scenario::from_json(&text(things, "scenario"))?;
            let agent = Agent::new(the!(things, Model, with, "model"), scenario, ContextOptions::default())?;
            Made::Agent(agent.into())
        }
        "agent_join" => {
            let scenario = Scenario::from_json(&text(things, "scenario"))?;
            Made::Agent(the!(things, Session, with, "session").agent(scenario)?.into())
        }
        "agent_play" => {
            let mut scenario = Scenario::new(the!(things, Game, with, "game").clone());
            scenario.seed = with["seed"].as_u64().unwrap();
            Made::Agent(the!(things, Session, with, "session").agent(scenario)?.into())
        }
        "agent_set_adapters" => {
            let adapters = things.adapters(with)?;
            the!(things, Agent, with, "agent").set_adapters(&adapters)?;
            Made::Nothing
        }
        "agent_action_count" => {
            let count = the!(things, Agent, with, "agent").game().count(Player::Row);
            Made::Gives(json!({ "count": count }))
        }
        "agent_decide" => {
            let decision = the!(things, Agent, with, "agent").decide()?;
            let gives = json!({ "action": decision.action, "probabilities": decision.policy() });
            return reliable(&decision.considered, gives);
        }
        "agent_legality" => {
            let decision = decided(the!(things, Agent, with, "agent").last_decision())?;
            Made::Gives(json!({ "legality_mass": decision.considered.legality_mass }))
        }
        "agent_policy" => {
            let considered = the!(things, Agent, with, "agent").consider(last(with))?;
            let gives = json!({ "probabilities": considered.policy(), "legality_mass": considered.legality_mass });
            return reliable(&considered, gives);
        }
        "agent_observe" => {
            let [own, other] = ["own", "other"].map(|name| with[name].as_u64().unwrap() as usize);
            the!(things, Agent, with, "agent").observe(Profile { own, other })?;
            Made::Nothing
        }
        "agent_history" => {
            let agent = the!(things, Agent, with, "agent");
            let rounds: Vec<_> = agent.history().rounds().iter().map(|round| [round.own, round.other]).collect();
            Made::Gives(json!({ "rounds": rounds }))
        }
        "agent_forget" => {
            the!(things, Agent, with, "agent").forget_history();
            Made::Nothing
        }
        "agent_explain" => Made::Gives(json!({ "words": decided(the!(things, Agent, with, "agent").explain())? })),
        "agent_record" => return document(&decided(the!(things, Agent, with, "agent").record())?),
        "agent_cancel" => {
            the!(things, Agent, with, "agent").cancel_token().cancel();
            Made::Nothing
        }
        "agent_snapshot" => Made::Bytes(the!(things, Agent, with, "agent").snapshot()?),
        "agent_restore" | "agent_rejoin" => {
            let adapters: Vec<Adapter> = things.adapters(with)?.into_iter().map(|(adapter, _)| adapter).collect();
            let bytes = things.bytes(&with["bytes"]);
            let agent = if name == "agent_rejoin" {
                the!(things, Session, with, "session").restore(&adapters, &bytes)?
            } else {
                Agent::restore(the!(things, Model, with, "model"), &adapters, &bytes, ContextOptions::default())?
            };
            Made::Agent(agent.into())
        }

        "graph_open" => Made::Graph(LiveGraph::open(&root().join(with["path"].as_str().unwrap()))?.into()),
        "graph_parse" => Made::Graph(LiveGraph::from_json(&text(things, "json"))?.into()),
        "graph_rank" => {
            let method = Method::named(with["method"].as_str().unwrap_or("robust"))?;
            let graph = the!(things, Graph, with, "graph").graph()?;
            let context = with["context"].as_str().map(|text| graph.context(text)).transpose()?;
            return document(&graph.ranking(&method, context));
        }
        "graph_explain" => {
            let graph = the!(things, Graph, with, "graph").graph()?;
            let context = with["context"].as_str().map(|text| graph.context(text)).transpose()?;
            let card = graph.number(&CardId::from(with["card"].as_str().unwrap()))?;
            return document(&graph.explain(card, context));
        }
        "graph_vote" => {
            let problem = |e: serde_json::Error| EngineError::Document { what: "vote", problem: e.to_string() };
            let vote: Vote = serde_json::from_str(&text(things, "vote")).map_err(problem)?;
            match the!(things, Graph, with, "graph").vote(&vote)? {
                true => Made::Nothing,
                false => return Err(fault(Status::STORE, "read from JSON")),
            }
        }
        "graph_situate" => {
            let model = the!(things, Model, with, "model").clone();
            let situation = text(things, "situation");
            return document(&the!(things, Graph, with, "graph").situate(&model, &situation)?);
        }
        "graph_score" => {
            let model = the!(things, Model, with, "model").clone();
            let situation = Situation::from_json(&text(things, "situation")).map_err(Error::from)?;
            return document(&the!(things, Graph, with, "graph").score(&model, &situation, &mut |_, _| true)?);
        }

        free if free.ends_with("_free") => {
            let kind = free.trim_end_matches("_free");
            things.0.remove(with[kind].as_str().unwrap()).ok_or(Fault::LeftOut)?;
            Made::Nothing
        }
        other => panic!("no such call: {other}"),
    })
}

/// Whether `found` is as `expected` says: tests/conformance/README.md.
fn matches(expected: &Value, found: &Value, within: f64) -> bool {
    match (expected, found) {
        (Value::Object(part), Value::String(text)) if part.contains_key("contains") => {
            text.contains(part["contains"].as_str().unwrap())
        }
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= within,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches(a, b, within)),
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(name, a)| b.get(name).is_some_and(|b| matches(a, b, within)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn rust_gives_what_the_files_say() {
    for name in FILES {
        let document: Value = serde_json::from_slice(&fs::read(file(name)).unwrap()).unwrap();
        let within = document["within"].as_f64().unwrap_or(1e-3);
        let mut things = Things::default();
        for (number, line) in document["calls"].as_array().unwrap().iter().enumerate() {
            let made = call(&mut things, line["call"].as_str().unwrap(), &line["with"]);
            let (status, message, gives) = match &made {
                Err(Fault::LeftOut) => continue,
                Err(Fault::Failed { status, message, gives }) => (*status, message.as_str(), gives.clone()),
                Ok(Made::Text(_, gives) | Made::Gives(gives)) => (Status::OK, "", gives.clone()),
                Ok(_) => (Status::OK, "", json!({})),
            };
            let told = format!("call {} of {name}: {line}\n    gave {} ({message}) {gives}", number + 1, status.name());
            assert_eq!(line["fails"].as_str().unwrap_or("OK"), status.name(), "{told}");
            assert!(line["says"].as_str().is_none_or(|says| message.contains(says)), "{told}");
            assert!(line["gives"].is_null() || matches(&line["gives"], &gives, within), "{told}");
            if let (Some(name), Ok(made)) = (line["as"].as_str(), made) {
                things.0.insert(name.into(), made);
            }
        }
    }
}

/// `exact.json` has expected outputs of these files.
#[test]
#[ignore = "writes the model and the adapter of exact.json anew: its numbers change with them"]
fn the_model_of_the_exact_decisions() {
    use probity_engine::gguf::GgmlType;
    use probity_testing::{lively, tiny_config, tiny_vocabulary, write_adapter};
    use probity_train::Decoder;
    use probity_train::model_file::write_model;
    let folder = root().join("tests/conformance");
    let decoder = Decoder::trained(&tiny_config().shape());
    let path = folder.join("exact.gguf");
    write_model(&path, &decoder, &lively(&decoder, 3), tiny_vocabulary(), GgmlType::F32, &[]).unwrap();
    write_adapter(&folder.join("exact-adapter.gguf"), 5);
}

/// Compiles a runner and lets it make the calls of every file, under AddressSanitizer.
fn runs(source: &str, compiler: &str, standard: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("conformance");
    compile(source, &program, compiler, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", standard]);
    let mut arguments = vec![root()];
    arguments.extend(FILES.map(file));
    let output = run(&program, &arguments.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn c_gives_what_the_files_say() {
    runs("tests/c/conformance.c", "cc", "-std=c99");
}

#[test]
fn cpp_gives_what_the_files_say() {
    runs("tests/c/conformance.cpp", "c++", "-std=c++17");
}

/// Statuses that no file provokes, and why.
const ELSEWHERE: [(&str, &str); 21] = [
    ("OK", "what a call gives that does not fail"),
    ("NULL_ARGUMENT", "C alone: tests/c/misuse.c"),
    ("INVALID_UTF8", "C alone: tests/c/misuse.c"),
    ("INVALID_HANDLE", "C alone: tests/c/misuse.c"),
    ("FOREIGN_HANDLE", "C alone: tests/c/misuse.c"),
    ("WRONG_TYPE", "C alone: tests/c/misuse.c"),
    ("BUFFER_SIZE", "C alone: tests/c/misuse.c"),
    ("BUSY", "needs a second thread: tests/c/misuse.c"),
    ("PANIC", "needs a defect of the library"),
    ("LIMIT", "needs millions of live objects"),
    ("ENGINE", "needs a file that passes preflight and that llama.cpp refuses"),
    ("PROCESSOR", "needs another processor"),
    ("DISK_FULL", "needs a full disk"),
    ("FORKED", "needs a fork: tests/c/host.c"),
    ("LABEL_PREFIX", "retired"),
    ("TOO_MANY_OPTIONS", "games have at most as many actions as a decision has options"),
    ("TEMPLATE", "needs a model with another template"),
    ("TRAINING", "never returned by the ABI"),
    ("CHECKPOINT", "never returned by the ABI"),
    ("UNTRAINABLE", "never returned by the ABI"),
    ("EMBEDDER", "needs an ONNX Runtime that is not there"),
];

#[test]
fn every_status_is_provoked_here_or_elsewhere() {
    let mut provoked = BTreeSet::new();
    for name in FILES {
        let document: Value = serde_json::from_slice(&fs::read(file(name)).unwrap()).unwrap();
        let calls = document["calls"].as_array().unwrap();
        provoked.extend(calls.iter().filter_map(|line| line["fails"].as_str().map(str::to_owned)));
    }
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|(name, _)| (*name).to_owned()).collect();
    let both: Vec<_> = provoked.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "{both:?} are provoked by the files");
    let all: BTreeSet<String> = Status::all().map(|status| status.name().to_owned()).collect();
    assert_eq!(provoked.union(&elsewhere).cloned().collect::<BTreeSet<_>>(), all);
}

/// The files that are there are the files that run.
#[test]
fn every_file_runs() {
    let here = fs::read_dir(root().join("tests/conformance")).unwrap();
    let mut names: Vec<String> = here
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, FILES);
}
