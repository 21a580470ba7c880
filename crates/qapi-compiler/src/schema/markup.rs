//! Converts the markup of documentation comments to Markdown.
//!
//! Comments are reStructuredText with `@name` for names. Much of that is the same
//! in Markdown; this module converts the rest: directives, literal blocks, roles,
//! links and names. It shows unknown markup as it is, in a literal block if
//! necessary: a manual may look plain in places but must not lose text.

/// How to show a name: a link if it is defined, else `None`.
pub(super) type Link<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The parts that depend on the reader of the result.
pub trait Style {
    /// Converts the markup within one line of a paragraph. `in_code` tells whether
    /// the line starts within a literal, which may span lines.
    fn inline(&self, line: &str, in_code: &mut bool) -> String;

    /// The language of a literal block. The text often gives none; then it is
    /// empty.
    fn language<'l>(&self, language: &'l str) -> &'l str {
        language
    }

    /// Whether Markdown's other literal block, text indented by four or more, needs
    /// a fence because the reader would run it.
    fn fences_indented_text(&self) -> bool {
        false
    }
}

/// Directives nested deeper than this are shown as they are.
const MAX_DEPTH: usize = 16;

/// Converts stand-alone text.
pub fn convert(text: &str, style: &dyn Style) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    convert_lines(&dedent(&lines), style)
}

/// Converts text that starts after a tag. The lines below the tag are indented;
/// that indentation is removed.
pub fn convert_tagged(text: &str, style: &dyn Style) -> String {
    match text.split_once('\n') {
        Some((first, rest)) if !first.starts_with(' ') => {
            let rest: Vec<&str> = rest.split('\n').collect();
            let mut lines = vec![first];
            lines.extend(dedent(&rest));
            convert_lines(&lines, style)
        }
        // Here even the first line is below the tag.
        _ => convert(text, style),
    }
}

fn convert_lines(lines: &[&str], style: &dyn Style) -> String {
    let mut converter = Converter {
        style,
        out: Vec::new(),
        items: Vec::new(),
    };
    converter.block(lines, 0);
    converter.out.join("\n")
}

/// Removes the indentation that all lines share.
fn dedent<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indented = lines.iter().filter(|line| !line.trim().is_empty());
    let common = indented.map(|line| indentation(line)).min().unwrap_or(0);
    let strip = |line: &&'a str| line.get(common..).unwrap_or("");
    lines.iter().map(strip).collect()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

struct Converter<'a> {
    style: &'a dyn Style,
    out: Vec<String>,
    /// Where the text of each enclosing list item begins.
    items: Vec<usize>,
}

