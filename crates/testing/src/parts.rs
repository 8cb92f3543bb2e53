//! GGUF files taken apart and reassembled.

use std::fs;
use std::path::Path;

use probity_engine::gguf::{GgmlType, Gguf, GgufWriter, Value};

/// A GGUF file taken apart, to be put together again with something wrong in it.
#[derive(Clone)]
pub struct GgufParts {
    /// Keys with their values, in order.
    pub metadata: Vec<(String, Value)>,
    /// Names, dimensions, element types and bytes, in order.
    pub tensors: Vec<(String, Vec<u64>, GgmlType, Vec<u8>)>,
}

impl GgufParts {
    /// Reads the parts of a file.
    pub fn of(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let gguf = Gguf::read("parts", bytes.as_slice(), bytes.len() as u64).unwrap();
        let metadata = gguf.keys().iter().map(|k| (k.clone(), gguf.get(k).unwrap().clone())).collect();
        let tensors = gguf
            .tensors()
            .iter()
            .map(|t| (t.name.clone(), t.dims.clone(), t.ty, bytes[t.offset as usize..][..t.bytes as usize].to_vec()))
            .collect();
        Self { metadata, tensors }
    }

    /// Sets a key, in its place or at the end.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.metadata.retain(|(k, _)| k != key);
        self.metadata.push((key.into(), value));
        self
    }

    /// Leaves a key out.
    pub fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(k, _)| k != key);
        self
    }

    /// Leaves a tensor out.
    pub fn without_tensor(mut self, name: &str) -> Self {
        self.tensors.retain(|(n, ..)| n != name);
        self
    }

    /// Adds a tensor, or replaces one.
    pub fn tensor(mut self, name: &str, dims: &[u64], ty: GgmlType, data: Vec<u8>) -> Self {
        self.tensors.retain(|(n, ..)| n != name);
        self.tensors.push((name.into(), dims.to_vec(), ty, data));
        self
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut w = GgufWriter::new();
        for (key, value) in &self.metadata {
            w.set(key, value.clone());
        }
        for (name, dims, ty, data) in &self.tensors {
            w.tensor(name, dims, *ty, data.clone());
        }
        let mut out = Vec::new();
        w.write(&mut out).unwrap();
        out
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }
}
