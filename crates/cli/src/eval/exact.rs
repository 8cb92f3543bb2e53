//! The exact view: every state, seat, layout and labelling.

use anyhow::Context;
use probity::agent::prompt::Norm;
use probity_game::{CATALOG, MatrixGame, Opponent, Player, Reading, Strategy};
use probity_train::eval::Respondent;
use probity_train::eval::exact::{
    Aim, AimFigures, Familiarity, Figures, GameView, LabelSet, Spread, Telling, tellings, view,
};
use probity_train::games::held_out;
use serde::Serialize;

use super::Args;
use super::policy::{Policy, Respondents};
use crate::errors::Usage;
use crate::output::say;
use crate::{builtin, input, output};

/// The document of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    policy: &'a str,
    model: &'a str,
    /// The reward it is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<String>,
    /// Whose next action the reward is expected over; absent for a fair coin.
    #[serde(skip_serializing_if = "Option::is_none")]
    opponent: Option<Opponent>,
    games: Vec<Entry>,
}

/// A game, and policies to compare with.
#[derive(Serialize)]
struct Entry {
    /// How it stands to the training that the manifest tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    familiarity: Option<Familiarity>,
    /// Share of tellings that the model is not known to read.
    ///
    /// Their decisions are flagged unreliable.
    #[serde(skip_serializing_if = "Option::is_none")]
    flagged: Option<f64>,
    #[serde(flatten)]
    view: GameView,
    beside: Vec<Beside>,
}

