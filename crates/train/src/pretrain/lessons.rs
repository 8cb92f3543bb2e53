//! Lessons as tries of tokens, with the tokens to predict.

use std::collections::HashSet;

use probity_engine::chat::{Speaker, Turn};
use probity_engine::{Model, Token};

use crate::Result;
use crate::corpus::Lesson;
use crate::decoder::Pack;
use crate::decoder::kernels::{exp, log_softmax};

/// A token to predict.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Output row whose logits predict it.
    pub row: usize,
    pub token: Token,
    /// Weight in the loss; the answers of one question share 1.
    pub weight: f32,
    /// Whether it belongs to an answer.
    pub answer: bool,
}

/// One shard's pack with what it has to predict.
pub(super) struct LessonBatch {
    pub pack: Pack,
    pub targets: Vec<Target>,
}

/// A lesson's questions as token sequences: every question with every answer.
pub(super) struct Tokenised {
    /// Rules, questions and answers before this one, question, answer, end.
    pub sequence: Vec<Token>,
    /// Where the answer begins.
    pub answer: usize,
    /// In which conversation it is, and how many answers it has.
    pub chain: usize,
    pub answers: usize,
}

pub(super) fn tokenise(vocabulary: &Model, lesson: &Lesson) -> Result<Vec<Tokenised>> {
    // The template is the same for every question; the rules are tokenised once, as at a decision.
    let turn = |speaker| Turn { speaker, text: String::new() };
    let frame = vocabulary.template().encode(vocabulary, &[turn(Speaker::User), turn(Speaker::Assistant)], false)?;
    let places = [0, 1].map(|turn| frame.tokens_before(turn, 0));
    let rules = vocabulary.tokenize(&lesson.rules, false)?;
    let mut out = Vec::new();
    for (i, chain) in lesson.chains.iter().enumerate() {
        let mut before: Vec<Token> = Vec::new();
        for (k, question) in chain.iter().enumerate() {
            let mut asked = vocabulary.tokenize(&question.asked, false)?;
            if k == 0 {
                asked.splice(0..0, rules.iter().copied());
            }
            let first = out.len();
            for text in &question.answers {
                let mut t =
                    Tokenised { sequence: before.clone(), answer: 0, chain: i, answers: question.answers.len() };
                t.sequence.extend(&frame.tokens[..places[0]]);
                t.sequence.extend(&asked);
                t.sequence.extend(&frame.tokens[places[0]..places[1]]);
                t.answer = t.sequence.len();
                t.sequence.extend(vocabulary.tokenize(text, false)?);
                t.sequence.extend(&frame.tokens[places[1]..]);
                out.push(t);
            }
            // After several right answers the conversation continues from any of them.
            before = out[first + k % question.answers.len()].sequence.clone();
        }
    }
    Ok(out)
}

/// Lessons as tries, one each: the rules once, a branch a question.
///
/// Targets are the answers' tokens with their end, and with a weight of `reading` all tokens before them. Equally right
/// answers share a weight of 1.
pub(super) fn batch(vocabulary: &Model, lessons: impl Iterator<Item = Lesson>, reading: f32) -> Result<LessonBatch> {
    let mut pack = Pack::default();
    let mut wanted = Vec::new();
    for lesson in lessons {
        let all = tokenise(vocabulary, &lesson)?;
        let sequences: Vec<Vec<Token>> = all.iter().map(|t| t.sequence.clone()).collect();
        let nodes = pack.push(&sequences);
        let mut read = HashSet::new();
        for (t, nodes) in all.iter().zip(&nodes) {
            for i in 1..t.sequence.len() {
                if i >= t.answer {
                    wanted.push((nodes[i - 1], t.sequence[i], 1.0 / t.answers as f32, true));
                } else if reading > 0.0 && read.insert(nodes[i]) {
                    wanted.push((nodes[i - 1], t.sequence[i], reading, false));
                }
            }
        }
    }
    pack.request(wanted.iter().map(|(node, ..)| *node));
    let target = |(node, token, weight, answer)| Target { row: pack.output_row(node), token, weight, answer };
    let targets = wanted.into_iter().map(target).collect();
    Ok(LessonBatch { pack, targets })
}

/// Turns logits into `scale` times the cross-entropy's gradient.
///
/// Returns the weighted sum over the answers. A row may have several targets: the gradient of each is a multiple of the
/// softmax minus the target.
pub(super) fn cross_entropy(logits: &mut [f32], width: usize, targets: &[Target], scale: f32) -> f64 {
    let mut weights = vec![0.0; logits.len() / width];
    targets.iter().for_each(|t| weights[t.row] += t.weight * scale);
    logits.chunks_exact_mut(width).for_each(log_softmax);
    let answers = targets.iter().filter(|t| t.answer);
    let total = answers.map(|t| -f64::from(t.weight) * f64::from(logits[t.row * width + t.token as usize])).sum();
    for (row, weight) in logits.chunks_exact_mut(width).zip(weights) {
        row.iter_mut().for_each(|x| *x = exp(*x) * weight);
    }
    targets.iter().for_each(|t| logits[t.row * width + t.token as usize] -= t.weight * scale);
    total
}
