//! Floor 1: people's values, and votes on which value is wiser where.
//!
//! Pure: no files, no threads, no model.
//!
//! The process and the data are those of "What are human values, and how do we align AI to them?" (arXiv 2404.10636).
//! Votes on upgrades become a moral graph, and the graph is ranked. Called by the store, the command line and the
//! rewards from a graph.

mod ask;
mod ballots;
mod bridging;
mod card;
pub mod compat;
mod cycles;
mod deliberation;
mod edge;
mod electorate;
mod error;
mod graph;
mod published;
mod reward;
pub mod robust;
mod stability;
#[cfg(feature = "store")]
pub mod store;
mod story;
mod vote;

pub use ask::{PairToJudge, pairs_to_judge};
pub use ballots::{Ballot, Ballots, Tally};
pub use bridging::{Bridge, GroupSupport, NamedBridge, bridging};
pub use card::{AttentionPolicy, CardId, ValuesCard};
pub use cycles::cycles;
pub use deliberation::{Deliberation, VERSION};
pub use edge::{Counts, Edge};
pub use electorate::{Electorate, Simulated};
pub use error::ValuesError;
pub use graph::{Explanation, Graph, PairAccount, Placed, Ranked, Ranking, Trust};
pub use published::MoralGraph;
pub use reward::{
    Abstention, Adherence, ContextWeight, Counted, Judgement, Penalty, ScoreTerms, ServedPolicy, context_weights,
};
pub use stability::{Attack, AttackBy, Bootstrap, Method, Places, Stability, attack, bootstrap, stability};
pub use story::{Provenance, Story};
pub use vote::{Answer, Vote};
