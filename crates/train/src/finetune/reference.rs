//! The bare model's scores, computed once and keyed by content.
//!
//! A repeated question, of a later step or of another run on the same base and file, costs nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use probity_engine::Error as EngineError;

use crate::Result;

/// The bare model's scores by name: a log-probability an option.
#[derive(Debug, Default)]
pub struct References {
    known: HashMap<[u8; 32], Vec<f64>>,
    file: Option<(File, PathBuf)>,
}

/// Bytes of a record's checksum.
const CHECKSUM: usize = 4;

impl References {
    /// References that are kept in a file, which may hold some already.
    ///
    /// A truncated or damaged record ends the file.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn in_file(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(EngineError::io(path))?,
        };
        let mut known = HashMap::new();
        let mut good = 0;
        while let Some((name, scores, length)) = parse(&bytes[good..]) {
            known.insert(name, scores);
            good += length;
        }
        let file = File::options().create(true).append(true).open(path).map_err(EngineError::io(path))?;
        file.set_len(good as u64).map_err(EngineError::io(path))?;
        Ok(Self { known, file: Some((file, path.to_owned())) })
    }

    /// The scores of that name.
    #[must_use]
    pub fn get(&self, name: &[u8; 32]) -> Option<&Vec<f64>> {
        self.known.get(name)
    }

    /// Syncs the answers to the disk: a resumed run must find the same bits.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn sync(&self) -> Result<()> {
        match &self.file {
            Some((file, path)) => Ok(file.sync_data().map_err(EngineError::io(path))?),
            None => Ok(()),
        }
    }

    /// Keeps scores.
    ///
    /// # Errors
    /// [`EngineError::Io`]; the scores are then not kept.
    pub fn put(&mut self, name: [u8; 32], scores: Vec<f64>) -> Result<()> {
        if let Some((file, path)) = &mut self.file {
            let mut record = name.to_vec();
            record.push(scores.len() as u8);
            record.extend(scores.iter().flat_map(|p| p.to_le_bytes()));
            let checksum = blake3::hash(&record);
            record.extend(&checksum.as_bytes()[..CHECKSUM]);
            file.write_all(&record).map_err(EngineError::io(path))?;
        }
        self.known.insert(name, scores);
        Ok(())
    }
}

/// The first record in some bytes, and its length.
fn parse(bytes: &[u8]) -> Option<([u8; 32], Vec<f64>, usize)> {
    let count = usize::from(*bytes.get(32)?);
    let end = 33 + 8 * count;
    let (record, rest) = bytes.split_at_checked(end)?;
    let checksum = rest.get(..CHECKSUM)?;
    if blake3::hash(record).as_bytes()[..CHECKSUM] != *checksum {
        return None;
    }
    let scores = record[33..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
    Some((record[..32].try_into().expect("32 bytes"), scores, end + CHECKSUM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_references_survives_what_happens_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("references.bin");
        let mut references = References::in_file(&path).unwrap();
        references.put([1; 32], vec![0.25, 0.75]).unwrap();
        references.put([2; 32], vec![1.0]).unwrap();
        drop(references);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut references = References::in_file(&path).unwrap();
            let first = whole.len() - (33 + 8 + CHECKSUM);
            assert_eq!(references.get(&[1; 32]).is_some(), cut >= first, "cut at {cut}");
            assert!(references.get(&[2; 32]).is_none());
            references.put([2; 32], vec![1.0]).unwrap();
            drop(references);
            assert_eq!(References::in_file(&path).unwrap().get(&[2; 32]), Some(&vec![1.0]));
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(References::in_file(&path).unwrap().get(&[1; 32]), Some(&vec![0.25, 0.75]));
    }
}
