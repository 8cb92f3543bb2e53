//! The moral graph as a reward: the sum of contexts, votes and adherences is checked by hand. The tests of
//! `probity-elicit` cover a model's adherences.

use std::collections::BTreeMap;

use probity_values::robust::Settings;
use probity_values::{
    Abstention, Adherence, Answer, AttentionPolicy, Deliberation, Graph, ScoreTerms, ValuesCard, ValuesError, Vote,
    context_weights,
};
use proptest::prelude::*;

const PRESENCE: &str = "presence";
const ADVICE: &str = "advice";
const DISTRACTION: &str = "distraction";
const GRIEF: &str = "When somebody is grieving";
const WORK: &str = "When there is work to do";

/// Twenty people found presence wiser than advice and advice wiser than distraction in grief, and twelve found advice
/// wiser than presence at work.
fn graph() -> Graph {
    let card = |id: &str| {
        let policies = [format!("MOMENTS of {id}"), format!("SIGNS of {id}")];
        ValuesCard::new(
            id.into(),
            id,
            &format!("Living by {id}."),
            policies.iter().map(|p| AttentionPolicy::from(p.as_str())).collect(),
        )
    };
    let mut held =
        Deliberation { cards: [PRESENCE, ADVICE, DISTRACTION].map(card).to_vec(), ..Deliberation::default() };
    let mut vote = |voter: usize, from: &str, to: &str, context: &str, answer| {
        let voter = format!("voter-{voter}");
        held.votes.push(Vote { voter, from: from.into(), to: to.into(), context: context.into(), answer });
    };
    for voter in 0..20 {
        let no = voter % 7 == 0;
        vote(voter, ADVICE, PRESENCE, GRIEF, if no { Answer::No } else { Answer::Yes });
        vote(voter, DISTRACTION, ADVICE, GRIEF, Answer::Yes);
        vote(voter, PRESENCE, ADVICE, GRIEF, Answer::No);
    }
    for voter in 0..12 {
        vote(voter, PRESENCE, ADVICE, WORK, Answer::Yes);
        vote(voter, ADVICE, PRESENCE, WORK, Answer::No);
    }
    Graph::new(held, &Settings::default()).unwrap()
}

/// The adherences of two actions for every card: sitting with somebody, telling them what to do.
fn adherence(graph: &Graph, served: [(&str, [f64; 2]); 3]) -> BTreeMap<u32, Adherence> {
    let of = |(id, row): (&str, [f64; 2])| (graph.number(&id.into()).unwrap(), vec![row.to_vec(), row.to_vec()]);
    served.into_iter().map(of).collect()
}

const SERVED: [(&str, [f64; 2]); 3] = [(PRESENCE, [0.8, -0.4]), (ADVICE, [-0.2, 0.6]), (DISTRACTION, [0.0, 0.0])];

fn named(graph: &Graph, contexts: &[&str]) -> Vec<probity_values::ContextWeight> {
    let of = |text: &&str| (graph.context(text).unwrap(), 1.0);
    context_weights(graph, &contexts.iter().map(of).collect::<Vec<_>>())
}

#[test]
fn the_wisest_value_of_the_context_decides() {
    let graph = graph();
    let terms = ScoreTerms::default().with(|o| o.values = 1);
    let judge = |context: &str, terms: &ScoreTerms| {
        graph.judge(named(&graph, &[context]), &adherence(&graph, SERVED), 2, terms).unwrap()
    };
    let (grief, work) = (judge(GRIEF, &terms), judge(WORK, &terms));
    let [first, second] = [&grief, &work].map(|judgement| judgement.values.clone().unwrap());
    assert!(first[0] > first[1] && second[1] > second[0], "{first:?} {second:?}");
    // By hand: presence alone, and for the upgrade from advice to it half of advice's gain over it, times its
    // probability and the penalty.
    let [counted] = grief.cards.as_slice() else { panic!("{grief:?}") };
    assert!(counted.card == PRESENCE.into() && counted.share == 1.0 && counted.voters == 20);
    let upgrade = graph.upgrades(Some(graph.context(GRIEF).unwrap()));
    let p = upgrade.iter().find(|u| graph.card(u.to).id == PRESENCE.into()).unwrap().probability;
    // 17 found it wiser, 3 did not, and 20 did not find the reverse; nobody compared it with distraction there.
    let [votes] = counted.votes.as_slice() else { panic!("{counted:?}") };
    assert_eq!((votes.counts.wiser, votes.counts.not_wiser, votes.reversed.not_wiser), (17, 3, 20));
    assert_eq!((&votes.to, votes.probability), (&counted.card, p));
    assert!(p > 0.9 && (first[0] - 0.8).abs() < 1e-12, "advice gains nothing by sitting there");
    assert!((first[1] - (-0.4 - 0.5 * p * f64::midpoint(0.6, 0.4))).abs() < 1e-12, "{first:?}");
    let free = judge(GRIEF, &terms.with(|o| o.penalty = 0.0));
    assert_eq!(free.values.unwrap(), [0.8, -0.4]);
    assert!(free.penalties.is_empty() && grief.penalties.len() == 1);
}

