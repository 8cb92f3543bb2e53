//! The models that elicitation asks: one that writes and judges, one that embeds.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use probity_elicit::embed::{Embedder, LlamaEmbedder, OnnxEmbedder};
use probity_elicit::{Calibration, Judge};
use probity_engine::{ContextOptions, Model};
use probity_values::store::Store;

use super::StoreArgs;
use crate::builtin;
use crate::errors::Usage;
use crate::output;

/// The store and the models of an elicitation.
#[derive(clap::Args)]
pub struct ElicitArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub embedder: EmbedderArgs,
}

/// Which model writes.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The model that asks, writes and judges: a GGUF file tuned for instructions.
    ///
    /// `default` is the built-in model. Its output has the right form and no meaning.
    #[arg(long, default_value = "default")]
    pub model: String,
}

impl ModelArgs {
    pub fn open(&self) -> anyhow::Result<Model> {
        if self.model == "default" {
            eprintln!(
                "The built-in model knows games alone: its texts have the right form and no meaning. Name an \
                 instruction-tuned GGUF with --model."
            );
        }
        builtin::open_model(&self.model)
    }
}

/// Which model embeds.
#[derive(clap::Args)]
pub struct EmbedderArgs {
    /// The embedder: `default`, `model`, or a folder.
    ///
    /// `default` is the built-in sentence model; it needs an ONNX Runtime (ORT_DYLIB_PATH names it). A folder is an
    /// export of sentence-transformers. `model` is the language model itself: it needs no runtime and is less accurate.
    #[arg(long, default_value = "default")]
    pub embedder: String,
}

impl EmbedderArgs {
    /// Opens it; `model` is asked for where it is the embedder, too.
    pub fn open(&self, model: impl FnOnce() -> anyhow::Result<Model>) -> anyhow::Result<Box<dyn Embedder>> {
        Ok(match self.embedder.as_str() {
            "default" => {
                let opened = OnnxEmbedder::from_bytes(probity_embedder::GRAPH, probity_embedder::TOKENIZER, 256, None);
                Box::new(opened.context("--embedder default (--embedder model needs no ONNX Runtime)")?)
            }
            "model" => Box::new(LlamaEmbedder::new(&model()?)?),
            folder if Path::new(folder).is_dir() => Box::new(OnnxEmbedder::open(Path::new(folder), None)?),
            other => {
                let expected = "expected default, model, or a folder with model.onnx and tokenizer.json";
                return Err(Usage(format!("--embedder {other:?}: {expected}")).into());
            }
        })
    }
}

/// The calibration for an embedder and a judge, from the store or measured.
///
/// A measured calibration is saved in the store.
pub fn calibration(
    store: &mut Store,
    embedder: &mut dyn Embedder,
    judge: Option<&mut Judge>,
) -> probity_elicit::Result<Calibration> {
    let bar = output::bar(0, "measuring on labelled cards");
    let calibration = Calibration::kept(store, embedder, judge, &mut step(&bar))?;
    bar.finish_and_clear();
    Ok(calibration)
}

/// A judge on a model.
pub fn judge(model: &Model) -> probity_elicit::Result<Judge> {
    Judge::new(model, ContextOptions::default())
}

/// Shows steps on a bar.
pub fn step(bar: &ProgressBar) -> impl FnMut(usize, usize) -> bool {
    |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        true
    }
}

/// Shows on standard error that something takes a while, where somebody looks.
pub fn waiting(what: &'static str) -> ProgressBar {
    let bar = output::bar(0, what);
    if !bar.is_hidden() {
        bar.set_style(indicatif::ProgressStyle::default_spinner());
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
    }
    bar
}
