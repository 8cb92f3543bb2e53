//! A template's source, rewritten so that a rendering charges what it makes.
//!
//! Literal texts, literal lists, the operands of `~` and `+`, and what `set` sets go through functions that `jinja`
//! defines.

/// The longest run of blanks in a source, bytes: blanks are not charged.
const MAX_BLANKS: usize = 1024;
/// The filter that charges an operand.
pub(super) const OPERAND: &str = "__operand";
/// The function that charges a literal text.
pub(super) const LITERAL: &str = "__literal";
/// The function that charges literal lists and dictionaries, and what `set` sets.
pub(super) const LIST: &str = "__list";
/// The function that charges and checks what is put into a namespace.
pub(super) const MEMBER: &str = "__member";
/// The function that stands for a multiplication, and refuses it.
pub(super) const PRODUCT: &str = "__product";

/// The source with its literal texts and operands charged.
///
/// Hugging Face's `generation` blocks become plain blocks.
pub(super) fn metered(source: &str) -> std::result::Result<String, String> {
    let mut out = String::with_capacity(source.len() * 2);
    let mut rest = source;
    loop {
        let open = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min();
        let (text, after) = rest.split_at(open.unwrap_or(rest.len()));
        write_literal(text, &mut out)?;
        let Some(kind) = after.get(..2) else { return Ok(out) };
        if kind == "{#" {
            let end = after.find("#}").ok_or("a comment without its end")?;
            out.push_str(&after[..end + 2]);
            rest = &after[end + 2..];
            continue;
        }
        rest = write_block(after, &mut out)?;
    }
}

/// A text outside of blocks, with its charge.
///
/// The charge stands before the first letter, where no neighbour trims blanks.
fn write_literal(text: &str, out: &mut String) -> std::result::Result<(), String> {
    if text.split(|c: char| !c.is_whitespace()).any(|blanks| blanks.len() > MAX_BLANKS) {
        return Err(format!("more than {MAX_BLANKS} blanks in a row"));
    }
    match text.find(|c: char| !c.is_whitespace()) {
        None => out.push_str(text),
        Some(first) => {
            out.push_str(&text[..first]);
            out.push_str(&format!("{{{{ {LITERAL}({}) }}}}", text.len()));
            out.push_str(&text[first..]);
        }
    }
    Ok(())
}

/// A statement or expression at the start of `source`; returns the rest.
fn write_block<'a>(source: &'a str, out: &mut String) -> std::result::Result<&'a str, String> {
    let statement = source.starts_with("{%");
    let close = if statement { "%}" } else { "}}" };
    let mut at = 2;
    if source[at..].starts_with(['-', '+']) {
        at += 1;
    }
    out.push_str(&source[..at]);
    let mut word = String::new();
    if statement {
        let blanks = source[at..].len() - source[at..].trim_start().len();
        word = source[at + blanks..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // Training marks the model's own words with these; a rendering is the same without.
        let plain = match word.as_str() {
            "generation" => "if true",
            "endgeneration" => "endif",
            "raw" => return Err("a raw block, expected a chat template without".into()),
            _ => word.as_str(),
        };
        out.push_str(&source[at..at + blanks]);
        out.push_str(plain);
        at += blanks + word.len();
    }
    // What is added behind the bracket that closes each open one, and behind the statement.
    let mut open: Vec<&str> = Vec::new();
    let mut behind = "";
    let mut sets = word == "set";
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if open.is_empty()
            && let Some(end) =
                [close, &format!("-{close}"), &format!("+{close}")].into_iter().find(|e| rest.starts_with(*e))
        {
            out.push_str(behind);
            out.push_str(end);
            return Ok(&rest[end.len()..]);
        }
        let length = if matches!(c, '"' | '\'') { text_length(rest, c) } else { c.len_utf8() };
        match c {
            '(' | '[' | '{' if is_operand_end(&source[2..at]) => open.push(""),
            '(' | '[' | '{' => {
                // The word before may touch the bracket: `not(x)`.
                out.push_str(&format!(" {LIST}("));
                open.push(")");
            }
            '~' | '+' => out.push_str(&format!("|{OPERAND} ")),
            '*' => {
                out.push_str(&format!(" ~ {PRODUCT}() ~ "));
                at += 1;
                continue;
            }
            _ => {}
        }
        out.push_str(&rest[..length]);
        match c {
            ')' | ']' | '}' => out.push_str(open.pop().unwrap_or_default()),
            '=' if sets && open.is_empty() => {
                sets = false;
                // A tuple may stand here without brackets.
                let checked = if source[2..at].contains('.') { MEMBER } else { LIST };
                out.push_str(&format!(" {checked}(("));
                behind = "))";
            }
            _ => {}
        }
        at += length;
    }
    Ok("")
}

/// Whether a bracket behind this source calls or indexes a value.
fn is_operand_end(before: &str) -> bool {
    let before = before.trim_end();
    let start = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
    match &before[start..] {
        "" => before.ends_with([')', ']', '}', '"', '\'']),
        "and" | "elif" | "else" | "if" | "in" | "is" | "not" | "or" => false,
        _ => true,
    }
}

/// The length of a text in quotes, the quotes included, bytes.
fn text_length(source: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in source.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    source.len()
}
