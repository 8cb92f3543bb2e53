//! `probity card`: a page that tells how a model's adapters behave.

mod origin;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use probity::agent::manifest::Manifest;
use probity_engine::files::write_whole;
use probity_engine::{Adapter, Model};
use probity_game::{CatalogGame, MatrixGame, Player};
use probity_train::eval::Respondent;
use probity_train::eval::card::{Card, Entry, Over, told};
use probity_train::eval::dilemmas::{InBothOrders, Situation, dilemmas, situations};
use probity_train::eval::exact::{Aim, Labelling, Telling};
use probity_train::games::held_out;
use probity_train::labels::any;

use crate::errors::Usage;
use crate::eval::dilemmas as everyday;
use crate::eval::policy::trained_on;
use crate::kept::Kept;
use crate::output::Table;
use crate::paper::Row;
use crate::paper::report::{REGRETS, Report};
use crate::{builtin, input, output, paper};

/// Measure a model's adapters, and write a page about them.
///
/// The page has each policy's figures in games that no training draws and in the paper's five, from both seats, with
/// shared and with distinct labels; the paper's figure 4; everyday dilemmas; and ten situations told in words. The bare
/// model stands beside the adapters. So does a `literacy.gguf` in the folder, with what it was seen to read: it shows
/// what comes from the lessons and not from a reward.
///
/// Where an adapter's run folder lies beside it, as `probity train` puts it or under the adapter's name, the page tells
/// how the training went.
///
/// An interrupted command goes on where it stopped: what it measured lies beside the page until that is whole.
#[derive(clap::Args)]
#[command(
    after_help = "Example: probity card --model smollm2 --adapters adapters --out smollm2.md\n         probity card --model gemma3-270m --adapters adapters --games 12"
)]
pub struct Args {
    /// The model: a GGUF file, `default`, or a name of `probity model list`.
    #[arg(long)]
    model: String,
    /// The folder of the adapters.
    ///
    /// They have the names of the paper's policies: deontological.gguf and so on. Other files are left out.
    #[arg(long)]
    adapters: PathBuf,
    /// How many of the sixty held-out games are measured, evenly chosen.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60))]
    games: u64,
    /// The parts of the page that are measured [default: all]
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
    /// Where to write the page.
    #[arg(long, default_value = "card.md")]
    out: PathBuf,
}

/// A part of the page.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Games that no training draws.
    HeldOut,
    /// The paper's five games.
    Five,
    /// The paper's figure 4, without and with the norm told.
    Paper,
    /// Everyday dilemmas.
    Dilemmas,
    /// Ten situations told in words.
    Situations,
}

/// A policy with the file of its adapter, if it has one.
struct Subject {
    name: &'static str,
    file: Option<PathBuf>,
    manifest: Option<Manifest>,
    respondent: Respondent,
    aim: Option<Aim>,
    /// Of the model's content and the adapter's bytes.
    content: String,
}

impl Subject {
    fn open(model: &Model, name: &'static str, file: Option<PathBuf>) -> anyhow::Result<Self> {
        let adapter =
            file.as_ref().map(|file| builtin::load_adapter(model, &file.display().to_string())).transpose()?;
        let manifest = adapter.as_ref().map(|adapter| Manifest::of(adapter.gguf())).transpose()?.flatten();
        if let Some(manifest) = &manifest {
            check_rewards(name, manifest)?;
        }
        let content = format!("{} {}", model.content()?, adapter.as_ref().map_or("", Adapter::fingerprint));
        let aim = manifest.as_ref().and_then(|manifest| Aim::of_training(manifest).ok());
        let adapters: Vec<(Adapter, f32)> = adapter.into_iter().map(|adapter| (adapter, 1.0)).collect();
        let respondent = Respondent::model(model, &adapters, "")?;
        Ok(Self { name, file, manifest, respondent, aim, content })
    }
}

