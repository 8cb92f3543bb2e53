//! The command line as a user or a script meets it: output, exit codes, interruptions, failing disks.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use probity_engine::gguf::{GgmlType, Value as GgufValue};
use probity_testing::parts::GgufParts;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_probity");

pub fn probity(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sha256(file: &Path) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn json(args: &[&str]) -> Value {
    let output = probity(args);
    assert!(output.status.success(), "{args:?}: {}", err(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", out(&output)))
}

/// A recipe shrunk to a few steps.
pub fn short_recipe(folder: &Path, steps: u64) -> String {
    let text = include_str!("../../../../configs/deontological.toml");
    let mut config: toml::Table = toml::from_str(text).expect("a recipe");
    config["games_per_step"] = 4.into();
    config["shards"] = 2.into();
    // A random base puts nothing on the labels: without these, a few steps would learn them and no policy.
    config["legality"] = 0.0.into();
    config["rate"] = 0.01.into();
    // Larger games are longer than the context of a test's base.
    let games = config["games"].as_table_mut().expect("games");
    games.retain(|key, _| key == "catalogue");
    // A few steps arrive nowhere.
    config.insert("arrival".into(), 1.0.into());
    config["phases"].as_array_mut().expect("phases")[0].as_table_mut().expect("a phase")["steps"] =
        i64::try_from(steps).expect("few").into();
    let path = folder.join("short.toml");
    fs::write(&path, toml::to_string(&config).expect("TOML")).expect("a config");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_decision_from_flags() {
    let ask = [
        "decide",
        "--game",
        "ipd",
        "--labels",
        "zork,blip",
        "--layout",
        "original",
        "--own-last",
        "blip",
        "--other-last",
        "zork",
        "--adapter",
        "deontological",
        "--json",
    ];
    let record = json(&ask);
    let actions = record["actions"].as_array().expect("actions");
    assert_eq!(actions.iter().map(|a| a["label"].as_str().unwrap()).collect::<Vec<_>>(), ["zork", "blip"]);
    let total: f64 = actions.iter().map(|a| a["probability"].as_f64().unwrap()).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    let mass = record["legality_mass"].as_f64().expect("a mass");
    assert!(mass > 0.0 && mass <= 1.0 + 1e-9, "{mass}");
    assert_eq!(record, json(&ask), "the same question, the same record");
}

#[test]
fn a_decision_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.json");
    fs::write(&file, r#"{"game": "volunteer", "labels": ["help", "wait"], "seed": 3}"#).unwrap();
    let record = json(&["decide", file.to_str().unwrap(), "--json"]);
    assert_eq!(record["actions"].as_array().map(Vec::len), Some(2));
    let words = probity(&["decide", file.to_str().unwrap()]);
    assert!(out(&words).contains("help"), "{}", out(&words));
    // A byte order mark, as some editors write it.
    let marked = folder.path().join("marked.json");
    fs::write(&marked, format!("\u{feff}{}", fs::read_to_string(&file).unwrap())).unwrap();
    assert_eq!(record, json(&["decide", marked.to_str().unwrap(), "--json"]));
}

#[test]
fn wrong_usage_and_bad_input_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.gguf");
    fs::write(&text, "not a model").unwrap();
    let text = text.to_str().unwrap();
    let record = folder.path().join("record.json");
    fs::write(&record, "{").unwrap();
    let bytes = folder.path().join("latin1.json");
    fs::write(&bytes, b"{\"game\": \"\xe9\"}").unwrap();
    let bytes = bytes.to_str().unwrap();
    let adapter = folder.path().join("adapter.gguf");
    GgufParts::of(&probity_testing::shipped("game"))
        .set("adapter.lora.alpha", GgufValue::F32(f32::NAN))
        .write(&adapter);
    let cases: [(&[&str], &str); 24] = [
        (&["decide", "--game", "ipd", "--reward", "saintly"], "saintly"),
        (&["decide", "--game", "ipd", "--tilt", "saintly:1"], "saintly"),
        (&["decide", "--game", "ipd", "--tilt", "game:1e-320"], "tilt"),
        (&["decide", bytes], "latin1.json"),
        (&["demo", "--rounds", "0"], "--rounds"),
        (&["train", "--recipe", "game", "--out", "x.gguf", "--checkpoint-every", "0"], "--checkpoint-every"),
        (&["inspect", adapter.to_str().unwrap()], "alpha"),
        (&["decide"], "game"),
        (&["decide", "--game", "chess"], "ipd"),
        (&["decide", "--game", "ipd", "--labels", "same,same"], "same"),
        (&["decide", "--game", "ipd", "--labels", "act,\u{200B}act"], "invisible"),
        (&["decide", "--game", "ipd", "--labels", "a,b", "--own-last", "c", "--other-last", "a"], "c"),
        (&["decide", "--game", "ipd", "--adapter", "saintly"], "deontological"),
        (&["decide", "--game", "ipd", "--belief", "0.5,0.9"], "belief"),
        (&["decide", "--game", "ipd", "--temperature", "0"], "temperature"),
        (&["decide", "--game", "ipd", "--memory", "1"], "of cache"),
        (&["decide", record.to_str().unwrap()], "record.json: scenario"),
        (&["inspect", text], "GGUF"),
        (&["train", "--recipe", "saintly", "--out", "x.gguf"], "deontological"),
        (&["inspect", "no/such/model.gguf"], "no/such/model.gguf"),
        (&["decide", "no/such/scenario.json"], "no/such/scenario.json"),
        (&["decide", "--game", "ipd", "--model", "no/such/model.gguf"], "no/such/model.gguf"),
        (&["train", "--config", "no/such/config.toml", "--out", "x.gguf"], "no/such/config.toml"),
        (&["--frobnicate"], "--frobnicate"),
    ];
    for (args, hint) in cases {
        let output = probity(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(hint), "{args:?} should mention {hint:?}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{args:?} prints an answer: {}", out(&output));
    }
}

#[test]
fn every_help_has_an_example() {
    for command in
        ["demo", "decide", "inspect", "plan", "verify", "train", "pretrain", "compare", "import", "export", "merge"]
    {
        let help = probity(&[command, "--help"]);
        assert!(help.status.success() && out(&help).contains("Example: probity"), "{command}: {}", out(&help));
    }
}

#[test]
fn the_built_in_files_inspect_and_verify() {
    let shape = json(&["inspect", "default", "--json"]);
    assert_eq!(shape["shape"]["architecture"], "llama");
    for name in [
        "game",
        "deontological",
        "utilitarian",
        "game+deontological",
        "game-then-deontological",
        "game-then-utilitarian",
    ] {
        let manifest = json(&["inspect", name, "--json"]);
        assert_eq!(manifest["manifest"]["name"], name, "{manifest}");
        let found = json(&["verify", name, "--json"]);
        // Five games in five states each. `verify` itself states how far a probability may lie from the recorded one.
        assert_eq!(found["vectors"], 25, "{found}");
        assert!(found["effect"].as_f64().unwrap() > 0.3, "{found}");
    }
}

#[test]
fn a_plan_tells_the_memory_and_holds_it_to_a_limit() {
    let plan = json(&["plan", "--json"]);
    let parts: u64 = ["weights", "cache", "buffers"].iter().map(|part| plan[part].as_u64().unwrap()).sum();
    assert_eq!(plan["total"].as_u64().unwrap(), parts);
    let longer = json(&["plan", "--context", "1024", "--exact-cache", "--json"]);
    let shorter = json(&["plan", "--context", "512", "--json"]);
    assert_eq!(longer["cache"].as_u64().unwrap(), 4 * shorter["cache"].as_u64().unwrap());
    let refused = probity(&["plan", "--memory", "1"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        out(&refused).contains("buffers") && err(&refused).contains("expected at most 1048576"),
        "{}",
        err(&refused)
    );
    assert!(probity(&["decide", "--game", "ipd", "--memory", "100"]).status.success());
}

#[test]
fn the_demo_shows_policies_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("policies.svg");
    let output = probity(&["demo", "--rounds", "3", "--picture", picture.to_str().unwrap()]);
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    for word in ["bare model", "game", "deontological", "utilitarian", "P(C|CC)", "--model your.gguf"] {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
    assert!(fs::read_to_string(picture).unwrap().starts_with("<svg"));
}

/// Asks a process to stop as Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = short_recipe(folder.path(), 60);
    probity_testing::write_random(&folder.path().join("base.gguf"), &probity_testing::tiny_config(), GgmlType::F32, 7);
    let train = |run: &str, adapter: &str, resume: bool| {
        let mut command = Command::new(PROGRAM);
        command.args(["train", "--config", &config, "--model", &at("base.gguf")]);
        command.args(["--run", &at(run), "--out", &at(adapter), "--json"]);
        if resume {
            command.arg("--resume");
        }
        command
    };
    let whole = train("whole", "whole.gguf", false).output().expect("it runs");
    assert!(whole.status.success(), "{}", err(&whole));

    let mut child =
        train("cut", "cut.gguf", false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let start = Instant::now();
    let lines = || fs::read_to_string(folder.path().join("cut/steps.jsonl")).map_or(0, |t| t.lines().count());
    while lines() < 2 {
        assert!(start.elapsed() < Duration::from_secs(120), "no step was taken");
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&child);
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "cancelled is not done");
    assert!(!folder.path().join("cut.gguf").exists(), "no half-trained adapter");
    let again = train("cut", "cut.gguf", false).output().expect("it runs");
    assert_eq!(again.status.code(), Some(2), "a run folder is not overwritten");
    assert!(err(&again).contains("--resume"), "{}", err(&again));
    let resumed = train("cut", "cut.gguf", true).output().expect("it runs");
    assert!(resumed.status.success(), "{}", err(&resumed));
    let [a, b] = ["whole.gguf", "cut.gguf"].map(|f| fs::read(folder.path().join(f)).expect("an adapter"));
    assert!(a == b, "the resumed run ends in the same bytes");
}

/// A disk that is full after 100 KiB: the file size limit fails writes at the same place.
#[cfg(unix)]
#[test]
fn a_failed_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = short_recipe(folder.path(), 2);
    fs::write(at("mine.gguf"), "what was there").unwrap();
    // A model file on disk, as the built-in model must be unpacked first.
    let model = probity_testing::shipped("default").to_string_lossy().into_owned();
    let train = ["train", "--config", &config, "--model", &model, "--run", &at("run"), "--out", &at("mine.gguf")];
    let paused = probity(&train);
    assert!(paused.status.success(), "{}", err(&paused));
    let before = fs::read(at("mine.gguf")).unwrap();
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    let output =
        Command::new("sh").args(["-c", script, PROGRAM]).args(train).arg("--resume").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).contains("mine.gguf") && err(&output).contains("os error"), "{}", err(&output));
    assert!(fs::read(at("mine.gguf")).unwrap() == before, "the old adapter is untouched");
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .chain(fs::read_dir(at("run")).unwrap())
        .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|f| f.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The whole life of a user's own model, in small: pretraining, an adapter, a decision with both.
#[test]
fn from_nothing_to_a_decision() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(
        at("pretrain.toml"),
        "layers = 2\nwidth = 64\nheads = 2\nfeed_forward = 128\nvocabulary = 400\ncontext = 1024\nsteps = 160\n[course]\nlessons = 4\nactions = 0.0\n",
    )
    .unwrap();
    let lines = probity(&[
        "pretrain",
        "--config",
        &at("pretrain.toml"),
        "--run",
        &at("base"),
        "--out",
        &at("base.gguf"),
        "--measure-every",
        "60",
        "--json",
    ]);
    assert!(lines.status.success(), "{}", err(&lines));
    let losses: Vec<f64> =
        out(&lines).lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()?["loss"].as_f64()).collect();
    assert_eq!(losses.len(), 160);
    let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
    let (early, late) = (mean(&losses[..10]), mean(&losses[150..]));
    assert!(late < 0.7 * early, "the loss fell from {early} to {late} only");

    let config = short_recipe(folder.path(), 6);
    let adapter = probity(&[
        "train",
        "--config",
        &config,
        "--model",
        &at("base.gguf"),
        "--run",
        &at("run"),
        "--out",
        &at("mine.gguf"),
    ]);
    assert!(adapter.status.success(), "{}", err(&adapter));
    let record = json(&[
        "decide",
        "--game",
        "ipd",
        "--model",
        &at("base.gguf"),
        "--adapter",
        &at("mine.gguf"),
        "--json",
        "--legality-floor",
        "off",
    ]);
    assert_eq!(record["actions"].as_array().map(Vec::len), Some(2));
    // Three steps teach no answers, and the program says so.
    let doubtful = probity(&["decide", "--game", "ipd", "--model", &at("base.gguf")]);
    assert_eq!(doubtful.status.code(), Some(3));
    assert!(out(&doubtful).contains("takes"), "{}", out(&doubtful));
    assert!(err(&doubtful).contains("not reliable: legality mass 0.0"), "{}", err(&doubtful));
    let elsewhere = probity(&["decide", "--game", "ipd", "--adapter", &at("mine.gguf")]);
    assert_eq!(elsewhere.status.code(), Some(2), "an adapter of another base: {}", err(&elsewhere));
}

