//! A kill at every call that changes a file: a reader finds the old file or the new one, and the same command made
//! again gives the new one.
//!
//! `make test` tries some calls of the long commands, and `PROBITY_ALL_KILLS=1` all of them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use probity_engine::gguf::GgmlType;
use probity_testing::root;
use probity_values::store::Store;

use super::PROGRAM;
use super::command_line::{err, short_recipe};

/// Calls that a long command is killed at, spread evenly.
const SOME: u64 = 12;

/// A folder with the preloaded library and its control.
struct Killer {
    folder: tempfile::TempDir,
}

impl Killer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-pedantic", "-o"])
            .arg(folder.path().join("kill.so"))
            .arg(root().join("crates/cli/tests/kill.c"))
            .arg("-ldl")
            .status();
        assert!(compiled.unwrap().success());
        fs::write(folder.path().join("control"), [0; 4096]).unwrap();
        Self { folder }
    }

    /// Runs a command that dies at a call, or at none with 0. Returns how many calls there were.
    fn run(&self, args: &[String], call: u64) -> (Output, u64) {
        let control = self.folder.path().join("control");
        let file = fs::OpenOptions::new().read(true).write(true).open(&control).unwrap();
        file.write_all_at(&[call.to_le_bytes(), [0; 8]].concat(), 0).unwrap();
        let output = Command::new(PROGRAM)
            .args(args)
            .env("LD_PRELOAD", self.folder.path().join("kill.so"))
            .env("PROBITY_KILL", control)
            .output()
            .unwrap();
        let mut calls = [0; 8];
        file.read_exact_at(&mut calls, 8).unwrap();
        (output, u64::from_le_bytes(calls))
    }

    /// Kills a command at its calls. Each time `restore` makes the state before, and `check` looks at the state after:
    /// the call, and whether the command ran to its end.
    fn sweep(&self, args: &[String], restore: &dyn Fn(), check: &dyn Fn(u64, bool)) {
        restore();
        let (whole, calls) = self.run(args, 0);
        assert!(whole.status.success(), "{args:?}: {}", err(&whole));
        assert!(calls > 3, "{args:?}: {calls} calls");
        let mut kills = 0;
        let step = if std::env::var_os("PROBITY_ALL_KILLS").is_some() { 1 } else { calls.div_ceil(SOME) };
        for call in (1..=calls).step_by(step as usize) {
            restore();
            let (killed, _) = self.run(args, call);
            // Threads may take a call more or less.
            let died = killed.status.signal() == Some(9);
            assert!(died || killed.status.success(), "{args:?}, call {call}");
            kills += u64::from(died);
            check(call, !died);
        }
        println!("{:?}: {calls} calls, {kills} kills", &args[..2]);
        assert!(kills > 2, "{args:?}: {kills} kills");
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|&word| word.to_owned()).collect()
}

/// Sweeps a command that replaces one file as a whole.
fn replaces(args: &[&str], file: &Path) {
    let killer = Killer::new();
    let args = words(args);
    let (done, _) = killer.run(&args, 0);
    assert!(done.status.success(), "{}", err(&done));
    let new = fs::read(file).unwrap();
    let restore = || fs::write(file, "what was there").unwrap();
    killer.sweep(&args, &restore, &|call, whole| {
        let found = fs::read(file).unwrap();
        let old = !whole && found == b"what was there";
        assert!(old || found == new, "{args:?}, call {call}: {} bytes", found.len());
        let again = killer.run(&args, 0).0;
        assert!(
            again.status.success() && fs::read(file).unwrap() == new,
            "{args:?}, after call {call}: {}",
            err(&again)
        );
    });
}

#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("graph.json"), probity_values::Deliberation::example().to_json()).unwrap();
    let commands = [
        vec!["merge", "deontological:0.5", "utilitarian", "--out"],
        vec!["values", "explore", "--store", "STORE", "--out"],
        vec!["values", "export", "--store", "STORE", "--out"],
    ];
    let store = at("values.db");
    let imported =
        Command::new(PROGRAM).args(["values", "import", "--store", &store, &at("graph.json")]).output().unwrap();
    assert!(imported.status.success(), "{}", err(&imported));
    for command in commands {
        let out = at("out");
        let mut args: Vec<&str> = command.iter().map(|&word| if word == "STORE" { &store } else { word }).collect();
        args.push(&out);
        replaces(&args, Path::new(&out));
    }
}

#[test]
fn a_killed_vote_is_in_the_store_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = path("values.db");
    let files = || -> Vec<PathBuf> { ["values.db-wal", "values.db-shm", "values.db-journal"].map(path).into() };
    Store::open_or_create(&store)
        .unwrap()
        .change(|held| Ok(held.add(probity_values::Deliberation::example())?))
        .unwrap();
    let held = Store::open(&store).unwrap().read().unwrap();
    let (before, vote) = (held.votes.len(), held.votes[0].clone());
    let kept = fs::read(&store).unwrap();
    let args = words(&["values", "vote", "--voter", "somebody new", "--answer", "yes"]);
    let more = [
        &["--store", store.to_str().unwrap(), "--from", vote.from.as_str()][..],
        &["--to", vote.to.as_str(), "--context", &vote.context],
    ]
    .concat();
    let args = [args, words(&more)].concat();
    let restore = || {
        files().iter().for_each(|file| _ = fs::remove_file(file));
        fs::write(&store, &kept).unwrap();
    };
    let killer = Killer::new();
    killer.sweep(&args, &restore, &|call, whole| {
        let votes = || Store::open(&store).unwrap().read().unwrap().votes.len();
        let found = votes();
        assert!(!whole && found == before || found == before + 1, "call {call}: {found} votes");
        let again = killer.run(&args, 0).0;
        assert!(again.status.success(), "after call {call}: {}", err(&again));
        assert_eq!(votes(), found + 1, "after call {call}");
    });
}

#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let config = short_recipe(folder.path(), 6);
    probity_testing::write_random(&folder.path().join("base.gguf"), &probity_testing::tiny_config(), GgmlType::F32, 7);
    let (base, run, mine) = (at("base.gguf"), at("run"), at("mine.gguf"));
    let args = words(&["train", "--config", &config, "--model", &base, "--run", &run, "--out", &mine]);
    let restore = || {
        _ = fs::remove_dir_all(at("run"));
        fs::write(at("mine.gguf"), "what was there").unwrap();
    };
    let killer = Killer::new();
    restore();
    let (done, _) = killer.run(&args, 0);
    assert!(done.status.success(), "{}", err(&done));
    let new = fs::read(at("mine.gguf")).unwrap();
    killer.sweep(&args, &restore, &|call, whole| {
        let found = fs::read(at("mine.gguf")).unwrap();
        assert!(!whole && found == b"what was there" || found == new, "call {call}: {} bytes", found.len());
        if whole {
            return;
        }
        // A run goes on with --resume, or starts where none has begun.
        let resumed = killer.run(&[args.clone(), words(&["--resume"])].concat(), 0).0;
        let done = if resumed.status.success() { resumed } else { killer.run(&args, 0).0 };
        assert!(done.status.success(), "call {call}: {}", err(&done));
        assert!(fs::read(at("mine.gguf")).unwrap() == new, "call {call}: other bytes");
    });
}