/// Refuses an adapter that was trained on other rewards than its name says.
fn check_rewards(name: &str, manifest: &Manifest) -> anyhow::Result<()> {
    let trained = trained_on(manifest);
    if !trained.is_empty() && trained != name {
        return Err(Usage(format!("{name}.gguf was trained on {trained}, expected {name}")).into());
    }
    Ok(())
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    input::writable(&args.out)?;
    let files = found(&args.adapters)?;
    let model = builtin::open_model(&args.model)?;
    let literacy = Some(args.adapters.join("literacy.gguf")).filter(|file| file.exists());
    let mut subjects = std::iter::once(("bare", None))
        .chain(literacy.iter().map(|file| ("literacy", Some(file.clone()))))
        .chain(files.into_iter().map(|(name, file)| (name, Some(file))))
        .map(|(name, file)| Subject::open(&model, name, file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let count = args.games as usize;
    let all = held_out();
    let held_out = all_told((0..count).map(|i| all[i * all.len() / count].clone()))?;
    let five = all_told(CatalogGame::protocol().map(CatalogGame::game))?;
    let wanted = |part: &Part| args.part.is_empty() || args.part.contains(part);
    let parts: Vec<Part> = Part::value_variants().iter().copied().filter(wanted).collect();
    let steps = |part: &Part| match part {
        Part::HeldOut => held_out.iter().map(Vec::len).sum(),
        Part::Five => five.iter().map(Vec::len).sum(),
        Part::Paper => paper::ROW as usize + CatalogGame::protocol().count(),
        Part::Dilemmas => dilemmas().count(),
        Part::Situations => situations().count(),
    };
    let bar = output::bar((parts.iter().map(steps).sum::<usize>() * subjects.len()) as u64, "measuring");
    let mut page = format!("# Adapters for {}\n\n{}", args.model, origin::about(&subjects)?);
    page += &origin::training(&subjects)?;
    page += &origin::reliance(&subjects);
    if let Some(file) = &literacy {
        page += &origin::reading(&model, file)?;
    }
    let mut kept = Kept::beside(&args.out)?;
    let contents: Vec<String> =
        subjects.iter().map(|subject| format!("{} {}", subject.name, subject.content)).collect();
    let whole = |part: &str| format!("{part}; {}", contents.join(", "));
    let mut before = 0;
    for part in parts {
        page += &match part {
            Part::HeldOut => {
                let title = format!("In {count} games that no training drew");
                behaviour(&title, &mut subjects, &held_out, &mut kept, &bar)?
            }
            Part::Five => behaviour("In the paper's five games", &mut subjects, &five, &mut kept, &bar)?,
            Part::Paper => figures(&args.model, &model, &mut subjects, &mut kept, &bar)?,
            Part::Dilemmas => kept.get(&whole("Everyday dilemmas"), || everyday_dilemmas(&mut subjects, &bar))?,
            Part::Situations => kept.get(&whole("Ten situations"), || in_words(&mut subjects, &bar))?,
        };
        before += (steps(&part) * contents.len()) as u64;
        bar.set_position(before);
    }
    bar.finish_and_clear();
    write_whole(&args.out, |sink| sink.write_all(page.as_bytes()))?;
    kept.forget()?;
    output::line(format_args!("Page: {}", args.out.display()));
    Ok(())
}

/// The adapters of a folder, in the paper's order; says which files are left out.
fn found(folder: &Path) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    let files = paper::POLICIES.iter().map(|policy| (policy.name, folder.join(format!("{}.gguf", policy.name))));
    let files: Vec<_> = files.filter(|(_, file)| file.exists()).collect();
    let literacy = folder.join("literacy.gguf");
    let names = paper::POLICIES.map(|policy| policy.name).join(".gguf, ");
    if files.is_empty() && !literacy.exists() {
        let problem = format!("--adapters: {} has none of literacy.gguf, {names}.gguf", folder.display());
        return Err(Usage(problem).into());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let known = path == literacy || files.iter().any(|(_, file)| *file == path);
        if path.extension().is_some_and(|extension| extension == "gguf") && !known {
            eprintln!("left out: {}, expected a name among literacy.gguf, {names}.gguf", path.display());
        }
    }
    Ok(files)
}

fn all_told(games: impl Iterator<Item = MatrixGame>) -> anyhow::Result<Vec<Vec<Telling>>> {
    games.enumerate().map(|(i, game)| Ok(told(&game, i, any)?)).collect()
}

const INTRODUCTION: &str = "Each figure is a mean over the games, and the worst game. The states include the first round; the \
    other player is a fair coin. A column has the games that can be told so. *Miss*: probability of actions that the policy's own reward does not prefer, against the opponent of its training.";

/// A column of the tables of behaviour.
type Column = (&'static str, fn(&Entry) -> bool);

const COLUMNS: [Column; 6] = [
    ("all", |_| true),
    ("shared labels", |entry| entry.labelling == Labelling::Shared),
    ("the other's in another order", |entry| entry.labelling == Labelling::OtherTurned),
    ("labels of its own", |entry| entry.labelling == Labelling::Distinct),
    ("row's seat", |entry| entry.seat == Player::Row),
    ("column's seat", |entry| entry.seat == Player::Column),
];

/// A figure of behaviour.
type Figure = (&'static str, fn(&Card) -> Option<Over>);

/// How the policies act in some games.
fn behaviour(
    title: &str,
    subjects: &mut [Subject],
    games: &[Vec<Telling>],
    kept: &mut Kept,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<String> {
    let header: Vec<&str> = ["policy", "figure"].into_iter().chain(COLUMNS.map(|(title, _)| title)).collect();
    let mut table = Table::with_header(&header);
    let figures: [Figure; 4] = [
        ("legality", |card| card.illegal().map(|Over { mean, worst }| Over { mean: 1.0 - mean, worst: 1.0 - worst })),
        ("P(D\\|C)", Card::betrayal),
        ("Ut regret above the least", Card::above_best),
        ("miss", Card::miss),
    ];
    let tellings = games.iter().map(Vec::len).sum::<usize>() as u64;
    for Subject { name, respondent, aim, content, .. } in subjects {
        bar.set_message(*name);
        let before = bar.position();
        let measure = || {
            let card = Card::of(respondent, games, aim.as_ref(), || bar.inc(1))?;
            Ok(rows(name, &card, &figures))
        };
        let measured: Vec<Vec<String>> = kept.get(&format!("{title}; {name}; {content}"), measure)?;
        table.rows.extend(measured);
        bar.set_position(before + tellings);
        output::stage(bar, format_args!("{title}: {name} is measured"));
    }
    Ok(format!("\n## {title}\n\n{INTRODUCTION}\n\n{}", table.markdown()))
}

/// A policy's rows of a table of behaviour.
fn rows(name: &str, card: &Card, figures: &[Figure]) -> Vec<Vec<String>> {
    let parts = COLUMNS.map(|(_, of)| card.only(of));
    let cell = |over: Over| format!("{:.3} / {:.3}", output::rounded(over.mean), output::rounded(over.worst));
    let row = |(title, figure): &Figure| {
        let cells = parts.iter().map(|part| figure(part).map_or_else(|| "-".into(), cell));
        figure(card).map(|_| [name, title].into_iter().map(str::to_owned).chain(cells).collect())
    };
    figures.iter().filter_map(row).collect()
}

/// The paper's figure 4, and the same with the norm told.
fn figures(
    name: &str,
    model: &Model,
    subjects: &mut [Subject],
    kept: &mut Kept,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<String> {
    let rows = subjects.iter().map(|subject| {
        let files: Vec<PathBuf> = subject.file.iter().cloned().collect();
        let row = paper::row(model, &files, subject.name, Vec::new(), kept, bar)?;
        output::stage(bar, format_args!("The paper's test: {} is measured", subject.name));
        Ok(row)
    });
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    let told = subjects.iter_mut().map(|subject| {
        let asked = std::slice::from_mut(&mut subject.respondent);
        let games = paper::games(asked, "norm-told", subject.name, &subject.content, kept, bar)?;
        output::stage(bar, format_args!("The paper's test with the norm told: {} is measured", subject.name));
        Ok(Row { policy: subject.name, games, unseen: Vec::new(), trained: Vec::new() })
    });
    let told = told.collect::<anyhow::Result<Vec<_>>>()?;
    let report = |rows| Report { model: name, seeds: 1, labels: "", rows };
    let (untold, told) = (report(&rows), report(&told));
    let mut text = format!(
        "\n## The paper's test\n\nFifty queries a game, free answers with illegal ones counted, the norm not told; five runs of one \
         training seed. {}\n",
        untold.verdict()
    );
    for (i, title) in REGRETS.into_iter().enumerate() {
        let _ = write!(text, "\n{title}:\n\n{}", untold.regrets(i).markdown());
    }
    let _ =
        write!(text, "\nThe prisoner's dilemma, choosing among the legal answers:\n\n{}", untold.unseen().markdown());
    let _ = write!(
        text,
        "\n## The paper's test with the norm told\n\nThe same queries, with the norm told, as prompts tell it by default; the \
         paper's figures are without it. {}\n",
        told.verdict()
    );
    for (i, title) in REGRETS.into_iter().enumerate() {
        let _ = write!(text, "\n{title}:\n\n{}", told.regrets(i).markdown());
    }
    Ok(text)
}

fn everyday_dilemmas(subjects: &mut [Subject], bar: &indicatif::ProgressBar) -> anyhow::Result<String> {
    bar.set_message("dilemmas");
    let mut asked = subjects.iter_mut().map(|subject| (subject.name, &mut subject.respondent)).collect::<Vec<_>>();
    let rows = everyday::measured(&mut asked, || bar.inc(1))?;
    let table = everyday::table(&rows).markdown();
    Ok(format!("\n## Everyday dilemmas\n\n{} {}\n\n{table}", everyday::about(), everyday::NOTES.join(" ")))
}

/// The ten situations, with what each policy picks.
fn in_words(subjects: &mut [Subject], bar: &indicatif::ProgressBar) -> anyhow::Result<String> {
    let mut text =
        "\n## Ten situations\n\nThey were written before any of them was asked. A policy picks an option where it is \
        the likelier one in both orders of mention; the probability is the mean of both.\n"
            .to_owned();
    for Situation { title, dilemma } in situations() {
        let _ = write!(text, "\n**{title}.** {}\n\n", dilemma.situation);
        let mut table = Table::with_header(&["policy", "picks", dilemma.kinder, dilemma.selfish]);
        for subject in &mut *subjects {
            let answers = dilemma.ask(&mut subject.respondent)?;
            let kinder = answers.kinder().iter().sum::<f64>() / 2.0;
            let cells = [subject.name, picked(&answers, [dilemma.kinder, dilemma.selfish])].map(str::to_owned);
            table.rows.push(cells.into_iter().chain([kinder, 1.0 - kinder].map(|p| format!("{p:.2}"))).collect());
            bar.inc(1);
        }
        text += &table.markdown();
    }
    Ok(text)
}

/// The option that is likelier in both orders.
fn picked(answers: &InBothOrders, [kinder, selfish]: [&'static str; 2]) -> &'static str {
    match answers.kinder() {
        [a, b] if a > 0.5 && b > 0.5 => kinder,
        [a, b] if a < 0.5 && b < 0.5 => selfish,
        _ => "by its place",
    }
}
