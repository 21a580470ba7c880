//! Documentation comments: converts a schema's markup to text that rustdoc takes
//! without a complaint.
//!
//! `schema::markup` finds lists, directives and literal blocks, as for the manual.
//! Two things differ: Markdown's own markup is escaped, because rustdoc would look
//! for items in every `[x]`; and each literal block says `text`, because rustdoc
//! would compile it as a test.

use super::context::Context;
use super::out::Out;
use crate::schema::markup::{self, Style};
use crate::schema::model::{Doc, DocSection, Entity};

/// Emits lines of Markdown as a documentation comment.
fn emit_lines(out: &mut Out, lines: &[String]) {
    for line in lines {
        if line.is_empty() {
            out.line("///");
        } else {
            out.line(&format!("/// {line}"));
        }
    }
}

/// Emits one line that needs no escaping.
pub(super) fn emit_plain(out: &mut Out, text: &str) {
    emit_lines(out, &[text.to_owned()]);
}

/// Emits the comment of a member, value or branch: the schema's description, or
/// `otherwise`.
pub(super) fn emit_member(
    cx: &Context,
    out: &mut Out,
    owner: &Entity,
    name: &str,
    otherwise: &str,
) {
    let section = doc_of(cx, owner).and_then(|doc| find(&doc.args, name));
    match section {
        Some(section) => emit_lines(out, &tagged_lines(&section.text)),
        None => emit_plain(out, otherwise),
    }
}

/// Emits the comment of a type or event.
pub(super) fn emit_entity(cx: &Context, out: &mut Out, entity: &Entity, otherwise: &str) {
    emit_lines(out, &entity_lines(cx, entity, otherwise));
}

/// Emits the comment of a handler or emitter, which describes its parameters.
pub(super) fn emit_function(cx: &Context, out: &mut Out, entity: &Entity, otherwise: &str) {
    emit_lines(out, &function_lines(cx, entity, otherwise));
}

fn doc_of<'s>(cx: &Context<'s>, entity: &Entity) -> Option<&'s Doc> {
    entity.doc.and_then(|id| cx.schema.docs.get(id.0))
}

fn find<'d>(sections: &'d [DocSection], name: &str) -> Option<&'d DocSection> {
    sections
        .iter()
        .find(|s| s.name == name && !s.text.trim().is_empty())
}

fn entity_lines(cx: &Context, entity: &Entity, otherwise: &str) -> Vec<String> {
    sections(doc_of(cx, entity), otherwise, false)
}

fn function_lines(cx: &Context, entity: &Entity, otherwise: &str) -> Vec<String> {
    sections(doc_of(cx, entity), otherwise, true)
}

/// The text without a heading, then the headings.
fn sections(doc: Option<&Doc>, otherwise: &str, arguments: bool) -> Vec<String> {
    let mut lines = doc.map_or_else(Vec::new, |doc| to_lines(&doc.body));
    if lines.is_empty() {
        lines.push(otherwise.to_owned());
    }
    let Some(doc) = doc else {
        return lines;
    };
    let mut errors = Vec::new();
    for section in &doc.sections {
        match section.name.as_str() {
            "Todo" | "TODO" => {}
            "Errors" => errors.extend(tagged_lines(&section.text)),
            name @ ("Returns" | "Since") => {
                push_titled(&mut lines, name, tagged_lines(&section.text));
            }
            _ => push_block(&mut lines, to_lines(&section.text)),
        }
    }
    if arguments {
        push_block(&mut lines, list("# Arguments", &doc.args));
    }
    if !errors.is_empty() {
        lines.extend([String::new(), "# Errors".to_owned()]);
        push_block(&mut lines, errors);
    }
    push_block(&mut lines, list("# Features", &doc.features));
    lines
}

fn push_block(lines: &mut Vec<String>, block: Vec<String>) {
    if !block.is_empty() {
        lines.push(String::new());
        lines.extend(block);
    }
}

/// A title and the text after it, or below it if the text must begin on a line of
/// its own.
fn push_titled(lines: &mut Vec<String>, title: &str, text: Vec<String>) {
    let mut text = text.into_iter();
    let Some(first) = text.next() else {
        return;
    };
    lines.push(String::new());
    if first.starts_with("- ") || first.starts_with("```") {
        lines.extend([format!("{title}:"), String::new(), first]);
    } else {
        lines.push(format!("{title}: {first}"));
    }
    lines.extend(text);
}

