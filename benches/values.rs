//! Both rankings of simulated votes, up to a million votes on 10,000 cards.
//!
//! Draws target/bench/values.svg. If `PYTHON` has networkx and scipy, the published PageRank runs beside theirs.

use std::error::Error;
use std::hint::black_box;

use plotters::coord::Shift;
use plotters::prelude::*;
use probity_benches::report::Report;
use probity_benches::rival::Rival;
use probity_benches::{Rounds, median, peak_memory, seconds};
use probity_values::compat::{Thresholds, page_rank};
use probity_values::robust::Settings;
use probity_values::{Ballots, Deliberation, Electorate, Graph, Method, Simulated, attack, bootstrap};
use serde_json::json;

const VOTES: u32 = 1_000_000;
const CARDS: u32 = 10_000;
const VOTES_EACH: u32 = 5;
/// What the most votes, and the most cards, are divided by.
const PARTS: [u32; 5] = [16, 8, 4, 2, 1];
const ROUNDS: usize = 3;

fn electorate(votes: u32, cards: u32) -> Ballots {
    let (voters, votes_each) = (votes / VOTES_EACH, VOTES_EACH);
    Electorate { voters, votes_each, cards, ..Electorate::default() }.vote().ballots
}

/// Median seconds of the published ranking and of the robust ranking.
fn rank(ballots: &Ballots) -> [f64; 2] {
    let methods = [Method::Compat(Thresholds::default()), Method::Robust(Settings::default())];
    methods.map(|method| {
        let mut rounds = Rounds::new();
        rounds.way("", || seconds(|| method.rank(ballots, None)));
        rounds.medians(ROUNDS)[0].1
    })
}

type Curve = Vec<(f64, [f64; 2])>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut report = Report::new("values", format!("Both rankings over all contexts, medians of {ROUNDS}."));
    let mut measure = |votes: u32, cards: u32| {
        let ballots = electorate(votes, cards);
        let [compat, robust] = rank(&ballots);
        report.row(format!("{votes} votes on {cards} cards"), format!("compat {compat:.3} s, robust {robust:.2} s"));
        [compat, robust]
    };
    let by_votes: Curve = PARTS.iter().map(|part| (f64::from(VOTES / part), measure(VOTES / part, CARDS))).collect();
    let by_cards: Curve = PARTS.iter().map(|part| (f64::from(CARDS / part), measure(VOTES, CARDS / part))).collect();
    report.row("peak memory, the votes included", format!("{:.0} MiB", peak_memory()));
    let folder = probity_benches::root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let picture = folder.join("values.svg");
    let area = SVGBackend::new(&picture, (760, 300)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(380);
    draw(&left, "By votes, on 10 000 cards", "votes", &by_votes)?;
    draw(&right, "By cards, a million votes", "cards", &by_cards)?;
    area.present()?;
    drop((left, right, area));
    report.picture(&picture)?;
    wisest(&mut report)?;
    match std::env::var_os("PYTHON") {
        Some(_) => against_networkx(&mut report)?,
        None => println!("PYTHON names no interpreter: PageRank is not measured beside networkx"),
    }
    report.publish()?;
    attacks()
}

/// Both rankings under false votes, and beside the true order.
fn attacks() -> Result<(), Box<dyn Error>> {
    const ELECTORATES: u64 = 20;
    const RESAMPLED: usize = 5;
    let mut report = Report::new(
        "attacks",
        format!(
            "Both rankings of {ELECTORATES} simulated electorates of {} voters. False voters say, in the busiest context, that the \
             last card is wiser than the first.",
            Electorate::default().voters
        ),
    );
    let electorates: Vec<Simulated> =
        (100..100 + ELECTORATES).map(|seed| Electorate { seed, ..Electorate::default() }.vote()).collect();
    let methods = ["compat", "robust"].map(|name| Method::named(name).expect("a method"));
    let mut compared = |figure: String, of: &dyn Fn(&Method) -> Option<String>| {
        if let [Some(compat), Some(robust)] = [of(&methods[0]), of(&methods[1])] {
            report.row(figure, format!("compat {compat}, robust {robust}"));
        }
    };
    for voters in [2, 10] {
        let climbed = |method: &Method| {
            let each = electorates.iter().map(|e| attack(&e.ballots, method, voters).expect("a ranking").climbed());
            Some(format!("{:.1}%", 100.0 * each.sum::<f64>() / electorates.len() as f64))
        };
        compared(format!("share of the ranks that the last card climbs by {voters} votes"), &climbed);
    }
    compared("rank correlation with the true order".into(), &|method| {
        let each = electorates.iter().map(|e| e.correlation(&method.rank(&e.ballots, None)));
        Some(format!("{:.3}", each.sum::<f64>() / electorates.len() as f64))
    });
    compared(format!("winner kept in 40 resamples of {RESAMPLED} of them"), &|method| {
        let each = electorates[..RESAMPLED].iter().map(|e| bootstrap(&e.ballots, method, 40, 1).expect("a ranking"));
        Some(format!("{:.0}%", 100.0 * each.map(|b| b.winner_kept).sum::<f64>() / RESAMPLED as f64))
    });
    if let Some(graph) = study()? {
        let ballots = graph.ballots();
        for voters in [2, 10] {
            compared(format!("the study's graph: place of the last card after {voters} votes"), &|method| {
                attack(ballots, method, voters).map(|attack| format!("{} of {}", attack.after, attack.before))
            });
        }
        compared("the study's graph: winner kept in 200 resamples".into(), &|method| {
            bootstrap(ballots, method, 200, 1).map(|kept| format!("{:.0}%", 100.0 * kept.winner_kept))
        });
    }
    Ok(report.publish()?)
}

