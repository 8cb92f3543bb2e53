//! Whose policy is measured, by name.

use probity::agent::legality::reading_under;
use probity::agent::manifest::Manifest;
use probity_game::moral::Framework;
use probity_game::{Reading, Strategy};
use probity_train::eval::Respondent;

use crate::errors::Usage;
use crate::{builtin, input};

/// A policy by its name.
pub enum Policy {
    /// The bare model.
    Bare,
    /// The bare model, asked in words: the first wording of a framework.
    Asked(Framework),
    /// Adapters, one a training seed.
    Adapters(Vec<String>),
    /// A scripted player.
    Scripted(Strategy),
}

/// What answers.
pub struct Respondents {
    pub all: Vec<Respondent>,
    /// The name of the paper's model that is trained on the same rewards.
    pub published: Option<String>,
    /// The manifest of an adapter; of several the last one's.
    pub manifest: Option<Manifest>,
    /// What the model was seen to read under an adapter; of several under the last one.
    pub reads: Option<Vec<Reading>>,
}

impl Policy {
    pub fn named(name: &str) -> anyhow::Result<Self> {
        if name == "bare" {
            return Ok(Self::Bare);
        }
        if let Some(reward) = name.strip_prefix("asked:") {
            return Ok(Self::Asked(Framework::find(reward)?));
        }
        if let Some(strategy) = Strategy::find(name) {
            return Ok(Self::Scripted(strategy));
        }
        if name.ends_with(".json") {
            return Ok(Self::Scripted(input::read(name, |text| input::json("strategy", text))?));
        }
        Ok(Self::Adapters(name.split(',').map(str::to_owned).collect()))
    }

    /// Opens the model where the policy needs one.
    pub fn respondents(&self, model: &str) -> anyhow::Result<Respondents> {
        let one = |respondent, published: Option<&str>| Respondents {
            all: vec![respondent],
            published: published.map(str::to_owned),
            manifest: None,
            reads: None,
        };
        match self {
            Self::Scripted(strategy) => Ok(one(Respondent::scripted(*strategy), None)),
            Self::Bare => {
                let model = builtin::open_model(model)?;
                let reads = reading_under(&model, &[])?;
                Ok(Respondents { reads, ..one(Respondent::model(&model, &[], "")?, Some("bare")) })
            }
            Self::Asked(framework) => {
                // The paper's rows are of its untrained model, not asked in these words.
                let [wording, ..] = framework.wordings();
                let model = builtin::open_model(model)?;
                let reads = reading_under(&model, &[])?;
                Ok(Respondents { reads, ..one(Respondent::model(&model, &[], wording)?, None) })
            }
            Self::Adapters(names) => {
                let model = builtin::open_model(model)?;
                let mut found = Respondents { all: Vec::new(), published: None, manifest: None, reads: None };
                for (i, name) in names.iter().enumerate() {
                    let adapter = builtin::load_adapter(&model, name)?;
                    let manifest = Manifest::of(adapter.gguf())?;
                    let published = manifest.as_ref().map(trained_on);
                    if i > 0 && published != found.published {
                        let of = |published: &Option<String>| published.clone().unwrap_or_else(|| "unknown".into());
                        let (first, this) = (of(&found.published), of(&published));
                        let problem = format!("--policy: {name} was trained on {this}, and {} on {first}", names[0]);
                        return Err(Usage(problem + "; expected training seeds of one policy").into());
                    }
                    (found.manifest, found.published) = (manifest, published);
                    let adapters = [(adapter, 1.0)];
                    found.reads = reading_under(&model, &adapters)?;
                    found.all.push(Respondent::model(&model, &adapters, "")?);
                }
                Ok(found)
            }
        }
    }
}

/// The rewards of a manifest as adapters are named: `game-then-utilitarian`.
pub fn trained_on(manifest: &Manifest) -> String {
    let mut rewards: Vec<_> = manifest.rewards.iter().collect();
    // A run that was extended has the same reward twice.
    rewards.dedup();
    rewards.into_iter().map(|reward| reward.name().replace("game-", "game+")).collect::<Vec<_>>().join("-then-")
}
