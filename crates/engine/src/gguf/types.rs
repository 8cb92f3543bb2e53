//! The element types a GGUF tensor may have here, with their block layout.

/// A ggml element type that llama.cpp has CPU kernels for.
///
/// Tensors of integers and f64 are left out: llama.cpp loads them and crashes the process at the first decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GgmlType {
    /// ggml's number for it.
    pub id: u32,
    /// The usual name.
    pub name: &'static str,
    /// Elements in one block.
    pub block: u64,
    /// Bytes of one block.
    pub block_bytes: u64,
}

const fn ty(id: u32, name: &'static str, block: u64, block_bytes: u64) -> GgmlType {
    GgmlType { id, name, block, block_bytes }
}

impl GgmlType {
    /// 32-bit float.
    pub const F32: Self = ty(0, "F32", 1, 4);
    /// 16-bit float.
    pub const F16: Self = ty(1, "F16", 1, 2);
    /// Brain float.
    pub const BF16: Self = ty(30, "BF16", 1, 2);
    /// 8-bit blocks of 32 with one f16 scale.
    pub const Q8_0: Self = ty(8, "Q8_0", 32, 34);

    /// Every type accepted in a model.
    pub const ALL: [Self; 22] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        ty(2, "Q4_0", 32, 18),
        ty(3, "Q4_1", 32, 20),
        ty(6, "Q5_0", 32, 22),
        ty(7, "Q5_1", 32, 24),
        ty(10, "Q2_K", 256, 84),
        ty(11, "Q3_K", 256, 110),
        ty(12, "Q4_K", 256, 144),
        ty(13, "Q5_K", 256, 176),
        ty(14, "Q6_K", 256, 210),
        ty(16, "IQ2_XXS", 256, 66),
        ty(17, "IQ2_XS", 256, 74),
        ty(18, "IQ3_XXS", 256, 98),
        ty(19, "IQ1_S", 256, 50),
        ty(20, "IQ4_NL", 32, 18),
        ty(21, "IQ3_S", 256, 110),
        ty(22, "IQ2_S", 256, 82),
        ty(23, "IQ4_XS", 256, 136),
        ty(29, "IQ1_M", 256, 56),
    ];

    /// The type with that number, if it is one of [`GgmlType::ALL`].
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.id == id)
    }

    /// Bytes of `elements` elements laid out in rows of whole blocks.
    #[must_use]
    pub fn bytes(&self, elements: u64) -> u64 {
        elements / self.block * self.block_bytes
    }
}
