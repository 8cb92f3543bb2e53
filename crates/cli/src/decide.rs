//! `probity decide`: one decision with its moral account.

use std::path::PathBuf;

use anyhow::Context;
use probity::agent::policy::{Belief, Mask, Tilt};
use probity::agent::prompt::Layout;
use probity::agent::{Agent, Floor, Record, Scenario};
use probity_engine::ContextOptions;
use probity_game::{Player, Profile, Strategy};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use crate::errors::{NotReliable, Usage};
use crate::output;
use crate::output::say;
use crate::plan::Limit;
use crate::{builtin, input, names};

/// Take one decision, with the account of every legal action.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity decide --game ipd --labels zork,blip --own-last blip --other-last zork --adapter deontological\n         probity decide scenario.json --json"
)]
pub struct Args {
    /// A scenario file (JSON); the flags below override what it says.
    scenario: Option<PathBuf>,
    #[arg(long, help = format!("A catalogue game ({}) or a game file (JSON)", names::games()))]
    game: Option<String>,
    /// Labels of the actions, in order: of 2x2 catalogue games cooperation first.
    #[arg(long, value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Labels of the other player's actions, where they differ.
    #[arg(long, value_delimiter = ',', requires = "labels")]
    other_labels: Option<Vec<String>>,
    /// Table order: original, columns-reversed, rows-reversed or reversed.
    #[arg(long, value_parser = parse_layout)]
    layout: Option<Layout>,
    /// Text before the rules: the agent's role and cares, in your own words.
    #[arg(long)]
    preamble: Option<String>,
    /// The agent's action in the last round (a label).
    #[arg(long, requires = "other_last")]
    own_last: Option<String>,
    /// The other player's action in the last round (a label).
    #[arg(long, requires = "own_last")]
    other_last: Option<String>,
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long, default_value = "default")]
    model: String,
    /// An adapter: a GGUF file or a built-in name, with an optional scale.
    ///
    /// For example `deontological:0.5`. May be repeated.
    #[arg(long)]
    adapter: Vec<String>,
    #[arg(long, value_delimiter = ',', help = format!("Frameworks in the account ({}), or files of `probity values score --scenario` [default: all frameworks]", names::frameworks()))]
    reward: Vec<String>,
    #[arg(long, help = format!("The belief about the other player: fair-coin, a strategy ({}), or probabilities such as 0.3,0.7", names::strategies()))]
    belief: Option<String>,
    /// Pull towards a reward, REWARD:BETA; a smaller beta pulls harder.
    ///
    /// REWARD is a framework, or a file of `probity values score --scenario`.
    #[arg(long)]
    tilt: Option<String>,
    /// Never defect on a player who cooperated last.
    #[arg(long)]
    forbid_betrayal: bool,
    /// Forbid actions with a regret above BY, as REWARD:BY.
    #[arg(long, conflicts_with = "forbid_betrayal")]
    forbid_worse: Option<String>,
    /// Divide the scores by this before the softmax.
    #[arg(long)]
    temperature: Option<f64>,
    /// Least legality mass of a reliable decision: 0 to 1, or `off` [default: 0.25].
    #[arg(long, value_parser = parse_floor)]
    legality_floor: Option<Floor>,
    /// Seed of the agent's random stream.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 for as many as the processor has and the model keeps busy.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    limit: Limit,
    /// Print the decision's record as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let scenario = scenario(args)?;
    let model = builtin::open_model(&args.model)?;
    let context = ContextOptions::default().with(|o| (o.threads, o.memory) = (args.threads, args.limit.bytes()));
    let mut agent = Agent::new(&model, scenario, context)?;
    let adapters = args.adapter.iter().map(|a| adapter(&model, a)).collect::<anyhow::Result<Vec<_>>>()?;
    agent.set_adapters(&adapters)?;
    agent.decide()?;
    let record = agent.record().context("a decision leaves a record")?;
    if args.json {
        output::json(&record)?
    } else {
        print(&agent, &record)?
    }
    reliable(&record)
}

/// An error for a decision that is not reliable.
pub fn reliable(record: &Record) -> anyhow::Result<()> {
    let considered = &record.decision.considered;
    let Some(unreliable) = &considered.unreliable else { return Ok(()) };
    let mass = considered.legality_mass;
    Err(NotReliable(format!("the decision is not reliable: legality mass {mass:.4}, {unreliable}")).into())
}

