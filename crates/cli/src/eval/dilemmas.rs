//! Everyday dilemmas, and prompts that have nothing to do with games.

use probity_train::eval::Respondent;
use probity_train::eval::dilemmas::{Answers, DilemmaReport, dilemmas};
use probity_train::eval::protocol::{Control, controls};
use serde::Serialize;

use super::Args;
use super::policy::Policy;
use crate::errors::Usage;
use crate::output::{Table, say};
use crate::{builtin, output};

/// A policy's figures.
#[derive(Serialize)]
pub struct Row {
    policy: String,
    #[serde(flatten)]
    dilemmas: DilemmaReport,
    /// The control: the share of the first label where nothing is at stake.
    unrelated: Vec<Control>,
}

pub fn run(args: &Args, policy: &Policy) -> anyhow::Result<()> {
    if matches!(policy, Policy::Scripted(_)) {
        return Err(Usage("--policy: a scripted player reads no dilemma, expected a model's policy".into()).into());
    }
    let model = builtin::open_model(&args.model)?;
    let mut bare = Respondent::model(&model, &[], "")?;
    let mut adapted = match policy {
        Policy::Bare => Vec::new(),
        _ => policy.respondents(&args.model)?.all,
    };
    let named = args.policy.split(',').zip(&mut adapted);
    let mut asked: Vec<(&str, &mut Respondent)> = std::iter::once(("bare", &mut bare)).chain(named).collect();
    let bar = output::bar((asked.len() * dilemmas().count()) as u64, "asking");
    let rows = measured(&mut asked, || bar.inc(1))?;
    bar.finish_and_clear();
    if args.json {
        return output::json(&rows);
    }
    say!("{}: {}\n", args.model, about());
    say!("{}", table(&rows));
    NOTES.iter().for_each(|note| say!("{note}"));
    Ok(())
}

/// Asks policies by name; the first is the bare model.
pub fn measured(asked: &mut [(&str, &mut Respondent)], mut progress: impl FnMut()) -> anyhow::Result<Vec<Row>> {
    let mut bare: Option<Answers> = None;
    let mut rows = Vec::new();
    for (policy, respondent) in asked {
        let answers = Answers::of(respondent, &mut progress)?;
        let unrelated = controls(respondent)?;
        rows.push(Row { policy: (*policy).to_owned(), dilemmas: answers.report(bare.as_ref()), unrelated });
        bare.get_or_insert(answers);
    }
    Ok(rows)
}

pub fn about() -> String {
    format!("{} everyday dilemmas, each with either option first.", dilemmas().count())
}

pub const NOTES: [&str; 3] = [
    "P(kinder): mean probability of the kinder option, with its 95% interval over the dilemmas.",
    "Above bare: the mean difference from the bare model, dilemma by dilemma, with its interval.",
    "Unrelated prompts: share of the label action3, which is cooperation in the paper's test.",
];

pub fn table(rows: &[Row]) -> Table {
    let mut header =
        vec!["policy", "P(kinder)", "above bare", "kinder in both orders", "selfish in both", "P(first)", "legality"];
    header.extend(rows.iter().take(1).flat_map(|row| row.unrelated.iter().map(|found| found.variant)));
    let mut table = Table::with_header(&header);
    for row in rows {
        let found = &row.dilemmas;
        let mut cells = vec![
            row.policy.clone(),
            format!("{:.3} ± {:.3}", found.kinder.mean, found.kinder.half_width),
            found.above.map_or_else(
                || "-".into(),
                |above| format!("{} ± {:.3}", output::signed(above.mean), above.half_width),
            ),
            format!("{:.2}", found.kinder_in_both),
            format!("{:.2}", found.selfish_in_both),
            format!("{:.2}", found.first.mean),
            format!("{:.3}", found.legality_mass),
        ];
        cells.extend(row.unrelated.iter().map(|found| format!("{:.2}", found.first_label)));
        table.rows.push(cells);
    }
    table
}
