//! Figure 4 as a picture: bars, and the paper's figures as marks.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;
use probity_engine::files::write_whole;

use super::Row;

/// A panel's size in pixels.
const PANEL: (u32, u32) = (980, 300);

/// The games' colours, in the paper's order.
const COLOURS: [RGBColor; 5] = [
    RGBColor(38, 110, 170),
    RGBColor(120, 170, 210),
    RGBColor(200, 120, 60),
    RGBColor(225, 180, 130),
    RGBColor(120, 150, 90),
];

/// Draws both regrets, one panel below the other.
pub fn draw(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut svg = String::new();
    draw_into(&mut svg, rows).with_context(|| path.display().to_string())?;
    write_whole(path, |out| out.write_all(svg.as_bytes()))?;
    Ok(())
}

fn draw_into(svg: &mut String, rows: &[Row]) -> anyhow::Result<()> {
    let area = SVGBackend::with_string(svg, (PANEL.0, 2 * PANEL.1)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let titles = ["Deontological regret (paper's figure 4a)", "Utilitarian regret (paper's figure 4b)"];
    for ((which, title), panel) in titles.into_iter().enumerate().zip(area.split_evenly((2, 1))) {
        let most = rows.iter().flat_map(|row| &row.games).map(|game| game.regret(which).0).fold(0.0, f64::max);
        let paper = rows.iter().flat_map(|row| &row.games).filter_map(|game| game.paper).map(|p| p[which].mean);
        let most = 1.05 * paper.fold(most, f64::max);
        let mut chart = ChartBuilder::on(&panel)
            .caption(
                format!("{title}: bars ours, black marks the paper's, dashes the least possible"),
                ("sans-serif", 15),
            )
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(40)
            .build_cartesian_2d(0.0..rows.len() as f64, 0.0..most)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(6)
            .light_line_style(WHITE)
            .draw()
            .map_err(failed)?;
        for (i, row) in rows.iter().enumerate() {
            for (j, game) in row.games.iter().enumerate() {
                let [left, right] = [0.1, 0.25].map(|at| i as f64 + at + 0.16 * j as f64);
                let (mean, half_width) = game.regret(which);
                let bar = Rectangle::new([(left, 0.0), (right, mean)], COLOURS[j % COLOURS.len()].filled());
                let middle = f64::midpoint(left, right);
                let half = half_width.unwrap_or(0.0);
                let paper = game.paper.map(|paper| paper[which].mean);
                let least = game.bounds.map(|bounds| [bounds.deontological, bounds.utilitarian][which][0]);
                // The bar first, what is drawn on it after.
                chart.draw_series(std::iter::once(bar)).map_err(failed)?;
                let mut line = |points: [(f64, f64); 2], style: ShapeStyle| {
                    chart.draw_series(std::iter::once(PathElement::new(points, style))).map(|_| ()).map_err(failed)
                };
                line([(middle, (mean - half).max(0.0)), (middle, mean + half)], BLACK.mix(0.5).stroke_width(1))?;
                if let Some(paper) = paper {
                    line([(left, paper), (right, paper)], BLACK.stroke_width(3))?;
                }
                if let Some(least) = least {
                    line([(left - 0.02, least), (left, least)], BLACK.stroke_width(1))?;
                    line([(right, least), (right + 0.02, least)], BLACK.stroke_width(1))?;
                }
            }
        }
        let names = rows
            .iter()
            .enumerate()
            .map(|(i, row)| Text::new(row.policy, (i as f64 + 0.12, -0.05 * most), ("sans-serif", 12)));
        let games = rows.iter().take(1).flat_map(|row| &row.games).take(COLOURS.len()).enumerate();
        for (j, game) in games {
            // Where neither the bars of the bare model nor those of the others reach.
            let wide = rows.len() as f64;
            let (at, low) = (wide * (0.45 + 0.1 * j as f64), 0.76 * most);
            let mark = Rectangle::new([(at, low), (at + 0.015 * wide, low + 0.05 * most)], COLOURS[j].filled());
            chart.draw_series(std::iter::once(mark)).map_err(failed)?;
            let name = Text::new(game.game.as_str(), (at + 0.02 * wide, low + 0.055 * most), ("sans-serif", 12));
            chart.plotting_area().draw(&name).map_err(failed)?;
        }
        names.into_iter().try_for_each(|name| chart.plotting_area().draw(&name)).map_err(failed)?;
    }
    area.present().map_err(failed)
}

fn failed(e: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{e}")
}
