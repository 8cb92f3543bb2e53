//! What a model of one's own is trained by: the paper's policies, and literacy before any reward.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::command_line::{err, json, probity};

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// Short runs of two policies and two seeds, and the same command again.
#[test]
fn the_papers_figure_is_trained_measured_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (path(folder.path(), "short.toml"), path(folder.path(), "figures"));
    let recipe = include_str!("../../../../configs/paper.toml").replace("steps = 80", "steps = 3");
    fs::write(&config, &recipe).unwrap();
    let policies = "utilitarian,game-then-utilitarian";
    let ask = ["paper", "--model", "default", "--policy", policies, "--config", &config, "--out", &out];
    let figures = json(&[&ask[..], &["--seeds", "2", "--json"]].concat());
    let rows = figures["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["bare", "utilitarian", "game-then-utilitarian"]);
    for row in rows {
        let games: Vec<&str> =
            row["games"].as_array().unwrap().iter().map(|game| game["game"].as_str().unwrap()).collect();
        assert_eq!(games, ["ipd", "ish", "icn", "bos", "icd"]);
    }
    assert!((rows[0]["games"][0]["paper"][0]["mean"].as_f64().unwrap() - 5.86).abs() < 1e-9);
    let trained = |row: usize| rows[row]["trained"].as_array().unwrap();
    assert!(trained(0).is_empty() && trained(1).len() == 2 && trained(2).len() == 2);
    assert!(trained(1).iter().all(|run| run["steps"] == 3) && trained(2).iter().all(|run| run["steps"] == 6));
    let page = fs::read_to_string(folder.path().join("figures/figure-4.md")).unwrap();
    assert!(
        page.contains("| game-then-utilitarian |")
            && page.contains("Figure 4b")
            && page.contains("means over 2 training seeds")
    );
    assert!(fs::read_to_string(folder.path().join("figures/figure-4.svg")).unwrap().contains("<svg"));
    // What is there is not trained again, and belongs to its config.
    let file = folder.path().join("figures/utilitarian-2.gguf");
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(json(&[&ask[..], &["--seeds", "2", "--json"]].concat()), figures);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    // A call for less leaves out nothing that is there.
    let ask_less = ["paper", "--model", "default", "--policy", "utilitarian", "--config", &config, "--out", &out];
    let less = probity(&ask_less);
    let told = String::from_utf8_lossy(&less.stdout).into_owned();
    let whole = ["game-then-utilitarian", "means over 2 training seeds", "cells are at or below"];
    assert!(less.status.success() && whole.iter().all(|part| told.contains(part)), "{told}");
    fs::write(&config, recipe.replace("rate = 0.0001", "rate = 0.0002")).unwrap();
    let other = probity(&ask);
    assert!(other.status.code() == Some(2) && err(&other).contains("another config"), "{}", err(&other));
    let two = recipe.clone() + "\n[[phases]]\nsteps = 3\nreward = { framework = \"game\" }\n";
    fs::write(&config, two).unwrap();
    let phases = probity(&ask);
    assert!(
        phases.status.code() == Some(2) && err(&phases).contains("with 2 phases, expected a config with one"),
        "{}",
        err(&phases)
    );
    // An adapter that nobody knows the training of is not replaced.
    fs::remove_file(file.with_extension("json")).unwrap();
    fs::write(&config, &recipe).unwrap();
    let foreign = probity(&[&ask[..], &["--seeds", "2"]].concat());
    assert!(foreign.status.code() == Some(2) && err(&foreign).contains("no note of its training"), "{}", err(&foreign));
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    fs::write(&config, recipe.replace("action2", "action3")).unwrap();
    let seen = probity(&ask);
    assert!(seen.status.code() == Some(2) && err(&seen).contains("trains on \"action3\""), "{}", err(&seen));
    let unknown = probity(&["paper", "--policy", "kind"]);
    assert!(unknown.status.code() == Some(2) && err(&unknown).contains("game-then-utilitarian"), "{}", err(&unknown));
}

