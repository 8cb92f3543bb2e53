//! Models, adapters and templates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use probity::agent::{Agent, Scenario, Session};
use probity_engine::chat::{Speaker, Turn};
use probity_engine::files::write_whole;
use probity_engine::gguf::{Gguf, Value};
use probity_engine::{Adapter, ContextOptions, Generator, HiddenStates, Model, ModelOptions, Plan, Sampling, Source};
use probity_testing::parts::GgufParts;

/// The longest file that a header may announce, bytes.
const LONGEST: u64 = 8 << 20;

/// A small model and an adapter for it.
///
/// They are files beside the program, the same for every process of it.
pub fn small() -> &'static [PathBuf; 2] {
    static SMALL: OnceLock<[PathBuf; 2]> = OnceLock::new();
    SMALL.get_or_init(|| {
        let program = std::env::current_exe().expect("a program");
        let folder = program.with_file_name("probity-fuzz");
        fs::create_dir_all(&folder).expect("a folder");
        let headers: [(&str, &[u8]); 2] = [
            ("model.gguf", include_bytes!("../corpus/model/small")),
            ("adapter.gguf", include_bytes!("../corpus/adapter/small")),
        ];
        headers.map(|(name, header)| {
            let (path, file) = (folder.join(name), whole(header).expect("a short file"));
            write_whole(&path, |out| out.write_all(&file)).expect("the file is written");
            path
        })
    })
}

/// The small model, loaded once.
pub(super) fn small_model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| probity_testing::open(&small()[0]))
}

/// A context that every target keeps small.
pub(super) fn context() -> ContextOptions {
    ContextOptions::default().with(|o| (o.context, o.threads, o.memory) = (256, 1, 64 << 20))
}

/// A file that starts with these bytes.
///
/// Where they are a header, small numbers follow as the data that it announces.
fn whole(header: &[u8]) -> Option<Vec<u8>> {
    let gguf = Gguf::read("header", header, LONGEST).ok();
    let length = gguf.as_ref().and_then(|gguf| gguf.tensors().iter().map(|t| t.offset + t.bytes).max());
    let missing = (length.unwrap_or(0) as usize).saturating_sub(header.len());
    let mut state = 1_u32;
    let numbers = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 2_f32.powi(24) - 0.5) * 0.5
    });
    let data = numbers.flat_map(f32::to_le_bytes).take(missing);
    Some(header.iter().copied().chain(data).collect::<Vec<u8>>()).filter(|file| file.len() as u64 <= LONGEST)
}

/// As [`whole`], as a source.
fn source(header: &[u8]) -> Option<Source> {
    whole(header).map(|file| Source::memory(file, Path::new("fuzzed")))
}

fn scenario() -> Scenario {
    Scenario::from_json(r#"{"game": "ipd", "labels": ["share", "keep"]}"#).expect("a scenario")
}

/// A model file: plan, load, tokenise, render, decide, embed, write.
pub fn model(header: &[u8]) {
    let Some(source) = source(header) else { return };
    let planned = Plan::of(&source, ModelOptions::default(), context());
    let Ok(model) = Model::from_source(source, ModelOptions::default(), |_| true) else { return };
    let text = "You share, <|assistant|> they keep \u{e9}\u{1f600} aaaaaaaaaaaaaaaa 12345";
    for control in [false, true] {
        if let Ok(tokens) = model.tokenize(text, control) {
            tokens.iter().for_each(|&token| _ = model.piece(token));
        }
    }
    if !planned.is_ok_and(|plan| plan.check(model.path(), context().memory).is_ok()) {
        return;
    }
    if let Ok(mut agent) = Session::new(&model, context()).and_then(|session| session.agent(scenario())) {
        _ = agent.decide();
        let kept = agent.snapshot();
        if let Ok(bytes) = kept {
            _ = Agent::restore(&model, &[], &bytes, context());
        }
    }
    if let Ok(mut states) = HiddenStates::new(&model, context()) {
        _ = states.of("a few words");
    }
    if let Ok(mut generator) = Generator::new(&model, context())
        && let Ok(tokens) = model.tokenize("a", false)
    {
        _ = generator.write(&tokens, r#"root ::= "{" [a-z]* "}""#, Sampling::greedy(8));
    }
}

/// An adapter file, on the small model.
pub fn adapter(header: &[u8]) {
    let Some(source) = source(header) else { return };
    let model = small_model();
    let Ok(adapter) = Adapter::from_source(model, source) else { return };
    _ = probity::agent::verify::verify(&adapter);
    let plain = Adapter::load(model, &small()[1]).expect("the small adapter");
    if let Ok(mut agent) = Session::new(model, context()).and_then(|session| session.agent(scenario())) {
        for set in [vec![(adapter.clone(), 1.0)], vec![(adapter, 0.5), (plain, -1.0)], vec![]] {
            if agent.set_adapters(&set).is_ok() {
                _ = agent.decide();
            }
        }
    }
}

/// A chat template, in the small model's vocabulary.
pub fn template(source: &[u8]) {
    static PARTS: OnceLock<GgufParts> = OnceLock::new();
    let Ok(source) = std::str::from_utf8(source) else { return };
    let parts = PARTS.get_or_init(|| {
        let mut parts = GgufParts::of(&small()[0]);
        // A vocabulary alone.
        parts.tensors.iter_mut().for_each(|(.., data)| data.fill(0));
        parts
    });
    let file = parts.clone().set("tokenizer.chat_template", Value::Str(source.into())).bytes();
    let options = ModelOptions::default().with(|o| o.vocab_only = true);
    let Ok(model) = Model::from_source(Source::memory(file, Path::new("fuzzed")), options, |_| true) else { return };
    let turn = |speaker, text: &str| Turn { speaker, text: text.into() };
    let talk = [
        turn(Speaker::User, "share or <|assistant|> keep?"),
        turn(Speaker::Assistant, "share"),
        turn(Speaker::User, ""),
    ];
    for opening in [None, Some(""), Some("I pick \"")] {
        _ = model.template().encode(&model, &talk, opening);
    }
    for opening in ["", "I pick \""] {
        _ = model.template().answers(&model, opening, &["share", "keep"]);
    }
    _ = model.template().terminator(&model);
}

/// A file's first bytes, up to the data: a seed of `model` and `adapter`.
///
/// # Panics
/// For a file that does not exist.
pub fn header(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("a file");
    if let Ok(gguf) = Gguf::read("seed", bytes.as_slice(), bytes.len() as u64) {
        bytes.truncate(gguf.data_start() as usize);
    }
    bytes
}