fn adapter(model: &probity_engine::Model, spec: &str) -> anyhow::Result<(probity_engine::Adapter, f32)> {
    let (name, scale) = names::scaled(spec);
    Ok((builtin::load_adapter(model, name)?, scale))
}

fn scenario(args: &Args) -> anyhow::Result<Scenario> {
    let mut scenario = match (&args.scenario, &args.game) {
        (Some(path), _) => input::read(path, Scenario::from_json)?,
        (None, Some(name)) => Scenario::new(input::game(name)?),
        (None, None) => {
            return Err(Usage("the scenario is missing, expected a scenario file or --game".into()).into());
        }
    };
    if let (Some(_), Some(name)) = (&args.scenario, &args.game) {
        scenario.game = input::game(name)?;
        scenario.history.clear();
    }
    scenario.game = scenario.game.relabelled(args.labels.as_deref(), args.other_labels.as_deref())?;
    if let (Some(own), Some(other)) = (&args.own_last, &args.other_last) {
        let own = scenario.game.action(Player::Row, own)?;
        let other = scenario.game.action(Player::Column, other)?;
        scenario.history = vec![Profile { own, other }];
    }
    scenario.style.layout = args.layout.unwrap_or(scenario.style.layout);
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    scenario.legality_floor = args.legality_floor.or(scenario.legality_floor);
    if let Some(preamble) = &args.preamble {
        scenario.preamble.clone_from(preamble);
    }
    let policy = &mut scenario.policy;
    policy.temperature = args.temperature.unwrap_or(policy.temperature);
    if args.forbid_betrayal {
        policy.mask = Some(Mask::Betrayal);
    }
    if let Some(worse) = &args.forbid_worse {
        let expected = "REWARD:BY with a number of at least 0";
        let (name, by) = names::with_needed_number("forbid-worse", worse, expected)?;
        policy.mask = Some(Mask::Worse { reward: input::reward(name)?, by });
    }
    if let Some(belief) = &args.belief {
        policy.belief = parse_belief(belief)?;
    }
    if let Some(tilt) = &args.tilt {
        let (name, beta) = names::with_needed_number("tilt", tilt, "REWARD:BETA with a number above 0")?;
        policy.tilt = Some(Tilt { reward: input::reward(name)?, beta });
    }
    if !args.reward.is_empty() {
        policy.rewards = args.reward.iter().map(|name| input::reward(name)).collect::<anyhow::Result<_>>()?;
    }
    scenario.check()?;
    Ok(scenario)
}

fn parse_layout(name: &str) -> Result<Layout, String> {
    Layout::deserialize(name.into_deserializer()).map_err(|e: serde::de::value::Error| e.to_string())
}

fn parse_floor(text: &str) -> Result<Floor, String> {
    let document = text.parse::<f64>().map_or_else(|_| text.into(), serde_json::Value::from);
    serde_json::from_value(document).map_err(|e| e.to_string())
}

fn parse_belief(text: &str) -> anyhow::Result<Belief> {
    if text == "fair-coin" {
        return Ok(Belief::FairCoin);
    }
    if let Some(strategy) = Strategy::find(text) {
        return Ok(Belief::Strategy(strategy));
    }
    let numbers: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
    numbers.map(Belief::Probabilities).map_err(|_| {
        Usage(format!("belief {text:?}, expected fair-coin, a strategy, or probabilities such as 0.3,0.7")).into()
    })
}

/// The account as a table: an action a row, a framework a column.
pub fn account_table(record: &Record) -> comfy_table::Table {
    let actions = &record.decision.considered.actions;
    let frameworks: Vec<&str> = actions[0].account.rewards.iter().map(|v| v.reward.framework.name()).collect();
    let header: Vec<&str> = ["action", "probability", "you get", "other gets"].into_iter().chain(frameworks).collect();
    let mut table = output::table(&header);
    for a in actions {
        let mut row = vec![
            a.label.clone(),
            format!("{:.4}", a.probability),
            format!("{:.2}", a.account.payoff_own),
            format!("{:.2}", a.account.payoff_other),
        ];
        row.extend(a.account.rewards.iter().map(|v| format!("{:.2}", v.value)));
        table.add_row(row);
    }
    table
}

fn print(agent: &Agent, record: &Record) -> anyhow::Result<()> {
    let decision = &record.decision;
    say!("{}", decision.considered.situation(&agent.scenario().game));
    say!("{}", account_table(record));
    say!("takes {:?}; legality mass {:.4}", decision.label(), decision.considered.legality_mass);
    Ok(())
}
