//! `probity values explore`: the moral graph as a page to look at.

use std::path::PathBuf;

use probity_engine::files::write_whole;
use probity_values::compat::Thresholds;
use probity_values::robust::Settings;
use probity_values::{Graph, Method};
use serde_json::{Value, json};

use super::StoreArgs;

/// Write the moral graph as one HTML file.
///
/// It shows values, votes, stories, both rankings and conflicts.
///
/// The file needs no network and no other file; it holds cards, stories and sums of votes, and no voter's name.
#[derive(clap::Args)]
#[command(after_help = "Example: probity values explore --store values.db --out graph.html")]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The file to write.
    #[arg(long, default_value = "moral-graph.html")]
    out: PathBuf,
}

const PAGE: &str = include_str!("explore.html");

pub fn run(args: &Args) -> anyhow::Result<()> {
    args.store.spare(Some(&args.out))?;
    let graph = args.store.graph()?;
    let data = serde_json::to_string(&data(&graph))?;
    // Only these characters can end a script element or start markup. JSON strings may escape them.
    let data = data.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let page = PAGE.replacen("@DATA@", &data, 1);
    write_whole(&args.out, |out| out.write_all(page.as_bytes()))?;
    // The page itself may go to standard output.
    eprintln!("wrote {} ({} kB)", args.out.display(), page.len() / 1000);
    Ok(())
}

/// The page's data: cards, stories, and votes and rankings by context.
fn data(graph: &Graph) -> Value {
    let held = graph.deliberation();
    let contexts = std::iter::once(None).chain((0..graph.ballots().contexts.len() as u32).map(Some));
    let view = |context: Option<u32>| {
        let ranking = |method: Method| graph.ranking(&method, context).ranking;
        json!({
            "context": context.map(|context| &graph.ballots().contexts[context as usize]),
            "robust": ranking(Method::Robust(Settings::default())),
            "compat": ranking(Method::Compat(Thresholds::default())),
            "upgrades": graph.accounts(context),
        })
    };
    let card = |card: &probity_values::ValuesCard| json!({ "id": card.id, "title": card.title, "description": card.description, "policies": card.policies });
    let story = |story: &probity_values::Story| {
        json!({
            "from": held.canonical(&story.from), "to": held.canonical(&story.to),
            "context": story.context, "text": story.text,
        })
    };
    json!({
        "cards": held.canonical_cards().map(card).collect::<Vec<_>>(),
        "stories": held.stories.iter().map(story).collect::<Vec<_>>(),
        "views": contexts.map(view).collect::<Vec<_>>(),
    })
}
