//! The published ranking, as its code runs, defects included.
//!
//! Source: arXiv 2404.10636; moral-graph-elicitation and its forerunners. Votes are pooled over contexts. Edges are
//! kept by likelihood and by an entropy that counts impressions as answers. Weighted PageRank follows, and loses the
//! rank of sinks. Two votes from the first card lift the last card to the top.

mod aggregate;
mod page_rank;

pub use aggregate::{Thresholds, count, edges};
pub use page_rank::{DAMPING, ITERATIONS, page_rank, rank};
