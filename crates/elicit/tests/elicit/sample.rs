//! Cards and answers that tests of several packages use.

use probity_elicit::embed::OnnxEmbedder;
use probity_values::robust::Settings;
use probity_values::{Answer, AttentionPolicy, Deliberation, Graph, ValuesCard, Vote};

/// Answers to an interview about strangers.
pub const ANSWERS: [&str; 5] =
    ["I gave him my coat.", "That he was warm.", "So that nobody is cold.", "Hands that shake.", "A nod."];

pub fn card(id: &str, title: &str, description: &str, policies: &[&str]) -> ValuesCard {
    ValuesCard::new(
        id.into(),
        title,
        description,
        policies.iter().map(|&policy| AttentionPolicy::from(policy)).collect(),
    )
}

/// The built-in embedder; `None`, with a message, without a runtime.
pub fn embedder() -> Option<OnnxEmbedder> {
    if std::env::var_os("ORT_DYLIB_PATH").is_none_or(|path| path.is_empty()) {
        eprintln!("ORT_DYLIB_PATH names no ONNX Runtime: nothing is embedded");
        return None;
    }
    Some(OnnxEmbedder::open(&probity_testing::root().join("models/embedder"), None).unwrap())
}

/// Twelve people found staying wiser than leaving in grief, and eight leaving wiser than staying at work.
pub fn voted() -> Graph {
    let policies = ["TEARS that need nothing", "SILENCES"];
    let cards = [("stay", "Staying"), ("leave", "Leaving")].map(|(id, title)| card(id, title, title, &policies));
    let mut held = Deliberation { cards: cards.to_vec(), ..Deliberation::default() };
    for (count, from, to, context) in
        [(12, "leave", "stay", "When somebody is grieving"), (8, "stay", "leave", "When there is a deadline")]
    {
        for voter in 0..count {
            let (voter, answer) = (format!("voter-{voter}"), Answer::Yes);
            held.votes.push(Vote { voter, from: from.into(), to: to.into(), context: context.into(), answer });
        }
    }
    Graph::new(held, &Settings::default()).unwrap()
}
