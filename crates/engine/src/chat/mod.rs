//! Conversations as tokens, in the model's own chat template.
//!
//! The template is rendered once with a mark in the place of each text, and cut at the control tokens it writes. What
//! stands between two control tokens, texts included, is tokenised at once: a vocabulary that puts a blank before every
//! text, or merges letters across the edge of a text, gives the tokens it was trained on. Control tokens come from the
//! template alone: a text that spells `<|im_end|>` stays a text.

mod jinja;
mod meter;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Value, context};
use parking_lot::Mutex;

use self::jinja::{Jinja, MAX_SOURCE};
use self::words::Words;
use super::gguf::Gguf;
use super::stack::on_a_stack;
use super::{Model, Token};
use crate::{Error, Result};

/// The date that templates are told, so that a decision can be repeated.
pub const DATE: &str = jinja::DATE;

/// Stack for rendering a template, bytes; it is run by a machine of its own.
const STACK: usize = 8 << 20;

/// More stack for compiling one, bytes a byte of its source.
///
/// Its parser recurses for every sign in a row, without a limit.
const STACK_A_BYTE: usize = 2 << 10;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A conversation as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialogue {
    /// All tokens.
    pub tokens: Vec<Token>,
    /// Where the text of each token ends, bytes of the conversation.
    ///
    /// A control token counts as one byte.
    ends: Vec<usize>,
    /// Where the text of each turn stands, bytes of the rendered conversation.
    turns: Vec<Range<usize>>,
}

impl Dialogue {
    /// The tokens before a byte of a turn's text.
    ///
    /// A token that reaches beyond the byte does not count.
    ///
    /// # Panics
    /// For a turn that the conversation does not have.
    #[must_use]
    pub fn tokens_before(&self, turn: usize, byte: usize) -> usize {
        let at = self.turns[turn].start + byte;
        self.ends.partition_point(|&end| end <= at)
    }
}

/// How a model wants conversations written.
#[derive(Clone)]
pub struct Template(Arc<Inner>);

struct Inner {
    /// `None`: no template; each text stands on a line of its own.
    jinja: Option<Jinja>,
    bos: String,
    eos: String,
    words: Words,
    /// Rendered frames by speakers, and by whether an answer is opened.
    frames: Mutex<HashMap<(Vec<Speaker>, bool), Frame>>,
}

/// A rendered conversation without its texts.
type Frame = Arc<[Part]>;

/// A part of a rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// What the template writes.
    Glue(String),
    /// A control token that the template writes.
    Control(Token),
    /// The place of a turn's text.
    Text(usize),
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("jinja", &self.is_own()).finish_non_exhaustive()
    }
}

