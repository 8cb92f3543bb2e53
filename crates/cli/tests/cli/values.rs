//! `probity values` on a store: its contents, outputs and refusals.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use jsonschema::Validator;
use probity_values::compat::Thresholds;
use probity_values::store::{Store, StoreError};
use probity_values::{CardId, Deliberation, MoralGraph, Story, ValuesCard, pairs_to_judge};
use serde_json::{Value, json};

use crate::PROGRAM;
use crate::sample::{card, deliberation, filled};

fn values(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("values").args(args).output().expect("it runs")
}

fn ok(args: &[&str]) -> String {
    let output = values(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and message of a failing command.
fn refused(args: &[&str]) -> (i32, String) {
    let output = values(args);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

fn schema() -> Validator {
    let text = fs::read_to_string(probity_testing::root().join("docs/schema/deliberation.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|e| panic!("{e}"));
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_document_is_what_the_schema_says() {
    let schema = schema();
    let text = deliberation().to_json();
    let document: Value = serde_json::from_str(&text).unwrap();
    let problems: Vec<String> = schema.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(Deliberation::from_json(&text).unwrap(), deliberation());
    type Change<'a> = &'a dyn Fn(&mut Value);
    let bad: [(Change<'_>, &str); 10] = [
        (
            &|d| d["cards"][0]["extra"] = json!({ "policies": [] }),
            "card calm: extra: holds \"policies\", expected no name of a card's or an edge's own field",
        ),
        (&|d| d["version"] = json!(2), "moral graph: version 2, this program reads version 1"),
        (&|d| d["cards"][0]["color"] = json!("red"), "moral graph: unknown field `color`"),
        (&|d| d["cards"][0]["title"] = json!(""), "card calm: title: blank, expected some text"),
        (&|d| d["votes"][0]["answer"] = json!("maybe"), "moral graph: unknown variant `maybe`"),
        (&|d| d["votes"][0]["to"] = json!(8), "vote 1: card 8 does not exist"),
        (&|d| d["stories"][0]["from"] = json!(7), "story \"a\": card 7 is on both sides, expected two cards"),
        (&|d| d["stories"][1]["id"] = json!("a"), "story a: two have this id, expected one"),
        (
            &|d| d["merged"][0]["into"] = json!("sleep"),
            "merged card sleep: it is merged into sleep, expected another, unmerged card",
        ),
        (&|d| d["contexts"] = json!(["x", "x"]), "context x: two have this id, expected one"),
    ];
    for (change, message) in bad {
        let mut document = document.clone();
        change(&mut document);
        let refused = Deliberation::from_json(&document.to_string()).unwrap_err().to_string();
        assert!(refused.starts_with(message), "{refused} is not {message}");
    }
}

#[test]
fn a_merged_card_counts_for_another_and_can_be_taken_apart() {
    let mut held = deliberation();
    let ballots = held.ballots().unwrap();
    assert_eq!(ballots.cards, ["calm", "7", "rest"].map(CardId::from));
    assert!(ballots.rows.iter().any(|row| (row.from, row.to) == (1, 2)), "votes for sleep count for rest");
    held.merged.clear();
    assert!(held.ballots().unwrap().rows.iter().all(|row| row.to != 2));
    // Both cards of a vote are merged by now: it says nothing.
    held.merged.insert("7".into(), "calm".into());
    assert!(held.ballots().unwrap().rows.iter().all(|row| row.from != row.to));
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    ok(&["card", "7", "--merge-into", "sleep", "--store", &path]);
    let merged = Store::open(Path::new(&path)).unwrap().read().unwrap().merged;
    assert_eq!(merged[&CardId::from("7")], CardId::from("rest"), "into what that is merged into");
    ok(&["card", "7", "--split", "--store", &path]);
    ok(&["card", "sleep", "--split", "--store", &path]);
    assert!(Store::open(Path::new(&path)).unwrap().read().unwrap().merged.is_empty());
}

/// A published graph of the study passes through a store unchanged; later votes are added up with it.
#[test]
fn a_published_graph_goes_through_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("values.db").to_string_lossy().into_owned();
    let graph = json!({
        "values": [
            { "id": 1, "title": "Calm", "description": "Staying.", "policies": ["BREATHS"], "pageRank": 0.25 },
            { "id": 2, "title": "Care", "description": "Being there.", "policies": ["PEOPLE"] },
        ],
        "edges": [{
            "sourceValueId": 1, "wiserValueId": 2, "contexts": ["When tired"],
            "counts": { "markedWiser": 8, "markedNotWiser": 1, "markedLessWise": 0, "markedUnsure": 0, "impressions": 9 },
            "summary": { "wiserLikelihood": 0.8888888888888888, "entropy": 1.2516291673878228, "demographics": { "north": 3 } },
        }],
        "seed_questions": ["How should I answer?"],
    });
    let file = folder.path().join("graph.json");
    fs::write(&file, graph.to_string()).unwrap();
    let file = file.to_string_lossy().into_owned();
    ok(&["import", &file, "--store", &store]);
    assert!(ok(&["import", &file, "--store", &store]).starts_with("added 0 cards"), "the same again adds nothing");
    let exported =
        || serde_json::from_str::<Value>(&ok(&["export", "--store", &store, "--format", "published"])).unwrap();
    assert_eq!(exported(), graph);
    for method in ["compat", "robust"] {
        let ranked: Value =
            serde_json::from_str(&ok(&["rank", "--store", &store, "--method", method, "--json"])).unwrap();
        let titles: Vec<&str> =
            ranked["ranking"].as_array().unwrap().iter().map(|c| c["title"].as_str().unwrap()).collect();
        assert_eq!(titles, ["Care", "Calm"], "{method}");
        assert!(ranked["ranking"][0]["id"] == 2 && ranked["ranking"][0]["score"].is_f64());
    }
    let here = ok(&["rank", "--store", &store, "--method", "compat", "--context", "When tired", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&here).unwrap()["ranking"][0]["title"], "Care");
    let (code, nowhere) = refused(&["rank", "--store", &store, "--context", "When lost"]);
    assert_eq!(
        (code, nowhere.trim()),
        (2, "probity: context \"When lost\": nobody voted in it, expected one of the graph's contexts")
    );
    // Eleven people answer after the import.
    for i in 0..11 {
        let voter = format!("voter {i}");
        ok(&[
            "vote",
            "--store",
            &store,
            "--voter",
            &voter,
            "--from",
            "1",
            "--to",
            "2",
            "--context",
            "When tired",
            "--answer",
            "yes",
        ]);
    }
    let counts = exported()["edges"][0]["counts"].clone();
    assert_eq!((counts["markedWiser"].clone(), counts["impressions"].clone()), (json!(19), json!(20)));
    // A graph that contradicts a card is refused, and none of it is added.
    let mut other = graph.clone();
    other["values"][0]["title"] = json!("Something else");
    other["values"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": 3, "title": "New", "description": "New.", "policies": ["NEW"] }));
    fs::write(&file, other.to_string()).unwrap();
    let (code, contradiction) = refused(&["import", &file, "--store", &store]);
    assert_eq!(code, 2);
    assert!(contradiction.contains("card 1: this id has other content already"), "{contradiction}");
    assert_eq!(Store::open(Path::new(&store)).unwrap().read().unwrap().cards.len(), 2);
    for name in ["moral-graph-all-participants.json", "moral-graph-prolific-run.json"] {
        let path = probity_testing::root().join("../shared/data/moral-graph").join(name);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let held = Deliberation::from_json(&text).unwrap();
        assert_eq!(held.published(Thresholds::default()).unwrap(), MoralGraph::from_json(&text).unwrap());
        let store = folder.path().join(format!("{name}.db"));
        ok(&["import", &path.to_string_lossy(), "--store", &store.to_string_lossy()]);
        let back = ok(&["export", "--store", &store.to_string_lossy(), "--format", "published"]);
        assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }
}

#[test]
fn a_voter_is_asked_what_they_have_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let answers = folder.path().join("answers");
    fs::write(&answers, "yes\nskip\n").unwrap();
    let ask = |voter: &str| ok(&["vote", "--store", &store, "--voter", voter, "--answers", &answers.to_string_lossy()]);
    let first = ask("ann");
    assert!(
        first.contains("1 of 2") && first.contains("Somebody slept on it.") && first.ends_with("1 votes recorded\n"),
        "{first}"
    );
    let second = ask("ann");
    assert!(second.contains("1 of 1"), "{second}");
    assert!(ask("ann").contains("nothing to vote on"));
    fs::write(&answers, "\u{feff}skip\n").unwrap();
    ok(&["vote", "--store", &store, "--voter", "eve", "--answers", &answers.to_string_lossy()]);
    let folder_given = refused(&["vote", "--store", &store, "--voter", "eve", "--answers", "/tmp"]);
    assert!(folder_given.0 == 2 && folder_given.1.contains("/tmp: "), "{folder_given:?}");
    fs::write(&answers, "ä€".repeat(3000)).unwrap();
    let long = refused(&["vote", "--store", &store, "--voter", "eve", "--answers", &answers.to_string_lossy()]);
    assert!(long.0 == 2 && long.1.contains("longer than 8192 bytes"), "{long:?}");
    fs::write(&answers, "perhaps\n").unwrap();
    let (code, complaint) =
        refused(&["vote", "--store", &store, "--voter", "bob", "--answers", &answers.to_string_lossy()]);
    assert_eq!((code, complaint.trim()), (2, "probity: answer 1: \"perhaps\", expected yes, no, unsure, skip or quit"));
    let held = Store::open(Path::new(&store)).unwrap().read().unwrap();
    assert_eq!(pairs_to_judge(&held, "eve", 5, 3).unwrap(), pairs_to_judge(&held, "eve", 5, 3).unwrap());
}

#[test]
fn what_a_card_is_worth_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let told = ok(&["explain", "calm", "--store", &store]);
    assert!(
        told.contains(
            "Found wiser than it:\n  Care (7): wiser? 7 yes, 0 no, 1 unsure; less wise? 0 yes, 0 no, 0 unsure; upheld"
        ),
        "{told}"
    );
    let told: Value = serde_json::from_str(&ok(&["explain", "calm", "--store", &store, "--json"])).unwrap();
    assert_eq!(told["standings"][1]["context"], "When tired");
    let (code, complaint) = refused(&["explain", "9", "--store", &store]);
    assert_eq!((code, complaint.trim()), (2, "probity: graph: card 9 does not exist"));
    let graph: Value = serde_json::from_str(&ok(&["graph", "--store", &store, "--json"])).unwrap();
    assert_eq!(graph["upgrades"].as_array().unwrap().len(), 2);
    assert!(ok(&["graph", "--store", &store]).contains("2 pairs"));
    let stability: Value =
        serde_json::from_str(&ok(&["rank", "--store", &store, "--stability", "20", "--json"])).unwrap();
    assert_eq!(stability["stability"][0]["method"], "robust");
}

/// Every acknowledged vote is there after a kill of the program, and the store is sound.
#[test]
fn two_programs_vote_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let before = deliberation().votes.len();
    std::thread::scope(|scope| {
        for name in ["ann", "bob"] {
            let path = &path;
            scope.spawn(move || {
                for i in 0..10 {
                    let voter = format!("{name} {i}");
                    ok(&[
                        "vote",
                        "--store",
                        path,
                        "--voter",
                        &voter,
                        "--from",
                        "calm",
                        "--to",
                        "7",
                        "--context",
                        "x",
                        "--answer",
                        "no",
                    ]);
                }
            });
        }
    });
    assert_eq!(Store::open(Path::new(&path)).unwrap().read().unwrap().votes.len(), before + 20);
}

/// A forgotten conversation is in no byte of the store's files.
#[test]
fn what_stands_where_one_writes_is_minded() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::os::unix::fs::symlink(&store, at("link")).unwrap();
    for out in [&store, &at("link")] {
        for command in ["export", "explore"] {
            let refused = values(&[command, "--store", &store, "--out", out]);
            assert_eq!(refused.status.code(), Some(2));
            assert!(String::from_utf8_lossy(&refused.stderr).contains("is the store itself"));
        }
    }
    ok(&["rank", "--store", &store]);
    fs::write(at("old.json"), "old").unwrap();
    std::os::unix::fs::symlink(at("old.json"), at("linked.json")).unwrap();
    ok(&["export", "--store", &store, "--out", &at("linked.json")]);
    assert!(fs::symlink_metadata(at("linked.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(at("old.json")).unwrap().contains("\"votes\""));
    // A dangling link leads to the new file; the new file's permissions are no wider than the old file's.
    std::os::unix::fs::symlink("new.json", at("dangling.json")).unwrap();
    ok(&["export", "--store", &store, "--out", &at("dangling.json")]);
    assert!(fs::symlink_metadata(at("dangling.json")).unwrap().is_symlink());
    fs::set_permissions(at("new.json"), fs::Permissions::from_mode(0o600)).unwrap();
    ok(&["export", "--store", &store, "--out", &at("dangling.json")]);
    assert_eq!(fs::metadata(at("new.json")).unwrap().permissions().mode() & 0o777, 0o600);
    // Standard output may be a file that others write to, too.
    let mut all = fs::File::create(at("all.txt")).unwrap();
    all.write_all(b"first\n").unwrap();
    for command in ["export", "explore"] {
        let write = ["values", command, "--store", &store, "--out", "/dev/stdout"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_probity"));
        assert!(child.args(write).stdout(all.try_clone().unwrap()).status().unwrap().success());
    }
    all.write_all(b"last\n").unwrap();
    let all = fs::read_to_string(at("all.txt")).unwrap();
    assert!(
        all.starts_with("first\n{") && all.contains("\n<!doctype html>") && all.ends_with("</html>\nlast\n"),
        "{all}"
    );
    // A folder in memory is a folder; SQLite's log is the store's even while it does not exist.
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let out = memory.path().join("out.json").display().to_string();
        for _ in 0..2 {
            ok(&["export", "--store", &store, "--out", &out]);
        }
        assert_eq!(fs::read(&out).unwrap(), fs::read(at("new.json")).unwrap());
    }
    let log = values(&["export", "--store", &store, "--out", &format!("{store}-wal")]);
    assert_eq!((log.status.code(), Path::new(&format!("{store}-wal")).exists()), (Some(2), false));
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let pipe = at("pipe");
    let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
    ok(&["export", "--store", &store, "--out", &at("pipe")]);
    assert_eq!(reader.join().unwrap(), fs::read_to_string(at("old.json")).unwrap());
}

/// A refused vote leaves nothing.
#[test]
fn a_refused_vote_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let bad = ["--from", "calm", "--to", "calm", "--context", "When tired", "--answer", "yes"];
    let refused = values(&[&["vote", "--store", &store, "--voter", "ann", "--group", "south"], &bad[..]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!ok(&["export", "--store", &store]).contains("south"));
    let good = ["--from", "calm", "--to", "7", "--context", "When tired", "--answer", "yes"];
    let refused = values(&[&["vote", "--store", &store, "--voter", "zoe", "--group", " "], &good[..]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!ok(&["export", "--store", &store]).contains("zoe"));
    for wrong in [["--voter", " ", "--count", "5"], ["--voter", "zoe", "--count", "0"]] {
        assert_eq!(values(&[&["vote", "--store", &store], &wrong[..]].concat()).status.code(), Some(2), "{wrong:?}");
    }
}

/// Impossible numbers are refused, not tried.
#[test]
fn resamples_have_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    for resamples in ["0", "100000000000", "18446744073709551615", "-1", "NaN"] {
        let refused = values(&["rank", "--store", &store, &format!("--stability={resamples}")]);
        assert_eq!(refused.status.code(), Some(2), "{resamples}");
    }
    let both = values(&["rank", "--store", &store, "--stability", "5", "--context", "When tired"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn files_that_are_no_stores_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let problem = |path: &Path| {
        let refused = Store::open(path).unwrap_err();
        assert!(refused.is_bad_input(), "{refused}");
        refused.to_string()
    };
    assert!(matches!(Store::open(&path("missing")), Err(StoreError::Io { .. })));
    fs::write(path("empty"), "").unwrap();
    assert!(problem(&path("empty")).ends_with("is empty, expected a store of `probity values`"));
    assert!(problem(folder.path()).ends_with("is no file, expected a store of `probity values`"));
    assert!(matches!(Store::open_or_create(&path("no/such/values.db")), Err(StoreError::Io { .. })));
    let half = rusqlite::Connection::open(path("half")).unwrap();
    half.execute_batch(&format!("CREATE TABLE t (x); PRAGMA application_id = {}", 0x5072_6f62)).unwrap();
    assert!(problem(&path("half")).ends_with("is damaged (version 0 with 1 tables): restore a copy"));
    fs::write(path("text"), "no database at all, whatever its length may be, and some more").unwrap();
    assert!(problem(&path("text")).ends_with("is no store, expected a store of `probity values`"));
    let other = rusqlite::Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(problem(&path("other")).ends_with("is another program's database, expected a store of `probity values`"));
    let newer = filled(folder.path());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(problem(Path::new(&newer)).ends_with("of version 9, this program knows versions up to 2"));
    // Rows in the store's form that refer to nothing.
    let hostile = tempfile::tempdir().unwrap();
    let file = filled(hostile.path());
    let body = serde_json::to_string(&Story { from: "nobody".into(), ..deliberation().stories[0].clone() }).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute("UPDATE stories SET body = ? WHERE id = 1", [body]).unwrap();
    let (code, said) = refused(&["vote", "--voter", "ann", "--store", &file]);
    assert!(code == 2 && said.contains("is damaged (story \"a\": card nobody does not exist)"), "{code} {said}");
    // A blob in place of a text.
    let file = filled(tempfile::tempdir_in(hostile.path()).unwrap().keep().as_path());
    let change = "UPDATE contexts SET name = CAST(x'ff' AS TEXT) WHERE id = 1";
    rusqlite::Connection::open(&file).unwrap().execute(change, []).unwrap();
    let (code, said) = refused(&["rank", "--store", &file]);
    assert!(code == 2 && said.contains("is damaged"), "{code} {said}");
    // A card without an id is never added.
    let nameless = Store::open_or_create(&path("new")).unwrap().change(|held| {
        held.cards.push(ValuesCard { id: "".into(), ..card("x", "Calm") });
        Ok(())
    });
    assert!(nameless.unwrap_err().to_string().starts_with("id of a card: \"\", expected 1 to 128 bytes"));
    assert!(Store::open(&path("new")).unwrap().read().unwrap().cards.is_empty());
    // Damage in the middle of the file.
    let damaged = tempfile::tempdir().unwrap();
    let file = filled(damaged.path());
    let mut bytes = fs::read(&file).unwrap();
    let length = bytes.len();
    bytes[4096..length - 4096].iter_mut().step_by(3).for_each(|b| *b ^= 0x5a);
    fs::write(&file, &bytes).unwrap();
    assert!(problem(Path::new(&file)).contains("is damaged"), "{}", problem(Path::new(&file)));
    fs::write(&file, &bytes[..length / 2]).unwrap();
    assert!(Store::open(Path::new(&file)).is_err());
}
