//! `probity values score`: the moral graph as a reward.

use std::path::PathBuf;

use probity::agent::Scenario;
use probity::agent::prompt::{Norm, last_round};
use probity::graphs::{ScenarioReward, Telling, reward_source, scenario_reward};
use probity_elicit::embed::{Embedder, Remembered};
use probity_elicit::{Judge, Nearness, Situation, Threshold, score};
use probity_engine::files::write_whole;
use probity_game::Player;
use probity_values::{Graph, Judgement, ScoreTerms};

use super::models::{ElicitArgs, calibration, judge, step};
use crate::errors::Usage;
use crate::input;
use crate::output::{self, say};

/// Score the actions of a situation, or of a game's states as a reward.
///
/// The command finds the situation's contexts by similarity, or takes the contexts that you name. The wisest values
/// there count: a local model judges how well each action serves their policies. The graph abstains, with a reason, if
/// no context fits or if the values conflict. The scores of a game are a reward: `decide --tilt FILE:BETA`, `decide
/// --reward FILE`, `train --reward FILE`, `compare --reward FILE`.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity values score --store values.db --model qwen2.5-1.5b-instruct-q4_k_m.gguf --situation \"A user asks what to say to a dying friend.\" --action \"Answer at once with a list of tips.\" --action \"Ask what the friend is like.\"\n         probity values score --store values.db --model qwen2.5-1.5b-instruct-q4_k_m.gguf --scenario scenario.json --out reward.json"
)]
pub struct Args {
    #[command(flatten)]
    elicit: ElicitArgs,
    /// The situation in words, or a JSON file.
    ///
    /// Its fields are situation, actions, contexts and baseline.
    #[arg(long, required_unless_present = "scenario")]
    situation: Option<String>,
    /// An action; once for each action.
    #[arg(long)]
    action: Vec<String>,
    /// The action that counts as doing nothing; scores are relative to it.
    #[arg(long)]
    baseline: Option<String>,
    /// A context of the situation [default: found by similarity]
    #[arg(long)]
    context: Vec<String>,
    /// A scenario (JSON): score its game's actions in every state.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["situation", "action", "baseline"])]
    scenario: Option<PathBuf>,
    /// The game in words, a JSON file; models judge words better than points.
    ///
    /// Its fields are situation, actions, own_last and other_last.
    #[arg(long, value_name = "FILE", requires = "scenario")]
    telling: Option<PathBuf>,
    /// Scale a game's reward: the largest difference of two actions, in points.
    ///
    /// Training and tilts are tuned for rewards of the size of payoffs.
    #[arg(long, requires = "scenario", value_parser = points)]
    points: Option<f64>,
    /// Where to write the reward of a scenario.
    #[arg(long, requires = "scenario")]
    out: Option<PathBuf>,
    /// The number of values that count in a context.
    #[arg(long, default_value_t = ScoreTerms::default().values)]
    values: usize,
    /// Cost of serving a value instead of a wiser value.
    #[arg(long, default_value_t = ScoreTerms::default().penalty)]
    penalty: f64,
    /// Least difference of the scores; below it the graph abstains.
    #[arg(long, default_value_t = ScoreTerms::default().resolution)]
    resolution: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads a number of points.
fn points(given: &str) -> Result<f64, String> {
    let points = given.parse().ok().filter(|points: &f64| (1e-6..=1e3).contains(points));
    points.ok_or_else(|| "expected a number of points from 0.000001 to 1000".into())
}

/// What scores.
struct Scorer {
    graph: Graph,
    judge: Judge,
    /// What finds contexts, where none is named.
    nearness: Option<(Remembered<Box<dyn Embedder>>, Threshold)>,
    terms: ScoreTerms,
}

impl Scorer {
    fn score(&mut self, situation: &Situation) -> anyhow::Result<Judgement> {
        let Self { graph, judge, nearness, terms } = self;
        let bar = output::bar(0, "judging");
        let nearness = nearness.as_mut().map(|(embedder, threshold)| Nearness { embedder, threshold: *threshold });
        let judgement = score(graph, situation, judge, nearness, terms, &mut step(&bar))?;
        bar.finish_and_clear();
        Ok(judgement)
    }

