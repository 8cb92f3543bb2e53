//! Lessons as tries of tokens, with the tokens to predict.

use std::collections::HashSet;

use probity_engine::chat::{Speaker, Turn};
use probity_engine::{Error as EngineError, Model, Token};

use crate::corpus::{Answered, Lesson};
use crate::decoder::Pack;
use crate::decoder::kernels::{exp, log_softmax};
use crate::{Error, Result};

/// A token to predict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Output row whose logits predict it.
    pub row: usize,
    pub token: Token,
    /// Weight in the loss; the answers of one question share 1.
    pub weight: f32,
    /// Whether it belongs to an answer.
    pub answer: bool,
}

/// One shard's pack with what it has to predict.
pub(crate) struct LessonBatch {
    pub pack: Pack,
    pub targets: Vec<Target>,
}

/// A lesson's questions as token sequences: every question with every answer.
pub(crate) struct Tokenised {
    /// Rules, questions and answers before this one, question, answer, end.
    pub sequence: Vec<Token>,
    /// Where the answer begins: behind its opening.
    pub answer: usize,
    /// Where it ends: behind the closing quotation mark, or behind the turn.
    pub end: usize,
    /// In which conversation it is, and how many answers it has.
    pub chain: usize,
    pub answers: usize,
}

/// How a vocabulary's template writes a question and an answer.
struct Turns {
    /// Before a question.
    user: Vec<Token>,
    /// Between a question and the answer that begins with each opening.
    openings: Vec<(Answered, Vec<Token>)>,
    /// After an answer.
    end: Vec<Token>,
    /// The quotation mark that closes a label.
    mark: Token,
}

impl Turns {
    fn of(vocabulary: &Model) -> Result<Self> {
        let turn = |speaker| Turn { speaker, text: String::new() };
        let template = vocabulary.template();
        let whole = template.encode(vocabulary, &[turn(Speaker::User), turn(Speaker::Assistant)], None)?;
        let asked = whole.tokens_before(0, 0);
        let opened = |answered: Answered| {
            let open = template.encode(vocabulary, &[turn(Speaker::User)], Some(answered.opening()))?;
            Ok((answered, open.tokens[asked..].to_vec()))
        };
        let mark = vocabulary.tokenize("\"", false)?;
        let problem = || Error::Training { problem: "the vocabulary has no token for the quotation mark".into() };
        Ok(Self {
            user: whole.tokens[..asked].to_vec(),
            openings: [Answered::Text, Answered::Label, Answered::Decision]
                .map(opened)
                .into_iter()
                .collect::<Result<_>>()?,
            end: whole.tokens[whole.tokens_before(1, 0)..].to_vec(),
            mark: *mark.last().ok_or_else(problem)?,
        })
    }

    fn opened(&self, answered: Answered) -> &[Token] {
        &self.openings.iter().find(|(of, _)| *of == answered).expect("every kind is opened").1
    }
}

pub(crate) fn tokenise(vocabulary: &Model, lesson: &Lesson) -> Result<Vec<Tokenised>> {
    // The template is the same for every question; the rules are tokenised once, as at a decision.
    let turns = Turns::of(vocabulary)?;
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
            let answers = vocabulary.template().answers(vocabulary, question.answered.opening(), &question.answers)?;
            for tokens in answers {
                let mut sequence = [&before[..], &turns.user, &asked, turns.opened(question.answered)].concat();
                let answer = sequence.len();
                sequence.extend(tokens);
                if question.answered != Answered::Text {
                    sequence.push(turns.mark);
                }
                let closed = sequence.len();
                sequence.extend(&turns.end);
                let context = vocabulary.shape().context;
                if sequence.len() > context {
                    return Err(EngineError::PromptTooLong { tokens: sequence.len(), context }.into());
                }
                let end = if question.answered == Answered::Text { sequence.len() } else { closed };
                out.push(Tokenised { sequence, answer, end, chain: i, answers: question.answers.len() });
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
pub(crate) fn batch(vocabulary: &Model, lessons: impl Iterator<Item = Lesson>, reading: f32) -> Result<LessonBatch> {
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
pub(crate) fn cross_entropy(logits: &mut [f32], width: usize, targets: &[Target], scale: f32) -> f64 {
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
