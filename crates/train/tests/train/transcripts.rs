//! Texts that the default model was pretrained on, and texts of the published protocol, word for word.

use probity_game::Profile;
use probity_train::corpus::{Mixture, lesson};
use probity_train::eval::protocol::VARIANTS;
use probity_train::games::{Reach, Reading, Wording};
use probity_train::labels::Split;

/// What the default model was pretrained on: a change here is another model, and `models/` must be made anew.
#[test]
fn lessons() {
    let mut text = String::new();
    let lists = Mixture { lists: 1.0, ..Mixture::default() };
    let of = |reach, wording| Mixture::of(Reading { reach, wording });
    let mixtures = [
        lists,
        of(Reach::Digits, Wording::Ascii),
        of(Reach::Numbers, Wording::Blanks),
        of(Reach::Actions, Wording::BeyondAscii),
    ];
    for (index, mixture) in (0..).zip(mixtures) {
        let lesson = lesson(1, index, Split::Train, [2, 5], mixture);
        text += &lesson.rules;
        for question in lesson.chains.iter().flatten() {
            text += &format!("  {}: {:?} {:?}\n", question.kind, question.asked, question.answers);
        }
        text += "--\n";
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_protocols_ways_of_asking() {
    let mut text = String::new();
    for variant in VARIANTS {
        let game = &variant.games()[0];
        let prompt = variant.prompt(game, Some(Profile { own: 0, other: 1 }), false, true);
        text += &format!("-- {}\n{}\n", variant.name, prompt.text());
    }
    insta::assert_snapshot!(text);
}