    /// What a reward was computed from.
    fn source(&self) -> String {
        let embedder = self.nearness.as_ref().map(|(embedder, _)| embedder.fingerprint());
        reward_source(&self.graph, self.judge.model(), embedder)
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let Args { values, penalty, resolution, .. } = *args;
    let terms = ScoreTerms::default().with(|o| {
        o.values = values;
        o.penalty = penalty;
        o.resolution = resolution;
    });
    terms.check()?;
    // clap's `requires` accepts these when the required option conflicts with a given option.
    let only =
        [("--telling", args.telling.is_some()), ("--points", args.points.is_some()), ("--out", args.out.is_some())];
    if let Some((name, _)) = only.iter().find(|(_, given)| *given && args.scenario.is_none()) {
        return Err(Usage(format!("{name} is for the states of a game, expected --scenario beside it")).into());
    }
    let scenario = args.scenario.as_ref().map(|path| input::read(path, Scenario::from_json)).transpose()?;
    let situation = args.situation.as_ref().map(|text| situation(args, text)).transpose()?;
    args.elicit.store.spare(args.out.as_deref())?;
    let graph = args.elicit.store.graph()?;
    let model = args.elicit.model.open()?;
    let named = situation.as_ref().map_or(&args.context, |situation| &situation.contexts);
    let nearness = match named.as_slice() {
        [] => {
            let mut embedder = Remembered::new(args.elicit.embedder.open(|| Ok(model.clone()))?);
            let threshold = calibration(&mut args.elicit.store.open()?, &mut embedder, None)?.situations;
            Some((embedder, threshold))
        }
        [..] => None,
    };
    let mut scorer = Scorer { graph, judge: judge(&model)?, nearness, terms };
    match (scenario, situation) {
        (Some(scenario), _) => of_scenario(args, &scenario, &mut scorer),
        (None, Some(situation)) => {
            let judgement = scorer.score(&situation)?;
            if args.json {
                let mut document = serde_json::to_value(&judgement)?;
                document["source"] = scorer.source().into();
                return output::json(&document);
            }
            show(&judgement, &situation.actions);
            Ok(())
        }
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

fn situation(args: &Args, text: &str) -> anyhow::Result<Situation> {
    if text.ends_with(".json") && args.action.is_empty() {
        let mut situation = input::read(text, Situation::from_json)?;
        situation.contexts.extend(args.context.iter().cloned());
        situation.baseline = args.baseline.clone().or(situation.baseline);
        situation.check()?;
        return Ok(situation);
    }
    let situation = Situation {
        situation: text.into(),
        actions: args.action.clone(),
        contexts: args.context.clone(),
        baseline: args.baseline.clone(),
    };
    situation.check()?;
    Ok(situation)
}

/// The reward of a game's every state.
fn of_scenario(args: &Args, scenario: &Scenario, scorer: &mut Scorer) -> anyhow::Result<()> {
    let game = &scenario.game;
    let telling = match &args.telling {
        Some(path) => input::read(path, |text| Telling::from_json(text, game))?,
        None => Telling::of_rules(scenario),
    };
    let source = scorer.source();
    let ScenarioReward { reward, judgements } = scenario_reward(game, args.points, source, |state| {
        let judgement = scorer.score(&telling.situation(state, &args.context))?;
        if !args.json {
            say!("{}", last_round(game, state, Norm::Untold).trim_end());
            show(&judgement, game.labels(Player::Row));
        }
        anyhow::Ok(judgement)
    })?;
    let text = serde_json::to_string_pretty(&reward)?;
    if args.json {
        output::json(&serde_json::json!({ "reward": reward, "states": judgements }))?;
    }
    match &args.out {
        Some(path) => {
            write_whole(path, |out| out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")))?;
            if !args.json {
                say!("wrote {}: probity decide --tilt {0}:0.1", path.display());
            }
        }
        None if !args.json => say!("{text}"),
        None => {}
    }
    Ok(())
}

/// What the graph makes of the actions, and what it rests on.
fn show(judgement: &Judgement, actions: &[String]) {
    for context in &judgement.contexts {
        say!("Context: {} (similarity {:.2}, weight {:.2})", context.text, context.similarity, context.weight);
    }
    if !judgement.cards.is_empty() {
        let mut header: Vec<String> = vec!["value".into(), "share".into(), "voters".into()];
        header.extend(actions.iter().map(|action| action.chars().take(40).collect()));
        let mut table = output::table(&header.iter().map(String::as_str).collect::<Vec<_>>());
        for card in &judgement.cards {
            let mut row =
                vec![format!("{} ({})", card.title, card.card), format!("{:.2}", card.share), card.voters.to_string()];
            row.extend(card.adherence.iter().map(|&served| output::signed(served)));
            table.add_row(row);
        }
        for penalty in &judgement.penalties {
            let mut row = vec![format!("{} instead of {}", penalty.from, penalty.to), String::new(), String::new()];
            row.extend(penalty.cost.iter().map(|cost| output::signed(-cost)));
            table.add_row(row);
        }
        if let Some(values) = &judgement.values {
            let mut row = vec!["reward".into(), String::new(), String::new()];
            row.extend(values.iter().map(|&value| output::signed(value)));
            table.add_row(row);
        }
        say!("{table}");
    }
    if let Some(reason) = &judgement.abstains {
        say!("The graph abstains: {reason}.");
    }
}