impl Converter<'_> {
    fn block(&mut self, lines: &[&str], depth: usize) {
        let mut in_code = false;
        let mut index = 0;
        while index < lines.len() {
            let line = lines[index];
            index += 1;
            let text = line.trim_start_matches(' ');
            if text.is_empty() {
                in_code = false;
                self.out.push(String::new());
                continue;
            }
            let indent = indentation(line);
            if self.is_indented_text(indent) {
                let body = below(&lines[index - 1..], indent - 1);
                index += body.len() - 1;
                self.fence("", &dedent(body), self.item());
                continue;
            }
            if let Some(length) = list_mark(text) {
                self.items.retain(|item| *item <= indent);
                self.items.push(indent + length);
            }
            if let Some(directive) = text.strip_prefix(".. ") {
                let body = below(&lines[index..], indent);
                index += body.len();
                self.directive(directive, body, indent, depth);
                continue;
            }
            let literal = text.ends_with("::")
                && lines.get(index).is_none_or(|next| next.is_empty())
                && !below(&lines[index..], indent).is_empty();
            if !literal {
                let text = self.style.inline(text, &mut in_code);
                self.out.push(format!("{:indent$}{text}", ""));
                continue;
            }
            let text = text.trim_end_matches(':').trim_end();
            if !text.is_empty() {
                let text = self.style.inline(text, &mut in_code);
                self.out.push(format!("{:indent$}{text}:", ""));
            }
            let body = below(&lines[index..], indent);
            index += body.len();
            self.out.push(String::new());
            self.fence("", &dedent(body), indent);
            self.out.push(String::new());
        }
    }

    /// Whether Markdown takes a line with this indentation for code: four columns
    /// more than its container, and not the continuation of a paragraph.
    fn is_indented_text(&mut self, indent: usize) -> bool {
        let ends = |line: &String| line.is_empty() || line.trim_start().starts_with("```");
        if !self.style.fences_indented_text() || !self.out.last().is_none_or(ends) {
            return false;
        }
        self.items.retain(|item| *item <= indent);
        indent >= self.item() + 4
    }

    /// Where the text of the innermost list item begins.
    fn item(&self) -> usize {
        self.items.last().copied().unwrap_or(0)
    }

    fn directive(&mut self, directive: &str, body: &[&str], indent: usize, depth: usize) {
        let Some((name, argument)) = directive.split_once("::") else {
            // A link target or a comment: show neither.
            return;
        };
        let argument = argument.trim();
        let body = dedent(body);
        let is_option = |line: &&&str| line.starts_with(':');
        let options: Vec<&str> = body.iter().take_while(is_option).copied().collect();
        let body = &body[options.len()..];
        let title = options.iter().find_map(|o| o.strip_prefix(":title:"));
        match name {
            "qmp-example" => {
                let title = title.map(str::trim).unwrap_or_default();
                let title = match title {
                    "" => "Example:".to_owned(),
                    title => format!("Example: {}", self.style.inline(title, &mut false)),
                };
                self.out.push(format!("{:indent$}{title}", ""));
                self.out.push(String::new());
                self.fence("", body, indent);
            }
            "code-block" | "code" | "parsed-literal" => self.fence(argument, body, indent),
            "note" | "warning" | "tip" | "hint" | "caution" | "important" | "attention"
            | "danger" | "error" | "seealso" | "admonition"
                if depth < MAX_DEPTH =>
            {
                self.admonition(name, argument, body, indent, depth);
            }
            _ => {
                let mut whole = vec![format!(".. {directive}")];
                whole.extend(options.iter().chain(body).map(|line| format!("   {line}")));
                let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
                self.fence("", &whole, indent);
            }
        }
    }

    fn admonition(&mut self, name: &str, text: &str, body: &[&str], indent: usize, depth: usize) {
        let mut inner = Converter {
            style: self.style,
            out: Vec::new(),
            items: Vec::new(),
        };
        let title = match name {
            "admonition" => text,
            "seealso" => "See also",
            name => name,
        };
        let mut initial = title.chars();
        let title: String = initial
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(initial)
            .collect();
        let mut lines = Vec::new();
        if name != "admonition" && !text.is_empty() {
            lines.push(text);
        }
        lines.extend(body);
        let start = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
        inner.block(&lines[start..], depth + 1);
        self.out
            .push(format!("{:indent$}> **{title}**\n{:indent$}>", "", ""));
        while inner.out.last().is_some_and(String::is_empty) {
            inner.out.pop();
        }
        for line in inner.out.iter().flat_map(|text| text.split('\n')) {
            let line = format!("{:indent$}> {line}", "");
            self.out.push(line.trim_end().to_owned());
        }
        self.out.push(String::new());
    }

    /// A literal block.
    fn fence(&mut self, language: &str, lines: &[&str], indent: usize) {
        // With more indentation the fence itself would count as code.
        let indent = indent.min(self.item() + 3);
        let blank = |line: &&str| line.trim().is_empty();
        let start = lines.iter().position(|l| !blank(l)).unwrap_or(lines.len());
        let end = lines
            .iter()
            .rposition(|l| !blank(l))
            .map_or(start, |i| i + 1);
        let mut fence = String::from("```");
        while lines.iter().any(|line| line.contains(&fence)) {
            fence.push('`');
        }
        let language = self.style.language(language);
        self.out.push(format!("{:indent$}{fence}{language}", ""));
        for line in &lines[start..end] {
            let line = format!("{:indent$}{line}", "");
            self.out.push(line.trim_end().to_owned());
        }
        self.out.push(format!("{:indent$}{fence}", ""));
    }
}

/// For the manual: names are links.
pub(super) struct Manual<'a> {
    pub(super) link: &'a Link<'a>,
}

impl Style for Manual<'_> {
    fn inline(&self, line: &str, in_code: &mut bool) -> String {
        let mut out = String::new();
        let mut rest = line;
        if line.starts_with('#') && !*in_code {
            out.push('\\');
        }
        while let Some(ch) = rest.chars().next() {
            if let Some(tail) = rest.strip_prefix("``") {
                *in_code = !*in_code;
                out.push_str("``");
                rest = tail;
                continue;
            }
            if !*in_code {
                let boundary = !out.ends_with(|ch: char| ch.is_alphanumeric());
                let special = match ch {
                    '@' if boundary => self.name(rest),
                    ':' if boundary => role(rest),
                    '`' => external_link(rest),
                    '<' => Some(("&lt;".to_owned(), 1)),
                    _ => None,
                };
                if let Some((text, length)) = special {
                    out.push_str(&text);
                    rest = &rest[length..];
                    continue;
                }
            }
            out.push(ch);
            rest = &rest[ch.len_utf8()..];
        }
        out
    }
}

impl Manual<'_> {
    /// `@name`
    fn name(&self, text: &str) -> Option<(String, usize)> {
        let valid = |ch: char| ch.is_ascii_alphanumeric() || ch == '_' || ch == '-';
        let name = &text[1..];
        let name = &name[..name.find(|ch| !valid(ch)).unwrap_or(name.len())];
        let name = name.trim_end_matches('-');
        if name.is_empty() {
            return None;
        }
        let shown = (self.link)(name).unwrap_or_else(|| code(name));
        Some((shown, 1 + name.len()))
    }
}

