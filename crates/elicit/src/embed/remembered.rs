//! An embedder that is asked once for each text.

use std::collections::{HashMap, HashSet};

use super::Embedder;
use crate::Result;

/// Texts that are remembered.
///
/// Above it, the cache forgets all texts but those of the current call: a graph's contexts come again and again.
const MOST: usize = 16_384;

/// An embedder that remembers the vectors it gave.
pub struct Remembered<E> {
    embedder: E,
    known: HashMap<String, Vec<f32>>,
}

impl<E: Embedder> Remembered<E> {
    /// One that knows nothing yet.
    pub fn new(embedder: E) -> Self {
        Self { embedder, known: HashMap::new() }
    }
}

impl<E: Embedder> Embedder for Remembered<E> {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut new: Vec<&str> = texts.iter().copied().filter(|text| !self.known.contains_key(*text)).collect();
        new.sort_unstable();
        new.dedup();
        let vectors = self.embedder.embed(&new)?;
        if self.known.len() + new.len() > MOST {
            let asked: HashSet<&str> = texts.iter().copied().collect();
            self.known.retain(|text, _| asked.contains(text.as_str()));
        }
        self.known.extend(new.into_iter().map(str::to_owned).zip(vectors));
        Ok(texts.iter().map(|text| self.known[*text].clone()).collect())
    }

    fn fingerprint(&self) -> &str {
        self.embedder.fingerprint()
    }
}

impl Embedder for Box<dyn Embedder> {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        (**self).embed(texts)
    }

    fn fingerprint(&self) -> &str {
        (**self).fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a vector of a text's length, and counts.
    struct Counting(usize);

    impl Embedder for Counting {
        fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            self.0 += texts.len();
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }

        fn fingerprint(&self) -> &str {
            "counting"
        }
    }

    #[test]
    fn each_text_is_embedded_once() {
        let mut embedder = Remembered::new(Counting(0));
        let asked = [&["a", "bb", "a"][..], &["bb", "ccc"], &["ccc"], &[]];
        for texts in asked {
            let expected: Vec<Vec<f32>> = texts.iter().map(|text| vec![text.len() as f32]).collect();
            assert_eq!(embedder.embed(texts).unwrap(), expected);
        }
        assert_eq!((embedder.embedder.0, embedder.fingerprint()), (3, "counting"));
        let many: Vec<String> = (0..=MOST).map(|i| i.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for expected in [MOST + 4, MOST + 4] {
            assert_eq!(embedder.embed(&many).unwrap().len(), MOST + 1);
            assert_eq!(embedder.embedder.0, expected);
        }
        assert_eq!(embedder.embed(&["a"]).unwrap(), [[1.0]]);
    }
}
