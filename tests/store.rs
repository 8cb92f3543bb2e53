//! The store of values: what it keeps, and what becomes of it when programs die, disks fill up and files are no stores. And
//! `probity values` on top of it.

#![cfg(feature = "cli")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use jsonschema::Validator;
use probity::Error;
use probity::store::Store;
use probity::values::compat::Thresholds;
use probity::values::{Answer, CardId, Deliberation, Electorate, Graph, MoralGraph, Story, ValuesCard, Vote, draw};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_probity");

fn values(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("values").args(args).output().expect("it runs")
}

fn ok(args: &[&str]) -> String {
    let output = values(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and complaint of a command that fails.
fn refused(args: &[&str]) -> (i32, String) {
    let output = values(args);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

fn card(id: &str, title: &str) -> ValuesCard {
    serde_json::from_value(json!({
        "id": id, "title": title, "description": format!("Living by {title}."), "policies": [format!("MOMENTS of {title}")],
    }))
    .unwrap()
}

fn vote(voter: &str, from: &str, to: &str, answer: Answer) -> Vote {
    Vote { voter: voter.into(), from: from.into(), to: to.into(), context: "When tired".into(), answer }
}

/// Three cards, two stories, a group, some votes, one of them changed later, and a merge.
fn deliberation() -> Deliberation {
    let story = |id: &str, from: &str, to: &str| Story {
        id: id.into(),
        from: from.into(),
        to: to.into(),
        context: "When tired".into(),
        text: "Somebody slept on it.".into(),
        provenance: None,
    };
    let mut held = Deliberation {
        cards: vec![card("calm", "Calm"), card("7", "Care"), card("rest", "Rest"), card("sleep", "Sleep")],
        contexts: vec!["When alone".into(), "When tired".into()],
        stories: vec![story("a", "calm", "7"), story("b", "7", "rest")],
        ..Deliberation::default()
    };
    held.merged.insert("sleep".into(), "rest".into());
    held.groups.insert("voter 1".into(), "north".into());
    for i in 0..8 {
        held.votes.push(vote(&format!("voter {i}"), "calm", "7", Answer::Upgrade));
        held.votes.push(vote(&format!("voter {i}"), "7", "sleep", Answer::NoUpgrade));
    }
    held.votes.push(vote("voter 1", "calm", "7", Answer::NotSure));
    held
}

fn filled(folder: &Path) -> String {
    let path = folder.join("values.db");
    Store::open_or_create(&path)
        .unwrap()
        .change(|held| {
            *held = deliberation();
            Ok(())
        })
        .unwrap();
    path.to_string_lossy().into_owned()
}

fn schema() -> Validator {
    let text = fs::read_to_string(common::root().join("docs/schema/deliberation.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|e| panic!("{e}"));
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn a_store_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let mut store = Store::open(Path::new(&path)).unwrap();
    assert_eq!(store.read().unwrap(), deliberation());
    // What is derived is built anew where it is gone.
    store.rebuild().unwrap();
    assert!(store.put_transcript("talk", None, "I slept on it").unwrap());
    assert_eq!(store.transcript("talk").unwrap().as_deref(), Some("I slept on it"));
    store.vote(&vote("ann", "calm", "rest", Answer::Upgrade)).unwrap();
    let again = Store::open(Path::new(&path)).unwrap().read().unwrap();
    assert_eq!(again.votes.last().unwrap().voter, "ann");
    assert_eq!(again.votes.len(), deliberation().votes.len() + 1);
    let gone = store.vote(&vote("ann", "calm", "nowhere", Answer::Upgrade)).unwrap_err();
    assert_eq!(gone.to_string(), "vote: card nowhere does not exist");
    let one = store.vote(&vote("ann", "sleep", "rest", Answer::Upgrade)).unwrap_err();
    assert_eq!(one.to_string(), "vote: card rest is on both sides, expected two cards");
    let itself = store.vote(&vote("ann", "calm", "calm", Answer::Upgrade)).unwrap_err();
    assert_eq!(itself.to_string(), "vote: card calm is on both sides, expected two cards");
    // A change that fails leaves nothing.
    let before = store.read().unwrap();
    let failed = store.change(|held| {
        held.cards.push(card("new", "New"));
        held.votes.push(vote("ann", "new", "gone", Answer::Upgrade));
        Ok(())
    });
    assert!(matches!(failed, Err(Error::Values(_))), "{failed:?}");
    assert_eq!(store.read().unwrap(), before);
}

/// The log's votes can neither be changed nor deleted, and the derived table follows it.
#[test]
fn votes_are_only_ever_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let db = rusqlite::Connection::open(&path).unwrap();
    for change in ["DELETE FROM votes", "UPDATE votes SET answer = 1"] {
        assert!(db.execute(change, []).unwrap_err().to_string().contains("votes are only ever added"));
    }
    let answers = || db.query_row("SELECT count(*), max(vote) FROM answers", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let full: (i64, i64) = answers().unwrap();
    assert_eq!(full, (16, 17), "the changed answer counts once");
    db.execute("DELETE FROM answers WHERE vote > 3", []).unwrap();
    Store::open(Path::new(&path)).unwrap();
    assert_eq!(answers().unwrap(), full);
    db.execute("DELETE FROM answers WHERE vote = 3", []).unwrap();
    Store::open(Path::new(&path)).unwrap();
    assert_eq!(answers().unwrap(), full);
    // An answer that was changed since.
    db.execute("UPDATE answers SET vote = 3 WHERE vote = 17", []).unwrap();
    let store = Store::open(Path::new(&path)).unwrap();
    assert_eq!(answers().unwrap(), full);
    // What counts is the log without the answer that was changed; rankings are the same of both.
    let [whole, counted] = [store.read().unwrap(), store.read_counted().unwrap()];
    assert_eq!((whole.votes.len(), counted.votes.len()), (17, 16));
    assert_eq!(whole.ballots().unwrap().rows, counted.ballots().unwrap().rows);
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
            "card calm: extra: holds \"policies\", expected names that a card or edge does not have itself",
        ),
        (&|d| d["version"] = json!(2), "moral graph: version 2, this program reads version 1"),
        (&|d| d["cards"][0]["color"] = json!("red"), "moral graph: unknown field `color`"),
        (&|d| d["cards"][0]["title"] = json!(""), "card calm: title: blank, expected some text"),
        (&|d| d["votes"][0]["answer"] = json!("maybe"), "moral graph: unknown variant `maybe`"),
        (&|d| d["votes"][0]["to"] = json!(8), "vote 1: card 8 does not exist"),
        (&|d| d["stories"][0]["from"] = json!(7), "story \"a\": card 7 is on both sides, expected two cards"),
        (&|d| d["stories"][1]["id"] = json!("a"), "story a: there are two of this id, expected one"),
        (
            &|d| d["merged"][0]["into"] = json!("sleep"),
            "merged card sleep: it goes into sleep, expected another card that is merged into none",
        ),
        (&|d| d["contexts"] = json!(["x", "x"]), "context x: there are two of this id, expected one"),
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
    // Both cards of a vote the same by now: it says nothing.
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

/// What the study publishes goes through a store and comes back as it was; votes given since are added up with it.
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
    // Eleven people answer since.
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
    // Another graph that says otherwise of a card is refused, and nothing of it is added.
    let mut other = graph.clone();
    other["values"][0]["title"] = json!("Something else");
    other["values"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": 3, "title": "New", "description": "New.", "policies": ["NEW"] }));
    fs::write(&file, other.to_string()).unwrap();
    let (code, contradiction) = refused(&["import", &file, "--store", &store]);
    assert_eq!(code, 2);
    assert!(contradiction.contains("card 1: another one of this id is there already"), "{contradiction}");
    assert_eq!(Store::open(Path::new(&store)).unwrap().read().unwrap().cards.len(), 2);
    for name in ["moral-graph-all-participants.json", "moral-graph-prolific-run.json"] {
        let path = common::root().join("../shared/data/moral-graph").join(name);
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
    assert_eq!(draw(&held, "eve", 5, 3).unwrap(), draw(&held, "eve", 5, 3).unwrap());
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

/// Every vote that was said to be recorded is there after the program was killed, and the store is sound.
#[test]
fn a_kill_loses_no_vote() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    for round in 0..3 {
        let before = Store::open(Path::new(&path)).unwrap().read().unwrap().votes.len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "votes_forever", "--ignored", "--nocapture"])
            .env("PROBITY_TEST_STORE", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            said += usize::from(line.unwrap().ends_with("recorded"));
            if said == 20 + 7 * round {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        let after = Store::open(Path::new(&path)).unwrap().read().unwrap().votes.len();
        assert!(after >= before + said && said > 0, "{before} votes, {said} said, {after} after");
    }
}

/// No test of its own: what the test above kills.
#[test]
#[ignore = "votes until it is killed"]
fn votes_forever() {
    let mut store = Store::open(Path::new(&std::env::var_os("PROBITY_TEST_STORE").unwrap())).unwrap();
    for i in 0.. {
        store.vote(&vote(&format!("voter {i}"), "calm", "7", Answer::Upgrade)).unwrap();
        println!("recorded");
        std::io::stdout().flush().unwrap();
    }
}

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

/// A conversation that was forgotten is in no byte of the store's files.
#[test]
fn what_is_forgotten_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let mut store = Store::open(Path::new(&path)).unwrap();
    let secret = "the secret of the lighthouse keeper";
    assert!(store.put_transcript("talk", None, &secret.repeat(500)).unwrap());
    assert!(store.put_transcript("other", None, "harmless").unwrap());
    // Who does not know what is there does not write over it.
    assert!(!store.put_transcript("other", None, "mine").unwrap());
    assert!(!store.put_transcript("other", Some("what it was"), "mine").unwrap());
    assert!(store.put_transcript("other", Some("harmless"), "harmless yet").unwrap());
    let traces = || {
        fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .filter(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
            .count()
    };
    assert!(traces() > 0);
    // While somebody else still reads the log, it is not said to be gone; however often one asks.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM transcripts;").unwrap();
    for _ in 0..2 {
        let busy = store.forget("talk").unwrap_err().to_string();
        assert!(busy.contains("close that and repeat"), "{busy}");
    }
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    assert_eq!((store.transcript("talk").unwrap().as_deref(), store.forget("talk").unwrap()), (Some(""), true));
    assert_eq!(traces(), 0);
    assert!(store.put_transcript("talk", None, &secret.repeat(500)).unwrap());
    assert!(store.forget("talk").unwrap());
    assert_eq!(traces(), 0);
    assert!(!store.forget("talk").unwrap());
    assert_eq!(store.transcripts().unwrap(), ["other"]);
}

/// As conversations grow beside each other, SQLite moves them within its pages and leaves copies behind.
#[test]
fn what_is_forgotten_is_gone_from_pages_that_others_share() {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let mut moved = 0;
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let path = folder.path().join(format!("{seed}.db"));
        let mut store = Store::open_or_create(&path).unwrap();
        let mut bodies: Vec<String> = vec![String::new(); rng.random_range(4..34)];
        for i in 0..4 * bodies.len() {
            let who = if i < bodies.len() { i } else { rng.random_range(0..bodies.len()) };
            let said = format!("secret {who:02}.").repeat(rng.random_range(8..28));
            let (name, now) = (format!("interview-{who}"), format!("{}{said}", bodies[who]));
            assert!(store.put_transcript(&name, (i >= bodies.len()).then_some(&*bodies[who]), &now).unwrap());
            bodies[who] = now;
        }
        let traces = |who: usize, path: &Path| {
            let (bytes, secret) = (fs::read(path).unwrap(), format!("secret {who:02}."));
            bytes.windows(secret.len()).filter(|window| *window == secret.as_bytes()).count()
        };
        drop(store);
        let copied = |(who, body): (usize, &String)| traces(who, &path) > body.len() / "secret 00.".len();
        moved += usize::from(bodies.iter().enumerate().any(copied));
        let mut store = Store::open(&path).unwrap();
        for who in (0..bodies.len()).step_by(2) {
            assert!(store.forget(&format!("interview-{who}")).unwrap());
            assert_eq!(traces(who, &path), 0, "seed {seed}, conversation {who} of {}", bodies.len());
        }
        for (who, body) in bodies.iter().enumerate().skip(1).step_by(2) {
            assert_eq!(store.transcript(&format!("interview-{who}")).unwrap().as_ref(), Some(body));
        }
    }
    assert!(moved > 0, "nothing was ever left behind, so that nothing was tried");
}

/// Who reads while others write sees one moment of the store.
#[test]
fn a_read_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let writes = path.clone();
    let writer = std::thread::spawn(move || {
        let mut store = Store::open(Path::new(&writes)).unwrap();
        for i in 0..200 {
            let add = store.change(|held| {
                let id = format!("new {i}");
                held.cards.push(card(&id, &id));
                held.votes.push(vote("somebody", "calm", &id, Answer::Upgrade));
                Ok(())
            });
            add.unwrap();
        }
    });
    let store = Store::open(Path::new(&path)).unwrap();
    while !writer.is_finished() {
        store.read().unwrap().check().unwrap();
    }
    writer.join().unwrap();
    assert_eq!(store.read().unwrap().cards.len(), deliberation().cards.len() + 200);
}

/// What is written beside a store is never written over it; a link stays a link, and what is no file is written into.
#[cfg(unix)]
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
    // What leads nowhere yet leads to the file then; who may not read the old one may not read the new one.
    std::os::unix::fs::symlink("new.json", at("dangling.json")).unwrap();
    ok(&["export", "--store", &store, "--out", &at("dangling.json")]);
    assert!(fs::symlink_metadata(at("dangling.json")).unwrap().is_symlink());
    fs::set_permissions(at("new.json"), fs::Permissions::from_mode(0o600)).unwrap();
    ok(&["export", "--store", &store, "--out", &at("dangling.json")]);
    assert_eq!(fs::metadata(at("new.json")).unwrap().permissions().mode() & 0o777, 0o600);
    // Standard output may be a file that others write to as well.
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
    // A folder in memory is a folder; SQLite's log is the store's even while there is none.
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

/// A vote that is refused leaves nothing of itself.
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

/// Numbers that cannot be are refused, not tried.
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
    assert!(matches!(Store::open(&path("missing")), Err(Error::Io { .. })));
    fs::write(path("empty"), "").unwrap();
    assert!(problem(&path("empty")).ends_with("is empty, expected a file that `probity values` made"));
    assert!(problem(folder.path()).ends_with("is no file, expected one that `probity values` made"));
    assert!(matches!(Store::open_or_create(&path("no/such/values.db")), Err(Error::Io { .. })));
    let half = rusqlite::Connection::open(path("half")).unwrap();
    half.execute_batch(&format!("CREATE TABLE t (x); PRAGMA application_id = {}", 0x5072_6f62)).unwrap();
    assert!(problem(&path("half")).ends_with("is damaged (version 0 with 1 tables): go back to a copy"));
    fs::write(path("text"), "no database at all, whatever its length may be, and some more").unwrap();
    assert!(problem(&path("text")).ends_with("is no store, expected a file that `probity values` made"));
    let other = rusqlite::Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(problem(&path("other")).ends_with("is another program's database, expected a store of `probity values`"));
    let newer = filled(folder.path());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(problem(Path::new(&newer)).ends_with("of version 9, this program knows versions up to 2"));
    // Texts that are in the store's form, and name what is not there.
    let hostile = tempfile::tempdir().unwrap();
    let file = filled(hostile.path());
    let body = serde_json::to_string(&Story { from: "nobody".into(), ..deliberation().stories[0].clone() }).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute("UPDATE stories SET body = ? WHERE id = 1", [body]).unwrap();
    let (code, said) = refused(&["vote", "--voter", "ann", "--store", &file]);
    assert!(code == 2 && said.contains("is damaged (story \"a\": card nobody does not exist)"), "{code} {said}");
    // What is no text where text should be.
    let file = filled(tempfile::tempdir_in(hostile.path()).unwrap().keep().as_path());
    let change = "UPDATE contexts SET name = CAST(x'ff' AS TEXT) WHERE id = 1";
    rusqlite::Connection::open(&file).unwrap().execute(change, []).unwrap();
    let (code, said) = refused(&["rank", "--store", &file]);
    assert!(code == 2 && said.contains("is damaged"), "{code} {said}");
    // A card without a name comes into none.
    let nameless = Store::open_or_create(&path("new")).unwrap().change(|held| {
        held.cards.push(ValuesCard { id: "".into(), ..card("x", "Calm") });
        Ok(())
    });
    assert!(nameless.unwrap_err().to_string().starts_with("id of a card: \"\", expected 1 to 128 bytes"));
    assert!(Store::open(&path("new")).unwrap().read().unwrap().cards.is_empty());
    // Damaged in the middle.
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

#[test]
fn a_locked_store_is_waited_for_and_then_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut store = Store::open(Path::new(&path)).unwrap();
    let refused = store.vote(&vote("ann", "calm", "7", Answer::Upgrade)).unwrap_err().to_string();
    assert!(refused.ends_with("locked by another program for 5 s, try again"), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    store.vote(&vote("ann", "calm", "7", Answer::Upgrade)).unwrap();
}

/// A million votes fill a store and are ranked from it.
#[test]
#[ignore = "takes half a minute"]
fn a_million_votes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.db");
    let ballots = Electorate { voters: 200_000, cards: 10_000, ..Electorate::default() }.vote().ballots;
    let start = std::time::Instant::now();
    Store::open_or_create(&path)
        .unwrap()
        .change(|held| {
            held.cards = ballots.cards.iter().map(|id| card(id.as_str(), id.as_str())).collect();
            held.votes = ballots
                .rows
                .iter()
                .map(|row| Vote {
                    voter: ballots.voters[row.voter as usize].clone(),
                    from: ballots.cards[row.from as usize].clone(),
                    to: ballots.cards[row.to as usize].clone(),
                    context: ballots.contexts[row.context as usize].clone(),
                    answer: row.answer,
                })
                .collect();
            Ok(())
        })
        .unwrap();
    eprintln!("filled in {:.1?}, {} MiB", start.elapsed(), fs::metadata(&path).unwrap().len() >> 20);
    let start = std::time::Instant::now();
    let store = Store::open(&path).unwrap();
    eprintln!("opened in {:.1?}", start.elapsed());
    let held = store.read().unwrap();
    eprintln!("read in {:.1?}", start.elapsed());
    let graph = Graph::new(held, &Default::default()).unwrap();
    eprintln!("fitted in {:.1?}: {} ranked", start.elapsed(), graph.wisest(None).len());
}

/// A disk of 256 kB, where the system lets this process make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str, at: &Path) -> bool {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success())
    }

    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Self::mount("size=256k", folder.path());
        if !mounted {
            eprintln!("no disk can be mounted here: what a full one does is not tried");
        }
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

/// Votes until there is no room: what was acknowledged is there, what was not is not, and with room it goes on.
#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::new() else { return };
    let file = disk.0.path().join("values.db");
    let mut store = Store::open_or_create(&file).unwrap();
    store
        .change(|held| {
            held.cards.extend([card("a", "Calm"), card("b", "Care")]);
            Ok(())
        })
        .unwrap();
    let mut kept = 0;
    let refused = loop {
        assert!(kept < 100_000, "the disk does not fill");
        match store.vote(&vote(&format!("voter {kept}"), "a", "b", Answer::Upgrade)) {
            Ok(()) => kept += 1,
            Err(e) => break e,
        }
    };
    let full = matches!(&refused, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
    assert!(full && kept > 0, "{refused} after {kept}");
    assert_eq!(store.read().unwrap().votes.len(), kept);
    assert!(store.put_transcript("talk", None, &"word ".repeat(100_000)).is_err());
    assert!(store.transcripts().unwrap().is_empty(), "nothing half-written");
    drop(store);
    // With no room at all, not even for what programs share beside the file, it is not so much as read; and that is said.
    let rest = vec![0_u8; 1 << 20];
    let filler = fs::File::create(disk.0.path().join("filler")).and_then(|mut file| file.write_all(&rest));
    assert!(filler.is_err(), "the disk is full now");
    match Store::open(&file).and_then(|store| store.read()) {
        Ok(held) => assert_eq!(held.votes.len(), kept),
        Err(Error::Io { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::StorageFull),
        Err(other) => panic!("{other}"),
    }
    assert!(SmallDisk::mount("remount,size=8m", disk.0.path()), "more room");
    let mut store = Store::open(&file).unwrap();
    assert_eq!(store.read().unwrap().votes.len(), kept);
    store.vote(&vote("late", "a", "b", Answer::NoUpgrade)).unwrap();
    assert_eq!(store.read().unwrap().votes.len(), kept + 1);
}
