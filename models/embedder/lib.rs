//! The embedder that the `probity` command line carries.
//!
//! README.md describes its origin.
#![no_std]

/// The ONNX graph.
pub const GRAPH: &[u8] = include_bytes!("model.onnx");
/// The tokenizer, as Hugging Face's `tokenizers` writes it.
pub const TOKENIZER: &[u8] = include_bytes!("tokenizer.json");
