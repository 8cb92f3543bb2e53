//! Figures of a page that is not whole yet, beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use probity_engine::files::write_whole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Measurements by what was measured: an interrupted command goes on from them.
pub struct Kept {
    path: PathBuf,
    found: BTreeMap<String, Value>,
}

impl Kept {
    /// Those beside a page.
    pub fn beside(page: &Path) -> anyhow::Result<Self> {
        let path = page.with_added_extension("part");
        let found = match fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            // A file that does not parse is measured again.
            read => serde_json::from_str(&read.with_context(|| path.display().to_string())?).unwrap_or_default(),
        };
        Ok(Self { path, found })
    }

    /// A measurement of something by this version, taken now where it is not known.
    pub fn get<T: Serialize + DeserializeOwned>(
        &mut self,
        of: &str,
        measure: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let of = format!("{of}; {}", env!("CARGO_PKG_VERSION"));
        if let Some(known) = self.found.get(&of).and_then(|known| T::deserialize(known).ok()) {
            return Ok(known);
        }
        let measured = measure()?;
        self.found.insert(of, serde_json::to_value(&measured)?);
        let text = serde_json::to_string(&self.found)?;
        write_whole(&self.path, |sink| sink.write_all(text.as_bytes()))?;
        Ok(measured)
    }

    /// The page is written.
    pub fn forget(self) -> anyhow::Result<()> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).with_context(|| self.path.display().to_string()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_before_an_interrupt_is_not_measured_again() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let page = folder.path().join("card.md");
        let never = || -> anyhow::Result<Vec<f64>> { panic!("measured again") };
        assert_eq!(Kept::beside(&page)?.get("a", || Ok(vec![0.1, 0.25]))?, [0.1, 0.25]);
        let mut kept = Kept::beside(&page)?;
        assert_eq!(kept.get("a", never)?, [0.1, 0.25]);
        let interrupted = kept.get("b", || -> anyhow::Result<String> { anyhow::bail!("interrupted") });
        assert!(interrupted.is_err());
        assert_eq!(kept.get("b", || Ok("third".to_owned()))?, "third");
        // Of another kind than was kept.
        assert_eq!(kept.get("b", || Ok(vec![3.0]))?, [3.0]);
        kept.forget()?;
        assert_eq!(Kept::beside(&page)?.get("a", || Ok("anew".to_owned()))?, "anew");
        Ok(())
    }
}