/// Another engine's training is stood in for by the shipped adapter; `bindings/python/tests/test_engines.py` trains.
#[test]
fn a_run_is_written_for_another_engine_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = at("course.toml");
    let text = "name = \"short\"\nseed = 1\nlabels = \"pool\"\nstyles = \"all\"\nopponent = \"random\"\ngames_per_step = 1\nshards = 1\n\
                rank = 16\nalpha = 32.0\nrate = 0.002\nbeta = 0.6\nlegality = 0.1\n[games]\ncatalogue = [\"ipd\"]\n\
                [[phases]]\nsteps = 2\nreward = { framework = \"utilitarian\" }\n";
    fs::write(&config, text).unwrap();
    let write = |more: &[&str]| probity(&[&["train", "--config", config.as_str(), "--dataset"], more].concat());
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join(name).join("steps.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (known, plain) = (at("known"), at("plain"));
    assert!(write(&[&known]).status.success() && write(&[&plain, "--no-references"]).status.success());
    let (mut with, without) = (lines("known"), lines("plain"));
    assert_eq!(with.len(), 2);
    for decision in with.iter_mut().flat_map(|step| step["games"][0]["decisions"].as_array_mut().unwrap()) {
        let reference = decision.as_object_mut().unwrap().remove("reference").unwrap();
        assert!(reference.as_array().unwrap().iter().all(|score| score.as_f64().unwrap() < 0.0), "{reference}");
        assert_eq!(decision["rewards"].as_array().unwrap().len(), 2);
    }
    assert_eq!(with, without);
    assert!(err(&write(&[&known])).contains("holds a dataset already"));

    let (peft, back) = (at("peft"), at("back.gguf"));
    assert!(probity(&["export", "deontological", "--out", &peft]).status.success());
    let weights = sha256(&folder.path().join("peft/adapter_model.safetensors"));
    let run: Value = serde_json::from_slice(&fs::read(folder.path().join("known/run.json")).unwrap()).unwrap();
    let trained = |weights: &str| {
        let document =
            serde_json::json!({ "run": run, "steps": 2, "tokens": 9999, "engine": "another", "weights": weights });
        fs::write(folder.path().join("peft/trained.json"), document.to_string()).unwrap();
        probity(&["import", &peft, "--out", &back])
    };
    assert!(err(&trained("0")).contains("other weights than trained.json"));
    let output = trained(&weights);
    assert!(output.status.success(), "{}", err(&output));
    let told = out(&probity(&["inspect", &back, "--json"]));
    assert!(told.contains("its steps by another") && told.contains("utilitarian"), "{told}");
}

