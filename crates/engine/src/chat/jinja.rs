//! A model's chat template, rendered within a budget of instructions and bytes.
//!
//! The template language can double a text or a list a line. minijinja counts instructions, but not the bytes they
//! make. So the source is rewritten before it is compiled: literal texts, literal lists, the operands of `~` and `+`,
//! and what `set` sets are charged to the budget. `*` is refused where it is computed: public templates have it
//! for tools and pictures alone. Filters, methods and functions are charged for their arguments and results.

use std::io::Write;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::meter::{LIST, LITERAL, MEMBER, OPERAND, PRODUCT, metered};

/// The longest template source accepted, bytes.
pub(super) const MAX_SOURCE: usize = 1 << 16;
/// Instructions one rendering may take.
const FUEL: u64 = 200_000;
/// Bytes one rendering may make, intermediate results included.
const BUDGET: usize = 1 << 20;
/// Nested calls and inclusions of a template.
const DEPTH: usize = 64;
const NAME: &str = "chat";

type Result<T> = std::result::Result<T, minijinja::Error>;

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct Jinja(Environment<'static>);

impl Jinja {
    /// Compiles a template; the error is one line.
    pub(super) fn compile(source: &str) -> std::result::Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("{} bytes, expected at most {MAX_SOURCE}", source.len()));
        }
        let source = metered(source)?;
        let mut env = environment();
        env.add_template_owned(NAME, source).map_err(|e| one_line(&e))?;
        Ok(Self(env))
    }

    /// Renders the template; the error is one line.
    pub(super) fn render(&self, values: Value) -> std::result::Result<String, String> {
        self.0.get_template(NAME).and_then(|template| template.render(values)).map_err(|e| one_line(&e))
    }
}

fn one_line(e: &minijinja::Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}

fn refuse(problem: impl Into<String>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, problem.into())
}

/// The builtin filters that templates may use, each charged for its result.
const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
];
/// The builtin filters that no chat template needs: some pad to any width.
const OTHER_FILTERS: &[&str] = &["batch", "chain", "format", "groupby", "lines", "pprint", "slice", "zip"];
/// The builtin functions that make values; `range` makes its numbers one by one.
const FUNCTIONS: &[&str] = &["dict", "namespace"];

fn environment() -> Environment<'static> {
    /// Where the charged filters find the builtin filter of their name.
    static BUILTIN: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);
    static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("the usual delimiters")
    });
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(DEPTH);
    // Hugging Face renders templates with these two set, and authors rely on it.
    env.set_syntax(SYNTAX.clone());
    OTHER_FILTERS.iter().for_each(|name| env.remove_filter(name));
    for &name in FILTERS {
        env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value> {
            let args = args.into_values();
            charge_arguments(state, name, &args)?;
            // Jinja2 counts nothing in a value that is not there.
            let absent = args.first().is_some_and(Value::is_undefined);
            if absent && matches!(name, "length" | "count") {
                return Ok(Value::from(0));
            }
            let result = BUILTIN.empty_state().apply_filter(name, &args)?;
            charge(state, &result)?;
            Ok(result)
        });
    }
    env.remove_global("debug");
    for (name, function) in BUILTIN.globals().filter(|(name, _)| FUNCTIONS.contains(name)) {
        env.add_function(name.to_owned(), move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value> {
            let result = function.call(state, &args.into_values())?;
            charge(state, &result)?;
            Ok(result)
        });
    }
    env.add_filter("tojson", to_json);
    let charged = |state: &mut State, value: Value| -> Result<Value> {
        charge(state, &value)?;
        Ok(value)
    };
    env.add_filter(OPERAND, charged);
    env.add_function(LIST, charged);
    env.add_function(MEMBER, |state: &mut State, value: Value| -> Result<Value> {
        charge(state, &value)?;
        let is_namespace = |v: &Value| v.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"));
        // A namespace that holds itself would be written without an end.
        match visit(&value, &mut |part| !is_namespace(part))? {
            true => Ok(value),
            false => Err(refuse("a namespace is put into a namespace")),
        }
    });
    env.add_function(LITERAL, |state: &mut State, bytes: usize| charge_bytes(state, bytes).map(|()| ""));
    env.add_function(PRODUCT, || -> Result<Value> {
        Err(refuse("a multiplication, expected a chat template without"))
    });
    env.set_formatter(|out, state, value| {
        charge(state, value)?;
        minijinja::escape_formatter(out, state, value)
    });
    env.set_unknown_method_callback(|state, value, method, args| {
        if method == "format"
            && let Some(text) = value.as_str()
        {
            args.iter().try_for_each(|value| charge(state, value))?;
            return formatted(state, text, args);
        }
        if matches!(value.kind(), ValueKind::String) {
            let all: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
            // `separator.join(texts)` and `texts|join(separator)` have their arguments the other way round.
            let all = if method == "join" { all.into_iter().rev().collect() } else { all };
            charge_arguments(state, method, &all)?;
        }
        let result = minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)?;
        charge(state, &result)?;
        Ok(result)
    });
    env.add_function("raise_exception", |message: String| -> Result<Value> { Err(refuse(message)) });
    env.add_function("strftime_now", |format: &str| date(format));
    env
}

