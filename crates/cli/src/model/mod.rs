//! `probity model`: models by name, fetched once.

mod catalogue;
mod fetch;
mod folder;

use clap::Subcommand;
use serde::Serialize;

use crate::output::{self, say};
pub use catalogue::CATALOGUE;
pub use fetch::sha256;
use folder::fetched;
pub use folder::known;

/// List and fetch models that other commands then take by name.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(ListArgs),
    Fetch(fetch::Args),
}

/// List the models that can be fetched, and where those lie that are here.
#[derive(clap::Args)]
struct ListArgs {
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

/// A model of the list.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    licence_url: &'static str,
    bytes: u64,
    sha256: &'static str,
    /// Where it lies, if it is here.
    file: Option<std::path::PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Fetch(args) => fetch::run(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let listed = CATALOGUE.iter().map(|entry| {
        Ok(Listed {
            name: entry.name,
            title: entry.title,
            licence: entry.licence,
            licence_url: entry.licence_url,
            bytes: entry.bytes,
            sha256: entry.sha256,
            file: fetched(entry)?,
        })
    });
    let listed = listed.collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        return output::json(&listed);
    }
    let mut table = output::table(&["model", "MiB", "licence", "what", "file"]);
    for Listed { name, title, licence, bytes, file, .. } in listed {
        let size = format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        let file = file.map_or_else(|| "not fetched".into(), |file| file.display().to_string());
        table.add_row([name.to_owned(), size, licence.to_owned(), title.to_owned(), file]);
    }
    say!("{table}");
    Ok(())
}