#[test]
fn adapters_travel() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (peft, back, half, merged) = (at("peft"), at("back.gguf"), at("half.gguf"), at("merged.gguf"));
    let done = |args: &[&str]| {
        let output = probity(args);
        assert!(output.status.success(), "{args:?}: {}", err(&output));
        out(&output)
    };
    let policy = |given: &[&str]| -> Vec<f64> {
        let ask = ["decide", "--game", "ipd", "--labels", "zork,blip", "--own-last", "blip", "--other-last", "zork"];
        let record = json(&[&ask, given, &["--json"]].concat());
        record["actions"].as_array().unwrap().iter().map(|a| a["probability"].as_f64().unwrap()).collect()
    };
    let close = |a: &[f64], b: &[f64], most: f64| {
        assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() <= most), "{a:?} and {b:?}");
    };
    let shipped = policy(&["--adapter", "deontological"]);
    done(&["export", "deontological", "--out", &peft]);
    assert!(done(&["import", &peft, "--out", &back]).contains("verified"));
    // The shipped adapter is F16, to which the engine rounds its activations; this adapter is F32.
    close(&policy(&["--adapter", &back]), &shipped, 1e-3);
    // Two halves of one adapter are that adapter.
    done(&["merge", "deontological:0.5", "deontological:0.5", "--out", &half]);
    close(&policy(&["--adapter", &half]), &shipped, 1e-3);
    // Merged matrices are F16 here, so that the base's activations are rounded to F16 and not to int8.
    done(&["merge", "deontological", "--into-model", "--type", "f16", "--out", &merged]);
    close(&policy(&["--model", &merged]), &shipped, 0.05);
    // What the model reads is known of the merged one, too.
    let of_half = json(&["inspect", &half, "--json"])["manifest"]["reading"].clone();
    assert!(of_half.as_array().is_some_and(|kinds| kinds.contains(&"digits/ascii".into())), "{of_half}");
    // NaN weights: the file that was there stays.
    let before = fs::read(&merged).unwrap();
    let broken = probity(&["merge", "deontological:1e30", "--into-model", "--type", "f16", "--out", &merged]);
    assert!(!broken.status.success() && err(&broken).contains("the merged model"), "{}", err(&broken));
    assert!(fs::read(&merged).unwrap() == before && fs::read_dir(folder.path()).unwrap().count() == 4);
    for (args, said) in [
        (&["merge", "deontological", "--into-model", "--type", "IQ2_XS", "--out", &half][..], "calibration"),
        (&["merge", "nobody", "--out", &half], "neither a file nor built in"),
        // A model of equal shape with other weights.
        (&["export", "deontological", "--model", &merged, "--out", &peft], "the model is"),
        (&["import", &at("nothing"), "--out", &half], "adapter_config.json"),
        (&["import", &peft, "--precision", "q4_0", "--out", &half], "q8_0"),
    ] {
        let output = probity(args);
        assert!(output.status.code() == Some(2) && err(&output).contains(said), "{args:?}: {}", err(&output));
        assert!(err(&output).matches("os error").count() <= 1, "a reason is said once: {}", err(&output));
    }
}

