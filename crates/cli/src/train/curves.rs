//! A run's curves, for `--watch` and for the picture in the run folder.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;
use probity_engine::files::write_whole;
use probity_train::finetune::{StateParts, StepReport};
use probity_train::objective::ObjectiveParts;
use probity_train::rollout::Played;
use probity_train::run::LoggedStep;

/// A line of a panel: its name, its colour in the picture, and its points by step.
pub struct Line {
    pub name: &'static str,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
}

/// Lines that are drawn together.
pub struct Panel {
    pub title: &'static str,
    /// The least range of the vertical axis.
    pub least: (f64, f64),
    pub lines: Vec<Line>,
}

impl Panel {
    /// The vertical range of all it draws.
    pub fn range(&self) -> (f64, f64) {
        let values = self.lines.iter().flat_map(|line| &line.points).map(|p| p.1).filter(|v| v.is_finite());
        let (low, high) = values.fold(self.least, |(low, high), v| (low.min(v), high.max(v)));
        // A flat line needs some room, too.
        let room = if high > low { 0.05 * (high - low) } else { 0.5 };
        (low - room, high + room)
    }
}

/// Everything there is to draw of a run.
pub struct Curves {
    pub name: String,
    pub total: u64,
    pub panels: Vec<Panel>,
    /// Steps at which a phase began, the first aside.
    pub switches: Vec<f64>,
    /// The last report, and the seconds its step took.
    pub last: Option<(StepReport, f64)>,
    /// The last measurement by game and state.
    pub states: Vec<StateParts>,
    phase: usize,
}

/// The figure of a step that a line draws.
type Figure = fn(&StepReport) -> Option<f64>;

fn part(report: &StepReport, figure: impl Fn(&ObjectiveParts) -> f64) -> Option<f64> {
    report.parts.as_ref().map(figure)
}

fn played(report: &StepReport, figure: impl Fn(&Played) -> f64) -> Option<f64> {
    report.played.as_ref().map(figure)
}

/// The lines and their panels; noisy lines first, below the others.
const LINES: [(usize, &str, Figure, RGBColor); 8] = [
    (0, "in play", |r| played(r, |p| p.reward), RGBColor(235, 205, 180)),
    (0, "best possible", |r| part(r, |p| p.best), RGBColor(170, 170, 170)),
    (0, "expected", |r| part(r, |p| p.reward), RGBColor(38, 110, 170)),
    (1, "divergence", |r| part(r, |p| p.kl), RGBColor(38, 110, 170)),
    (2, "to the optimum", |r| part(r, |p| p.distance), RGBColor(38, 110, 170)),
    (2, "not the best action", |r| part(r, |p| p.miss), RGBColor(200, 120, 60)),
    (3, "illegal in play", |r| played(r, |p| p.illegal), RGBColor(235, 205, 180)),
    (3, "legality mass", |r| part(r, |p| p.legality), RGBColor(38, 110, 170)),
];

impl Curves {
    /// The curves of the steps in a run's log.
    pub fn of(name: &str, total: u64, logged: &[LoggedStep]) -> Self {
        let panel = |title, least| Panel { title, least, lines: Vec::new() };
        let mut panels = vec![
            panel("reward, points", (f64::INFINITY, f64::NEG_INFINITY)),
            panel("divergence from the bare model, nats", (0.0, 0.0)),
            panel("distance", (0.0, 1.0)),
            panel("legality", (0.0, 1.0)),
        ];
        for (at, name, _, colour) in LINES {
            panels[at].lines.push(Line { name, colour, points: Vec::new() });
        }
        let mut curves =
            Self { name: name.into(), total, panels, switches: Vec::new(), last: None, states: Vec::new(), phase: 0 };
        logged.iter().for_each(|step| curves.add(&step.report));
        curves
    }

    /// Takes one more step.
    pub fn push(&mut self, report: &StepReport, seconds: f64) {
        self.add(report);
        self.last = Some((report.clone(), seconds));
        if !report.states.is_empty() {
            self.states.clone_from(&report.states);
        }
    }

    fn add(&mut self, report: &StepReport) {
        let step = report.step as f64;
        for (at, name, figure, _) in LINES {
            let Some(value) = figure(report).filter(|value| value.is_finite()) else { continue };
            let line = self.panels[at].lines.iter_mut().find(|line| line.name == name).expect("made above");
            line.points.push((step, value));
        }
        if report.phase != self.phase {
            self.switches.push(step);
            self.phase = report.phase;
        }
    }

    /// Draws all panels into an SVG file.
    pub fn plot(&self, path: &Path) -> anyhow::Result<()> {
        let mut svg = String::new();
        self.draw_into(&mut svg).map_err(|e| anyhow::anyhow!("{e}")).with_context(|| path.display().to_string())?;
        write_whole(path, |out| out.write_all(svg.as_bytes()))?;
        Ok(())
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let area = SVGBackend::with_string(svg, (900, 560)).into_drawing_area();
        area.fill(&WHITE)?;
        let titled = area.titled(&self.name, ("sans-serif", 18))?;
        let steps = 0.0..(self.total.max(1) as f64);
        for (panel, area) in self.panels.iter().zip(titled.split_evenly((2, 2))) {
            let (low, high) = panel.range();
            if !low.is_finite() {
                continue;
            }
            let mut chart = ChartBuilder::on(&area)
                .caption(panel.title, ("sans-serif", 14))
                .margin(8)
                .x_label_area_size(24)
                .y_label_area_size(44)
                .build_cartesian_2d(steps.clone(), low..high)?;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .x_labels(6)
                .y_labels(5)
                .x_label_formatter(&|x| format!("{x:.0}"))
                .draw()?;
            for &step in &self.switches {
                chart.draw_series(LineSeries::new([(step, low), (step, high)], RGBColor(210, 210, 210)))?;
            }
            let drawn = panel.lines.iter().filter(|line| !line.points.is_empty());
            for Line { name, colour, points } in drawn {
                let style = colour.stroke_width(2);
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), style))?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
            }
            chart.configure_series_labels().background_style(WHITE.mix(0.8)).label_font(("sans-serif", 11)).draw()?;
        }
        area.present()?;
        Ok(())
    }
}
