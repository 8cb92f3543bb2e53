//! Documents that follow from the tables of the library. A stale one fails here; `make tables` writes it.

use std::fmt::Write;
use std::fs;

use probity_engine::preflight::ARCHITECTURES;
use probity_game::moral::FRAMEWORKS;
use probity_game::{CATALOG, STRATEGIES};
use probity_testing::root;

/// Writes the documents instead of comparing them.
const UPDATE: &str = "PROBITY_UPDATE_TABLES";

/// A Markdown table.
fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | ")).expect("text");
    }
    text
}

fn rewards() -> String {
    let rows = FRAMEWORKS.iter().map(|entry| {
        let constant = entry.constant.map_or_else(String::new, |c| format!("`{}` = {}", c.name, c.published));
        [format!("`{}`", entry.name), format!("`{}`", entry.formula), constant, entry.source.to_owned()]
    });
    table(["reward", "of `M` against `O`", "constant", "source"], rows)
}

fn games() -> String {
    let rows = CATALOG.iter().map(|game| {
        let [cc, cd, dc, dd] = game.payoffs.map(|[own, other]| format!("{own}, {other}"));
        [format!("`{}`", game.name), game.title.to_owned(), cc, cd, dc, dd]
    });
    table(["game", "title", "C, C", "C, D", "D, C", "D, D"], rows)
}

fn strategies() -> String {
    let rows = STRATEGIES.iter().map(|entry| [format!("`{}`", entry.name), entry.rule.to_owned()]);
    table(["player", "what it does"], rows)
}

fn architectures() -> String {
    let rows = ARCHITECTURES.iter().map(|entry| [format!("`{}`", entry.name), entry.family.to_owned()]);
    table(["`general.architecture`", "models"], rows)
}

/// Replaces what stands between the markers of a section.
fn replaced(document: &str, section: &str, text: &str) -> String {
    let [open, close] = [format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->")];
    let start = document.find(&open).unwrap_or_else(|| panic!("no {open}")) + open.len();
    let end = document.find(&close).unwrap_or_else(|| panic!("no {close}"));
    format!("{}\n{text}\n{}", &document[..start], &document[end..])
}

/// Replaces the values of the `enum` that follows `anchor` in a schema, and keeps its indentation.
fn enumerated(schema: &str, anchor: &str, names: &[&str]) -> String {
    let from = schema.find(anchor).unwrap_or_else(|| panic!("no {anchor}"));
    let open = from + schema[from..].find("\"enum\": [").expect("an enum") + "\"enum\": [".len();
    let close = open + schema[open..].find(']').expect("its end");
    let line = schema[..open].rfind('\n').expect("a line") + 1;
    let indent = " ".repeat(schema[line..].len() - schema[line..].trim_start().len());
    let values: Vec<String> = names.iter().map(|name| format!("\n{indent}  \"{name}\"")).collect();
    format!("{}{}\n{indent}{}", &schema[..open], values.join(","), &schema[close..])
}

fn check(path: &str, fresh: impl Fn(&str) -> String) {
    let file = root().join(path);
    let committed = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{path}: {e}"));
    let fresh = fresh(&committed);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, fresh).expect(path);
    } else {
        assert!(
            fresh == committed,
            "{path} does not follow from the library's tables: run `make tables` and commit it"
        );
    }
}

#[test]
fn documents_follow_from_the_tables() {
    check("docs/reference/tables.md", |text| {
        let text = replaced(text, "rewards", &rewards());
        let text = replaced(&text, "games", &games());
        let text = replaced(&text, "strategies", &strategies());
        replaced(&text, "architectures", &architectures())
    });
    check("docs/schema/scenario.json", |text| {
        let games: Vec<&str> = CATALOG.iter().map(|game| game.name).collect();
        let text = enumerated(text, "\"game\": {", &games);
        let strategies: Vec<&str> = STRATEGIES.iter().map(|entry| entry.name).collect();
        let text = enumerated(&text, "\"strategy\": {", &strategies);
        let mut frameworks: Vec<&str> = FRAMEWORKS.iter().map(|entry| entry.name).collect();
        frameworks.push("values");
        enumerated(&text, "\"framework\": {", &frameworks)
    });
}
