//! Figures of a page that is not whole yet, beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use probity_engine::files::write_whole;

/// Rows of tables by what was measured: an interrupted command goes on from them.
pub(super) struct Kept {
    path: PathBuf,
    rows: BTreeMap<String, Vec<Vec<String>>>,
}

impl Kept {
    /// Those beside a page.
    pub fn beside(page: &Path) -> anyhow::Result<Self> {
        let path = page.with_added_extension("part");
        let rows = match fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            // A file that does not parse is measured again.
            read => serde_json::from_str(&read.with_context(|| path.display().to_string())?).unwrap_or_default(),
        };
        Ok(Self { path, rows })
    }

    /// The rows of a measurement, taken now where they are not known.
    pub fn rows(
        &mut self,
        of: String,
        measure: impl FnOnce() -> anyhow::Result<Vec<Vec<String>>>,
    ) -> anyhow::Result<Vec<Vec<String>>> {
        if let Some(known) = self.rows.get(&of) {
            return Ok(known.clone());
        }
        let rows = measure()?;
        self.rows.insert(of, rows.clone());
        let text = serde_json::to_string(&self.rows)?;
        write_whole(&self.path, |sink| sink.write_all(text.as_bytes()))?;
        Ok(rows)
    }

    /// The text of a measurement, written now where it is not known.
    pub fn text(&mut self, of: String, measure: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
        Ok(self.rows(of, || Ok(vec![vec![measure()?]]))?.concat().concat())
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
        assert_eq!(Kept::beside(&page)?.text("a".into(), || Ok("first\nsecond".into()))?, "first\nsecond");
        let mut kept = Kept::beside(&page)?;
        assert_eq!(kept.text("a".into(), || panic!("measured again"))?, "first\nsecond");
        let interrupted = kept.text("b".into(), || anyhow::bail!("interrupted"));
        assert!(interrupted.is_err());
        assert_eq!(kept.text("b".into(), || Ok("third".into()))?, "third");
        kept.forget()?;
        assert_eq!(Kept::beside(&page)?.text("a".into(), || Ok("anew".into()))?, "anew");
        Ok(())
    }
}
