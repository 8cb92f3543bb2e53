//! The reader: lengths are capped, products checked, allocations bounded.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;

use super::{ALIGNMENT, GgmlType};
use crate::{Error, Result};

const MAX_KEYS: u64 = 4096;
const MAX_TENSORS: u64 = 65_536;
const MAX_KEY_BYTES: u64 = 256;
const MAX_NAME_BYTES: u64 = 63;
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned integer of any width.
    Uint(u64, u32),
    /// Signed integer of any width.
    Int(i64, u32),
    /// `f32`.
    F32(f32),
    /// `f64`.
    F64(f64),
    /// Boolean.
    Bool(bool),
    /// UTF-8 text without NUL bytes.
    Str(String),
    /// Array of unsigned integers.
    Uints(Vec<u64>, u32),
    /// Array of signed integers.
    Ints(Vec<i64>, u32),
    /// Array of floats.
    Floats(Vec<f64>, u32),
    /// Array of booleans.
    Bools(Vec<bool>),
    /// Array of texts.
    Strs(Vec<String>),
}

/// The value in words.
///
/// A text in quotes, a number, or the kind and length of an array.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(v, _) => v.fmt(f),
            Self::Int(v, _) => v.fmt(f),
            Self::F32(v) => v.fmt(f),
            Self::F64(v) => v.fmt(f),
            Self::Bool(v) => v.fmt(f),
            Self::Str(v) => write!(f, "{v:?}"),
            Self::Uints(v, _) => write!(f, "{} numbers", v.len()),
            Self::Ints(v, _) => write!(f, "{} numbers", v.len()),
            Self::Floats(v, _) => write!(f, "{} numbers", v.len()),
            Self::Bools(v) => write!(f, "{} booleans", v.len()),
            Self::Strs(v) => write!(f, "{} texts", v.len()),
        }
    }
}

/// One tensor's place and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// Dimensions in ggml order, fastest first: a map `in` to `out` is `[in, out]`.
    pub dims: Vec<u64>,
    /// Element type.
    pub ty: GgmlType,
    /// Offset of the data from the start of the file, bytes.
    pub offset: u64,
    /// Length of the data, bytes.
    pub bytes: u64,
}

impl Tensor {
    /// The `i`-th dimension, 1 beyond the last.
    #[must_use]
    pub fn dim(&self, i: usize) -> u64 {
        self.dims.get(i).copied().unwrap_or(1)
    }

    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

/// A checked GGUF header.
#[derive(Debug, Clone)]
pub struct Gguf {
    /// What the file is called in messages.
    pub file: String,
    /// Alignment of the tensor data, bytes.
    pub alignment: u64,
    keys: Vec<String>,
    values: HashMap<String, Value>,
    tensors: Vec<Tensor>,
    index: HashMap<String, usize>,
}

impl Gguf {
    /// Reads and checks the header of a GGUF file of `length` bytes.
    ///
    /// `file` names the file in messages.
    ///
    /// # Errors
    /// [`Error::NotGguf`], [`Error::Truncated`], or [`Error::MalformedGguf`] naming the wrong entry.
    pub fn read(file: &str, source: impl Read, length: u64) -> Result<Self> {
        let mut r = Reader { file, source, position: 0, length };
        let mut magic = [0; 4];
        let got = r.read_up_to(&mut magic)?;
        if magic != *b"GGUF" {
            let found = String::from_utf8_lossy(&magic[..got]).escape_debug().to_string();
            return Err(Error::NotGguf { file: file.into(), found });
        }
        let version = r.u32("version")?;
        if !matches!(version, 2 | 3) {
            return Err(r.bad(format!("GGUF version {version}, expected 2 or 3, little-endian")));
        }
        let n_tensors = r.u64("tensor count")?;
        let n_keys = r.u64("key count")?;
        r.cap("tensors", n_tensors, MAX_TENSORS)?;
        r.cap("metadata keys", n_keys, MAX_KEYS)?;

        let mut keys = Vec::new();
        let mut values = HashMap::new();
        for _ in 0..n_keys {
            let key = r.key()?;
            let ty = r.u32("value type")?;
            let value = r.value(&key, ty)?;
            if values.insert(key.clone(), value).is_some() {
                return Err(r.bad(format!("metadata key {key:?} is given twice")));
            }
            keys.push(key);
        }
        let alignment = match values.get("general.alignment") {
            None => ALIGNMENT,
            Some(&Value::Uint(a, 32)) if (32..=4096).contains(&a) && a.is_power_of_two() => a,
            Some(_) => return Err(r.bad("general.alignment is unfit, expected a u32 power of two from 32 to 4096")),
        };

        let mut tensors = Vec::new();
        let mut names = HashSet::new();
        let mut running = 0_u64;
        for _ in 0..n_tensors {
            let tensor = r.tensor(running)?;
            if !names.insert(tensor.name.clone()) {
                return Err(r.bad(format!("tensor {:?} is given twice", tensor.name)));
            }
            running = tensor
                .bytes
                .checked_next_multiple_of(alignment)
                .and_then(|padded| running.checked_add(padded))
                .ok_or_else(|| r.bad("tensor sizes overflow"))?;
            tensors.push(tensor);
        }
        let start = r.position.next_multiple_of(alignment);
        for tensor in &mut tensors {
            // The running sum above did not overflow and a file position is far from u64::MAX.
            tensor.offset = start.saturating_add(tensor.offset);
            let end = tensor.offset.saturating_add(tensor.bytes);
            if end > length {
                let what = format!("data of tensor {:?}", tensor.name);
                return Err(Error::Truncated { file: file.into(), length, expected: end, what });
            }
        }
        let index = tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        Ok(Self { file: file.into(), alignment, keys, values, tensors, index })
    }