/// The length of the mark that makes a line a list item.
fn list_mark(text: &str) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mark = match digits {
        0 => text.strip_prefix(['-', '*', '+']),
        _ => text[digits..].strip_prefix(['.', ')']),
    };
    let rest = mark.filter(|rest| rest.starts_with(' '))?;
    Some(text.len() - rest.trim_start_matches(' ').len())
}

/// The lines below that belong to a line with this indentation, without trailing
/// blank lines.
fn below<'l, 't>(lines: &'l [&'t str], indent: usize) -> &'l [&'t str] {
    let belongs = |line: &&&str| line.trim().is_empty() || indentation(line) > indent;
    let mut count = lines.iter().take_while(belongs).count();
    while count > 0 && lines[count - 1].trim().is_empty() {
        count -= 1;
    }
    &lines[..count]
}

/// `:role:`text``. The text may end in a target: ``text <target>``.
pub fn role(text: &str) -> Option<(String, usize)> {
    let open = text.find('`')?;
    let role = text[..open].strip_prefix(':')?.strip_suffix(':')?;
    let valid = |ch: char| ch.is_ascii_lowercase() || ch == ':' || ch == '-';
    if role.is_empty() || text[open..].starts_with("``") || !role.chars().all(valid) {
        return None;
    }
    let inner = &text[open + 1..];
    let close = inner.find('`')?;
    let shown = match inner[..close].split_once(" <") {
        Some((shown, _)) => shown,
        None => &inner[..close],
    };
    Some((code(shown.trim_start_matches('~')), open + 1 + close + 1))
}

/// `` `text <URL>`_ ``
fn external_link(text: &str) -> Option<(String, usize)> {
    let (shown, url, length) = link_parts(text)?;
    Some((format!("[{shown}]({url})"), length))
}

/// Text, address and whole length of `` `text <URL>`_ `` at the front.
pub fn link_parts(text: &str) -> Option<(&str, &str, usize)> {
    let inner = text.strip_prefix('`')?;
    let close = inner.find("`_")?;
    let (shown, url) = inner[..close].split_once('<')?;
    let url = url.strip_suffix('>')?;
    let clean = !url.contains(|c: char| c.is_whitespace() || "<>()`".contains(c));
    (clean && !shown.contains('`')).then_some((shown.trim(), url, 1 + close + 2))
}

/// A name in a fixed-width font.
pub(super) fn code(name: &str) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> Option<String> {
        (name == "Lamp").then(|| "[Lamp]".to_owned())
    }

    fn convert(text: &str) -> String {
        super::convert(text, &Manual { link: &link })
    }

    #[test]
    fn inline_markup() {
        for (text, expected) in [
            ("see @Lamp, not @lamp-.", "see [Lamp], not `lamp`-."),
            ("mail a@b and @ alone", "mail a@b and @ alone"),
            ("``@Lamp <x>`` <id>", "``@Lamp <x>`` &lt;id>"),
            ("``a\n@Lamp`` @Lamp", "``a\n@Lamp`` [Lamp]"),
            (":ref:`dirty bits <bits>` a:b", "`dirty bits` a:b"),
            ("`NBD <https://nbd.org/>`_", "[NBD](https://nbd.org/)"),
            ("# no heading", "\\# no heading"),
        ] {
            assert_eq!(convert(text), expected, "{text:?}");
        }
    }

    #[test]
    fn continuation_lines_lose_their_common_indentation() {
        assert_eq!(
            super::convert_tagged("one\n    two\n\n      - three", &Manual { link: &link }),
            "one\ntwo\n\n  - three"
        );
        let below = super::convert_tagged("    - a\n    - b", &Manual { link: &link });
        assert_eq!(below, "- a\n- b");
    }

    #[test]
    fn literal_blocks_and_directives() {
        assert_eq!(
            convert("Try this::\n\n  <x> @Lamp\n\nDone."),
            "Try this:\n\n```\n<x> @Lamp\n```\n\n\nDone."
        );
        assert_eq!(
            convert(".. qmp-example::\n   :title: On\n\n   -> { }\n   <- { }"),
            "Example: On\n\n```\n-> { }\n<- { }\n```"
        );
        assert_eq!(
            convert(".. note:: Hot: @Lamp\n   burns."),
            "> **Note**\n>\n> Hot: [Lamp]\n> burns.\n"
        );
        assert_eq!(convert(".. _target:\n\ntext"), "\ntext");
        assert_eq!(
            convert(".. unheard-of:: x\n\n   text"),
            "```\n.. unheard-of:: x\n\n   text\n```"
        );
    }
}
