//! Links between documents lead somewhere, and the book holds every page.

use std::collections::BTreeSet;
use std::fs;

use probity_testing::{files, root};

/// The targets of a page's links, fenced code aside.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let mut rest = if fenced { "" } else { line };
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
        }
    }
    found
}

/// The anchors of a page, as mdBook and GitHub derive them from headings.
fn anchors(text: &str) -> Vec<String> {
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    let docs = root().join("docs");
    let mut all = files(&docs, "md");
    all.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for page in &all {
        let text = fs::read_to_string(page).expect("a page");
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).expect("a page"));
                assert!(there.iter().any(|a| a == anchor), "{}: {link} names no heading", page.display());
            }
        }
    }
}

/// README repeats the verdicts that `probity paper` wrote, word by word.
#[test]
fn the_readme_says_of_the_paper_what_was_measured() {
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = joined(&fs::read_to_string(root().join("README.md")).expect("README"));
    let pages = files(&root().join("docs/paper"), "md");
    assert!(!pages.is_empty());
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let verdict = text.lines().find(|line| line.contains("cells are at or below")).expect("a verdict");
        let (count, _) = verdict.split_once(" cells").expect("a count");
        let within = verdict.rsplit_once("are so, or").and_then(|(before, _)| before.split_whitespace().last());
        let within = format!("{} are so, or", within.expect("another count"));
        assert!(readme.contains(&within), "README lacks {within:?}");
        let model = page.parent().and_then(|folder| folder.file_name()).expect("a folder").to_string_lossy();
        assert!(readme.contains(&format!("{model}: {count} cells")), "README lacks \"{model}: {count} cells\"");
    }
}

#[test]
fn the_book_holds_every_page() {
    let docs = root().join("docs");
    let summary = links(&fs::read_to_string(docs.join("SUMMARY.md")).expect("the summary"));
    for page in files(&docs, "md") {
        let name = page.strip_prefix(&docs).expect("in the folder").to_string_lossy().replace('\\', "/");
        assert!(name == "SUMMARY.md" || summary.contains(&name), "docs/SUMMARY.md does not list {name}");
    }
}

/// The cells of a table's row.
fn cells(row: &str) -> Vec<String> {
    row.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '*']).to_owned()).collect()
}

/// The row of a part's first table that begins with these cells.
fn row(page: &str, part: &str, begin: &[&str]) -> Vec<String> {
    let (_, text) = page.split_once(part).unwrap_or_else(|| panic!("no {part:?}"));
    let table = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let found: Vec<_> = table.map(cells).filter(|row| row.iter().zip(begin).all(|(a, b)| a == b)).collect();
    let [row] = &found[..] else { panic!("{} rows of {begin:?} in {part:?}", found.len()) };
    row.clone()
}

/// Where one machine ends is told with figures that the benchmarks wrote.
#[test]
fn the_page_of_scale_says_what_was_measured() {
    let page = |name: &str| fs::read_to_string(root().join("docs").join(name)).expect("a page");
    let (scale, benchmarks) = (page("scale.md"), page("benchmarks.md"));
    let (before, rest) = scale.split_once("<!-- evaluation").expect("the part that a benchmark writes");
    let (_, after) = rest.split_once("<!-- end -->").expect("its end");
    // A number and its unit.
    let figures = |text: &str| -> BTreeSet<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let figure = |pair: &[&str]| {
            let unit = pair[1].trim_matches(|c: char| !c.is_alphanumeric());
            let number = pair[0].starts_with(|c: char| c.is_ascii_digit()) && ["us", "ms", "s", "MiB"].contains(&unit);
            number.then(|| format!("{} {unit}", pair[0]))
        };
        words.windows(2).filter_map(figure).collect()
    };
    let (told, measured) = (&figures(before) | &figures(after), figures(&benchmarks));
    let unmeasured: Vec<&String> = told.difference(&measured).collect();
    assert!(told.len() >= 6 && unmeasured.is_empty(), "of {told:?} no benchmark wrote {unmeasured:?}");
}

/// The finding's tables repeat figures of the pages that `probity paper` and `probity card` wrote.
#[test]
fn the_finding_says_what_was_measured() {
    let finding = fs::read_to_string(root().join("docs/findings.md")).expect("the finding");
    let page = |folder: &str| fs::read_to_string(root().join("docs").join(folder)).expect("a page");
    let numbers = |cell: &str| {
        cell.split(", ").map(|number| number.trim_matches('*').parse().expect("a number")).collect::<Vec<f64>>()
    };
    let mut compared = 0;
    let mut lines = finding.lines();
    while let Some(header) = lines.by_ref().find(|line| line.starts_with("| ") && line.contains(" seed")) {
        let header = cells(header);
        let model = if header[0].starts_with("Gemma") { "gemma3-270m" } else { "smollm2" };
        for line in lines.by_ref().skip(1).take_while(|line| line.starts_with("| ")) {
            let told = cells(line);
            let policy = told[0].as_str();
            let measured: Vec<String> = if header[1].contains("P(C\\|C)") {
                let found = row(&page(&format!("paper/{model}/figure-4.md")), "What the figure cannot show", &[policy]);
                // Two probabilities and a legality for each kind of labels.
                found[1..].chunks(3).flat_map(|of| of[..2].to_vec()).collect()
            } else {
                let found = row(
                    &page(&format!("real/{model}.md")),
                    "## In 60 games that no training drew\n",
                    &[policy, "P(D\\|C)"],
                );
                found[3..6].iter().map(|cell| cell.split(" / ").next().expect("a mean").to_owned()).collect()
            };
            let told: Vec<f64> = told[1..].iter().flat_map(|cell| numbers(cell)).collect();
            assert_eq!(told.len(), measured.len(), "{line}");
            for (told, measured) in told.iter().zip(&measured) {
                assert!(
                    (told - numbers(measured)[0]).abs() < 0.0051,
                    "{model}, {policy}: told {told}, measured {measured}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "only {compared} figures");
}

/// README repeats figures of the pages that `probity card` wrote.
#[test]
fn the_readme_says_of_real_models_what_was_measured() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README");
    let pages = files(&root().join("docs/real"), "md");
    assert!(!pages.is_empty());
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let held_out = "## In 60 games that no training drew\n";
        let over_all_labels = |policy: &str, figure: &str| row(&text, held_out, &[policy, figure])[2].clone();
        let model = page.file_stem().expect("a name").to_string_lossy();
        let figures = [
            ("bare", "P(D\\|C)"),
            ("deontological", "P(D\\|C)"),
            ("bare", "Ut regret above the least"),
            ("utilitarian", "Ut regret above the least"),
            ("utilitarian", "legality"),
        ];
        let figures = figures.map(|(policy, figure)| over_all_labels(policy, figure));
        let row = format!("| {model} | {} |", figures.join(" | "));
        assert!(readme.contains(&row), "README lacks {row:?}");
    }
}
