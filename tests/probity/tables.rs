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

/// An item of the C header: its comment and its declaration.
struct Item {
    comment: Vec<String>,
    code: String,
}

/// The items of the header, in order.
fn header() -> Vec<Item> {
    let text = fs::read_to_string(root().join("include/probity.h")).expect("the header");
    let body = &text[text.find("#endif\n#endif").expect("the macro of visibility")..];
    let (mut items, mut comment, mut code) = (Vec::new(), Vec::new(), String::new());
    for line in body.lines().skip(2).filter(|line| *line != "PROBITY_API") {
        let line = line.strip_prefix("PROBITY_API ").unwrap_or(line);
        match (line.strip_prefix("///"), code.is_empty()) {
            (Some(words), true) => comment.push(words.strip_prefix(' ').unwrap_or(words).to_owned()),
            _ if line.trim().is_empty() && code.is_empty() => comment.clear(),
            _ => {
                let _ = writeln!(code, "{line}");
                let whole = line.starts_with("#define") || line.starts_with('}') || line.ends_with(");");
                if whole || (line.ends_with(';') && !code.contains('{')) {
                    let item = Item { comment: std::mem::take(&mut comment), code: std::mem::take(&mut code) };
                    items.push(item);
                } else if line.starts_with('#') || line.starts_with("extern") {
                    code.clear();
                }
            }
        }
    }
    items
}

/// The C ABI as a page: types, functions by object, status codes.
fn c_abi() -> String {
    let (mut types, mut functions, mut codes) = (String::new(), String::new(), Vec::new());
    for Item { comment, code } in header() {
        let words = comment.join("\n");
        if let Some(define) = code.strip_prefix("#define PROBITY_STATUS_") {
            let (name, number) = define.trim().split_once(' ').expect("a number");
            codes.push([number.to_owned(), format!("`PROBITY_STATUS_{name}`"), comment.join(" ")]);
        } else if code.starts_with("#define") || code.starts_with("typedef") {
            let _ = writeln!(types, "{words}\n\n```c\n{code}```\n");
        } else if let Some(name) = code.split('(').next().and_then(|head| head.split_whitespace().last()) {
            let name = name.trim_start_matches('*');
            let _ = writeln!(functions, "### `{name}`\n\n{words}\n\n```c\n{code}```\n");
        }
    }
    let codes = table(["number", "name", "meaning"], codes);
    format!("## Types\n\n{types}## Functions\n\n{functions}## Status codes\n\n{codes}")
}

/// The functions of the C ABI, as the version script of the shared library.
fn symbols() -> String {
    let functions =
        header().into_iter().filter(|item| !item.code.starts_with('#') && !item.code.starts_with("typedef"));
    let mut names: Vec<String> = functions
        .filter_map(|item| {
            Some(item.code.split('(').next()?.split_whitespace().last()?.trim_start_matches('*').to_owned())
        })
        .collect();
    names.retain(|name| name.starts_with("probity_"));
    names.sort();
    let names: String = names.iter().map(|name| format!("    {name};\n")).collect();
    format!(
        "/* The symbols of libprobity.so.1: DO NOT EDIT, `make header` writes them. */\nPROBITY_1 {{\n  global:\n{names}  local:\n    *;\n}};\n"
    )
}

/// Replaces the text between the markers of a section.
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

/// Replaces the constants of rewards, which stand between the framework and the reward of an illegal output.
fn constants(schema: &str) -> String {
    let framework = schema.find("\"framework\": {").expect("the framework");
    let open = framework + schema[framework..].find("},\n").expect("its end") + "},\n".len();
    let close = open + schema[open..].find("        \"illegal\": {").expect("the reward of an illegal output");
    let mut seen: Vec<&str> = Vec::new();
    let mut text = String::new();
    for constant in FRAMEWORKS.iter().filter_map(|entry| entry.constant.as_ref()) {
        if seen.contains(&constant.name) {
            continue;
        }
        seen.push(constant.name);
        let most = if constant.most < f64::MAX {
            format!("\n          \"maximum\": {},", constant.most)
        } else {
            String::new()
        };
        text += &format!(
            "        \"{}\": {{\n          \"type\": \"number\",\n          \"minimum\": 0,{most}\n          \"default\": {}\n        }},\n",
            constant.name, constant.published
        );
    }
    format!("{}{text}{}", &schema[..open], &schema[close..])
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
    check("docs/reference/c-abi.md", |text| replaced(text, "header", &c_abi()));
    check("include/probity.map", |_| symbols());
    check("docs/schema/scenario.json", |text| {
        let games: Vec<&str> = CATALOG.iter().map(|game| game.name).collect();
        let text = enumerated(text, "\"game\": {", &games);
        let strategies: Vec<&str> = STRATEGIES.iter().map(|entry| entry.name).collect();
        let text = enumerated(&text, "\"strategy\": {", &strategies);
        let mut frameworks: Vec<&str> = FRAMEWORKS.iter().map(|entry| entry.name).collect();
        frameworks.push("values");
        constants(&enumerated(&text, "\"framework\": {", &frameworks))
    });
}
