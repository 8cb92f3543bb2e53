//! Texts that the default model was pretrained on, word for word.

use probity_train::corpus::{Ease, lesson};
use probity_train::labels::Split;

/// What the default model was pretrained on: a change here is another model, and `models/` must be made anew.
#[test]
fn lessons() {
    let mut text = String::new();
    for (index, lists) in [(0, 1.0), (1, 0.0), (2, 0.0)] {
        let lesson = lesson(1, index, Split::Train, [2, 3], Ease { lists, ..Ease::default() });
        text += &lesson.rules;
        for question in lesson.chains.iter().flatten() {
            text += &format!("  {}: {:?} {:?}\n", question.kind, question.asked, question.answers);
        }
        text += "--\n";
    }
    insta::assert_snapshot!(text);
}
