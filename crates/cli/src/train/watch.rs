//! `--watch`: the run, drawn in the terminal as it goes.

use std::io::{Stderr, stderr};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line as Text;
use ratatui::widgets::{Axis, Block, Cell, Chart, Dataset, GraphType, LegendPosition, Row, Table};
use ratatui::{Frame, Terminal};

use super::curves::{Curves, Panel};

/// The terminal while it shows a run.
///
/// It stays in line mode, so that Ctrl-C interrupts as usual.
pub struct Watch {
    terminal: Terminal<CrosstermBackend<Stderr>>,
}

impl Watch {
    pub fn open() -> anyhow::Result<Self> {
        let terminal = Terminal::new(CrosstermBackend::new(stderr()))?;
        execute!(stderr(), EnterAlternateScreen)?;
        // From here on `Drop` leaves the alternate screen.
        let mut watch = Self { terminal };
        watch.terminal.clear()?;
        Ok(watch)
    }

    pub fn plot(&mut self, curves: &Curves) -> anyhow::Result<()> {
        self.terminal.draw(|frame| show(frame, curves))?;
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A failure has nowhere to be shown.
        let _ = self.terminal.show_cursor();
        let _ = execute!(stderr(), LeaveAlternateScreen);
    }
}

fn show(frame: &mut Frame<'_>, curves: &Curves) {
    let [head, charts, below] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(10), Constraint::Max(12)]).areas(frame.area());
    if let Some((report, seconds)) = &curves.last {
        let left = (curves.total - report.step) as f64 * seconds;
        let phase = if curves.switches.is_empty() { String::new() } else { format!(", phase {}", report.phase + 1) };
        let text = format!(
            "{}: step {} of {}{phase}, {seconds:.2} s a step, about {:.0} min left, {} tokens so far. Ctrl-C stops; --resume continues.",
            curves.name,
            report.step,
            curves.total,
            left / 60.0,
            report.tokens,
        );
        frame.render_widget(Text::from(text), head);
    }
    let [top, bottom] = Layout::vertical([Constraint::Fill(1); 2]).areas(charts);
    let areas = [top, bottom].into_iter().flat_map(|row| Layout::horizontal([Constraint::Fill(1); 2]).areas::<2>(row));
    for (panel, area) in curves.panels.iter().zip(areas) {
        chart(frame, panel, curves.total as f64, area);
    }
    table(frame, curves, below);
}

fn chart(frame: &mut Frame<'_>, panel: &Panel, total: f64, area: Rect) {
    let colours = [Color::Cyan, Color::Yellow, Color::Gray];
    let drawn = panel.lines.iter().filter(|line| !line.points.is_empty()).zip(colours);
    let lines = drawn.map(|(line, colour)| {
        Dataset::default()
            .name(line.name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(colour))
            .data(&line.points)
    });
    let (low, high) = panel.range();
    if !low.is_finite() {
        return;
    }
    let labels = |low: f64, high: f64, digits: usize| [low, high].map(|v| format!("{v:.digits$}"));
    let chart = Chart::new(lines.collect())
        .block(Block::bordered().title(panel.title))
        .x_axis(Axis::default().bounds([0.0, total]).labels(labels(0.0, total, 0)))
        .y_axis(Axis::default().bounds([low, high]).labels(labels(low, high, 2)))
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(1, 1)));
    frame.render_widget(chart, area);
}

/// The last measurement by game: share of the best reward, and distances.
fn table(frame: &mut Frame<'_>, curves: &Curves, area: Rect) {
    if curves.states.is_empty() {
        return;
    }
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    let mut states: Vec<&str> = Vec::new();
    for s in &curves.states {
        if !states.contains(&s.state.as_str()) {
            states.push(&s.state);
        }
        let cell = format!("{:.2}/{:.2} {:.2}", s.parts.reward, s.parts.best, s.parts.distance);
        match rows.iter_mut().find(|(game, _)| *game == s.game) {
            Some((_, cells)) => cells.push(cell),
            None => rows.push((&s.game, vec![cell])),
        }
    }
    let head = std::iter::once("game").chain(states.iter().copied()).map(Cell::from);
    let widths = std::iter::repeat_n(Constraint::Fill(1), 1 + states.len());
    let body = rows.into_iter().map(|(game, cells)| Row::new(std::iter::once(game.to_owned()).chain(cells)));
    let title = "by last round (own, other): reward/best, distance";
    frame.render_widget(Table::new(body, widths).header(Row::new(head)).block(Block::bordered().title(title)), area);
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_drawn() {
        let line = |step: u64| {
            let reward = 2.0 + step as f64 / 100.0;
            let line = json!({ "step": step, "phase": step / 50, "weight": 1.0, "reward": reward, "best": 3.0, "kl": 0.1,
                "distance": 0.4, "miss": 0.3, "legality": 0.9, "objective": reward, "bare": 1.0, "norm": 1.0,
                "rate": 0.001, "beta": 0.1, "tokens": 100 * step, "seconds": 0.5 });
            serde_json::from_value(line).unwrap()
        };
        let curves = Curves::of("test", 100, &(1..=80).map(line).collect::<Vec<_>>());
        assert_eq!(curves.switches, [50.0]);
        let mut terminal = Terminal::new(TestBackend::new(100, 40)).unwrap();
        terminal.draw(|frame| show(frame, &curves)).unwrap();
        let text = terminal.backend().to_string();
        for part in ["reward, points", "best possible", "3.0", "divergence", "not the best action", "legality mass"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        // A run without steps, in a tiny window.
        let mut terminal = Terminal::new(TestBackend::new(5, 3)).unwrap();
        terminal.draw(|frame| show(frame, &Curves::of("test", 100, &[]))).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("curves.svg");
        curves.plot(&picture).unwrap();
        let svg = std::fs::read_to_string(&picture).unwrap();
        assert!(svg.contains("legality mass") && svg.matches("<polyline").count() > 6, "{svg}");
        Curves::of("test", 1, &[]).plot(&picture).unwrap();
    }
}