#[test]
fn a_run_is_planned_before_it_starts() {
    let within =
        |gib: f64| json(&["train", "--recipe", "deontological", "--plan", "--json", "--memory", &gib.to_string()]);
    // What is free on the machine decides nothing.
    let plan = within(64.0);
    let bytes = |p: &Value| p["bytes"].as_u64().expect("bytes");
    let total = plan["total"].as_u64().expect("bytes") as f64 / f64::from(1 << 30);
    let (serial, narrow) = (within(0.6 * total), within(0.1));
    assert!(plan["schedule"] == "wide" && serial["schedule"] == "serial" && narrow["schedule"] == "narrow");
    assert!(bytes(&narrow) < bytes(&serial) && bytes(&serial) < bytes(&plan) && bytes(&narrow) * 4 < bytes(&plan));
    let refused = probity(&["train", "--recipe", "deontological", "--memory", "0.01", "--out", "/tmp/never.gguf"]);
    assert!(
        refused.status.code() == Some(1) && err(&refused).contains("0.01 GiB are allowed; fewer games"),
        "{}",
        err(&refused)
    );
    let bad = probity(&["train", "--recipe", "deontological", "--memory", "-1", "--plan"]);
    assert_eq!(bad.status.code(), Some(2), "{}", err(&bad));
}

