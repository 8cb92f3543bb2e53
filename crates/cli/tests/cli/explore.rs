//! The page of `probity values explore`, in a headless browser, used by keyboard alone. `make test` installs the
//! browser where it may, and names it in `PROBITY_BROWSER`.

use std::path::Path;
use std::process::Command;

use probity_values::{Answer, AttentionPolicy, Deliberation, Story, ValuesCard, Vote};
use serde_json::Value;

/// Text that tries to break out of a page's data.
const HOSTILE: &str =
    "</script><script>document.title='broken'</script><!-- <img src=x onerror=\"document.title='broken'\">";

/// Six values: two upheld upgrades in one context, a cycle of three in another, a value without votes, a story, hostile
/// texts.
fn deliberation() -> Deliberation {
    let card = |id: &str| {
        let policies = vec![AttentionPolicy::from(format!("MOMENTS of {id} {HOSTILE}").as_str())];
        ValuesCard::new(id.into(), &format!("Value {id}"), &format!("Living by {id}. {HOSTILE}"), policies)
    };
    let mut held = Deliberation { cards: ["a", "b", "c", "d", "e", "f"].map(card).to_vec(), ..Deliberation::default() };
    let (calm, storm) = ("When it is calm", "When it storms");
    for (from, to, context) in
        [("a", "b", calm), ("b", "c", calm), ("c", "d", storm), ("d", "e", storm), ("e", "c", storm)]
    {
        for voter in 0..12 {
            let (voter, answer) = (format!("secret-voter-{from}{voter}"), Answer::Yes);
            held.votes.push(Vote { voter, from: from.into(), to: to.into(), context: context.into(), answer });
        }
    }
    held.stories.push(Story {
        id: "s".into(),
        from: "a".into(),
        to: "b".into(),
        context: calm.into(),
        text: format!("Somebody told this. {HOSTILE}"),
        provenance: None,
    });
    held
}

/// Writes the page of a deliberation.
fn page(folder: &Path, held: &Deliberation) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    std::fs::write(at("in.json"), held.to_json()).unwrap();
    for arguments in [
        vec!["import", &at("in.json"), "--store", &at("v.db")],
        vec!["explore", "--store", &at("v.db"), "--out", &at("page.html")],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_probity")).arg("values").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::read_to_string(at("page.html")).unwrap()
}

/// The result of a script in the page, as JSON; `None`, with a message, without a browser.
fn in_browser(folder: &Path, page: &str, script: &str) -> Option<Value> {
    let Some(browser) = std::env::var_os("PROBITY_BROWSER").filter(|path| !path.is_empty()) else {
        eprintln!("PROBITY_BROWSER names no browser: the page is not opened");
        return None;
    };
    let driver = format!(
        "<script>(() => {{ let found; try {{ found = (() => {{ {script} }})(); }} catch (e) {{ found = {{ error: String(e) }}; }}
         const out = document.createElement('pre'); out.id = 'found'; out.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
         document.body.append(out); }})()</script></body>"
    );
    let path = folder.join("driven.html");
    std::fs::write(&path, page.replacen("</body>", &driver, 1)).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let found = dom.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let found = found.unwrap_or_else(|| panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr)));
    let bytes = decode(found);
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// Base64, as `btoa` writes it.
fn decode(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, &c| bits << 6 | u32::from(value(c))) << (6 * (4 - four.len()));
        bytes.extend(bits.to_be_bytes()[1..four.len()].iter());
    }
    bytes
}

#[test]
fn the_page_is_whole_and_keeps_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), &deliberation());
    assert!(!page.contains("secret-voter"), "no voter is named");
    assert!(!page.contains(HOSTILE) && !page.contains("</script><script>"), "what people wrote is no markup");
    for outside in ["http://", "https://", "src=", "@import", "url(h", "fetch(", "XMLHttpRequest"] {
        assert!(
            !page.replace("http://www.w3.org/2000/svg", "").replace("img src=x", "").contains(outside),
            "{outside}"
        );
    }
}

#[test]
fn the_page_is_used_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path(), &deliberation());
    let script = include_str!("explore.js");
    let Some(found) = in_browser(folder.path(), &page, script) else { return };
    assert!(found["error"].is_null(), "{found}");
    let list = |key: &str| -> Vec<String> {
        found[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    assert_eq!(found["nodes"], 6);
    assert!(text("summary").starts_with("6 values, 5 pairs that were voted on, 3 values contested."), "{found}");
    assert!(list("rows").len() == 5 && list("names").iter().all(|name| name.starts_with("Value ")), "{found}");
    assert!(found["stops"] == 1 && found["nameless"] == 0 && found["live"] == "polite", "{found}");
    // The panel has the card, its votes, and the story word for word.
    for part in
        ["Value a", "12 yes, 0 no, 0 not sure", "Value b", "upheld", "Somebody told this.", HOSTILE, "When it is calm"]
    {
        assert!(text("panel").contains(part), "{part}: {}", text("panel"));
    }
    assert!(text("said").starts_with("Value a: place "), "{}", text("said"));
    assert_eq!((text("up"), text("down")), ("b".into(), "a".into()));
    assert_eq!((text("row"), text("heading")), ("b".into(), "Value c".into()));
    assert_eq!(
        (list("contested"), found["heavy"].as_u64(), found["only"].as_u64()),
        (vec!["c".into(), "d".into(), "e".into()], Some(3), Some(3))
    );
    assert_eq!(list("searched"), ["b"]);
    assert_eq!(list("contexts"), ["Everywhere", "When it is calm", "When it storms"]);
    assert_eq!(list("calm"), ["a", "b", "c"]);
    assert_eq!(list("compat").len(), 3);
    // No text of people became part of the page.
    assert_eq!((text("title").as_str(), found["images"].as_u64()), ("Moral graph", Some(0)));
    assert_eq!(found["scripts"], 3, "data, page, and this test");
}
