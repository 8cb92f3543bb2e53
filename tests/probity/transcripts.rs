//! Texts that people and models read, word for word: a change here is a change of `PROMPT_VERSION` or of what users
//! see.

use probity::agent::decision::{Choice, Consideration, Decision};
use probity::agent::prompt::{Layout, PROMPT_VERSION, Style, prompt};
use probity_game::moral::{Framework, account};
use probity_game::{CatalogGame, MatrixGame, Player, Profile, fair_coin};

fn ipd() -> MatrixGame {
    CatalogGame::find("ipd").unwrap().labelled(["zork", "blip"]).unwrap()
}

/// In the prisoner's dilemma, after a betrayal.
const BETRAYED: Profile = Profile { own: 0, other: 1 };

#[test]
fn the_prompt() {
    let style = Style::default().with(|o| {
        o.layout = Layout::RowsReversed;
        o.answer_reversed = true;
    });
    let [first, later] = [None, Some(BETRAYED)].map(|state| prompt(&ipd(), state, style));
    assert_eq!(first.fixed, later.fixed, "only the moving part tells the state");
    insta::assert_snapshot!(format!(
        "version {PROMPT_VERSION}\n{}--\n{}\n--\n{}",
        first.fixed, first.moving, later.moving
    ));
}

#[test]
fn a_decision_in_words() {
    let game = ipd();
    let belief = fair_coin(&game);
    // By name, so that a new framework changes no snapshot.
    let names = ["game", "deontological", "utilitarian", "game-deontological", "virtue-equality", "virtue-kindness"];
    let published = names.into_iter().chain(["virtue-mixed"]).map(|name| Framework::find(name).unwrap().into());
    let published: Vec<_> = published.collect();
    let accounts = account(&game, Some(BETRAYED), &belief, &published).unwrap();
    // Written down rather than computed: the last digit of an exponential depends on the processor.
    let actions = accounts.into_iter().zip([(0.75, -0.5), (0.25, -1.625)]).map(|(account, (probability, log_prob))| {
        Choice { label: game.labels(Player::Row)[account.action].clone(), probability, log_prob, account }
    });
    let actions = actions.collect();
    let considered = Consideration { actions, legality_mass: 0.8125, unreliable: None, state: Some(BETRAYED), belief };
    let decision = Decision { action: 1, considered: considered.into() };
    insta::assert_snapshot!(decision.explain(&game));
    insta::assert_snapshot!(serde_json::to_string_pretty(&decision).unwrap());
}