/// A reward from a moral graph holds for one game: training plays this game, or says how to.
#[test]
fn a_graphs_reward_is_of_one_game() {
    let folder = tempfile::tempdir().unwrap();
    let reward = folder.path().join("reward.json");
    let scores = vec![vec![0.1, -0.2]; 5];
    let document = serde_json::json!({ "framework": "values", "game": "ipd", "scores": scores, "source": "by hand" });
    fs::write(&reward, document.to_string()).unwrap();
    let reward = reward.to_str().unwrap();
    let config = probity_testing::root().join("docs/example/training.toml");
    json(&["train", "--plan", "--json", "--config", config.to_str().unwrap(), "--reward", reward]);
    json(&["train", "--plan", "--json", "--recipe", "deontological", "--game", "ipd", "--reward", reward]);
    for (args, says) in [(["--reward", reward], "--game ipd plays it alone"), (["--game", "chess"], "\"chess\"")] {
        let bad = probity(&[&["train", "--plan", "--recipe", "deontological"], args.as_slice()].concat());
        assert_eq!(bad.status.code(), Some(2));
        assert!(err(&bad).contains(says), "{}", err(&bad));
    }
    let other = probity(&["decide", "--game", "ish", "--labels", "a,b", "--reward", reward]);
    assert_eq!(other.status.code(), Some(2), "{}", err(&other));
    assert!(err(&other).contains("scores of the game \"ipd\", expected of \"ish\""), "{}", err(&other));
}

