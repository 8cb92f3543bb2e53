//! The published ranking, as its code runs (arXiv 2404.10636; moral-graph-elicitation and its forerunners), defects included:
//! votes pooled over contexts, edges kept by likelihood and an entropy that counts impressions among the answers, weighted
//! PageRank whose sinks leak. It is easily led: two votes from the top card lift the last one to the head of the table.

mod aggregate;
mod page_rank;

pub use aggregate::{Thresholds, count, edges};
pub use page_rank::{DAMPING, ITERATIONS, page_rank, rank};
