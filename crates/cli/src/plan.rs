//! `probity plan`: the memory of a model, before it is loaded.

use probity_engine::{ContextOptions, ModelOptions, Plan, Source};
use serde::Serialize;

use crate::output::say;
use crate::{builtin, output};

/// Show the memory that a model takes, before anything takes it.
///
/// The figures are those of the engine, for one context. Agents of a session share a context.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity plan gemma-2-2b-it-Q4_K_M.gguf --context 4096\n         probity plan model.gguf --memory 2048 && probity decide --model model.gguf --memory 2048 --game ipd"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(default_value = "default")]
    model: String,
    /// Tokens of prompt and options; 0 for 2048 or the model's own length.
    #[arg(long, default_value_t = 0)]
    context: usize,
    /// Keep the cache in 32 bits in place of 16.
    #[arg(long)]
    exact_cache: bool,
    #[command(flatten)]
    limit: Limit,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// The limit of memory, as an option of commands that load a model.
#[derive(clap::Args)]
pub struct Limit {
    /// Most memory, MiB; 0 for three times the weights and 1024 MiB.
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    memory: u64,
}

impl Limit {
    /// The limit in bytes.
    pub fn bytes(&self) -> u64 {
        self.memory.saturating_mul(1 << 20)
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    plan: Plan,
    total: u64,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let file = builtin::model_file(&args.model)?;
    let context = ContextOptions::default().with(|o| (o.context, o.exact_cache) = (args.context, args.exact_cache));
    let plan = Plan::of(&Source::open(file.path())?, ModelOptions::default(), context)?;
    if args.json {
        output::json(&Report { plan, total: plan.total() })?;
    } else {
        let mut table = output::table(&["memory", "MiB"]);
        for (what, bytes) in
            [("weights", plan.weights), ("cache", plan.cache), ("buffers", plan.buffers), ("together", plan.total())]
        {
            table.add_row([what, &format!("{:.1}", bytes as f64 / f64::from(1 << 20))]);
        }
        say!("{table}");
    }
    Ok(plan.check(file.path(), args.limit.bytes())?)
}