/// The listed parts add up to the value.
#[test]
fn the_account_adds_up() {
    let graph = graph();
    let near = context_weights(&graph, &[(0, 0.7), (1, 0.5)]);
    assert!((near.iter().map(|b| b.weight).sum::<f64>() - 1.0).abs() < 1e-12 && near[0].weight > near[1].weight);
    let grief = named(&graph, &[GRIEF]);
    // For an action that opposes the wisest value, the penalty comes on top of the least value.
    let one = ScoreTerms::default().with(|o| o.values = 1);
    for (contexts, served, terms, least) in [
        (near, [(PRESENCE, [0.5, -0.4]), (ADVICE, [0.3, 0.2]), (DISTRACTION, [0.1, 0.6])], ScoreTerms::default(), -0.4),
        (grief, [(PRESENCE, [-1.0, -1.0]), (ADVICE, [1.0, 0.2]), (DISTRACTION, [0.0, 0.0])], one, -1.45),
    ] {
        let judged = graph.judge(contexts, &adherence(&graph, served), 2, &terms).unwrap();
        assert!((judged.cards.iter().map(|card| card.share).sum::<f64>() - 1.0).abs() < 1e-12);
        let values = judged.values.unwrap();
        assert!(values.iter().any(|&value| value < least), "{values:?}");
        for (o, value) in values.into_iter().enumerate() {
            let served: f64 = judged.cards.iter().map(|card| card.share * card.adherence[o]).sum();
            let cost: f64 = judged.penalties.iter().map(|penalty| penalty.cost[o]).sum();
            assert!((value - (served - cost)).abs() < 1e-12);
        }
    }
}

