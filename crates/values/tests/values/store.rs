//! The store of values: its contents, and crashes, full disks and damaged files.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use probity_values::store::{Store, StoreError};
use probity_values::{Answer, Electorate, Graph, Vote};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sample::{card, deliberation, filled, vote};

#[test]
fn a_store_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let mut store = Store::open(Path::new(&path)).unwrap();
    assert_eq!(store.read().unwrap(), deliberation());
    // A missing derived table is rebuilt.
    store.rebuild().unwrap();
    assert!(store.put_transcript("talk", None, "I slept on it").unwrap());
    assert_eq!(store.transcript("talk").unwrap().as_deref(), Some("I slept on it"));
    store.vote(&vote("ann", "calm", "rest", Answer::Yes)).unwrap();
    let again = Store::open(Path::new(&path)).unwrap().read().unwrap();
    assert_eq!(again.votes.last().unwrap().voter, "ann");
    assert_eq!(again.votes.len(), deliberation().votes.len() + 1);
    let gone = store.vote(&vote("ann", "calm", "nowhere", Answer::Yes)).unwrap_err();
    assert_eq!(gone.to_string(), "vote: card nowhere does not exist");
    let one = store.vote(&vote("ann", "sleep", "rest", Answer::Yes)).unwrap_err();
    assert_eq!(one.to_string(), "vote: card rest is on both sides, expected two cards");
    let itself = store.vote(&vote("ann", "calm", "calm", Answer::Yes)).unwrap_err();
    assert_eq!(itself.to_string(), "vote: card calm is on both sides, expected two cards");
    // A failing change leaves nothing.
    let before = store.read().unwrap();
    let failed = store.change(|held| {
        held.cards.push(card("new", "New"));
        held.votes.push(vote("ann", "new", "gone", Answer::Yes));
        Ok(())
    });
    assert!(matches!(failed, Err(StoreError::Values(_))), "{failed:?}");
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
    // An answer that was changed later.
    db.execute("UPDATE answers SET vote = 3 WHERE vote = 17", []).unwrap();
    let store = Store::open(Path::new(&path)).unwrap();
    assert_eq!(answers().unwrap(), full);
    // The counted votes are the log without changed answers; both give the same rankings.
    let [whole, counted] = [store.read().unwrap(), store.read_counted().unwrap()];
    assert_eq!((whole.votes.len(), counted.votes.len()), (17, 16));
    assert_eq!(whole.ballots().unwrap().rows, counted.ballots().unwrap().rows);
}

#[test]
fn a_kill_loses_no_vote() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    for round in 0..3 {
        let before = Store::open(Path::new(&path)).unwrap().read().unwrap().votes.len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::votes_forever", "--ignored", "--nocapture"])
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

/// Not a test of its own: the test above kills it.
#[test]
#[ignore = "votes until it is killed"]
fn votes_forever() {
    let mut store = Store::open(Path::new(&std::env::var_os("PROBITY_TEST_STORE").unwrap())).unwrap();
    for i in 0.. {
        store.vote(&vote(&format!("voter {i}"), "calm", "7", Answer::Yes)).unwrap();
        println!("recorded");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn what_is_forgotten_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let mut store = Store::open(Path::new(&path)).unwrap();
    let secret = "the secret of the lighthouse keeper";
    assert!(store.put_transcript("talk", None, &secret.repeat(500)).unwrap());
    assert!(store.put_transcript("other", None, "harmless").unwrap());
    // A writer with an outdated text does not overwrite the newer text.
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
    // While another program reads the log, the deletion is not acknowledged, however often it is repeated.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM transcripts;").unwrap();
    for _ in 0..2 {
        let busy = store.forget("talk").unwrap_err().to_string();
        assert!(busy.contains("close the program and repeat"), "{busy}");
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

/// As conversations grow beside each other, SQLite moves rows within its pages and leaves copies behind.
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

/// A reader beside writers sees one snapshot of the store.
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
                held.votes.push(vote("somebody", "calm", &id, Answer::Yes));
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

/// A file beside a store never replaces it; a link stays a link, and a device is written directly.
#[cfg(unix)]
#[test]
fn a_locked_store_is_waited_for_and_then_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut store = Store::open(Path::new(&path)).unwrap();
    let refused = store.vote(&vote("ann", "calm", "7", Answer::Yes)).unwrap_err().to_string();
    assert!(refused.ends_with("locked by another program for 5 s, try again"), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    store.vote(&vote("ann", "calm", "7", Answer::Yes)).unwrap();
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

/// Votes until the disk is full: every acknowledged vote is there, no other is, and with room the store continues.
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
        match store.vote(&vote(&format!("voter {kept}"), "a", "b", Answer::Yes)) {
            Ok(()) => kept += 1,
            Err(e) => break e,
        }
    };
    let full = matches!(&refused, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
    assert!(full && kept > 0, "{refused} after {kept}");
    assert_eq!(store.read().unwrap().votes.len(), kept);
    assert!(store.put_transcript("talk", None, &"word ".repeat(100_000)).is_err());
    assert!(store.transcripts().unwrap().is_empty(), "nothing half-written");
    drop(store);
    // Without any room, even for the shared-memory file, the store is not read, and the message says so.
    let rest = vec![0_u8; 1 << 20];
    let filler = fs::File::create(disk.0.path().join("filler")).and_then(|mut file| file.write_all(&rest));
    assert!(filler.is_err(), "the disk is full now");
    match Store::open(&file).and_then(|store| store.read()) {
        Ok(held) => assert_eq!(held.votes.len(), kept),
        Err(StoreError::Io { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::StorageFull),
        Err(other) => panic!("{other}"),
    }
    assert!(SmallDisk::mount("remount,size=8m", disk.0.path()), "more room");
    let mut store = Store::open(&file).unwrap();
    assert_eq!(store.read().unwrap().votes.len(), kept);
    store.vote(&vote("late", "a", "b", Answer::No)).unwrap();
    assert_eq!(store.read().unwrap().votes.len(), kept + 1);
}