/// A heading, and an item for each section that has a text.
fn list(heading: &str, sections: &[DocSection]) -> Vec<String> {
    let mut lines = Vec::new();
    for section in sections {
        let mut text = tagged_lines(&section.text).into_iter();
        let Some(first) = text.next() else {
            continue;
        };
        if lines.is_empty() {
            lines.extend([heading.to_owned(), String::new()]);
        }
        // A list or a fence must begin on a line of its own.
        if first.starts_with("- ") || first.starts_with("```") {
            lines.extend([
                format!("- `{}`:", section.name),
                String::new(),
                format!("  {first}"),
            ]);
        } else {
            lines.push(format!("- `{}`: {first}", section.name));
        }
        lines.extend(text.map(|line| {
            if line.is_empty() {
                line
            } else {
                format!("  {line}")
            }
        }));
    }
    lines
}

/// Stand-alone text, as lines without empty ones at either end.
fn to_lines(text: &str) -> Vec<String> {
    trimmed(&markup::convert(&prepared(text), &Rustdoc))
}

/// Text after a tag.
fn tagged_lines(text: &str) -> Vec<String> {
    trimmed(&markup::convert_tagged(&prepared(text), &Rustdoc))
}

/// The text without characters that Rust refuses in a comment, and with each
/// literal on one line.
fn prepared(text: &str) -> String {
    let mut out = String::new();
    let mut open = false;
    let mut lines = text.trim_matches('\n').split('\n').peekable();
    while let Some(line) = lines.next() {
        let line = if open { line.trim() } else { line.trim_end() };
        out.extend(line.chars().map(|c| match c {
            '\t' | '\r' => ' ',
            // These change the direction of text and can mislead a reader.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        }));
        let odd = |line: &str| line.matches("``").count() % 2 == 1;
        open = !open && odd(line) && lines.peek().is_some_and(|next| odd(next));
        out.push(if open { ' ' } else { '\n' });
    }
    out
}

fn trimmed(text: &str) -> Vec<String> {
    let lines = text.trim_matches('\n').split('\n');
    if text.trim().is_empty() {
        Vec::new()
    } else {
        lines.map(|line| line.trim_end().to_owned()).collect()
    }
}

struct Rustdoc;

impl Style for Rustdoc {
    fn inline(&self, line: &str, _in_code: &mut bool) -> String {
        inline(line)
    }

    fn language<'l>(&self, _language: &'l str) -> &'l str {
        "text"
    }

    fn fences_indented_text(&self) -> bool {
        true
    }
}

/// The markup within one line.
fn inline(content: &str) -> String {
    let mut line = String::new();
    let mut rest = content;
    if let Some(item) = rest.strip_prefix("* ") {
        line.push_str("- ");
        rest = item;
    }
    if rest.starts_with(['#', '=', '+', '~']) || rest.starts_with("--") {
        line.push('\\');
    }
    while let Some(c) = rest.chars().next() {
        let word_before = line.ends_with(|c: char| c.is_ascii_alphanumeric());
        let word_behind = rest[c.len_utf8()..].starts_with(|c: char| c.is_ascii_alphanumeric());
        if let Some((code, behind)) = code_span(rest) {
            line.push_str(&format!("`{code}`"));
            rest = behind;
        } else if let (false, Some(len)) = (word_before, reference_len(rest)) {
            line.push_str(&format!("`{}`", &rest[1..len]));
            rest = &rest[len..];
        } else if let (false, Some(len)) = (word_before, address_len(rest)) {
            line.push_str(&format!("<{}>", &rest[..len]));
            rest = &rest[len..];
        } else if let (false, Some((shown, len))) = (word_before, markup::role(rest)) {
            line.push_str(&shown);
            rest = &rest[len..];
        } else if let Some((shown, url, len)) = markup::link_parts(rest) {
            line.push_str(&format!("[{}](<{url}>)", inline(shown)));
            rest = &rest[len..];
        } else {
            let special = matches!(c, '[' | ']' | '<' | '>' | '*' | '`' | '\\' | '|' | '&');
            if special || (c == '_' && !(word_before && word_behind)) {
                line.push('\\');
            }
            line.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    line
}

/// ` ``code`` ` at the front, and the text after it.
fn code_span(text: &str) -> Option<(&str, &str)> {
    let (code, behind) = text.strip_prefix("``")?.split_once("``")?;
    let clean = !code.is_empty() && !code.contains('`') && code.trim() == code;
    clean.then_some((code, behind))
}

/// Length of `@name` at the front.
fn reference_len(text: &str) -> Option<usize> {
    let name = text.strip_prefix('@')?;
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
    let len = name.bytes().take_while(in_name).count();
    let len = name[..len].trim_end_matches('-').len();
    (len > 0).then_some(1 + len)
}

/// Length of an address at the front.
fn address_len(text: &str) -> Option<usize> {
    let known = ["https://", "http://", "ftp://"];
    let scheme = known.iter().find(|scheme| text.starts_with(**scheme))?;
    let end = text
        .find(|c: char| c.is_whitespace() || "<>[]()\"'`".contains(c))
        .unwrap_or(text.len());
    let len = text[..end]
        .trim_end_matches(['.', ',', ';', ':', '!', '?'])
        .len();
    (len > scheme.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_markdown(text: &str, want: &[&str]) {
        assert_eq!(to_lines(text), want);
    }

    #[test]
    fn markup_is_translated_or_escaped() {
        for (text, want) in [
            (
                "Set @node-name in ``a[0]``, see [1] <x> and https://qemu.org/a_b.",
                r"Set `node-name` in `a[0]`, see \[1\] \<x\> and <https://qemu.org/a_b>.",
            ),
            ("mail me@example.com", "mail me@example.com"),
            ("a `b ``c", r"a \`b \`\`c"),
            ("# not a heading", r"\# not a heading"),
            ("a_b __init__", r"a_b \_\_init\_\_"),
            (":ref:`dirty bits <bits>`", "`dirty bits`"),
            (
                "`[NBD] <https://nbd.org/>`_",
                r"[\[NBD\]](<https://nbd.org/>)",
            ),
            ("``a\n  b[1]`` c", "`a b[1]` c"),
            ("a\rb\u{202e}", "a b\u{fffd}"),
        ] {
            assert_markdown(text, &[want]);
        }
    }

    #[test]
    fn no_code_is_compiled() {
        assert_markdown(
            "Like this::\n\n    fn main() {}\n      [x]\n\nDone.",
            &[
                "Like this:",
                "",
                "```text",
                "fn main() {}",
                "  [x]",
                "```",
                "",
                "",
                "Done.",
            ],
        );
        assert_markdown("a\n\n    only\n", &["a", "", "```text", "only", "```"]);
        assert_markdown(
            ".. code-block:: rust\n\n   fn main() {}",
            &["```text", "fn main() {}", "```"],
        );
        assert_markdown(
            "- a\n\n      b\n\n  c",
            &["- a", "", "  ```text", "  b", "  ```", "", "  c"],
        );
    }

    #[test]
    fn lists_stay_lists() {
        assert_markdown("* one\n  more\n- two", &["- one", "  more", "- two"]);
        assert_markdown("- a\n\n  - b\n\n    c", &["- a", "", "  - b", "", "    c"]);
    }

    #[test]
    fn continuation_lines_lose_their_indentation() {
        let want = ["a name, or a pattern", "of other", "characters"];
        let text = "a name, or a pattern\n    of other\n    characters";
        assert_eq!(tagged_lines(text), want);
        let errors = tagged_lines("\n    - a\n      b\n    - c");
        assert_eq!(errors, ["- a", "  b", "- c"]);
    }

    #[test]
    fn a_command_is_described_in_a_fixed_order() {
        let schema = crate::schema::load_text(
            "##\n# @c:\n#\n# Body.\n#\n# @a: one\n#     two\n#\n# Features:\n#\n# @f: feature\n#\n\
             # Returns: what\n#     it is\n#\n# Errors:\n#     - If not\n#       so\n#\n# Since: 1.0\n\
             ##\n{ 'command': 'c', 'data': { 'a': 'int' }, 'features': [ 'f' ], 'returns': 'Res' }\n\
             { 'struct': 'Res', 'data': {} }\n",
        );
        let schema = schema.unwrap();
        let lines = sections(schema.docs.first(), "", true);
        let text = lines.join("\n");
        assert_eq!(
            text,
            "Body.\n\nReturns: what\nit is\n\nSince: 1.0\n\n# Arguments\n\n- `a`: one\n  two\n\n\
             # Errors\n\n- If not\n  so\n\n# Features\n\n- `f`: feature"
        );
    }
}