/// The recipe for a model of one's own: it starts from an adapter, and its reward is the caller's, or several in turn.
#[test]
fn the_recipe_real_starts_from_an_adapter_and_takes_rewards_in_turn() {
    let plan = ["train", "--plan", "--json", "--recipe", "real", "--from", "deontological", "--reward"];
    let steps = |reward: &str| json(&[&plan[..], &[reward]].concat())["steps"].as_u64();
    assert_eq!(steps("game,utilitarian"), steps("deontological").map(|steps| steps + steps / 3));
    let other = probity(&[&plan[..], &["game", "--model", "nosuch"]].concat());
    assert!(err(&other).contains("known are default, smollm2"), "{}", err(&other));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("kind.gguf");
    let bad = probity(&["train", "--recipe", "real", "--out", out.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(2), "{}", err(&bad));
    assert!(err(&bad).contains("expected --from ADAPTER"), "{}", err(&bad));
    let several = probity(&["train", "--plan", "--recipe", "game-then-utilitarian", "--reward", "game"]);
    assert!(err(&several).contains("with 2 phases"), "{}", err(&several));
}

#[test]
fn two_learners_write_two_adapters() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(short_recipe(folder.path(), 8)).unwrap();
    let text = text.replace("opponent = \"random\"", "opponent = \"learner\"");
    assert!(text.contains("learner"), "{text}");
    let config = folder.path().join("two.toml");
    fs::write(&config, text).unwrap();
    let file = folder.path().join("mine.gguf");
    let output = probity(&["train", "--config", config.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", err(&output));
    for name in ["mine.gguf", "mine.other.gguf"] {
        let verified = probity(&["verify", folder.path().join(name).to_str().unwrap()]);
        assert!(verified.status.success(), "{name}: {}", err(&verified));
    }
}

/// The remains of a crash: the checkpoint of the last step, and a log that is a step ahead or truncated in a line.
#[cfg(unix)]
#[test]
fn a_killed_training_loses_the_step_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let config = short_recipe(folder.path(), 8);
    let at = |name: &str| folder.path().join(name);
    let train = |run: &str, out: &str, resume: bool| {
        let mut command = Command::new(PROGRAM);
        command.args(["train", "--config", &config]).arg("--run").arg(at(run)).arg("--out").arg(at(out)).arg("--json");
        command.args(resume.then_some("--resume")).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(train("whole", "whole.gguf", false).status().expect("it runs").success());
    let mut child = train("cut", "cut.gguf", false).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for _ in 0..3 {
        lines.next().expect("a step").expect("a line");
    }
    child.kill().expect("it was running");
    child.wait().expect("it is gone");
    let log = at("cut").join("steps.jsonl");
    let steps = || fs::read_to_string(&log).unwrap().lines().map(String::from).collect::<Vec<_>>();
    let killed_after = steps().len();
    assert!((3..=8).contains(&killed_after));
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"{\"step\":99,\"obj").unwrap();
    assert!(train("cut", "cut.gguf", true).status().expect("it runs").success());
    let [a, b] = ["whole.gguf", "cut.gguf"].map(|f| fs::read(at(f)).expect("an adapter"));
    assert!(a == b, "the resumed run ends in the same bytes");
    // Every step is logged once, with its figures and its seconds.
    let parse = |line: &String| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let lines: Vec<Value> = steps().iter().map(parse).collect();
    assert_eq!(lines.iter().map(|l| l["step"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    for line in &lines {
        assert!(line["seconds"].as_f64().unwrap() > 0.0 && line["tokens"].as_u64().unwrap() > 0, "{line}");
        let states = line["states"].as_array().unwrap();
        assert!(states.iter().any(|s| s["state"] == "DC" && s["kl"].is_number() && s["game"].is_string()), "{line}");
    }
    assert!(fs::read_to_string(at("cut").join("curves.svg")).unwrap().contains("legality mass"));
}

#[test]
fn the_papers_algorithm_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("ppo.toml");
    let text = fs::read_to_string(probity_testing::root().join("configs/paper-ppo.toml")).unwrap();
    let text = text.replace("steps = 1000", "steps = 3").replace("rank = 64", "rank = 4");
    fs::write(&config, text.replace("rate = 1.41e-5", "rate = 0.01")).unwrap();
    let (config, file) = (config.to_str().unwrap(), folder.path().join("mine.gguf"));
    let args = ["train", "--config", config, "--reward", "utilitarian", "--json", "--out", file.to_str().unwrap()];
    let output = probity(&args);
    assert!(output.status.success(), "{}", err(&output));
    let first: Value = serde_json::from_str(out(&output).lines().next().unwrap()).unwrap();
    assert!(first["played"]["illegal"].is_number() && first["miss"].is_number(), "{first}");
    assert!(out(&probity(&["inspect", file.to_str().unwrap()])).contains("trained on utilitarian (ppo) for 3 steps"));
    let refused =
        probity(&["train", "--recipe", "game-then-utilitarian", "--reward", "game", "--out", "/tmp/never.gguf"]);
    assert!(refused.status.code() == Some(2) && err(&refused).contains("with 2 phases"), "{}", err(&refused));
    let blind = probity(&["train", "--recipe", "game", "--watch", "--out", "/tmp/never.gguf"]);
    assert!(blind.status.code() == Some(2) && err(&blind).contains("terminal"), "{}", err(&blind));
}

#[test]
fn a_failed_run_leaves_a_checkpoint_that_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = short_recipe(folder.path(), 6);
    let run = |rate: &str, more: &[&str]| {
        let run = ["train", "--config", &config, "--rate", rate, "--run", &at(rate), "--out", &at("mine.gguf")];
        probity(&[&run, more].concat())
    };
    // The first step ends in parameters that give NaN; the second step finds it.
    for more in [&[][..], &["--resume"]] {
        let output = run("1e30", more);
        let said = err(&output);
        assert!(
            output.status.code() == Some(1)
                && said.contains("at step 2")
                && said.contains("the checkpoint is of step 0"),
            "{said}"
        );
    }
    assert!(!folder.path().join("mine.gguf").exists() && folder.path().join("1e30/curves.svg").exists());
    // A healthy run keeps the checkpoint before the newest; after a kill between the two, either exists.
    assert!(run("0.001", &["--pause-after", "3", "--checkpoint-every", "1"]).status.success());
    let (newest, good) = (folder.path().join("0.001/checkpoint.bin"), folder.path().join("0.001/checkpoint.good.bin"));
    assert!(newest.exists() && good.exists());
    fs::rename(&newest, newest.with_extension("next.bin")).unwrap();
    let output = run("0.001", &["--resume"]);
    assert!(output.status.success() && out(&output).contains("6 steps"), "{}", err(&output));
    // A run that ends far from its optimum says so, and leaves its adapter.
    let far =
        ["train", "--config", &config, "--arrival", "0.0001", "--run", &at("far"), "--out", &at("far.gguf"), "--json"];
    let output = probity(&far);
    assert!(output.status.code() == Some(1) && err(&output).contains("not arrived: 0."), "{}", err(&output));
    let end: Value = serde_json::from_str(out(&output).lines().last().unwrap()).unwrap();
    assert!(end["arrived"] == false && folder.path().join("far.gguf").exists(), "{end}");
    // What the message advises works on the finished run.
    let (run, adapter) = (at("far"), at("far.gguf"));
    let output =
        probity(&["train", "--config", &config, "--run", &run, "--out", &adapter, "--resume", "--arrival", "1"]);
    assert!(output.status.success(), "{}", err(&output));
}

#[test]
fn ways_to_behave_are_compared() {
    let ask = ["compare", "--reward", "utilitarian", "--game", "ipd", "--steps", "2", "--adapter", "utilitarian"];
    let rows = json(&[&ask[..], &["--json"]].concat());
    let names: Vec<&str> = rows.as_array().unwrap().iter().map(|r| r["policy"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "bare model",
            "asked in words",
            "tilted",
            "supervised training, 2 steps",
            "exact training, 2 steps",
            "utilitarian"
        ]
    );
    let of = |i: usize, key: &str| rows[i][key].as_f64().unwrap();
    // A fair coin, and mutual cooperation worth 6, one-sided 4, none 2: cooperating brings 5, defecting 3.
    assert!((of(0, "best") - 5.0).abs() < 1e-9);
    assert!(of(2, "reward") > 4.9 && of(5, "reward") > 4.9 && of(5, "miss") < 0.05, "{rows}");
    assert!(of(0, "reward") < 4.5 && of(1, "prompt_tokens") > of(0, "prompt_tokens"), "{rows}");
    assert!(of(3, "training_tokens") > 0.0 && of(0, "training_tokens") == 0.0);
    let table = probity(&["compare", "--reward", "game", "--game", "icd", "--steps", "0"]);
    assert!(table.status.success() && out(&table).contains("the best of 3"), "{}", err(&table));
    let unknown = probity(&["compare", "--reward", "greed"]);
    assert!(unknown.status.code() == Some(2) && err(&unknown).contains("greed"), "{}", err(&unknown));
}

#[test]
fn a_run_goes_on_and_starts_from_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = short_recipe(folder.path(), 2);
    let train = |more: &[&str]| probity(&[&["train", "--config", &config], more].concat());
    let done = train(&["--run", &at("run"), "--out", &at("mine.gguf")]);
    assert!(done.status.success(), "{}", err(&done));
    let more = train(&["--run", &at("run"), "--out", &at("more.gguf"), "--resume", "--extend", "3"]);
    assert!(more.status.success() && out(&more).contains("5 steps"), "{}", err(&more));
    let once = train(&["--run", &at("run"), "--out", &at("more.gguf"), "--resume"]);
    assert!(once.status.code() == Some(2) && err(&once).contains("the config beside it"), "{}", err(&once));

    let from = train(&["--run", &at("on"), "--out", &at("on.gguf"), "--from", &at("mine.gguf")]);
    assert!(from.status.success(), "{}", err(&from));
    let start = json(&["inspect", &at("on.gguf"), "--json"])["manifest"]["start"].clone();
    assert_eq!(start.as_str().map(str::len), Some(64));
    let config = at("on/config.toml");
    let without = probity(&["train", "--config", &config, "--run", &at("again"), "--out", &at("again.gguf")]);
    assert!(without.status.code() == Some(2) && err(&without).contains("--from ADAPTER"), "{}", err(&without));
}

#[test]
fn a_game_file_stands_where_a_name_stands() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let game = r#"{"version": 1, "name": "ferry", "actions": [["row", "rest"], ["steer", "sleep"]],
                   "payoffs": [[[3, 3], [0, 4]], [[4, 0], [1, 1]]], "cooperative": [0, 0]}"#;
    fs::write(at("ferry.json"), game).unwrap();
    // A config names the file beside it; the run's own config has the game in it.
    let text = fs::read_to_string(short_recipe(folder.path(), 2)).unwrap();
    let text = text.replace("[\"ipd\", \"ish\", \"icn\", \"bos\", \"icd\"]", "[\"ferry.json\"]");
    assert!(text.contains("ferry.json"), "{text}");
    fs::write(at("ferry.toml"), text).unwrap();
    let output = probity(&["train", "--config", &at("ferry.toml"), "--out", &at("mine.gguf")]);
    assert!(output.status.success(), "{}", err(&output));
    let resolved = fs::read_to_string(folder.path().join("mine.run/config.toml")).unwrap();
    assert!(resolved.contains("ferry") && !resolved.contains("ferry.json"), "{resolved}");
    let shown = json(&["inspect", &at("mine.gguf"), "--json"]);
    assert_eq!(shown["manifest"]["self_test"][0]["game"]["name"], "ferry");
    assert_eq!((&shown["manifest"]["opponent"], &shown["manifest"]["rank"]), (&"random".into(), &16.into()));
    let rows = json(&["compare", "--steps", "0", "--game", &at("ferry.json"), "--reward", "utilitarian", "--json"]);
    assert!((rows[0]["best"].as_f64().unwrap() - 5.0).abs() < 1e-9, "{rows}");
    // What is compared is trained on that game.
    let ask =
        ["compare", "--steps", "1", "--game", &at("ferry.json"), "--reward", "game", "--out", &at("kept"), "--json"];
    let rows = json(&ask);
    assert!(rows[4]["policy"] == "exact training, 1 steps" && rows[4]["distance"].is_number(), "{rows}");
    let trained = json(&["inspect", &at("kept/exact-training.gguf"), "--json"]);
    assert_eq!(trained["manifest"]["named_games"][0]["name"], "ferry");
    let bad = probity(&["train", "--recipe", "game", "--game", &at("none.json"), "--out", &at("x.gguf")]);
    assert!(bad.status.code() == Some(2) && err(&bad).contains("none.json"), "{}", err(&bad));
    // Two games of one name cannot be told apart in reports and weights.
    let file = at("ferry.json");
    let twice = probity(&["train", "--recipe", "game", "--game", &file, "--game", &file, "--out", &at("x.gguf")]);
    assert!(twice.status.code() == Some(2) && err(&twice).contains("ferry"), "{}", err(&twice));
}