    /// Where the first tensor's data start, bytes.
    ///
    /// A file without tensors has none, and 0.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        self.tensors.first().map_or(0, |tensor| tensor.offset)
    }

    /// Metadata keys in file order.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// A metadata value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A text value.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// An unsigned integer of any width.
    #[must_use]
    pub fn uint(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(Value::Uint(v, _)) => Some(*v),
            _ => None,
        }
    }

    /// An array of texts.
    #[must_use]
    pub fn strs(&self, key: &str) -> Option<&[String]> {
        match self.get(key) {
            Some(Value::Strs(v)) => Some(v),
            _ => None,
        }
    }

    /// Tensors in file order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// A tensor by name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.index.get(name).map(|&i| &self.tensors[i])
    }
}

struct Reader<'a, R> {
    file: &'a str,
    source: R,
    position: u64,
    length: u64,
}

impl<R: Read> Reader<'_, R> {
    fn bad(&self, problem: impl Into<String>) -> Error {
        Error::MalformedGguf { file: self.file.into(), problem: problem.into() }
    }

    fn cap(&self, what: &str, found: u64, most: u64) -> Result<()> {
        if found > most { Err(self.bad(format!("{found} {what}, expected at most {most}"))) } else { Ok(()) }
    }

    fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            match self.source.read(&mut buffer[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Io { path: self.file.into(), source: e }),
            }
        }
        self.position += got as u64;
        Ok(got)
    }

    fn exact(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        let wanted = self.position + buffer.len() as u64;
        if self.read_up_to(buffer)? < buffer.len() {
            let (file, length) = (self.file.into(), self.length.min(self.position));
            return Err(Error::Truncated { file, length, expected: wanted, what: what.into() });
        }
        Ok(())
    }

    /// `count * size` more bytes exist in the file and stay under the metadata cap.
    fn reserve(&self, count: u64, size: u64, what: &str) -> Result<()> {
        let bytes = count.checked_mul(size).ok_or_else(|| self.bad(format!("{what}: length overflows")))?;
        let expected = self.position.saturating_add(bytes);
        if expected > self.length {
            return Err(Error::Truncated { file: self.file.into(), length: self.length, expected, what: what.into() });
        }
        self.cap("bytes of metadata", expected, MAX_METADATA_BYTES)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes, what)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn text(&mut self, what: &str, most: u64) -> Result<String> {
        let length = self.u64(what)?;
        if length > most {
            return Err(self.bad(format!("{what}: {length} bytes, expected at most {most}")));
        }
        self.reserve(length, 1, what)?;
        let mut bytes = vec![0; length as usize];
        self.exact(&mut bytes, what)?;
        let text = String::from_utf8(bytes).map_err(|_| self.bad(format!("{what} is not UTF-8")))?;
        if text.contains('\0') {
            return Err(self.bad(format!("{what} holds a NUL byte")));
        }
        Ok(text)
    }

    fn key(&mut self) -> Result<String> {
        let key = self.text("a metadata key", MAX_KEY_BYTES)?;
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.bad(format!("metadata key {key:?} is empty or not printable ASCII")));
        }
        Ok(key)
    }

    fn value(&mut self, key: &str, ty: u32) -> Result<Value> {
        Ok(match ty {
            8 => Value::Str(self.text(key, MAX_METADATA_BYTES)?),
            9 => self.array_value(key)?,
            0 => Value::Uint(u8::from_le_bytes(self.array(key)?).into(), 8),
            1 => Value::Int(i8::from_le_bytes(self.array(key)?).into(), 8),
            2 => Value::Uint(u16::from_le_bytes(self.array(key)?).into(), 16),
            3 => Value::Int(i16::from_le_bytes(self.array(key)?).into(), 16),
            4 => Value::Uint(u32::from_le_bytes(self.array(key)?).into(), 32),
            5 => Value::Int(i32::from_le_bytes(self.array(key)?).into(), 32),
            6 => Value::F32(f32::from_le_bytes(self.array(key)?)),
            7 => {
                let [byte] = self.array(key)?;
                Value::Bool(self.boolean(key, byte)?)
            }
            10 => Value::Uint(u64::from_le_bytes(self.array(key)?), 64),
            11 => Value::Int(i64::from_le_bytes(self.array(key)?), 64),
            12 => Value::F64(f64::from_le_bytes(self.array(key)?)),
            other => return Err(self.bad(format!("{key}: value type {other}, expected 0 to 12"))),
        })
    }

    fn boolean(&self, key: &str, byte: u8) -> Result<bool> {
        match byte {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad(format!("{key}: boolean byte {other}, expected 0 or 1"))),
        }
    }

    fn array_value(&mut self, key: &str) -> Result<Value> {
        let element = self.u32(key)?;
        let n = self.u64(key)?;
        Ok(match element {
            0 => Value::Uints(self.numbers(key, n, |b| u8::from_le_bytes(b).into())?, 8),
            1 => Value::Ints(self.numbers(key, n, |b| i8::from_le_bytes(b).into())?, 8),
            2 => Value::Uints(self.numbers(key, n, |b| u16::from_le_bytes(b).into())?, 16),
            3 => Value::Ints(self.numbers(key, n, |b| i16::from_le_bytes(b).into())?, 16),
            4 => Value::Uints(self.numbers(key, n, |b| u32::from_le_bytes(b).into())?, 32),
            5 => Value::Ints(self.numbers(key, n, |b| i32::from_le_bytes(b).into())?, 32),
            6 => Value::Floats(self.numbers(key, n, |b| f32::from_le_bytes(b).into())?, 32),
            7 => {
                let bytes = self.numbers(key, n, u8::from_le_bytes)?;
                Value::Bools(bytes.into_iter().map(|b| self.boolean(key, b)).collect::<Result<_>>()?)
            }
            8 => {
                // A text takes at least its eight length bytes, so a count beyond the file's size is refused here.
                self.reserve(n, 8, key)?;
                Value::Strs((0..n).map(|_| self.text(key, MAX_METADATA_BYTES)).collect::<Result<_>>()?)
            }
            10 => Value::Uints(self.numbers(key, n, u64::from_le_bytes)?, 64),
            11 => Value::Ints(self.numbers(key, n, i64::from_le_bytes)?, 64),
            12 => Value::Floats(self.numbers(key, n, f64::from_le_bytes)?, 64),
            9 => return Err(self.bad(format!("{key}: an array of arrays, expected one level"))),
            other => return Err(self.bad(format!("{key}: array of value type {other}, expected 0 to 8 or 10 to 12"))),
        })
    }

    fn numbers<const N: usize, T>(&mut self, key: &str, n: u64, decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        self.reserve(n, N as u64, key)?;
        (0..n).map(|_| self.array(key).map(&decode)).collect()
    }

    fn tensor(&mut self, running: u64) -> Result<Tensor> {
        let name = self.text("a tensor name", MAX_NAME_BYTES)?;
        if name.is_empty() {
            return Err(self.bad("a tensor without a name"));
        }
        let n_dims = self.u32(&name)?;
        if !(1..=4).contains(&n_dims) {
            return Err(self.bad(format!("{name}: {n_dims} dimensions, expected 1 to 4")));
        }
        let dims = (0..n_dims).map(|_| self.u64(&name)).collect::<Result<Vec<_>>>()?;
        let elements = dims.iter().try_fold(1_u64, |product, &d| {
            if d == 0 { None } else { product.checked_mul(d).filter(|&p| p <= i64::MAX as u64) }
        });
        let Some(elements) = elements else {
            return Err(self.bad(format!("{name}: dimensions {dims:?} are zero or overflow")));
        };
        let id = self.u32(&name)?;
        let Some(ty) = GgmlType::from_id(id) else {
            let known = GgmlType::ALL.map(|t| t.name).join(", ");
            return Err(self.bad(format!("{name}: element type number {id}, expected one of {known}")));
        };
        if dims[0] % ty.block != 0 {
            return Err(self.bad(format!(
                "{name}: rows of {} elements, expected a multiple of {} for {}",
                dims[0], ty.block, ty.name
            )));
        }
        let offset = self.u64(&name)?;
        if offset != running {
            return Err(self.bad(format!("{name}: data at offset {offset}, expected {running}")));
        }
        let bytes = u64::try_from(u128::from(elements / ty.block) * u128::from(ty.block_bytes))
            .map_err(|_| self.bad(format!("{name}: size overflows")))?;
        Ok(Tensor { name, dims, ty, offset, bytes })
    }
}