#[test]
fn it_abstains_with_a_reason() {
    let graph = graph();
    let judge = |contexts: &[&str], served: [(&str, [f64; 2]); 3]| {
        graph.judge(named(&graph, contexts), &adherence(&graph, served), 2, &ScoreTerms::default()).unwrap()
    };
    // In both contexts at once the winners prefer different actions.
    let torn = judge(&[GRIEF, WORK], SERVED);
    assert!(matches!(torn.abstains, Some(Abstention::Tension { .. })) && torn.values.is_none(), "{torn:?}");
    // The conflict stays with more contexts of the same people, and with several values on each side.
    let spread = |contexts: usize| {
        let mut held = graph.deliberation().clone();
        held.votes.retain(|vote| vote.context == GRIEF && (vote.from != DISTRACTION.into()));
        // Two values, about as wise.
        held.votes.iter_mut().for_each(|vote| vote.answer = Answer::Unsure);
        let names: Vec<String> = (0..contexts).map(|i| format!("When it is {i} o'clock")).collect();
        held.votes = names
            .iter()
            .flat_map(|name| held.votes.iter().map(move |vote| Vote { context: name.clone(), ..vote.clone() }))
            .collect();
        let graph = Graph::new(held, &Settings::default()).unwrap();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let served = [(PRESENCE, [0.9, -0.9]), (ADVICE, [-0.9, 0.9]), (DISTRACTION, [0.0, 0.0])];
        graph.judge(named(&graph, &names), &adherence(&graph, served), 2, &ScoreTerms::default()).unwrap().abstains
    };
    for contexts in 1..=4 {
        let abstains = spread(contexts);
        assert!(matches!(abstains, Some(Abstention::Tension { .. })), "{contexts}: {abstains:?}");
    }
    // The actions have equal adherences.
    let alike = judge(&[GRIEF], SERVED.map(|(id, _)| (id, [0.3, 0.3])));
    assert!(matches!(alike.abstains, Some(Abstention::Alike { spread }) if spread < 1e-9), "{alike:?}");
    // No card has enough voters.
    let few = {
        let mut held = graph.deliberation().clone();
        held.votes.truncate(9);
        Graph::new(held, &Settings::default()).unwrap()
    };
    let nothing = few.judge(named(&few, &[GRIEF]), &adherence(&few, SERVED), 2, &ScoreTerms::default()).unwrap();
    assert_eq!(nothing.abstains, Some(Abstention::NoValue));
    // An unresolved cycle has no winner.
    let circle = {
        let mut held = graph.deliberation().clone();
        held.votes.clear();
        for (i, (from, to)) in
            [(PRESENCE, ADVICE), (ADVICE, DISTRACTION), (DISTRACTION, PRESENCE)].into_iter().enumerate()
        {
            for voter in 0..20 {
                let voter = format!("voter-{}", 20 * i + voter);
                let (from, to, context) = (from.into(), to.into(), GRIEF.into());
                held.votes.push(Vote { voter, from, to, context, answer: Answer::Yes });
            }
        }
        Graph::new(held, &Settings::default()).unwrap()
    };
    let contested =
        circle.judge(named(&circle, &[GRIEF]), &adherence(&circle, SERVED), 2, &ScoreTerms::default()).unwrap();
    assert_eq!(contested.abstains, Some(Abstention::NoValue));
    for reason in [torn.abstains, alike.abstains, nothing.abstains] {
        assert!(!reason.unwrap().to_string().is_empty());
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let graph = graph();
    let judge = |served: &BTreeMap<u32, Adherence>, terms: &ScoreTerms| {
        graph.judge(named(&graph, &[GRIEF]), served, 2, terms).map(drop)
    };
    let good = adherence(&graph, SERVED);
    judge(&good, &ScoreTerms::default()).unwrap();
    let changed = |change: &dyn Fn(&mut BTreeMap<u32, Adherence>)| {
        let mut served = good.clone();
        change(&mut served);
        judge(&served, &ScoreTerms::default())
    };
    for refused in [
        changed(&|served| served.clear()),
        changed(&|served| _ = served.get_mut(&0).unwrap().pop()),
        changed(&|served| served.get_mut(&0).unwrap()[0].push(0.0)),
        changed(&|served| served.get_mut(&0).unwrap()[0][0] = f64::NAN),
        changed(&|served| served.get_mut(&0).unwrap()[0][0] = 1.5),
    ] {
        assert!(matches!(refused, Err(ValuesError::Setting { name: "adherence", .. })), "{refused:?}");
    }
    for terms in [
        ScoreTerms::default().with(|o| o.values = 0),
        ScoreTerms::default().with(|o| o.penalty = -1.0),
        ScoreTerms::default().with(|o| o.sharpness = f64::NAN),
        ScoreTerms::default().with(|o| o.tension = f64::INFINITY),
    ] {
        assert!(matches!(judge(&good, &terms), Err(ValuesError::Setting { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Values lie between -1 less the penalty and 1, and the order of the actions makes no difference.
    #[test]
    fn values_are_bounded_and_follow_their_actions(
        served in prop::collection::vec([-1.0_f64..=1.0, -1.0..=1.0], 6),
        similarity in 0.0_f64..1.0,
        penalty in 0.0_f64..=1.0,
    ) {
        let graph = graph();
        let terms = ScoreTerms::default().with(|o| { o.penalty = penalty; o.tension = 100.0; o.resolution = 0.0; });
        let of = |swap: bool| -> BTreeMap<u32, Adherence> {
            let row = |row: &[f64; 2]| if swap { vec![row[1], row[0]] } else { row.to_vec() };
            (0..3).map(|card| (card, served[2 * card as usize..][..2].iter().map(row).collect())).collect()
        };
        let judge = |swap| {
            let contexts = context_weights(&graph, &[(0, similarity), (1, 0.5)]);
            graph.judge(contexts, &of(swap), 2, &terms).unwrap().values.unwrap()
        };
        let (values, swapped) = (judge(false), judge(true));
        prop_assert!(values.iter().all(|value| (-1.0 - penalty..=1.0).contains(value)));
        prop_assert!((values[0] - swapped[1]).abs() < 1e-12 && (values[1] - swapped[0]).abs() < 1e-12);
    }
}