/// Bytes made by a rendering so far.
#[derive(Default)]
struct Spent(usize);

fn charge_bytes(state: &mut State, bytes: usize) -> Result<()> {
    let spent = state.get_or_insert_extension(Spent::default());
    spent.0 = spent.0.saturating_add(bytes);
    match spent.0 > BUDGET {
        true => Err(refuse(format!("makes more than {BUDGET} bytes"))),
        false => Ok(()),
    }
}

/// Charges a value's size, with all that is in it.
///
/// A list that stands twice in another list is charged twice, since it is written twice.
fn charge(state: &mut State, value: &Value) -> Result<()> {
    let mut bytes = 0;
    visit(value, &mut |part| {
        bytes += size_of::<Value>() + part.as_str().map_or(0, str::len);
        bytes <= BUDGET
    })?;
    charge_bytes(state, bytes)
}

/// Visits a value and all its members, while `go` says so; whether it visited all.
fn visit(value: &Value, go: &mut dyn FnMut(&Value) -> bool) -> Result<bool> {
    const MOST: usize = BUDGET / size_of::<Value>() + 1;
    let mut left = vec![value.clone()];
    while let Some(value) = left.pop() {
        if !go(&value) {
            return Ok(false);
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => left.extend(value.try_iter()?.take(MOST)),
            ValueKind::Map => {
                for key in value.try_iter()?.take(MOST) {
                    left.push(value.get_item(&key)?);
                    left.push(key);
                }
            }
            _ => {}
        }
    }
    Ok(true)
}

/// Charges arguments, and what much a call makes out of little before it makes it.
fn charge_arguments(state: &mut State, name: &str, args: &[Value]) -> Result<()> {
    args.iter().try_for_each(|value| charge(state, value))?;
    let length = |i: usize| args.get(i).and_then(|v| v.as_str().map(str::len)).unwrap_or(0);
    let bytes = match (name, args) {
        ("replace", [text, old, ..]) => {
            let (text, old) = (text.as_str().unwrap_or_default(), old.as_str().unwrap_or_default());
            let found = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
            found.saturating_mul(length(2))
        }
        ("join", [items, ..]) => {
            let texts = items.try_iter()?.map(|item| item.as_str().map_or(16, str::len)).sum::<usize>();
            texts.saturating_add(items.len().unwrap_or(0).saturating_mul(length(1)))
        }
        ("indent", [text, width, ..]) => {
            let lines = text.as_str().unwrap_or_default().lines().count();
            let named = || width.get_attr("width").ok()?.as_usize();
            lines.saturating_mul(width.as_usize().or_else(named).unwrap_or(0))
        }
        _ => 0,
    };
    charge_bytes(state, bytes)
}

/// Python's `str.format` with `{}`, `{0}` and `{name}`.
///
/// A field with a format of its own is refused.
fn formatted(state: &mut State, text: &str, args: &[Value]) -> Result<Value> {
    let (positional, named): (&[Value], Kwargs) = minijinja::value::from_args(args)?;
    let mut out = String::new();
    let mut taken = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let bracket = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(bracket) {
            out.push_str(bracket);
            rest = after;
            continue;
        }
        let field = if bracket == "{" { rest.split_once('}') } else { None };
        let (name, after) = field.ok_or_else(|| refuse(format!("format: a single {bracket} in {text:?}")))?;
        let value = if name.is_empty() {
            taken += 1;
            positional.get(taken - 1).cloned()
        } else if let Ok(index) = name.parse::<usize>() {
            positional.get(index).cloned()
        } else {
            named.peek(name).ok()
        };
        let value = value.ok_or_else(|| refuse(format!("format: {{{name}}} has no value that is known here")))?;
        let value = value.to_string();
        charge_bytes(state, value.len())?;
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    charge_bytes(state, out.len())?;
    Ok(Value::from(out))
}

