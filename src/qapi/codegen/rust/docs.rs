//! Documentation comments: from a schema's markup to what rustdoc takes
//! without a complaint.
//!
//! The schema's authors wrote reStructuredText, more or less. `@name` and
//! ``` ``text`` ``` become code, addresses become links, what Markdown would
//! take for markup is escaped. Indented text would be a code block, and
//! rustdoc would compile it as a test, so it gets a fence that says `text`.

use super::super::model::{Doc, DocSection, Entity};
use super::context::Context;
use super::out::Out;

/// Emits lines of Markdown as a documentation comment.
fn emit_lines(out: &mut Out, lines: &[String]) {
    for line in lines {
        match line.is_empty() {
            true => out.line("///"),
            false => out.line(&format!("/// {line}")),
        }
    }
}

/// Emits one line that needs no escaping.
pub(super) fn emit_plain(out: &mut Out, text: &str) {
    emit_lines(out, &[text.to_owned()]);
}

/// Emits the comment of a member, value or branch: what the schema says of it,
/// or `otherwise`.
pub(super) fn emit_member(
    cx: &Context,
    out: &mut Out,
    owner: &Entity,
    name: &str,
    otherwise: &str,
) {
    let section = doc_of(cx, owner).and_then(|doc| find(&doc.args, name));
    match section {
        Some(section) => emit_lines(out, &markdown(&section.text)),
        None => emit_plain(out, otherwise),
    }
}

/// Emits the comment of a type or event.
pub(super) fn emit_entity(cx: &Context, out: &mut Out, entity: &Entity, otherwise: &str) {
    emit_lines(out, &entity_lines(cx, entity, otherwise));
}

/// Emits the comment of a handler or emitter, which describes its parameters.
pub(super) fn emit_function(cx: &Context, out: &mut Out, entity: &Entity, otherwise: &str) {
    let mut lines = entity_lines(cx, entity, otherwise);
    if let Some(doc) = doc_of(cx, entity) {
        push_list(&mut lines, "Arguments:", &doc.args);
    }
    emit_lines(out, &lines);
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
    let Some(doc) = doc_of(cx, entity) else {
        return vec![otherwise.to_owned()];
    };
    let mut lines = markdown(&doc.body);
    if lines.is_empty() {
        lines.push(otherwise.to_owned());
    }
    for section in &doc.sections {
        let title = match section.name.as_str() {
            "Todo" | "TODO" => continue,
            "Returns" | "Errors" | "Since" => format!("{}: ", section.name),
            _ => String::new(),
        };
        let text = markdown(&section.text);
        let Some((first, rest)) = text.split_first() else {
            continue;
        };
        lines.push(String::new());
        // A list or fence must begin on a line of its own.
        match first.starts_with(['-', '`', '*']) && !title.is_empty() {
            true => lines.extend([title.trim_end().to_owned(), String::new(), first.clone()]),
            false => lines.push(format!("{title}{first}")),
        }
        lines.extend_from_slice(rest);
    }
    push_list(&mut lines, "Features:", &doc.features);
    lines
}

fn push_list(lines: &mut Vec<String>, title: &str, sections: &[DocSection]) {
    let described = sections.iter().filter(|s| !s.text.trim().is_empty());
    for (i, section) in described.enumerate() {
        if i == 0 {
            lines.extend([String::new(), title.to_owned(), String::new()]);
        }
        let text = markdown(&section.text).into_iter();
        for (i, line) in text.enumerate() {
            lines.push(match (i, line.is_empty()) {
                (0, _) => format!("- `{}`: {line}", section.name),
                (_, true) => line,
                (_, false) => format!("  {line}"),
            });
        }
    }
}

/// The text as lines of Markdown, without empty ones at either end.
fn markdown(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.trim_matches('\n').lines() {
        let line = line.trim_end().replace('\t', " ");
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if content.is_empty() {
            lines.push(String::new());
            continue;
        }
        if (indent >= 4) != fenced {
            toggle_fence(&mut lines, &mut fenced);
        }
        match fenced {
            true => lines.push(line[4.min(indent)..].replace("```", "'''")),
            false => lines.push(format!("{}{}", &line[..indent], inline(content))),
        }
    }
    if fenced {
        toggle_fence(&mut lines, &mut fenced);
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let start = lines.iter().take_while(|l| l.is_empty()).count();
    lines.drain(..start);
    lines
}

fn toggle_fence(lines: &mut Vec<String>, fenced: &mut bool) {
    if *fenced {
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.extend(["```".to_owned(), String::new()]);
    } else {
        if lines.last().is_some_and(|l| !l.is_empty()) {
            lines.push(String::new());
        }
        lines.push("```text".to_owned());
    }
    *fenced = !*fenced;
}

/// One line's markup.
fn inline(content: &str) -> String {
    let mut line = String::new();
    let mut rest = content;
    if let Some(item) = rest.strip_prefix("* ") {
        line.push_str("- ");
        rest = item;
    }
    if rest.starts_with(['#', '=', '+', '~']) {
        line.push('\\');
    }
    while let Some(c) = rest.chars().next() {
        let word_before = line.ends_with(|c: char| c.is_ascii_alphanumeric());
        if let Some((code, behind)) = code_span(rest) {
            line.push_str(&format!("`{code}`"));
            rest = behind;
        } else if let (false, Some(len)) = (word_before, reference_len(rest)) {
            line.push_str(&format!("`{}`", &rest[1..len]));
            rest = &rest[len..];
        } else if let (false, Some(len)) = (word_before, address_len(rest)) {
            line.push_str(&format!("<{}>", &rest[..len]));
            rest = &rest[len..];
        } else {
            if matches!(c, '[' | ']' | '<' | '>' | '*' | '`' | '\\' | '|' | '&') {
                line.push('\\');
            }
            line.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    line
}

/// ` ``code`` ` at the front, and what is behind it.
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
        assert_eq!(markdown(text), want);
    }

    #[test]
    fn markup_is_translated_or_escaped() {
        assert_markdown(
            "Set @node-name in ``a[0]``, see [1] <x> and https://qemu.org/a_b.",
            &[r"Set `node-name` in `a[0]`, see \[1\] \<x\> and <https://qemu.org/a_b>."],
        );
        assert_markdown("mail me@example.com", &["mail me@example.com"]);
        assert_markdown("a `b ``c", &[r"a \`b \`\`c"]);
        assert_markdown("# not a heading", &[r"\# not a heading"]);
    }

    #[test]
    fn indented_text_is_no_test() {
        assert_markdown(
            "Like this::\n\n    fn main() {}\n      [x]\n\nDone.",
            &[
                "Like this::",
                "",
                "```text",
                "fn main() {}",
                "  [x]",
                "```",
                "",
                "Done.",
            ],
        );
        assert_markdown("    only\n", &["```text", "only", "```"]);
    }

    #[test]
    fn lists_stay_lists() {
        assert_markdown("* one\n  more\n- two", &["- one", "  more", "- two"]);
    }
}