/// The study's graph, where it is here.
fn study() -> Result<Option<Graph>, Box<dyn Error>> {
    let beside = probity_benches::root().join("../shared/data/moral-graph");
    let folder = std::env::var_os("PROBITY_MORAL_GRAPH").map_or(beside, std::path::PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("moral-graph-all-participants.json")) else {
        println!("  the study's graph is not in {}: it is not measured", folder.display());
        return Ok(None);
    };
    Ok(Some(Graph::new(Deliberation::from_json(&text)?, &Settings::default())?))
}

/// Times of the wisest values of a context, on the study's graph.
fn wisest(report: &mut Report) -> Result<(), Box<dyn Error>> {
    const QUERIES: u32 = 1000;
    let Some(graph) = study()? else { return Ok(()) };
    let contexts = graph.ballots().contexts.len() as u32;
    let first = seconds(|| (0..contexts).for_each(|context| _ = black_box(graph.wisest(Some(context)))));
    let again = seconds(|| (0..QUERIES).for_each(|i| _ = black_box(graph.wisest(Some(i % contexts)))));
    report.row(
        "the wisest values of a context of the study's graph",
        format!(
            "{:.0} us at first, {:.1} us after that",
            1e6 * first / f64::from(contexts),
            1e6 * again / f64::from(QUERIES)
        ),
    );
    Ok(())
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    x: &str,
    curve: &Curve,
) -> Result<(), Box<dyn Error>> {
    let most = curve.iter().fold((0.0_f64, 0.0_f64), |m, p| (m.0.max(p.0), m.1.max(p.1[1])));
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..1.05 * most.0, 0.0..1.1 * most.1)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc(x)
        .y_desc("seconds")
        .draw()?;
    for (way, (name, color)) in
        [("compat", RGBColor(150, 150, 150)), ("robust", RGBColor(38, 110, 170))].into_iter().enumerate()
    {
        let points = || curve.iter().map(|(x, times)| (*x, times[way]));
        chart.draw_series(LineSeries::new(points(), color.stroke_width(2)))?;
        chart.draw_series(points().map(|p| Circle::new(p, 3, color.filled())))?;
        let (x, y) = points().next_back().expect("there are points");
        let style = ("sans-serif", 13).into_font().color(&color);
        chart.draw_series([Text::new(name, (0.86 * x, y + 0.05 * most.1), style)])?;
    }
    Ok(())
}

/// PageRank beside networkx, from a list of edges to ranks.
///
/// Every node has an edge, so that both compute the same ranks.
fn against_networkx(report: &mut Report) -> Result<(), Box<dyn Error>> {
    for cards in [60, 1_000, CARDS] {
        let mut edges: Vec<(u32, u32, f64)> =
            electorate(VOTES, cards).rows.iter().map(|row| (row.from, row.to, 1.0)).collect();
        edges.extend((0..cards).map(|card| (card, (card + 1) % cards, 0.5)));
        // A pair's votes add up, as they do in a moral graph.
        edges.sort_unstable_by_key(|&(from, to, _)| (from, to));
        edges.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        compare(cards as usize, &edges, report)?;
    }
    Ok(())
}

fn compare(cards: usize, edges: &[(u32, u32, f64)], report: &mut Report) -> Result<(), Box<dyn Error>> {
    let mut rival = Rival::start("values.py", &json!({ "nodes": cards, "edges": edges }))?;
    let version = rival.ask("version")?;
    let (mut ours, mut networkx, mut made, mut apart) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    // In turns, so that a slow spell of the machine hits both.
    for _ in 0..9 {
        // Waiting for the other process lets caches go cold. An untimed call warms them.
        let ranks = page_rank(cards, edges);
        ours.push(seconds(|| page_rank(cards, edges)));
        let mut answer = rival.ask("rank")?;
        networkx.push(answer["seconds"].as_f64().ok_or("no seconds")?);
        made.push(answer["made"].as_f64().ok_or("no seconds")?);
        let theirs: Vec<f64> = serde_json::from_value(answer["ranks"].take())?;
        apart = ranks.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(apart, f64::max);
    }
    let [ours, networkx, made] = [&mut ours, &mut networkx, &mut made].map(|times| median(times));
    report.row(
        format!("PageRank of {cards} cards, {} edges", edges.len()),
        format!(
            "ours {:.3} ms, networkx {} {:.1} ms ({:.1} to make its graph): {:.0} times as long; ranks differ by {apart:.1e}",
            1e3 * ours,
            version.as_str().unwrap_or_default(),
            1e3 * networkx,
            1e3 * made,
            networkx / ours
        ),
    );
    Ok(())
}
