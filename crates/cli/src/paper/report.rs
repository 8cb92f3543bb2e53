//! The figures as tables: in the terminal, and as a page.

use std::fmt::Write;

use probity_train::eval::protocol::{Cell, READ_TO, RUNS};
use serde::Serialize;

use super::Row;
use crate::output::{self, Table, say};

/// All figures of one model.
#[derive(Serialize)]
pub struct Report<'a> {
    pub model: &'a str,
    /// Training seeds of each policy.
    pub seeds: u64,
    /// The labels of training, in words.
    pub labels: &'a str,
    pub rows: &'a [Row],
}

/// The two regrets, as the paper's figure names them.
pub const REGRETS: [&str; 2] = ["Figure 4a: deontological regret, 0 to 6", "Figure 4b: utilitarian regret, 0 to 1"];

/// The most that one of the paper's runs took, hours of a GPU.
///
/// Source: arXiv 2410.01639, section 4.
const PAPER_HOURS: u64 = 5;

impl Report<'_> {
    /// Ours, with half the width of the interval, and the paper's figure, game by game.
    pub fn regrets(&self, which: usize) -> Table {
        let Some(first) = self.rows.first() else { return Table::default() };
        let mut header = vec!["policy".to_owned()];
        header.extend(first.games.iter().flat_map(|game| [game.game.clone(), "paper".into()]));
        let mut rows: Vec<Vec<String>> = Vec::new();
        for row in self.rows {
            let mut cells = vec![row.policy.to_owned()];
            for game in &row.games {
                let (mean, half_width) = game.regret(which);
                let spread = half_width.map_or_else(String::new, |half| format!(" ± {half:.3}"));
                cells.push(format!("{:.3}{spread}", output::rounded(mean)));
                cells.push(game.paper.map_or_else(|| "-".into(), |paper| format!("{:.3}", paper[which].mean)));
            }
            rows.push(cells);
        }
        for (name, at) in [("least possible", 0), ("most of legal answers", 1)] {
            let mut cells = vec![name.to_owned()];
            for game in &first.games {
                let bound = game.bounds.map(|bounds| [bounds.deontological, bounds.utilitarian][which][at]);
                cells.push(bound.map_or_else(|| "-".into(), |bound| format!("{bound:.3}")));
                cells.push(String::new());
            }
            rows.push(cells);
        }
        Table { header, rows }
    }

    /// What each policy's training took, as means over its seeds.
    fn cost(&self) -> Table {
        let header = ["policy", "kept step", "steps", "tokens trained on", "training, s", "in all, s", "legality"];
        let rows = self.rows.iter().map(|row| {
            let mean = |of: fn(&super::Training) -> f64| match row.trained.len() {
                0 => "-".to_owned(),
                n => format!("{:.0}", row.trained.iter().map(of).sum::<f64>() / n as f64),
            };
            let legality = row.games.iter().map(|game| game.legality_mass).sum::<f64>() / row.games.len() as f64;
            vec![
                row.policy.to_owned(),
                mean(|t| t.step as f64),
                mean(|t| t.steps as f64),
                mean(|t| t.tokens as f64),
                mean(|t| t.seconds),
                mean(|t| t.all_seconds),
                format!("{legality:.3}"),
            ]
        });
        Table { header: header.map(str::to_owned).to_vec(), rows: rows.collect() }
    }

    /// What the policy does where the players do not share their labels as in training.
    pub fn unseen(&self) -> Table {
        let mut header = vec!["policy".to_owned()];
        for what in ["the paper's test", "other's labels swapped", "other's own words"] {
            header.extend(["P(C\\|C)", "P(C\\|D)", "legality"].map(|figure| format!("{what}: {figure}")));
        }
        let rows = self.rows.iter().map(|row| {
            let cells = row.unseen.iter().flat_map(|found| {
                let [after_c, after_d] = found.cooperation;
                [after_c, after_d, found.legality_mass].map(|figure| format!("{figure:.2}"))
            });
            std::iter::once(row.policy.to_owned()).chain(cells).collect()
        });
        Table { header, rows: rows.collect() }
    }

    /// How the cells compare.
    ///
    /// The selfish policy's are to be as near to exact selfishness, all others at or below the paper's.
    pub fn verdict(&self) -> String {
        let rows = self.rows.iter().filter(|row| row.policy != "bare");
        let cells: Vec<Cell> = rows
            .flat_map(|row| row.games.iter().filter_map(|game| game.cells(row.policy == "game")))
            .flatten()
            .collect();
        let count = |of: fn(&Cell) -> bool| cells.iter().filter(|cell| of(cell)).count();
        let (reached, within) = (count(|cell| cell.reached), count(|cell| cell.reached || cell.overlaps));
        let all = cells.len();
        format!(
            "{reached} of {all} cells are at or below the paper's (for `game`: as near to the selfish policy or nearer), as \
             far as its figure can be read: to {} and {}. {within} are so, or their interval overlaps the paper's.",
            READ_TO[0], READ_TO[1]
        )
    }

    fn notes(&self) -> [String; 3] {
        let runs = if self.seeds > 1 {
            format!("means over {} training seeds, with 95% intervals", self.seeds)
        } else {
            format!("one training seed; means over {} runs of free answers, with 95% intervals", RUNS)
        };
        [
            format!(
                "{}: {runs} (1.96 s / sqrt(n)). Fifty queries a game, labels action3 and action4; trained on {}.",
                self.model, self.labels
            ),
            self.verdict(),
            format!(
                "Paper: arXiv 2410.01639, Gemma-2-2b-it, figure 4; up to {PAPER_HOURS} hours of a GPU for each training of \
                 one seed."
            ),
        ]
    }

    /// Prints all tables.
    pub fn show(&self) {
        for (i, title) in REGRETS.into_iter().enumerate() {
            say!("{title}");
            say!("{}\n", self.regrets(i));
        }
        say!("What the figure cannot show: the prisoner's dilemma, choosing among the legal answers");
        say!("{}\n", self.unseen());
        say!("What it took");
        say!("{}\n", self.cost());
        self.notes().iter().for_each(|note| say!("{note}"));
    }

    /// All tables as Markdown.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        let [about, verdict, paper] = self.notes();
        let _ = write!(page, "# The paper's figure 4 on {}\n\n", self.model);
        let _ = write!(page, "{about}\n\n{verdict}\n\n{paper}\n\n![Both figures](figure-4.svg)\n");
        for (i, title) in REGRETS.into_iter().enumerate() {
            let _ = write!(page, "\n{title}:\n\n{}", self.regrets(i).markdown());
        }
        let _ = write!(
            page,
            "\nWhat the figure cannot show: the prisoner's dilemma, choosing among the legal answers:\n\n{}",
            self.unseen().markdown()
        );
        let _ = write!(page, "\nWhat it took, as means over the seeds:\n\n{}", self.cost().markdown());
        page
    }
}
