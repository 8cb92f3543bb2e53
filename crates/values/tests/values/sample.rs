//! A small deliberation that tests of several packages use.

use std::path::Path;

use probity_values::store::Store;
use probity_values::{Answer, Deliberation, Story, ValuesCard, Vote};
use serde_json::json;

pub fn card(id: &str, title: &str) -> ValuesCard {
    serde_json::from_value(json!({
        "id": id, "title": title, "description": format!("Living by {title}."), "policies": [format!("MOMENTS of {title}")],
    }))
    .unwrap()
}

pub fn vote(voter: &str, from: &str, to: &str, answer: Answer) -> Vote {
    Vote { voter: voter.into(), from: from.into(), to: to.into(), context: "When tired".into(), answer }
}

/// Three cards, two stories, a group, some votes, one of them changed later, and a merge.
pub fn deliberation() -> Deliberation {
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
        held.votes.push(vote(&format!("voter {i}"), "calm", "7", Answer::Yes));
        held.votes.push(vote(&format!("voter {i}"), "7", "sleep", Answer::No));
    }
    held.votes.push(vote("voter 1", "calm", "7", Answer::Unsure));
    held
}

pub fn filled(folder: &Path) -> String {
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
