//! Where a GGUF file's bytes are: in a file, in a section of one, or in memory.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gguf::{Gguf, GgufWriter, Tensor};
use super::shim::Lent;
use super::system;
use crate::{Error, Result};

/// The bytes of a GGUF file.
///
/// Clones share them. Models and adapters read from their source as long as they live: nobody may change the bytes
/// meanwhile.
#[derive(Clone)]
pub struct Source {
    inner: Arc<Inner>,
}

struct Inner {
    name: PathBuf,
    bytes: Bytes,
    length: u64,
}

enum Bytes {
    /// A file that was opened here, from its first byte to its last.
    Whole(File),
    /// A file from an offset on, which with the length lies within the file.
    Section(File, u64),
    Memory(Box<dyn AsRef<[u8]> + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name()).field("length", &self.length()).finish()
    }
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        // A named pipe would wait for its other end.
        regular_length(&std::fs::metadata(path).map_err(Error::io(path))?).map_err(Error::io(path))?;
        let file = File::open(path).map_err(Error::io(path))?;
        let length = length_of(&file).map_err(Error::io(path))?;
        Ok(Self::new(path, Bytes::Whole(file), length))
    }

    /// A section of an open file: `length` bytes from `offset`, or all from there.
    ///
    /// The file's position is neither used nor, but on Windows, changed. `name` stands for the section in messages.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Option`] for a section that ends beyond the file.
    pub fn section(file: File, offset: u64, length: Option<u64>, name: &Path) -> Result<Self> {
        let whole = length_of(&file).map_err(Error::io(name))?;
        let rest = whole.checked_sub(offset);
        let (Some(length), true) = (length.or(rest), rest >= length) else {
            let given = match length {
                Some(length) => format!("{length} bytes from {offset}"),
                None => format!("from {offset}"),
            };
            let expected = format!("at most the {whole} bytes of the file");
            return Err(Error::Option { name: "offset and length", given, expected });
        };
        Ok(Self::new(name, Bytes::Section(file, offset), length))
    }

    /// Bytes in memory, which are not copied; `name` stands for them in messages.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use probity_engine::{Error, ModelOptions, Model, Source};
    ///
    /// let source = Source::memory(b"GGML", Path::new("bundled model"));
    /// let refused = Model::from_source(source, ModelOptions::default(), |_| true);
    /// assert!(matches!(refused, Err(Error::NotGguf { file, .. }) if file == "bundled model"));
    /// ```
    pub fn memory(bytes: impl AsRef<[u8]> + Send + Sync + 'static, name: &Path) -> Self {
        let length = bytes.as_ref().len() as u64;
        Self::new(name, Bytes::Memory(Box::new(bytes)), length)
    }

    fn new(name: &Path, bytes: Bytes, length: u64) -> Self {
        Self { inner: Arc::new(Inner { name: name.to_owned(), bytes, length }) }
    }

    /// The file's path, or the name of the section or the memory.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.inner.name
    }

    /// The number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.inner.length
    }

    /// Reads and checks the header.
    ///
    /// # Errors
    /// As [`Gguf::read`].
    pub fn header(&self) -> Result<Gguf> {
        let reader = BufReader::with_capacity(1 << 16, Cursor { source: self, position: 0 });
        Gguf::read(&self.name().display().to_string(), reader, self.length())
    }

    /// A tensor's bytes, as stored.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn tensor(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        self.piece(tensor.offset, tensor.bytes)
    }

    /// Some bytes.
    ///
    /// # Errors
    /// [`Error::Io`], also for bytes beyond the end.
    pub(super) fn piece(&self, from: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        let mut cursor = Cursor { source: self, position: from };
        cursor.read_exact(&mut bytes).map_err(Error::io(self.name()))?;
        Ok(bytes)
    }

    /// BLAKE3 of all bytes, hex.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn hash(&self) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        let all = BufReader::with_capacity(1 << 20, Cursor { source: self, position: 0 });
        hash.update_reader(all).map_err(Error::io(self.name()))?;
        Ok(hash.finalize().to_hex().to_string())
    }

    /// Lends llama.cpp a header that was checked, and the data of this source.
    ///
    /// The header is written anew, whatever the source holds by now; the data start at `data_start` in the source.
    pub(super) fn lend<T>(&self, header: &GgufWriter, data_start: u64, to: impl FnOnce(&Lent) -> T) -> T {
        let head = header.head();
        let length = self.length().saturating_sub(data_start);
        let (bytes, length, file, offset) = match &self.inner.bytes {
            Bytes::Whole(file) => (std::ptr::null(), length, system::handle(file), data_start),
            Bytes::Section(file, offset) => (std::ptr::null(), length, system::handle(file), offset + data_start),
            Bytes::Memory(bytes) => {
                let data = (**bytes).as_ref().get(data_start as usize..).unwrap_or_default();
                (data.as_ptr(), length.min(data.len() as u64), -1, 0)
            }
        };
        to(&Lent { head: head.as_ptr(), head_length: head.len() as u64, bytes, file, offset, length })
    }

    /// The path of a file that can be mapped.
    ///
    /// It leads to the file that is open here, on systems that have such paths.
    pub(super) fn mappable(&self) -> Result<PathBuf> {
        let Bytes::Whole(file) = &self.inner.bytes else {
            let expected = "false for a section of a file and for memory".into();
            return Err(Error::Option { name: "mmap", given: "true".into(), expected });
        };
        // On macOS such a path shares the open file's position instead of starting at 0.
        (&mut &*file).rewind().map_err(Error::io(self.name()))?;
        Ok(system::alias(file).unwrap_or_else(|| self.name().to_owned()))
    }
}

/// Reads a source from a position on.
struct Cursor<'a> {
    source: &'a Source,
    position: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.source.length().saturating_sub(self.position);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let to = &mut to[..n];
        match &self.source.inner.bytes {
            // The section was checked: offset and position together do not overflow.
            Bytes::Section(file, offset) => system::read_exact_at(file, to, offset + self.position)?,
            Bytes::Whole(file) => system::read_exact_at(file, to, self.position)?,
            Bytes::Memory(bytes) => {
                let bytes = (**bytes).as_ref().get(self.position as usize..).and_then(|rest| rest.get(..n));
                to.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
            }
        }
        self.position += n as u64;
        Ok(n)
    }
}

/// The length of an open regular file, bytes.
fn length_of(file: &File) -> io::Result<u64> {
    regular_length(&file.metadata()?)
}

fn regular_length(metadata: &Metadata) -> io::Result<u64> {
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file, expected one")),
    }
}
