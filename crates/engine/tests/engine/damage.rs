//! Random damage to a file.

use probity_engine::gguf::{GgmlType, Gguf, GgufWriter};
use proptest::prelude::*;

proptest! {
    /// The reader answers damage with an error or with a file, never with a panic.
    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), keep in any::<prop::sample::Index>()) {
        let mut w = GgufWriter::new();
        w.set_str("general.architecture", "llama").set_f32("llama.rope.freq_base", 1e4);
        w.tensor("a.weight", &[32, 2], GgmlType::F32, vec![0; 256]);
        let mut bytes = Vec::new();
        w.write(&mut bytes).unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(2 * bytes.len()).max(1));
        if let Ok(gguf) = Gguf::read("damaged.gguf", &bytes[..], bytes.len() as u64) {
            for tensor in gguf.tensors() {
                let _ = (tensor.elements(), tensor.dim(0));
            }
        }
    }
}
