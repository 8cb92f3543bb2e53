//! The control words of a vocabulary, and the tokens of what stands between them.

use std::ops::Range;
use std::sync::Arc;

use super::{EDGE, Part};
use crate::gguf::{Gguf, Value};
use crate::twins::twins;
use crate::{Model, Result, Token};

/// Numbers of `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// The words that a template writes as single tokens.
pub(super) struct Words {
    /// The words with their tokens, the longest first.
    control: Vec<(String, Token)>,
    /// The words among them that the tokenizer finds in any text.
    found_anywhere: Vec<String>,
    /// Whether the tokenizer puts a blank before a text.
    sentencepiece: bool,
    /// The words of text that begin with a quotation mark.
    pub(super) quotation_marks: Arc<[Token]>,
}

impl Words {
    /// The control words of a vocabulary.
    ///
    /// A converter may have typed them as words of users, or as ordinary words. So every word in angle brackets is a
    /// control word where a template writes it.
    pub(super) fn of(gguf: &Gguf) -> Self {
        let tokens = gguf.strs("tokenizer.ggml.tokens").unwrap_or_default();
        let types = match gguf.get("tokenizer.ggml.token_type") {
            Some(Value::Ints(types, _)) => types.as_slice(),
            _ => &[],
        };
        let named: Vec<u64> = ["bos", "eos", "eot", "eom"]
            .iter()
            .filter_map(|which| gguf.uint(&format!("tokenizer.ggml.{which}_token_id")))
            .collect();
        let mut control = Vec::new();
        let mut found_anywhere = Vec::new();
        let mut quotation_marks = Vec::new();
        let twins = twins(gguf);
        for (id, word) in tokens.iter().enumerate().filter(|(_, word)| !word.trim().is_empty()) {
            if twins.contains_key(&(id as Token)) {
                continue;
            }
            let kind = types.get(id).copied().unwrap_or(1);
            let (angled, squared) = (is_between(word, '<', '>'), is_between(word, '[', ']'));
            let of_users = kind == USER_DEFINED && (angled || squared);
            if (kind == BYTE && word == "<0x22>") || (kind != CONTROL && word.starts_with('"')) {
                quotation_marks.push(id as Token);
            }
            if kind == CONTROL || kind == UNKNOWN || of_users || angled || named.contains(&(id as u64)) {
                control.push((word.clone(), id as Token));
            }
            if of_users {
                found_anywhere.push(word.clone());
            }
        }
        control.sort_by(|(a, i), (b, j)| b.len().cmp(&a.len()).then(i.cmp(j)));
        let sentencepiece = gguf.str("tokenizer.ggml.model") == Some("llama");
        Self { control, found_anywhere, sentencepiece, quotation_marks: quotation_marks.into() }
    }

    /// Cuts what a template writes at its control words.
    pub(super) fn cut(&self, text: &str, parts: &mut Vec<Part>) {
        // The longest word wins wherever two overlap, as in llama.cpp.
        let mut found: Vec<(Range<usize>, Token)> = Vec::new();
        for (word, token) in self.control.iter().filter(|(word, _)| text.contains(word.as_str())) {
            for (at, _) in text.match_indices(word.as_str()) {
                let range = at..at + word.len();
                if found.iter().all(|(taken, _)| range.end <= taken.start || taken.end <= range.start) {
                    found.push((range, *token));
                }
            }
        }
        found.sort_by_key(|(range, _)| range.start);
        let mut at = 0;
        let glue = |text: &str, parts: &mut Vec<Part>| {
            if !text.is_empty() {
                parts.push(Part::Glue(text.to_owned()));
            }
        };
        for (range, token) in found {
            glue(&text[at..range.start], parts);
            parts.push(Part::Control(token));
            at = range.end;
        }
        glue(&text[at..], parts);
    }

    /// The tokens of a stretch, and where the text of each ends in it, bytes.
    ///
    /// `texts` are the bytes that users wrote.
    pub(super) fn tokens(
        &self,
        model: &Model,
        stretch: &str,
        texts: &[Range<usize>],
    ) -> Result<(Vec<Token>, Vec<usize>)> {
        let (mut tokens, mut ends) = (Vec::new(), Vec::new());
        let mut from = 0;
        for to in self.cuts(stretch, texts).into_iter().chain([stretch.len()]) {
            let piece = &stretch[from..to];
            let new = if from == 0 { model.tokenize(piece, false)? } else { self.inner(model, piece)? };
            let lengths: Vec<usize> =
                new.iter().map(|&token| Ok(model.spelling(token)?.len())).collect::<Result<_>>()?;
            // The blank before a text is in no text.
            let mut end = from as isize - (lengths.iter().sum::<usize>() as isize - piece.len() as isize).max(0);
            for length in lengths {
                end += length as isize;
                ends.push(end.clamp(0, to as isize) as usize);
            }
            tokens.extend(new);
            from = to;
        }
        Ok((tokens, ends))
    }

    /// Where users' texts are cut, so that the tokenizer finds no control word.
    fn cuts(&self, stretch: &str, texts: &[Range<usize>]) -> Vec<usize> {
        let mut cuts = Vec::new();
        for (range, word) in texts.iter().flat_map(|range| self.found_anywhere.iter().map(move |word| (range, word))) {
            let first = word.chars().next().map_or(1, char::len_utf8);
            cuts.extend(stretch[range.clone()].match_indices(word).map(|(at, _)| range.start + at + first));
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The tokens of a text that stands inside a longer text.
    ///
    /// SentencePiece puts a blank before a text. Behind a letter that no word of a vocabulary has, the text gets none.
    pub(super) fn inner(&self, model: &Model, text: &str) -> Result<Vec<Token>> {
        if !self.sentencepiece {
            return model.tokenize(text, false);
        }
        let letter = EDGE.to_string();
        let before = model.tokenize(&letter, false)?.len();
        Ok(model.tokenize(&format!("{letter}{text}"), false)?.split_off(before))
    }
}

/// Whether a word without blanks stands between two brackets.
fn is_between(word: &str, open: char, close: char) -> bool {
    word.chars().count() > 2 && word.starts_with(open) && word.ends_with(close) && !word.contains(char::is_whitespace)
}