/// A value as JSON, in the layout of Python's `json.dumps(ensure_ascii=False)`.
fn to_json(state: &mut State, value: &Value, args: Kwargs) -> Result<Value> {
    charge(state, value)?;
    let indent: Option<usize> = args.get("indent")?;
    let mut out = Vec::new();
    let written = match indent.map(|width| " ".repeat(width.min(8))) {
        None => value.serialize(&mut Serializer::with_formatter(&mut out, PythonLayout)),
        Some(indent) => {
            let pretty = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, pretty))
        }
    };
    written.map_err(|e| refuse(format!("tojson: {e}")))?;
    let text = String::from_utf8(out).map_err(|e| refuse(format!("tojson: {e}")))?;
    charge_bytes(state, text.len())?;
    Ok(Value::from_safe_string(text))
}

/// A blank after every comma and colon.
struct PythonLayout;

impl Formatter for PythonLayout {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

/// The date that a template is told.
///
/// A template that prints today's date would make two runs of a decision differ.
pub(super) const DATE: &str = "2026-01-01";

/// [`DATE`], midnight, in the manner of C's `strftime`.
fn date(format: &str) -> Result<String> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut code = chars.next().unwrap_or('%');
        let bare = code == '-';
        if bare {
            code = chars.next().unwrap_or('%');
        }
        let text = match code {
            'Y' => "2026",
            'y' => "26",
            'm' | 'd' => "01",
            'e' => " 1",
            'B' => "January",
            'b' | 'h' => "Jan",
            'A' => "Thursday",
            'a' => "Thu",
            'j' => "001",
            'u' | 'w' => "4",
            'H' | 'M' | 'S' => "00",
            'I' => "12",
            'p' => "AM",
            'F' => DATE,
            'D' | 'x' => "01/01/26",
            'T' | 'X' => "00:00:00",
            'R' => "00:00",
            'c' => "Thu Jan  1 00:00:00 2026",
            'Z' => "UTC",
            'z' => "+0000",
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            other => return Err(refuse(format!("strftime_now: %{other}, expected a format of C's strftime"))),
        };
        let short = text.trim_start_matches(['0', ' ']);
        out.push_str(match (bare, short) {
            (true, "") => "0",
            (true, short) => short,
            (false, _) => text,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn rendered(source: &str) -> std::result::Result<String, String> {
        Jinja::compile(source)?.render(context! { name => "Ann", items => vec!["a", "b"], one => 1 })
    }

    /// Signs in a row recurse in the parser, and make trees that are as deep.
    #[test]
    fn no_source_is_too_deep() {
        let repeated = |head: &str, part: &str, tail: &str| {
            let n = (MAX_SOURCE - head.len() - tail.len()) / part.len();
            [head, &part.repeat(n), tail].concat()
        };
        let sources = [
            repeated("{{ ", "-", "1 }}"),
            repeated("{{ ", "not ", "1 }}"),
            repeated("{{ 1", "+1", " }}"),
            repeated("{{ 1", "~1", " }}"),
            repeated("{{ 1", "|int", " }}"),
            repeated("{{ 1", " or 1", " }}"),
            repeated("{{ 1", "**1", " }}"),
            repeated("{{ 1", " if 1", " }}"),
            repeated("{{ items", ".a", " }}"),
            repeated("{{ items", "[1]", " }}"),
            repeated("{{ items", "()", " }}"),
            repeated("{{ ", "(", "1 }}"),
            repeated("{{ ", "[", "1 }}"),
            repeated("{{ 1 is ", "not ", "odd }}"),
            repeated("{% if 1 %}", "{% elif 0 %}", "{% endif %}"),
            repeated("", "{% if 1 %}", ""),
            repeated("", "{% for i in items %}", ""),
            repeated("{% set x = 1 if 1 else ", "1 if 1 else ", "1 %}"),
        ];
        let each = move || {
            for source in sources {
                // Whether it compiles is the parser's to say; it comes back.
                drop(super::super::compiled(&source));
            }
        };
        std::thread::Builder::new().stack_size(512 << 10).spawn(each).unwrap().join().unwrap();
        assert!(super::super::compiled(&"-".repeat(MAX_SOURCE + 1)).is_err());
    }

    #[test]
    fn charges_change_nothing() {
        for (source, expected) in [
            ("Hello {{ name + '!' }}", "Hello Ann!"),
            ("{{ 'a' ~ name ~ 'b' }}", "aAnnb"),
            ("{{ one + 1 }} {{ (one + 1) ~ items[0] }}", "2 2a"),
            ("{%- for i in items -%}\n  {{ i }} \n{%- endfor %} end", "ab end"),
            ("{% if name == 'A~n+n*' %}x{% else %}y{% endif %}", "y"),
            ("{# a ~ b * c {{ #}z", "z"),
            ("{% if one %}\n{# a #}\n  {% endif %}\nz", "z"),
            ("{{ {'a': {'b': 'c'}}['a']['b'] }}", "c"),
            ("{% generation %}said{% endgeneration %}", "said"),
            ("{%- generation -%}  said  {%- endgeneration -%}", "said"),
            ("{% for i in items %}{% if i == 'a' %}{% continue %}{% endif %}{{ i }}{% break %}{% endfor %}", "b"),
            ("{% for (i, j) in [(1, 2), (3, 4)] %}{{ i + j }}{% endfor %}{{ items[0] }}{{ [1, [2]][1][0] }}", "37a2"),
            ("{% if(one) %}{{ 'x' if not(one == 2)and name in['Ann'] }}{% endif %}", "x"),
            ("{% set ns = namespace(x=[1]) %}{% set ns.x = ns.x + [2], 3 %}{{ ns.x }}", "([1, 2], 3)"),
            ("{% set a, b = 1, 2 %}{% set c=a %}{% set d = 'x' if one == 1 else 'y' %}{{ b ~ c ~ d }}", "21x"),
            ("{% set x %}a{{ one }}{% endset %}{{ x }}", "a1"),
            ("{{ 'x' if not (one == 2) and name in ['Ann'] }}{{ absent is defined }}{{ (absent or 'd') }}", "xFalsed"),
            (
                "{{ [{'a': 'b'}]|map(attribute='a')|join }}{{ 'c\nd'|indent(width=1) }}{{ absent|default('e', true) }}",
                "bc\n de",
            ),
            ("{{ name.replace('n', 'm') }}{{ ', '.join(items) }}{{ items|join('-') }}", "Amma, ba-b"),
            ("{{ items|tojson }}{{ {'k': 'ä\"\\n'}|tojson }}", "[\"a\", \"b\"]{\"k\": \"ä\\\"\\n\"}"),
            ("{{ {'k': [1, true, none]}|tojson(indent=2) }}", "{\n  \"k\": [\n    1,\n    true,\n    null\n  ]\n}"),
            ("{% if one == 2 %}{{ 'a' * 3 }}{% endif %}z", "z"),
            ("{{ '<{}|{0}|{k}|{{}}>'.format(name, k=one) }}{{ absent|length }}{{ items|count }}", "<Ann|Ann|1|{}>02"),
            ("{{ strftime_now('%d %b %Y, %-d.%-m. %H:%M') }}", "01 Jan 2026, 1.1. 00:00"),
        ] {
            assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_small_source_cannot_make_much() {
        let long = "x".repeat(4000);
        for source in [
            "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}",
            "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
            "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}",
            "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(x='aa') %}{% for i in range(60) %}\
             {% set ns.x = m(ns.x) %}{% endfor %}",
            "{% set ns = namespace(x='aa') %}{% for i in range(60) %}{% set ns.x = '{0}{0}'.format(ns.x) %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ '' ~ ns.x }}",
            "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(40000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
            "{% set ns = namespace(x='\"') %}{% for i in range(60) %}{% set ns.x = ns.x|tojson %}{% endfor %}",
            "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x, ns.x %}{% endfor %}",
            &format!("{{% set x = 'a' %}}{}{{% if x == x %}}{{% endif %}}", "{% set x = x, x %}".repeat(60)),
            "{% set r = range(100000) %}{% set ns = namespace() %}{% for i in range(20000) %}{% set ns.x = r %}{% endfor %}",
            &format!("{{% set x %}}{{% for i in range(90000) %}}{long}{{% endfor %}}{{% endset %}}"),
        ] {
            let refused = rendered(source).expect_err(source);
            assert!(refused.contains("bytes"), "{source}: {refused}");
        }
        for (source, why) in [
            ("{{ 'a' * 100000000 }}", "multiplication"),
            ("{% set x = one * (2 + one) %}", "multiplication"),
            ("{{ dict(**name) }}", "unexpected"),
            ("{{ '%100000000d'|format(1) }}", "format"),
            ("{{ '{:>100000000}'.format(1) }}", "{:>100000000}"),
            ("{{ '{0.name}'.format(one) }}", "{0.name}"),
            ("{{ 'a } b'.format() }}", "single }"),
            ("{{ 'a { b'.format() }}", "single {"),
            ("{{ '{}{}'.format(one) }}", "no value"),
            (&" ".repeat(5000), "blanks"),
            ("{% raw %}{% endraw %}", "raw"),
            ("{{ 'a\nb'|indent(width=100000000) }}", "bytes"),
            ("{{ 'a\nb'|indent(100000000) }}", "bytes"),
            ("{% set ns = namespace() %}{% set ns.me = ns %}{{ '' ~ ns }}", "namespace"),
            ("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ '' ~ ns }}", "namespace"),
            ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "fuel"),
            ("{{ strftime_now('%Q') }}", "%Q"),
        ] {
            let refused = rendered(source).expect_err(source);
            assert!(refused.contains(why), "{source}: {refused}");
        }
    }
}
