//! The writer: GGUF version 3, tensors in order of addition.
//!
//! They are aligned to `general.alignment` bytes, or 32 without that key.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{ALIGNMENT, GgmlType, Gguf, Value};

/// Collects metadata and tensors, then writes the file in one pass.
#[derive(Debug, Default)]
pub struct GgufWriter {
    metadata: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<u64>, GgmlType)>,
    data: Vec<Vec<u8>>,
}

impl GgufWriter {
    /// An empty file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys and the tensors of a header, without the tensors' data.
    #[must_use]
    pub fn of(gguf: &Gguf) -> Self {
        let mut writer = Self::new();
        writer.metadata = gguf.keys().iter().map(|k| (k.clone(), gguf.get(k).expect("listed").clone())).collect();
        for tensor in gguf.tensors() {
            writer.declare(&tensor.name, &tensor.dims, tensor.ty);
        }
        writer
    }

    /// Sets a metadata key; a key set twice keeps its place and takes the new value.
    pub fn set(&mut self, key: &str, value: Value) -> &mut Self {
        match self.metadata.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.into(), value)),
        }
        self
    }

    /// Sets a text.
    pub fn set_str(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        self.set(key, Value::Str(value.into()))
    }

    /// Sets a `u32`.
    pub fn set_u32(&mut self, key: &str, value: u32) -> &mut Self {
        self.set(key, Value::Uint(value.into(), 32))
    }

    /// Sets an `f32`.
    pub fn set_f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.set(key, Value::F32(value))
    }

    /// Adds a tensor from its encoded bytes; `dims` in ggml order, fastest first.
    ///
    /// # Panics
    /// For a byte count that contradicts type and shape: a caller's mistake, not bad input.
    pub fn tensor(&mut self, name: &str, dims: &[u64], ty: GgmlType, data: Vec<u8>) -> &mut Self {
        assert_eq!(data.len() as u64, ty.bytes(dims.iter().product()), "{name}: bytes do not match type and shape");
        self.data.push(data);
        self.declare(name, dims, ty)
    }

    /// Adds a tensor whose bytes [`GgufWriter::write_made`] makes.
    pub fn declare(&mut self, name: &str, dims: &[u64], ty: GgmlType) -> &mut Self {
        self.tensors.push((name.into(), dims.to_vec(), ty));
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The errors of the sink.
    pub fn write(&self, sink: &mut impl Write) -> io::Result<()> {
        self.write_made(sink, |i| Ok(Cow::Borrowed(&self.data[i])))
    }

    /// Writes the file; `make` returns each tensor's bytes in turn.
    ///
    /// Only one tensor is in memory at a time.
    ///
    /// # Errors
    /// The errors of the sink and of `make`.
    ///
    /// # Panics
    /// For a byte count that contradicts type and shape: a caller's mistake, not bad input.
    pub fn write_made<'a>(
        &self,
        sink: &mut impl Write,
        mut make: impl FnMut(usize) -> io::Result<Cow<'a, [u8]>>,
    ) -> io::Result<()> {
        sink.write_all(&self.head())?;
        for (i, (name, dims, ty)) in self.tensors.iter().enumerate() {
            let (data, expected) = (make(i)?, ty.bytes(dims.iter().product()));
            assert_eq!(data.len() as u64, expected, "{name}: bytes do not match type and shape");
            sink.write_all(&data)?;
            let padding = expected.next_multiple_of(self.alignment()) - expected;
            sink.write_all(&vec![0; padding as usize])?;
        }
        Ok(())
    }

    /// The file up to its first tensor's data.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend(b"GGUF");
        head.extend(3_u32.to_le_bytes());
        head.extend((self.tensors.len() as u64).to_le_bytes());
        head.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            put_str(&mut head, key);
            put_value(&mut head, value);
        }
        let mut offset = 0_u64;
        for (name, dims, ty) in &self.tensors {
            put_str(&mut head, name);
            head.extend((dims.len() as u32).to_le_bytes());
            for d in dims {
                head.extend(d.to_le_bytes());
            }
            head.extend(ty.id.to_le_bytes());
            head.extend(offset.to_le_bytes());
            offset += ty.bytes(dims.iter().product()).next_multiple_of(self.alignment());
        }
        head.resize(head.len().next_multiple_of(self.alignment() as usize), 0);
        head
    }

    /// The alignment of the tensors, bytes.
    fn alignment(&self) -> u64 {
        match self.metadata.iter().find(|(key, _)| key == "general.alignment") {
            Some(&(_, Value::Uint(alignment, 32))) if alignment > 0 => alignment,
            _ => ALIGNMENT,
        }
    }
}

fn put_str(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let ty = type_number(value);
    match value {
        Value::Uints(..) | Value::Ints(..) | Value::Floats(..) | Value::Bools(_) | Value::Strs(_) => {
            out.extend(9_u32.to_le_bytes());
        }
        _ => {}
    }
    out.extend(ty.to_le_bytes());
    let mut count = |n: usize| out.extend((n as u64).to_le_bytes());
    match value {
        Value::Uint(v, width) => put_uint(out, *v, *width),
        Value::Int(v, width) => put_uint(out, *v as u64, *width),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push((*v).into()),
        Value::Str(s) => put_str(out, s),
        Value::Uints(v, width) => {
            count(v.len());
            v.iter().for_each(|x| put_uint(out, *x, *width));
        }
        Value::Ints(v, width) => {
            count(v.len());
            v.iter().for_each(|x| put_uint(out, *x as u64, *width));
        }
        Value::Floats(v, 32) => {
            count(v.len());
            v.iter().for_each(|x| out.extend((*x as f32).to_le_bytes()));
        }
        Value::Floats(v, _) => {
            count(v.len());
            v.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
        Value::Bools(v) => {
            count(v.len());
            out.extend(v.iter().map(|b| u8::from(*b)));
        }
        Value::Strs(v) => {
            count(v.len());
            v.iter().for_each(|s| put_str(out, s));
        }
    }
}

/// The low `width` bits, little-endian.
fn put_uint(out: &mut Vec<u8>, value: u64, width: u32) {
    out.extend(&value.to_le_bytes()[..width as usize / 8]);
}

fn type_number(value: &Value) -> u32 {
    match value {
        Value::Uint(_, w) | Value::Uints(_, w) => match w {
            8 => 0,
            16 => 2,
            32 => 4,
            _ => 10,
        },
        Value::Int(_, w) | Value::Ints(_, w) => match w {
            8 => 1,
            16 => 3,
            32 => 5,
            _ => 11,
        },
        Value::F32(_) | Value::Floats(_, 32) => 6,
        Value::Bool(_) | Value::Bools(_) => 7,
        Value::Str(_) | Value::Strs(_) => 8,
        Value::F64(_) | Value::Floats(..) => 12,
    }
}