#[derive(Serialize)]
struct Beside {
    policy: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

/// The scripted players that each game shows beside the policy.
const BESIDE: [&str; 4] = ["random", "always-cooperate", "always-defect", "tit-for-tat"];

pub fn run(args: &Args, policy: &Policy) -> anyhow::Result<()> {
    let games = games(&args.game)?;
    let Respondents { mut all, manifest, reads, .. } = policy.respondents(&args.model)?;
    let [respondent] = &mut all[..] else {
        return Err(Usage("--policy: several adapters, expected one; --protocol takes training seeds".into()).into());
    };
    let (aim, unknown) = match (&args.reward, &manifest) {
        (Some(name), _) => (Some(Aim::against_a_coin(input::reward(name)?.into())), None),
        (None, Some(manifest)) => match Aim::of_training(manifest) {
            Ok(aim) => (Some(aim), None),
            Err(why) => (None, Some(why)),
        },
        (None, None) => (None, None),
    };
    let model = match policy {
        Policy::Scripted(_) => None,
        _ => Some(builtin::open_model(&args.model)?),
    };
    let adapted = matches!(policy, Policy::Adapters(_) | Policy::Asked(_));
    let mut bare = model.filter(|_| adapted).map(|model| Respondent::model(&model, &[], "")).transpose()?;
    let most = games.iter().flat_map(|game| [Player::Row, Player::Column].map(|player| game.count(player))).max();
    let sets = LabelSet::drawn(args.sets.into(), most.unwrap_or(2), args.seed);
    let norm = if args.norm == "told" { Norm::Told } else { Norm::Untold };
    let told = games.iter().map(|game| Ok(tellings(game, &sets, norm)?)).collect::<anyhow::Result<Vec<_>>>()?;
    let bar = output::bar(told.iter().map(|told| told.len() as u64).sum(), "measuring");
    let mut entries = Vec::new();
    for (game, told) in games.iter().zip(&told) {
        let view = view(told, respondent, bare.as_mut(), aim.as_ref(), || bar.inc(1))
            .with_context(|| game.name().to_owned())?;
        let familiarity = manifest.as_ref().and_then(|manifest| Familiarity::of(game, manifest));
        let flagged = reads.as_ref().map(|reads| {
            let unread = told.iter().filter(|telling| !Reading::any_of(reads, &telling.game));
            unread.count() as f64 / told.len() as f64
        });
        // Scripted players read no labels: one set tells all.
        let few: Vec<Telling> = told.iter().filter(|telling| telling.labels == 0).cloned().collect();
        entries.push(Entry { familiarity, flagged, view, beside: beside(game, &few, aim.as_ref())? });
    }
    bar.finish_and_clear();
    let opponent = aim.as_ref().and_then(|aim| aim.opponent.clone());
    let reward = aim.map(|aim| aim.reward.name());
    if args.json {
        let (policy, model) = (&args.policy, &args.model);
        return output::json(&Report { policy, model, reward, opponent, games: entries });
    }
    let against = match (&reward, unknown) {
        (Some(reward), _) => {
            let coin = || "random".to_owned();
            let whom = opponent.as_ref().map_or_else(coin, Opponent::to_string);
            format!(", held against the reward {reward} with the opponent {whom}")
        }
        (None, Some(why)) => format!(", held against no reward: {why}; --reward names one"),
        (None, None) => String::new(),
    };
    say!("{}{against}.", args.policy);
    show(args, &entries);
    Ok(())
}

/// The name of the sixty games that no training draws.
pub const HELD_OUT: &str = "held-out";

/// The games that are named, or all of the catalogue.
fn games(given: &[String]) -> anyhow::Result<Vec<MatrixGame>> {
    if given.is_empty() {
        return Ok(CATALOG.iter().map(probity_game::CatalogGame::game).collect());
    }
    let mut games = Vec::new();
    for name in given {
        if name == HELD_OUT { games.extend(held_out()) } else { games.push(input::game(name)?) }
    }
    Ok(games)
}

/// The scripted players that can play a game.
fn beside(game: &MatrixGame, tellings: &[Telling], aim: Option<&Aim>) -> anyhow::Result<Vec<Beside>> {
    let mirrored = game.count(Player::Row) == game.count(Player::Column);
    let mut rows = Vec::new();
    for policy in BESIDE.into_iter().filter(|name| mirrored || *name != "tit-for-tat") {
        let mut player = Respondent::scripted(Strategy::find(policy).context("a scripted player")?);
        let view = view(tellings, &mut player, None, aim, || ())?;
        rows.push(Beside { policy, figures: view.figures });
    }
    Ok(rows)
}

fn show(args: &Args, entries: &[Entry]) {
    say!(
        "Exact means over every state, the first round too; in brackets the worst telling. P and Ut: against a fair coin.\n"
    );
    for (familiarity, title) in [
        (Some(Familiarity::Named), "Games it was trained on, by its manifest"),
        (Some(Familiarity::Drawn), "Games like those that its training drew at random"),
        (Some(Familiarity::New), "Games it was not trained on"),
        (None, "Games"),
    ] {
        let section: Vec<&Entry> = entries.iter().filter(|entry| entry.familiarity == familiarity).collect();
        if !section.is_empty() {
            say!("{title}:");
            say!("{}", figures(args, &section));
            say!("{}", others(&section));
            say!("{}\n", signs(&section));
        }
    }
    say!("Flagged: tellings that the model is not known to read; a decision there is unreliable to the caller.");
    say!(
        "P(C): probability of cooperating in the first round, after C, after D. P(D|C): of defecting on a cooperator."
    );
    say!(
        "Ut: utilitarian regret above the least that any policy has. Miss: probability of actions that are not the best."
    );
    say!(
        "Distance: to bare exp(R / beta), the optimum of its training; - where another policy was the reference. KL: divergence \
         from the bare model, nats."
    );
    say!(
        "Flips: shares of states whose likeliest action changes with the labels' order, the orders of mention, the layout, \
         the seat."
    );
    say!(
        "Word: the other's last word is repeated where it is another action (1: always). First: the table's first row is \
         picked."
    );
}

fn pair(spread: Spread) -> String {
    format!("{:.3} ({:.3})", output::rounded(spread.mean), output::rounded(spread.worst))
}

fn maybe(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".into(), pair)
}

/// The policy, and the bare model.
fn figures(args: &Args, section: &[&Entry]) -> comfy_table::Table {
    let mut table = output::table(&[
        "game",
        "policy",
        "legality",
        "flagged",
        "P(C) first",
        "after C",
        "after D",
        "P(D|C)",
        "Ut",
        "miss",
        "distance",
        "KL",
    ]);
    for Entry { view, flagged, .. } in section {
        for (policy, figures) in [(args.policy.as_str(), Some(&view.figures)), ("bare", view.bare.as_ref())] {
            let Some(f) = figures else { continue };
            let aim = |figure: fn(&AimFigures) -> Option<Spread>| f.aim.as_ref().and_then(figure);
            table.add_row([
                view.game.clone(),
                policy.to_owned(),
                pair(f.legality_mass),
                flagged.map_or_else(|| "-".into(), |share| format!("{:.0}%", 100.0 * share)),
                format!("{:.3}", f.cooperation_first),
                format!("{:.3}", f.cooperation_after_c),
                format!("{:.3}", f.cooperation_after_d),
                pair(f.betrayal),
                pair(f.utilitarian_above_best),
                maybe(aim(|aim| Some(aim.miss))),
                maybe(aim(|aim| aim.distance)),
                maybe(f.divergence),
            ]);
        }
    }
    table
}

/// Scripted players in the same games: P(D|C), Ut and miss, a column a player.
fn others(section: &[&Entry]) -> comfy_table::Table {
    let mut header = vec!["game", "figure"];
    header.extend(BESIDE);
    let mut table = output::table(&header);
    for Entry { view, beside, .. } in section {
        type Figure = fn(&Figures) -> Option<Spread>;
        let rows: [(&str, Figure); 3] = [
            ("P(D|C)", |f| Some(f.betrayal)),
            ("Ut", |f| Some(f.utilitarian_above_best)),
            ("miss", |f| f.aim.as_ref().map(|aim| aim.miss)),
        ];
        for (name, figure) in rows {
            let cell = |policy: &str| {
                let found = beside.iter().find(|row| row.policy == policy).and_then(|row| figure(&row.figures));
                found.map_or_else(|| "-".into(), |spread| format!("{:.3}", output::rounded(spread.mean)))
            };
            let cells = [view.game.clone(), name.to_owned()].into_iter().chain(BESIDE.map(cell));
            table.add_row(cells);
        }
    }
    table
}

fn signs(section: &[&Entry]) -> comfy_table::Table {
    let mut table =
        output::table(&["game", "flips: labels", "order", "layout", "seat", "constant", "word", "first", "habits"]);
    let share = |share: Option<f64>| share.map_or_else(|| "-".into(), |share| format!("{share:.2}"));
    for entry in section {
        let (flips, habits) = (&entry.view.flips, &entry.view.habits);
        let mut cells = vec![entry.view.game.clone()];
        cells.extend([flips.labels, flips.order, flips.layout, flips.seat].map(share));
        cells.extend([habits.constant, habits.word, habits.first].map(share));
        let found: Vec<&str> = habits.found.iter().map(|habit| habit.words()).collect();
        cells.push(if found.is_empty() { "none".into() } else { found.join(", ") });
        table.add_row(cells);
    }
    table
}