/// A template, compiled on a stack by the length of its source.
fn compiled(source: &str) -> Result<Jinja> {
    let stack = STACK + STACK_A_BYTE * source.len().min(MAX_SOURCE);
    on_a_stack(stack, || Jinja::compile(source))?.map_err(|problem| Error::Template { problem })
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
        let source = gguf.str("tokenizer.chat_template");
        let jinja = match source {
            None => None,
            Some(source) => Some(compiled(source)?),
        };
        Ok(Self(Arc::new(Inner {
            jinja,
            bos: named("bos").unwrap_or_default(),
            eos: named("eos").unwrap_or_default(),
            words: Words::of(gguf),
            frames: Mutex::default(),
        })))
    }

    /// Whether the model brought a template of its own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.jinja.is_some()
    }

    /// The tokens of a conversation.
    ///
    /// With `opening` an answer follows that begins with it, and that the model goes on with.
    ///
    /// # Errors
    /// [`Error::Template`] if the template fails, or drops or repeats a turn; the errors of [`Model::tokenize`].
    pub fn encode(&self, model: &Model, turns: &[Turn], opening: Option<&str>) -> Result<Dialogue> {
        let speakers: Vec<Speaker> = turns.iter().map(|turn| turn.speaker).collect();
        let frame = self.frame(&speakers, opening.is_some())?;
        let mut dialogue = Dialogue { turns: vec![0..0; turns.len()], ..Dialogue::default() };
        let mut rendered = 0;
        let mut stretch = Stretch::default();
        for part in &*frame {
            match part {
                Part::Glue(text) => stretch.text.push_str(text),
                Part::Text(turn) => {
                    let text = &turns[*turn].text;
                    let start = rendered + stretch.text.len();
                    dialogue.turns[*turn] = start..start + text.len();
                    stretch.push_text(text);
                }
                Part::Control(token) => {
                    // It counts as a byte, which tells what is before it from what is behind.
                    rendered = self.push(model, std::mem::take(&mut stretch), rendered, &mut dialogue)? + 1;
                    dialogue.tokens.push(*token);
                    dialogue.ends.push(rendered);
                }
            }
        }
        if let Some(opening) = opening.filter(|opening| !opening.is_empty()) {
            stretch.text += &self.lead(&frame);
            stretch.text += opening;
        }
        self.push(model, stretch, rendered, &mut dialogue)?;
        if let Some(bos) = model.start_of_text()
            && dialogue.tokens.first() != Some(&bos)
        {
            dialogue.tokens.insert(0, bos);
            dialogue.ends.insert(0, 0);
        }
        Ok(dialogue)
    }

    /// Tokenises a stretch at byte `start`, and returns where it ends.
    fn push(&self, model: &Model, stretch: Stretch, start: usize, dialogue: &mut Dialogue) -> Result<usize> {
        let (tokens, ends) = self.0.words.tokens(model, &stretch.text, &stretch.texts)?;
        dialogue.tokens.extend(tokens);
        dialogue.ends.extend(ends.into_iter().map(|end| start + end));
        Ok(start + stretch.text.len())
    }

    /// The tokens of some answers to a user's turn, each without opening and end.
    ///
    /// They are what follows a prompt with this opening when prompt and answer are tokenised at once.
    ///
    /// # Errors
    /// As [`Template::encode`].
    pub fn answers<T: AsRef<str>>(&self, model: &Model, opening: &str, answers: &[T]) -> Result<Vec<Vec<Token>>> {
        let open = self.frame(&[Speaker::User], true)?;
        let lead = self.lead(&open);
        let tail = open.iter().rposition(|part| glue(part).is_none()).map_or(0, |control| control + 1);
        let tail: String = open[tail..].iter().filter_map(glue).collect();
        let begun = if opening.is_empty() { tail.clone() } else { format!("{tail}{lead}{opening}") };
        let (before, _) = self.0.words.tokens(model, &begun, &[])?;
        answers
            .iter()
            .map(|answer| {
                let mut text = Stretch { text: format!("{tail}{lead}{opening}"), texts: Vec::new() };
                text.push_text(answer.as_ref());
                let (tokens, _) = self.0.words.tokens(model, &text.text, &text.texts)?;
                match tokens.strip_prefix(&*before) {
                    Some(rest) => Ok(rest.to_vec()),
                    // The tokenizer merges the prompt's end with the answer: a prompt that ends before cannot know.
                    None => self.0.words.inner(model, &text.text[begun.len()..]),
                }
            })
            .collect()
    }

    /// The tokens that begin with a quotation mark.
    ///
    /// Each closes an answer that stands between two quotation marks. A vocabulary may have several, such as one with
    /// the full stop that follows.
    #[must_use]
    pub fn quotation_marks(&self) -> Arc<[Token]> {
        Arc::clone(&self.0.words.quotation_marks)
    }

    /// What the template writes between an opened prompt and the answer.
    ///
    /// Often it is nothing, or a blank.
    fn lead(&self, open: &[Part]) -> String {
        // Some templates take no answers.
        let whole = self.frame(&[Speaker::User, Speaker::Assistant], false).unwrap_or_default();
        let before: Vec<&Part> = whole.iter().take_while(|part| **part != Part::Text(1)).collect();
        let same = open.iter().zip(&before).take_while(|(a, b)| a == *b).count();
        match (&open[same..], &before[same..]) {
            ([], [Part::Glue(lead)]) => lead.clone(),
            ([Part::Glue(shorter)], [Part::Glue(longer)]) => longer.strip_prefix(&**shorter).unwrap_or("").to_owned(),
            _ => String::new(),
        }
    }

    /// The end of an answer: the first control token that the template puts after it.
    ///
    /// A template without one leaves the end to the vocabulary: its end of a turn, or else of a text. Where it has
    /// neither, the answer ends with its line.
    ///
    /// # Errors
    /// As [`Template::encode`].
    pub fn terminator(&self, model: &Model) -> Result<Vec<Token>> {
        let written = match self.frame(&[Speaker::User, Speaker::Assistant], false) {
            Ok(frame) => frame.iter().skip_while(|part| **part != Part::Text(1)).find_map(|part| match part {
                Part::Control(token) => Some(*token),
                Part::Glue(_) | Part::Text(_) => None,
            }),
            // Some templates take no answers.
            Err(_) => None,
        };
        match written.or_else(|| model.end_of_turn()) {
            Some(end) => Ok(vec![end]),
            None => self.0.words.inner(model, "\n"),
        }
    }

    /// The parts of a conversation without its texts.
    ///
    /// They are rendered once for each order of speakers.
    fn frame(&self, speakers: &[Speaker], open: bool) -> Result<Frame> {
        let key = (speakers.to_vec(), open);
        if let Some(frame) = self.0.frames.lock().get(&key) {
            return Ok(Arc::clone(frame));
        }
        let frame: Frame = self.cut(&self.render(speakers, open)?, speakers.len())?.into();
        let mut frames = self.0.frames.lock();
        if frames.len() >= FRAMES {
            frames.clear();
        }
        frames.insert(key, Arc::clone(&frame));
        Ok(frame)
    }

    /// Cuts a rendered conversation at its marks and control tokens.
    fn cut(&self, rendered: &str, turns: usize) -> Result<Vec<Part>> {
        let repeats = || Error::Template { problem: "repeats or reorders the turns of the conversation".into() };
        let mut parts = Vec::new();
        let mut rest = rendered;
        for turn in 0..turns {
            let Some((before, after)) = rest.split_once(&mark(turn)) else {
                return Err(Error::Template { problem: format!("leaves out turn {} of the conversation", turn + 1) });
            };
            if before.contains(EDGE) {
                return Err(repeats());
            }
            self.0.words.cut(before, &mut parts);
            parts.push(Part::Text(turn));
            rest = after;
        }
        if rest.contains(EDGE) {
            return Err(repeats());
        }
        self.0.words.cut(rest, &mut parts);
        Ok(parts)
    }

    fn render(&self, speakers: &[Speaker], open: bool) -> Result<String> {
        let Some(jinja) = &self.0.jinja else {
            return Ok((0..speakers.len()).map(|turn| mark(turn) + "\n").collect());
        };
        let rendered = on_a_stack(STACK, || {
            let texts = |turn| Value::from(mark(turn));
            let whole = |text: &String| (0..speakers.len()).all(|turn| text.contains(&mark(turn)));
            let first = jinja.render(self.values(speakers, open, texts));
            if first.as_ref().is_ok_and(whole) {
                return first;
            }
            // Templates of models that see pictures want a turn as a list of parts.
            let parts = |turn| Value::from(vec![context! { type => "text", text => mark(turn) }]);
            match jinja.render(self.values(speakers, open, parts)) {
                Ok(text) if whole(&text) => Ok(text),
                _ => first,
            }
        })?;
        let mut rendered = rendered.map_err(|problem| Error::Template { problem })?;
        if open {
            // An answer stands after the thought. What a template opens, it leaves to the model to close.
            let end = rendered.rfind(EDGE).unwrap_or(0);
            if rendered[end..].rfind("<think>") > rendered[end..].rfind("</think>") {
                let closed = rendered.trim_end().len();
                rendered.truncate(closed);
                rendered.push_str("\n\n</think>\n\n");
            }
        }
        Ok(rendered)
    }

    fn values(&self, speakers: &[Speaker], open: bool, content: impl Fn(usize) -> Value) -> Value {
        let role = |speaker: &Speaker| match speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let message = |(turn, speaker)| context! { role => role(speaker), content => content(turn) };
        context! {
            messages => speakers.iter().enumerate().map(message).collect::<Vec<_>>(),
            add_generation_prompt => open,
            bos_token => self.0.bos.as_str(),
            eos_token => self.0.eos.as_str(),
            enable_thinking => false,
        }
    }
}

/// Rendered frames that a template keeps.
const FRAMES: usize = 64;

fn glue(part: &Part) -> Option<&str> {
    match part {
        Part::Glue(text) => Some(text),
        Part::Text(_) => Some(""),
        Part::Control(_) => None,
    }
}

/// A private-use character around the mark of a turn's text; no tokenizer has it.
const EDGE: char = '\u{F8F1}';

fn mark(turn: usize) -> String {
    format!("{EDGE}{turn}{EDGE}")
}

/// What stands between two control tokens.
#[derive(Default)]
struct Stretch {
    text: String,
    /// Which of its bytes are texts of turns.
    texts: Vec<Range<usize>>,
}

impl Stretch {
    fn push_text(&mut self, text: &str) {
        self.texts.push(self.text.len()..self.text.len() + text.len());
        self.text.push_str(text);
    }
}