/// A short course that stops and goes on, its exam, and a reward that starts from its adapter.
#[test]
fn a_model_learns_to_read_before_any_reward() {
    let folder = tempfile::tempdir().unwrap();
    let [config, run, out] = ["course.toml", "run", "literate.gguf"].map(|name| path(folder.path(), name));
    let course = "steps = 3\nrank = 4\nexam = 160\n\n[course]\nlessons = 2\nchains = 2\nturns = 2\nshards = 2\n";
    fs::write(&config, course).unwrap();
    let ask = ["literacy", "--model", "default", "--config", &config];
    let plan = json(&[&ask[..], &["--plan", "--json"]].concat());
    assert!(plan["steps"] == 3 && plan["nodes"].as_u64().unwrap() > 200, "{plan}");
    let refused = probity(&[&ask[..], &["--run", &run, "--out", &out, "--memory", "0.001"]].concat());
    assert!(refused.status.code() == Some(1) && err(&refused).contains("are allowed"), "{}", err(&refused));
    let ask = [&ask[..], &["--run", &run, "--out", &out, "--json"]].concat();
    let paused = probity(&[&ask[..], &["--minutes", "0"]].concat());
    assert!(paused.status.success() && err(&paused).contains("continue with --resume"), "{}", err(&paused));
    let again = probity(&ask);
    assert!(again.status.code() == Some(2) && err(&again).contains("holds a checkpoint"), "{}", err(&again));
    let whole = probity(&[&ask[..], &["--resume"]].concat());
    assert!(whole.status.success(), "{}", err(&whole));
    let lines = String::from_utf8_lossy(&whole.stdout).into_owned();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(last["steps"] == 3 && !last["accuracy"]["digits/ascii"].as_object().unwrap().is_empty(), "{last}");
    assert!(probity(&["verify", &out]).status.success());
    let shown = json(&["inspect", &out, "--json"]).to_string();
    assert!(shown.contains("lessons"), "{shown}");
    let from = ["train", "--recipe", "real", "--from", &out, "--plan", "--json"];
    assert!(json(&from)["steps"].as_u64().unwrap() > 0);
    // What is read stays known under the adapters that start from it.
    let [short, kind] = ["real.toml", "kind.gguf"].map(|name| path(folder.path(), name));
    let recipe = include_str!("../../../../configs/real.toml").replace("steps = 60", "steps = 1");
    fs::write(&short, recipe.replace("games_per_step = 8", "games_per_step = 2")).unwrap();
    let trained = path(folder.path(), "trained");
    let train = ["train", "--config", &short, "--from", &out, "--arrival", "1", "--out", &kind, "--run", &trained];
    let train = probity(&train);
    assert!(train.status.success(), "{}", err(&train));
    let reading = |file: &str| json(&["inspect", file, "--json"])["manifest"]["reading"].clone();
    // Utilitarian: what pays both more is enough.
    let accuracy = &json(&["inspect", &out, "--json"])["manifest"]["accuracy"];
    let read = accuracy.as_object().unwrap().iter().filter(|(_, found)| found["more-both"].as_f64() >= Some(0.9));
    let read: BTreeSet<&str> = read.map(|(games, _)| games.as_str()).collect();
    let listed = reading(&kind);
    assert_eq!(listed.as_array().unwrap().iter().map(|games| games.as_str().unwrap()).collect::<BTreeSet<_>>(), read);
    // An adapter that starts from that one reads what both rewards ask.
    let selfish = path(folder.path(), "selfish.gguf");
    let chain = ["train", "--config", &short, "--reward", "game", "--from", &kind, "--arrival", "1", "--out", &selfish];
    let chain = probity(&chain);
    assert!(chain.status.success(), "{}", err(&chain));
    let of_both = accuracy
        .as_object()
        .unwrap()
        .iter()
        .filter(|(games, found)| read.contains(games.as_str()) && found["more-own"].as_f64() >= Some(0.9));
    let listed = reading(&selfish);
    let listed: BTreeSet<&str> = listed.as_array().unwrap().iter().map(|games| games.as_str().unwrap()).collect();
    assert_eq!(listed, of_both.map(|(games, _)| games.as_str()).collect());
    // The card tells how the trainings went, and what the lessons alone do beside what the reward does.
    let [adapters, page] = ["adapters", "card.md"].map(|name| path(folder.path(), name));
    for (name, file, run) in [("literacy", &out, &run), ("utilitarian", &kind, &trained)] {
        let of_run = Path::new(&adapters).join(name);
        fs::create_dir_all(&of_run).unwrap();
        fs::copy(file, of_run.with_extension("gguf")).unwrap();
        fs::copy(Path::new(run).join("steps.jsonl"), of_run.join("steps.jsonl")).unwrap();
    }
    let card = ["card", "--model", "default", "--adapters", &adapters, "--games", "1", "--part", "held-out,paper"];
    let card = probity(&[&card[..], &["--out", &page]].concat());
    assert!(card.status.success(), "{}", err(&card));
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.contains("## The paper's test with the norm told\n"), "{text}");
    assert!(text.contains("## Games whose decisions are relied on\n"), "{text}");
    assert!(text.contains("## What the model reads") && text.contains("| literacy | legality |"), "{text}");
    let of_runs = |policy: &str| text.lines().find(|line| line.starts_with(&format!("| {policy} | 1 |"))).unwrap();
    assert!(of_runs("literacy").ends_with("| - |") && of_runs("utilitarian").contains("| 0."), "{text}");
    assert!(!Path::new(&page).with_added_extension("part").exists(), "the figures of a whole page are left");
    // A name is believed where the manifest bears it out.
    fs::copy(&kind, Path::new(&adapters).join("deontological.gguf")).unwrap();
    fs::copy(&kind, Path::new(&adapters).join("mine.gguf")).unwrap();
    let misnamed = probity(&["card", "--model", "default", "--adapters", &adapters, "--out", &page]);
    let told = err(&misnamed);
    let expected = "deontological.gguf was trained on utilitarian, expected deontological";
    assert!(misnamed.status.code() == Some(2) && told.contains(expected) && told.contains("mine.gguf"), "{told}");
    let unknown =
        probity(&["literacy", "--model", "default", "--run", &run, "--out", &out, "--config", &config, "--rate", "0"]);
    assert!(unknown.status.code() == Some(2) && err(&unknown).contains("rate"), "{}", err(&unknown));
}
