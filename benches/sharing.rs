//! A step's time by the length of the shared prefix.
//!
//! Sixteen sequences of 256 tokens share their first 0 to 240 tokens, on a model of the built-in model's shape. Draws
//! target/bench/sharing.svg.

use std::error::Error;

use plotters::prelude::*;
use probity_benches::report::Report;
use probity_benches::{Rounds, seconds};
use probity_engine::Token;
use probity_engine::{Model, ModelOptions};
use probity_train::{Decoder, LINEARS, Pack, Schedule, Shards};

const SEQUENCES: i32 = 16;
const LENGTH: i32 = 256;
const SHARED: [i32; 6] = [1, 64, 128, 192, 224, 240];

fn pack(shared: i32) -> Pack {
    let token = |i: i32, at: i32| 4 + (if at < shared { at * 7 } else { at * 7 + i * 31 }) % 400;
    let sequence = |i: i32| (0..LENGTH).map(|at| token(i, at)).collect::<Vec<Token>>();
    let mut pack = Pack::default();
    let nodes = pack.push(&(0..SEQUENCES).map(sequence).collect::<Vec<_>>());
    pack.request(nodes.iter().map(|n| n[LENGTH as usize - 1]));
    pack
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = probity_benches::root();
    let options = ModelOptions::default().with(|o| o.vocab_only = true);
    let model = Model::open(&root.join("models/default.gguf"), options, |_| true)?;
    let decoder = Decoder::frozen(&model)?.with_lora(16, 32.0, &LINEARS);
    let theta = vec![0.01; decoder.n_params()];
    let packs: Vec<(String, Pack)> = SHARED.iter().map(|&s| (format!("{s} shared"), pack(s))).collect();
    let mut rounds = Rounds::new();
    for (name, pack) in &packs {
        let (mut shards, mut grads) = (Shards::new(Schedule::Wide), vec![0.0; decoder.n_params()]);
        let (decoder, theta) = (&decoder, &theta);
        rounds.way(name, move || {
            seconds(|| {
                shards.gradient(decoder, theta, &[pack], &mut grads, |_, tape| {
                    tape.logits.iter_mut().for_each(|l| *l *= 1e-3);
                })
            })
        });
    }
    let medians = rounds.medians(9);
    let mut report = Report::new(
        "sharing",
        format!(
            "{SEQUENCES} sequences of {LENGTH} tokens on the built-in model, forward and backward, medians of 9 interleaved \
             rounds."
        ),
    );
    let mut points = Vec::new();
    for ((name, pack), (_, time)) in packs.iter().zip(&medians) {
        let (nodes, first) = (pack.len() as f64, medians[0].1);
        let alone = packs[0].1.len() as f64;
        report.row(
            format!("{name}: {nodes:.0} trie nodes ({:.2})", nodes / alone),
            format!("{:.1} ms ({:.2})", 1e3 * time, time / first),
        );
        points.push((nodes, 1e3 * time));
    }
    let picture = root.join("target/bench/sharing.svg");
    std::fs::create_dir_all(root.join("target/bench"))?;
    let area = SVGBackend::new(&picture, (480, 320)).into_drawing_area();
    area.fill(&WHITE)?;
    let most = points.iter().fold((0.0_f64, 0.0_f64), |m, p| (m.0.max(p.0), m.1.max(p.1)));
    let mut chart = ChartBuilder::on(&area)
        .caption("A step's time by the size of its trie", ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..1.05 * most.0, 0.0..1.1 * most.1)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("trie nodes").y_desc("ms").draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), RGBColor(38, 110, 170).stroke_width(2)))?;
    chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, RGBColor(38, 110, 170).filled())))?;
    drop(chart);
    area.present()?;
    drop(area);
    report.picture(&picture)?;
    Ok(report.publish()?)
}
