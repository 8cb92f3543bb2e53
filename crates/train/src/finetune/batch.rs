//! A step's questions: all states of its games, as tries, with their rewards.

use probity::agent::prompt::{encode, options, prompt};
use probity_engine::score::Continuation;
use probity_engine::{Error as EngineError, Model, Token};
use probity_game::play::Policy;
use probity_game::{Profile, State, state_number, states};

use crate::Result;
use crate::curriculum::{Opponent, Phase, Play, Reference, Task, TrainConfig};
use crate::decoder::{Compute, MAX_POSITIONS, Pack};
use crate::objective::repeated::Repeated;
use crate::objective::{Group, PackedState, PromptedState, push_all};

/// One shard of one seat's step: some games, every state of each, as one trie.
#[derive(Debug)]
pub struct Batch {
    /// The trie.
    pub pack: Pack,
    /// The games as this seat sees them, their mover the row player.
    pub tasks: Vec<Task>,
    /// A game's decisions, in the order of [`states`], without their worth.
    decisions: Vec<Vec<PackedState>>,
    /// Names of the decisions by content, in order.
    pub names: Vec<[u8; 32]>,
}

/// Whose policy is the reference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Hash of the adapter, in place of the bare model.
    start: Option<&'a str>,
    compute: Compute,
}

impl<'a> Origin<'a> {
    /// That of a config.
    #[must_use]
    pub fn of(config: &'a TrainConfig) -> Self {
        let start = config.start.as_deref().filter(|_| config.reference == Reference::Start);
        Self { start, compute: config.compute }
    }
}

impl Batch {
    /// The batch of some tasks.
    ///
    /// # Errors
    /// [`EngineError::PromptTooLong`], [`EngineError::Option`], [`EngineError::Template`].
    pub fn new(model: &Model, tasks: Vec<Task>, origin: Origin<'_>) -> Result<Self> {
        let mut asked = Vec::new();
        let mut names = Vec::new();
        for task in &tasks {
            let (questions, options) = questions(model, task)?;
            for question in &questions {
                names.push(name(model.content()?, origin, &question.prompt, &options));
            }
            asked.push((questions, options));
        }
        let mut pack = Pack::default();
        let decisions = push_all(&mut pack, asked);
        Ok(Self { pack, tasks, decisions, names })
    }

    /// All decisions in order.
    pub fn decisions(&self) -> impl Iterator<Item = &PackedState> {
        self.decisions.iter().flatten()
    }

    /// Splits what belongs to the decisions, in order, by game.
    pub fn by_game<T>(&self, all: Vec<T>) -> Vec<Vec<T>> {
        let mut all = all.into_iter();
        self.decisions.iter().map(|d| all.by_ref().take(d.len()).collect()).collect()
    }

    /// The decisions with their worth under a phase.
    ///
    /// `others` holds the other players' policies, one a game.
    ///
    /// # Errors
    /// [`probity::Error::Game`] for a reward or policy of another game.
    pub fn groups(&self, phase: &Phase, repeated: Option<Play>, others: Vec<Policy>) -> Result<Vec<Group>> {
        let group = |((Task { game, weight, .. }, decisions), other): ((&Task, &Vec<PackedState>), Policy)| {
            let states = states(game);
            let mut decisions = decisions.clone();
            for ((d, state), belief) in decisions.iter_mut().zip(&states).zip(&other) {
                d.rewards = phase.reward.expected(game, *state, belief)?;
            }
            let repeated = repeated.map(|p| Repeated {
                game: game.clone(),
                other,
                discount: p.discount,
                start: p.start.distribution(states.len()).into_iter().map(|share| share * weight).collect(),
            });
            Ok(Group { decisions, repeated })
        };
        self.tasks.iter().zip(&self.decisions).zip(others).map(group).collect()
    }

    /// The policies of scripted others.
    ///
    /// # Errors
    /// [`probity::Error::Game`] for an opponent that cannot play a game.
    pub fn scripted(&self, opponent: &Opponent) -> Result<Vec<Policy>> {
        let of = |Task { game, .. }: &Task| -> Result<Policy> {
            states(game).into_iter().map(|state| Ok(opponent.policy(game, state)?)).collect()
        };
        self.tasks.iter().map(of).collect()
    }

    /// Policies of the column seat, over the row seat's states.
    #[must_use]
    pub fn across(&self, theirs: Vec<Policy>) -> Vec<Policy> {
        let turn = |(Task { game, .. }, policy): (&Task, Policy)| -> Policy {
            let (turned, flip) = (game.transposed(), |p: Profile| Profile { own: p.other, other: p.own });
            let seen = |state: State| state_number(&turned, state.map(flip));
            states(game).into_iter().map(|state| policy[seen(state)].clone()).collect()
        };
        self.tasks.iter().zip(theirs).map(turn).collect()
    }
}

/// A learner's place at the table: what it is asked in a step, a batch a shard.
#[derive(Debug)]
pub(super) struct Seat {
    pub batches: Vec<Batch>,
}

impl Seat {
    /// The tries, a shard each.
    pub fn packs(&self) -> Vec<&Pack> {
        self.batches.iter().map(|batch| &batch.pack).collect()
    }

    /// Trie nodes of all shards.
    pub fn tokens(&self) -> u64 {
        self.batches.iter().map(|batch| batch.pack.len() as u64).sum()
    }

    /// Sum of all decisions' weights.
    pub fn weight(&self) -> f64 {
        self.batches.iter().flat_map(Batch::decisions).map(|decision| decision.weight).sum()
    }

    /// The other learner's policies, a game each, over this seat's states.
    pub fn across(&self, theirs: Vec<Policy>) -> Vec<Policy> {
        let mut theirs = theirs.into_iter();
        self.batches.iter().flat_map(|batch| batch.across(theirs.by_ref().take(batch.tasks.len()).collect())).collect()
    }
}

/// A game's questions without their worth, in the order of [`states`].
///
/// The options come with them.
pub(super) fn questions(model: &Model, task: &Task) -> Result<(Vec<PromptedState>, Vec<Continuation>)> {
    let Task { game, style, weight, .. } = task;
    let options = options(model, game)?;
    let states = states(game);
    let weight = weight / states.len() as f64;
    let ask = |&state: &State| {
        let prompt = encode(model, &prompt(game, state, *style))?.tokens;
        let longest = prompt.len() + options.iter().map(Continuation::count).max().unwrap_or(0);
        let context = model.shape().context.min(MAX_POSITIONS);
        if longest > context {
            return Err(EngineError::PromptTooLong { tokens: longest, context }.into());
        }
        Ok(PromptedState { prompt, rewards: Vec::new(), weight })
    };
    Ok((states.iter().map(ask).collect::<Result<_>>()?, options))
}

/// BLAKE3 of the reference and a question's tokens: the key of its scores.
fn name(base: &str, origin: Origin<'_>, prompt: &[Token], options: &[Continuation]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new_derive_key("probity reference scores");
    hash.update(base.as_bytes());
    hash.update(origin.start.unwrap_or_default().as_bytes());
    if origin.compute == Compute::Bf16 {
        hash.update(b"bf16");
    }
    let parts = options.iter().flat_map(|option| [option.tokens(), option.last()]);
    for part in std::iter::once(prompt).chain(parts) {
        hash.update(&(part.len() as u64).to_le_bytes());
        part.iter().for_each(|t| {
            hash.update(&t.to_le_bytes());
        });
    }
    *hash.finalize().as_bytes()
}
