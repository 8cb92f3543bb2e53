//! Small models that tests make for themselves, and the ones that are shipped.
#![allow(dead_code, reason = "every test program uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use probity::engine::gguf::GgmlType;
use probity::engine::{Model, ModelOptions};
use probity::train::export::write_model;
use probity::train::pretrain::{PretrainConfig, init};
use probity::train::vocab::{self, Vocabulary};
use probity::train::Decoder;

/// A shipped model or adapter.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(format!("{name}.gguf"))
}

pub fn open(path: &Path) -> Model {
    Model::open(path, ModelOptions { mmap: false, ..ModelOptions::default() }, |_| true).expect("the model opens")
}

/// The shipped default model.
pub fn default_model() -> Model {
    open(&shipped("default"))
}

pub fn tiny_config() -> PretrainConfig {
    PretrainConfig { layers: 2, width: 32, heads: 2, feed_forward: 64, vocabulary: 400, context: 512, ..Default::default() }
}

pub fn tiny_vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| vocab::train(400, 1, 300).expect("a vocabulary"))
}

/// Writes a random model of a config.
pub fn write_random(path: &Path, config: &PretrainConfig, ty: GgmlType, seed: u64) {
    let decoder = Decoder::trained(&config.shape());
    write_model(path, &decoder, &init(&decoder, seed), tiny_vocabulary(), ty, &[]).expect("the model is written");
}

/// A random model in a fresh folder.
pub fn tiny(ty: GgmlType) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    write_random(&path, &tiny_config(), ty, 7);
    (folder, path)
}
