//! Values elicited by the command line, by the real loading code and the built-in language model.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::elicited::{ANSWERS, card, embedder, voted};

/// `probity values` with these arguments: exit code, standard output, standard error.
fn values(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_probity")).arg("values").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Writes a store's contents to a file; returns its name.
fn exported(store: &str, file: &str) -> String {
    assert_eq!(values(&["export", "--store", store, "--out", file]).0, 0);
    file.to_owned()
}

/// An interview, interrupted, resumed, merged, told, voted on and forgotten, with answers from files.
#[test]
fn the_command_line_elicits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (store, file) = (at("values.db"), at("answers"));
    let interview = |answers: &str, more: &[&str]| {
        std::fs::write(&file, answers).unwrap();
        let own = ["interview", "--store", &store, "--embedder", "model", "--answers", &file];
        values(&[&own[..], more].concat())
    };
    // A mistake creates nothing.
    for (answers, more, complaint) in [
        ("yes", vec!["--topic", " "], "topic: nothing, expected some text"),
        ("yes", vec!["--model", "missing.gguf"], "missing.gguf"),
    ] {
        let (code, _, said) = interview(answers, &more);
        assert!(code == 2 && said.contains(complaint), "{code} {said}");
        assert!(!Path::new(&store).exists());
    }
    let [first, rest] = [ANSWERS[..2].join("\n"), format!("{}\nyes\n", ANSWERS[2..].join("\n"))];
    let (code, said, _) = interview(&first, &["--topic", "Strangers?"]);
    assert!(code == 0 && said.contains("--name interview-1` continues it"), "{said}");
    // The same file continues from its start.
    let (code, said, complaint) = interview(&format!("{first}\n{rest}"), &["--name", "interview-1"]);
    assert!(code == 0 && said.contains("with 2 answers") && said.contains("\nAdded "), "{said} {complaint}");
    let listed: Value = serde_json::from_str(&values(&["card", "--store", &store, "--json"]).1).unwrap();
    assert!(listed[0]["id"] == 1 && !listed[0]["contexts"].as_array().unwrap().is_empty(), "{listed}");
    let [whole, contexts] = ["provenance", "contexts_provenance"].map(|of| &listed[0][of]);
    assert!(whole["model"] == contexts["model"] && whole["prompt"] != contexts["prompt"], "{listed}");
    assert!(contexts["seed"].is_u64() && contexts["prompt"].is_string(), "{listed}");
    // The same answers at once, into another store: the same card.
    let other = at("other.db");
    std::fs::write(&file, format!("{first}\n{rest}")).unwrap();
    let at_once = ["interview", "--store", &other, "--embedder", "model", "--answers", &file, "--topic", "Strangers?"];
    assert_eq!(values(&at_once).0, 0);
    assert_eq!(serde_json::from_str::<Value>(&values(&["card", "--store", &other, "--json"]).1).unwrap(), listed);
    // Resumed after its end, an interview adds nothing twice, even after an edit of the card.
    let mut edited = listed[0].clone();
    edited["title"] = "Another title".into();
    std::fs::write(at("edited.json"), edited.to_string()).unwrap();
    assert_eq!(values(&["card", "--put", &at("edited.json"), "--store", &store]).0, 0);
    let (code, said, _) = interview("yes", &["--name", "interview-1"]);
    assert_eq!((code, values(&["card", "--store", &store]).1.lines().count()), (0, 1), "{said}");
    std::fs::write(at("edited.json"), listed[0].to_string()).unwrap();
    assert_eq!(values(&["card", "--put", &at("edited.json"), "--store", &store]).0, 0);
    // A prefix of the known answers adds nothing; another topic is another conversation.
    let said_before = || values(&["transcript", "interview-1", "--json", "--store", &store]).1;
    let before = said_before();
    assert_eq!((interview(&first, &["--name", "interview-1"]).0, said_before()), (0, before));
    let (code, _, complaint) = interview("yes", &["--name", "interview-1", "--topic", "Rivers?"]);
    assert!(code == 2 && complaint.contains("is a conversation about \"Strangers?\""), "{complaint}");
    // Two interviews at once are two conversations.
    let crowd = at("crowd.db");
    let start = || {
        let arguments = ["values", "interview", "--store", &crowd, "--embedder", "model", "--answers", "/dev/null"];
        Command::new(env!("CARGO_BIN_EXE_probity")).args(arguments).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(values(&["transcript", "--store", &crowd]).1, "interview-1\ninterview-2\ninterview-3\n");

    // Somebody else says nearly the same, sees the first card, and says that it is another. After an interruption at
    // this question the question comes again, once.
    let hidden = at("alike.db");
    let mut alike: Value =
        serde_json::from_str(&std::fs::read_to_string(exported(&other, &at("other.json"))).unwrap()).unwrap();
    alike["cards"][0]["policies"].as_array_mut().unwrap().push("TIMES of day".into());
    alike["cards"].as_array_mut().unwrap().push(serde_json::to_value(card("far", "Sea", "Salt.", &["TIDES"])).unwrap());
    std::fs::write(at("other.json"), alike.to_string()).unwrap();
    assert_eq!(values(&["import", &at("other.json"), "--store", &hidden]).0, 0);
    // The model itself cannot separate texts, so nobody is asked on its word.
    let kinds: &[(&str, bool)] =
        if embedder().is_some() { &[("model", false), ("default", true)] } else { &[("model", false)] };
    for &(kind, shown) in kinds {
        let file = at(kind);
        let copy = at(&format!("{kind}.db"));
        std::fs::copy(&hidden, &copy).unwrap();
        let again = ["interview", "--store", &copy, "--embedder", kind, "--answers", &file];
        std::fs::write(&file, format!("{first}\n{rest}")).unwrap();
        let (code, said, complaint) = values(&[&again[..], &["--topic", "Strangers?"]].concat());
        assert!(code == 0 && said.contains("\nAdded ") && said.ends_with("yes or no\n") == shown, "{said} {complaint}");
        for asked in [shown, false] {
            std::fs::write(&file, "no\n").unwrap();
            let (code, said, _) = values(&[&again[..], &["--name", "interview-1"]].concat());
            assert!(code == 0 && said.contains("They stay apart.") == asked, "{said}");
        }
    }

    for (id, title, about) in [("b", "Warm hands", "hands"), ("c", "Swift rivers", "rivers")] {
        let card = card(id, title, &format!("I care for {about}."), &[&format!("MOMENTS with {about}")]);
        std::fs::write(at("card.json"), serde_json::to_string(&card).unwrap()).unwrap();
        assert_eq!(values(&["card", "--put", &at("card.json"), "--store", &store]).0, 0);
    }
    let merging =
        |kind| values(&["dedupe", "--store", &store, "--embedder", kind, "--no-verdict", "--dry-run", "--json"]);
    let (code, _, complaint) = merging("model");
    assert!(code == 2 && complaint.contains("expected at least 75%, or a model with at least 75%"), "{complaint}");
    if embedder().is_some() {
        let (code, said, _) = merging("default");
        let found: Value = serde_json::from_str(&said).unwrap();
        assert!(code == 0 && found["calibration"]["cards"]["at"].is_number() && found["merged"] == false, "{said}");
    }
    let (code, said, _) = values(&["propose", "--store", &store, "--embedder", "model", "--pairs", "1"]);
    assert!(code == 0 && said.contains("2 stories to vote on"), "{said}");
    std::fs::write(&file, "y\nn\n").unwrap();
    let (code, said, _) = values(&["vote", "--store", &store, "--voter", "ann", "--answers", &file]);
    assert!(code == 0 && said.contains("votes recorded"), "{said}");

    // A graph with votes scores the states of a game, and the written file is a reward.
    let (graph, reward) = (at("graph.json"), at("reward.json"));
    std::fs::write(&graph, voted().deliberation().to_json()).unwrap();
    let scored_store = at("scored.db");
    assert_eq!(values(&["import", &graph, "--store", &scored_store]).0, 0);
    std::fs::write(at("scenario.json"), r#"{"version": 1, "game": "ipd", "labels": ["share", "keep"]}"#).unwrap();
    // A named context needs no embedder.
    let scored = ["score", "--store", &scored_store, "--embedder", "none", "--context", "When somebody is grieving"];
    let (code, _, complaint) =
        values(&[&scored[..], &["--scenario", &at("scenario.json"), "--out", &reward, "--resolution", "100"]].concat());
    assert!(code == 2 && complaint.contains("abstains in every state") && !Path::new(&reward).exists(), "{complaint}");
    let (code, said, complaint) = values(
        &[&scored[..], &["--scenario", &at("scenario.json"), "--out", &reward, "--json", "--resolution", "0"]].concat(),
    );
    assert_eq!(code, 0, "{complaint}");
    let printed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(printed["states"].as_array().unwrap().len(), 5);
    // Scores are relative to the mean of each state, and an illegal answer is worth less than any action.
    for row in printed["reward"]["scores"].as_array().unwrap() {
        let [a, b] = [0, 1].map(|i| row[i].as_f64().unwrap());
        assert!((a + b).abs() < 1e-12 && a.min(b) > printed["reward"]["illegal"].as_f64().unwrap(), "{printed}");
    }
    for option in [["--points", "3"], ["--out", "r.json"], ["--telling", "t.json"]] {
        let of_one = ["--situation", "A friend cries.", "--action", "Stay.", "--action", "Go."];
        let (code, _, complaint) = values(&[&scored[..], &of_one, &option].concat());
        assert!(code == 2 && complaint.contains("expected --scenario beside it"), "{complaint}");
    }
    assert_eq!(serde_json::from_str::<Value>(&std::fs::read_to_string(&reward).unwrap()).unwrap(), printed["reward"]);
    let decide = ["decide", "--game", "ipd", "--labels", "share,keep", "--json", "--reward", &reward];
    let decided = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_probity")).args([&decide[..], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let plain = decided(&[]);
    assert_eq!(plain["actions"][0]["rewards"][0]["framework"], "values", "{plain}");
    let tilted = decided(&["--tilt", &format!("{reward}:0.0001")]);
    assert_ne!(tilted["actions"][0]["probability"], plain["actions"][0]["probability"]);
    decided(&["--forbid-worse", &format!("{reward}:0")]);
    // A telling in words gives another reward; the telling of another game is refused.
    let telling = at("telling.json");
    let words = serde_json::json!({
        "situation": "Two neighbours live by what they catch.", "actions": ["They share.", "They hide it."],
        "own_last": ["They shared.", "They hid it."], "other_last": ["The other shared.", "The other hid it."],
    });
    std::fs::write(&telling, words.to_string()).unwrap();
    let told = ["--scenario", &at("scenario.json"), "--telling", &telling, "--json", "--resolution", "0"];
    let (code, said, complaint) = values(&[&scored[..], &told].concat());
    assert_eq!(code, 0, "{complaint}");
    let in_words: Value = serde_json::from_str(&said).unwrap();
    let (_, said, _) = values(&[&scored[..], &told, &["--points", "3"]].concat());
    let spread = |states: &Value| -> f64 {
        let row = |row: &Value| (row[0].as_f64().unwrap() - row[1].as_f64().unwrap()).abs();
        states.as_array().unwrap().iter().map(row).fold(0.0, f64::max)
    };
    let in_points: Value = serde_json::from_str(&said).unwrap();
    assert!((spread(&in_points["reward"]["scores"]) - 3.0).abs() < 1e-9, "{in_points}");
    assert_ne!(in_words["reward"]["scores"], printed["reward"]["scores"]);
    std::fs::write(&telling, words.to_string().replace("\"They hide it.\"", "\"They hide it.\", \"They fight.\""))
        .unwrap();
    let (code, _, complaint) = values(&[&scored[..], &told].concat());
    assert!(code == 2 && complaint.contains("actions: 3 texts, expected one an action: 2"), "{complaint}");
    // Another game has no scores.
    let other = ["decide", "--game", "crowd.json", "--reward", &reward];
    assert!(!Command::new(env!("CARGO_BIN_EXE_probity")).args(other).output().unwrap().status.success());

    assert_eq!(values(&["transcript", "--store", &store]).1, "interview-1\n");
    let (_, said, _) = values(&["transcript", "interview-1", "--store", &store]);
    assert!(ANSWERS.iter().all(|answer| said.contains(answer)), "{said}");
    let (code, said, _) = values(&["transcript", "interview-1", "--forget", "--store", &store]);
    assert_eq!((code, said.as_str()), (0, "interview-1 is deleted\n"));
    assert_eq!(values(&["transcript", "interview-1", "--store", &store]).0, 2);
    for file in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        let kept = file.display().to_string().starts_with(&store);
        assert!(!kept || !bytes.windows(ANSWERS[0].len()).any(|window| window == ANSWERS[0].as_bytes()), "{file:?}");
    }
}
