//! What passes over a pack take: bytes and multiplications.

use super::attention::QueryRows;
use super::linear::{Linear, larger};
use super::{Compute, Decoder, Keep, Pack, Views};

impl Decoder {
    /// Bytes of a [`Tape`] after a forward and backward pass over a pack.
    ///
    /// With a tape that keeps nothing: after a forward pass. [`Decoder::logits_bytes`] counts the logits.
    #[must_use]
    pub fn tape_bytes(&self, pack: &Pack, keep: Keep) -> usize {
        let (n, m, d) = (pack.len(), pack.outputs.len(), self.shape.n_embd);
        let views = Views::of(self, pack);
        let tapes = self.blocks.iter().enumerate().map(|(i, b)| b.tape_floats(&self.common, views.of_block(i)));
        // A tape that all blocks share has room for the last block's picked rows beside the other blocks' needs.
        let tapes = if keep == Keep::All { tapes.sum::<usize>() } else { tapes.max().unwrap_or(0) + m * d };
        let inputs = if keep == Keep::Inputs { self.blocks.len() * n * d } else { 0 };
        let scratch = self.blocks.iter().map(|b| b.scratch_floats(&self.common, pack, QueryRows::All));
        let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear));
        let band = linears.map(Linear::band_floats).chain([self.tied_head().band_floats()]).max().unwrap_or(0);
        let widest = self.shape.n_ff.max(self.common.heads.width()).max(d);
        let rounded = if self.as_engine { n * widest } else { 0 };
        let panels = match self.compute {
            Compute::F32 => 0,
            Compute::Bf16 => {
                let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear.panel_bytes(n)));
                let [weights, rows] = linears.fold(self.tied_head().panel_bytes(m), larger);
                weights + rows
            }
        };
        4 * (tapes + inputs + scratch.max().unwrap_or(0) + band + rounded + n * d + 3 * m * d) + panels
    }

    /// Bytes of the logits of a pack.
    #[must_use]
    pub fn logits_bytes(&self, pack: &Pack) -> usize {
        let copies = if self.shape.logit_cap.is_some() { 2 } else { 1 };
        4 * copies * pack.outputs.len() * self.shape.n_vocab
    }

    /// Bytes of the weights that lie in memory as they do in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        let linears = self.blocks.iter().flat_map(|b| b.linears().map(|(_, linear)| linear)).chain(&self.head);
        let embedding = self.embedding.stored_bytes(self.shape.n_embd * self.shape.n_vocab);
        linears.map(|l| l.weight.stored_bytes(l.n_in * l.n_out)).sum::<usize>() + embedding
    }

    /// Multiplications of a forward pass over a pack: weights and attention.
    #[must_use]
    pub fn products(&self, pack: &Pack) -> f64 {
        let (n, m) = (pack.len() as f64, pack.outputs.len() as f64);
        let size = |l: &Linear| (l.n_in * l.n_out) as f64;
        let views = Views::of(self, pack);
        let mut total = m * (self.shape.n_embd * self.shape.n_vocab) as f64;
        for (i, b) in self.blocks.iter().enumerate() {
            let rows = self.rows(i).count(pack) as f64;
            let queries = [&b.q, &b.o, &b.gate, &b.up, &b.down].map(size).iter().sum::<f64>();
            total += n * (size(&b.k) + size(&b.v)) + rows * queries;
            let pairs = views.of_block(i).pairs();
            total += 2.0 * (pairs * self.common.heads.width()) as f64;
        }
        total
    }
}
