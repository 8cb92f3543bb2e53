//! A sentence-transformers folder, run by ONNX Runtime, mean-pooled.

use std::fs;
use std::path::Path;

use ort::session::Session;
use ort::value::Tensor;
use probity_engine::Error as EngineError;
use serde::Deserialize;
use tokenizers::Tokenizer;

use super::runtime::environment;
use super::{Embedder, normalise};
use crate::{Error, Result};

/// Texts that go through at once.
///
/// Their texts have equal numbers of tokens, so that no text is padded.
const BATCH: usize = 32;
/// Most tokens of a text where the folder says nothing.
const LENGTH: usize = 256;

/// An embedder from an ONNX graph and a tokenizer.
pub struct OnnxEmbedder {
    session: Session,
    tokenizer: Tokenizer,
    length: usize,
    fingerprint: String,
    /// Whether the graph wants to know which of two texts a token is of.
    segments: bool,
}

impl OnnxEmbedder {
    /// Opens a folder as sentence-transformers exports it.
    ///
    /// It holds `model.onnx` or `onnx/model.onnx`, `tokenizer.json`, and optionally `sentence_bert_config.json` with
    /// the length limit. `library` is ONNX Runtime's path; without it `ORT_DYLIB_PATH` names the library, or the system
    /// has it.
    ///
    /// # Errors
    /// [`EngineError::Io`] for a missing file; [`Error::Embedder`] without a runtime, and for an unusable graph or
    /// tokenizer.
    pub fn open(folder: &Path, library: Option<&Path>) -> Result<Self> {
        let read = |path: &Path| fs::read(path).map_err(EngineError::io(path));
        let nested = folder.join("onnx/model.onnx");
        let graph = if nested.exists() { nested } else { folder.join("model.onnx") };
        let config = folder.join("sentence_bert_config.json");
        let length = if config.exists() {
            /// What is read of that file.
            #[derive(Deserialize)]
            struct Config {
                max_seq_length: usize,
            }
            let problem = |e| Error::Embedder { problem: format!("{}: {e}", config.display()) };
            serde_json::from_slice::<Config>(&read(&config)?).map_err(problem)?.max_seq_length
        } else {
            LENGTH
        };
        Self::from_bytes(&read(&graph)?, &read(&folder.join("tokenizer.json"))?, length, library)
    }

    /// The same from memory. `length` is the most tokens of a text.
    ///
    /// # Errors
    /// As [`OnnxEmbedder::open`].
    pub fn from_bytes(graph: &[u8], tokenizer: &[u8], length: usize, library: Option<&Path>) -> Result<Self> {
        let problem = |what: &str, e: &dyn std::fmt::Display| Error::Embedder { problem: format!("{what}: {e}") };
        let environment = environment(library)?;
        let session = Session::builder(environment)
            .and_then(|mut builder| builder.commit_from_memory(graph))
            .map_err(|e| problem("model.onnx", &e))?;
        let mut segments = false;
        for input in session.inputs() {
            match input.name() {
                "input_ids" | "attention_mask" => {}
                "token_type_ids" => segments = true,
                other => {
                    let expected = "expected input_ids, attention_mask and at will token_type_ids";
                    return Err(problem("model.onnx", &format!("wants {other:?}, {expected}")));
                }
            }
        }
        let mut hash = blake3::Hasher::new();
        hash.update(&(graph.len() as u64).to_le_bytes()).update(graph).update(tokenizer);
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(|e| problem("tokenizer.json", &e))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| problem("tokenizer.json", &e))?;
        let fingerprint = hash.finalize().to_hex().to_string();
        Ok(Self { session, tokenizer, length: length.max(2), fingerprint, segments })
    }

    /// A text's tokens with their frame; a long text loses its end, not its frame.
    fn tokens(&self, text: &str) -> Result<Vec<i64>> {
        let problem = |e| Error::Embedder { problem: format!("tokenizer.json: {e}") };
        let encoding = self.tokenizer.encode(text, true).map_err(problem)?;
        let ids = encoding.get_ids();
        let last = ids.last().copied();
        let mut tokens: Vec<i64> = ids.iter().take(self.length).map(|&id| i64::from(id)).collect();
        if let (true, Some(last), Some(end)) = (ids.len() > self.length, last, tokens.last_mut()) {
            *end = last.into();
        }
        // A tokenizer without special tokens gives an empty text no tokens.
        if tokens.is_empty() {
            tokens.push(0);
        }
        Ok(tokens)
    }

    /// Vectors for texts of as many tokens each.
    fn run(&mut self, texts: &[&[i64]]) -> Result<Vec<Vec<f32>>> {
        let problem = |e: ort::Error| Error::Embedder { problem: format!("ONNX Runtime: {e}") };
        let length = texts[0].len();
        let shape = [texts.len(), length];
        let tensor = |values: Vec<i64>| Tensor::from_array((shape, values)).map_err(problem);
        let mut inputs = ort::inputs![
            "input_ids" => tensor(texts.concat())?,
            "attention_mask" => tensor(vec![1; texts.len() * length])?,
        ];
        if self.segments {
            inputs.push(("token_type_ids".into(), tensor(vec![0; texts.len() * length])?.into()));
        }
        let outputs = self.session.run(inputs).map_err(problem)?;
        let (shape, states) = outputs[0].try_extract_tensor::<f32>().map_err(problem)?;
        let dimensions: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
        let width = dimensions.last().copied().unwrap_or(0);
        // Hidden states of every token, or vectors that the graph pooled itself.
        let rows = match dimensions.as_slice() {
            &[batch, tokens, _] if batch == texts.len() && tokens == length => length,
            &[batch, _] if batch == texts.len() => 1,
            other => {
                let problem = format!("model.onnx: gives {other:?}, expected [batch, tokens, width] or [batch, width]");
                return Err(Error::Embedder { problem });
            }
        };
        let vector = |states: &[f32]| {
            let mut sum = vec![0.0; width];
            states.chunks_exact(width).for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
            normalise(&mut sum);
            sum
        };
        let vectors: Vec<Vec<f32>> = states.chunks_exact((rows * width).max(1)).map(vector).collect();
        match vectors.iter().flatten().all(|x| x.is_finite()) {
            true => Ok(vectors),
            false => Err(Error::Embedder { problem: "model.onnx: its output is NaN or infinite".into() }),
        }
    }
}

impl Embedder for OnnxEmbedder {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let tokens = texts.iter().map(|text| self.tokens(text)).collect::<Result<Vec<_>>>()?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&i| tokens[i].len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for same in order.chunk_by(|&a, &b| tokens[a].len() == tokens[b].len()) {
            for batch in same.chunks(BATCH) {
                let rows: Vec<&[i64]> = batch.iter().map(|&i| tokens[i].as_slice()).collect();
                for (&i, vector) in batch.iter().zip(self.run(&rows)?) {
                    vectors[i] = vector;
                }
            }
        }
        Ok(vectors)
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
