//! Conversations as tokens in the model's chat template.
//!
//! User text cannot form control tokens.
//!
//! The template is rendered with a placeholder for each text, and split there. Template parts are tokenised with
//! control tokens recognised, texts without: a text that spells `<|im_end|>` stays plain text.

use std::sync::Arc;

use minijinja::{Environment, Value, context};

use super::gguf::Gguf;
use super::{Model, Token};
use crate::{Error, Result};

/// The longest template source accepted, bytes.
const MAX_SOURCE: usize = 1 << 18;
/// Instructions one rendering may take, so that a hostile template ends.
const FUEL: u64 = 200_000;
const NAME: &str = "chat";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The host application.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said: data, whatever it spells.
    pub text: String,
}

/// A stretch of the token sequence: template glue, or the text of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// Which turn's text it is; `None` for what the template adds.
    pub turn: Option<usize>,
}

/// How a model wants conversations written.
#[derive(Clone)]
pub struct Template {
    /// `None`: no template; each text stands on a line of its own.
    jinja: Option<Arc<Environment<'static>>>,
    bos: String,
    eos: String,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("jinja", &self.jinja.is_some()).finish_non_exhaustive()
    }
}

impl Template {
    /// The template in a model's metadata, compiled.
    ///
    /// # Errors
    /// [`Error::Template`] for a template that is too long or does not parse.
    pub fn of(gguf: &Gguf) -> Result<Self> {
        let tokens = gguf.strs("tokenizer.ggml.tokens").unwrap_or_default();
        let named = |key: &str| {
            let id = gguf.uint(&format!("tokenizer.ggml.{key}_token_id"))?;
            tokens.get(usize::try_from(id).ok()?).cloned()
        };
        let jinja = gguf.str("tokenizer.chat_template").map(compile).transpose()?.map(Arc::new);
        Ok(Self { jinja, bos: named("bos").unwrap_or_default(), eos: named("eos").unwrap_or_default() })
    }

    /// Whether the model brought a template of its own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.jinja.is_some()
    }

    /// The tokens of a conversation; `open` adds the prefix of an answer.
    ///
    /// # Errors
    /// [`Error::Template`] if the template fails, or drops or repeats a turn.
    pub fn encode(&self, model: &Model, turns: &[Turn], open: bool) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let glue = |text: &str, pieces: &mut Vec<Piece>| {
            if !text.is_empty() {
                pieces.push(Piece { tokens: model.tokenize(text, true), turn: None });
            }
        };
        let rendered = self.render(turns.len(), |i| turns[i].speaker, open)?;
        let mut rest = rendered.as_str();
        for (i, turn) in turns.iter().enumerate() {
            let mark = placeholder(i);
            let Some((before, after)) = rest.split_once(&mark) else {
                return Err(Error::Template { problem: format!("leaves out turn {} of the conversation", i + 1) });
            };
            if before.contains(EDGE) {
                return Err(Error::Template { problem: "repeats or reorders the turns of the conversation".into() });
            }
            glue(before, &mut pieces);
            pieces.push(Piece { tokens: model.tokenize(&turn.text, false), turn: Some(i) });
            rest = after;
        }
        if rest.contains(EDGE) {
            return Err(Error::Template { problem: "repeats or reorders the turns of the conversation".into() });
        }
        glue(rest, &mut pieces);
        if let Some(bos) = model.start_of_text()
            && pieces.first().and_then(|p| p.tokens.first()) != Some(&bos)
        {
            pieces.insert(0, Piece { tokens: vec![bos], turn: None });
        }
        Ok(pieces)
    }

    /// The end of an answer: the end of turn, or a line break without a template.
    #[must_use]
    pub fn terminator(&self, model: &Model) -> Vec<Token> {
        match model.end_of_turn() {
            Some(token) if self.is_own() => vec![token],
            _ => model.tokenize("\n", false),
        }
    }

    fn render(&self, n: usize, speaker: impl Fn(usize) -> Speaker, open: bool) -> Result<String> {
        let Some(jinja) = &self.jinja else {
            return Ok((0..n).map(|i| placeholder(i) + "\n").collect());
        };
        let role = |i| match speaker(i) {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let messages: Vec<Value> = (0..n).map(|i| context! { role => role(i), content => placeholder(i) }).collect();
        let failed = |e: minijinja::Error| Error::Template { problem: one_line(&e) };
        jinja
            .get_template(NAME)
            .and_then(|t| {
                t.render(context! {
                    messages,
                    add_generation_prompt => open,
                    bos_token => self.bos.as_str(),
                    eos_token => self.eos.as_str(),
                    enable_thinking => false,
                })
            })
            .map_err(failed)
    }
}

/// Private-use characters around a turn's placeholder; no tokenizer uses them.
const EDGE: char = '\u{F8F1}';

fn placeholder(turn: usize) -> String {
    format!("{EDGE}{turn}{EDGE}")
}

fn compile(source: &str) -> Result<Environment<'static>> {
    if source.len() > MAX_SOURCE {
        return Err(Error::Template { problem: format!("{} bytes, expected at most {MAX_SOURCE}", source.len()) });
    }
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL));
    // transformers renders templates with these two set, and authors rely on it.
    let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.map_err(|e| Error::Template { problem: one_line(&e) })?);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", |message: String| -> std::result::Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
    });
    // A template that prints today's date would make two runs of a decision differ, so the date is fixed.
    env.add_function("strftime_now", |_format: String| "1 January 2026");
    env.add_template_owned(NAME, source.to_owned()).map_err(|e| Error::Template { problem: one_line(&e) })?;
    Ok(env)
}

fn one_line(e: &minijinja::Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}