#[test]
fn a_model_that_was_not_fetched_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let index = "http://127.0.0.1:9/simple";
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_probity"));
        command.args(args).env("PROBITY_MODEL_FOLDER", folder.path()).env("PROBITY_INDEX", index).output().unwrap()
    };
    let missing = run(&["decide", "--model", "smollm2", "--game", "ipd"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("`probity model fetch smollm2` brings it"), "{}", err(&missing));
    let list: Value = serde_json::from_str(&out(&run(&["model", "list", "--json"]))).unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["licence"], &list[0]["file"]),
        (&"smollm2".into(), &"Apache-2.0".into(), &Value::Null)
    );
    let refused = run(&["model", "fetch", "smollm2"]);
    assert!(refused.status.code() == Some(1) && err(&refused).contains("127.0.0.1:9"), "{}", err(&refused));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    // A file that is not the model is not taken for it.
    fs::write(folder.path().join("smollm2.gguf"), b"GGUF").unwrap();
    let other = run(&["model", "fetch", "smollm2"]);
    assert!(err(&other).contains("--force fetches it anew"), "{}", err(&other));
    let unknown = run(&["model", "fetch", "gpt"]);
    assert!(unknown.status.code() == Some(2) && err(&unknown).contains("smollm2, gemma3-270m"), "{}", err(&unknown));
}
