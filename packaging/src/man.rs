//! Manual pages.

use roff::{bold, italic, roman, Inline, Roff};

use crate::about::Program;
use crate::help::{Help, Opt};

/// When the packages got the version they have now.
const DATE: &str = "2026-11-30";

/// The page of a program.
pub fn page(program: &Program, help: &Help) -> String {
    let name = program.name;
    let mut page = Roff::new();
    let version = format!("qmonitor {}", env!("CARGO_PKG_VERSION"));
    page.control(
        "TH",
        [&*name.to_uppercase(), "1", DATE, &version, "User Commands"],
    );
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {}", program.purpose))]);
    page.control("SH", ["SYNOPSIS"]);
    // Ways to call it are filled, but not stretched to the margin.
    page.control("ad", ["l"]);
    for (i, usage) in help.usage.iter().enumerate() {
        if i > 0 {
            page.control("br", []);
        }
        page.text([bold(name), roman(usage.strip_prefix(name).unwrap_or(usage))]);
    }
    page.control("SH", ["DESCRIPTION"]);
    let (description, notes) = section(program.sections, "DESCRIPTION");
    paragraphs(&mut page, &description);
    for (i, paragraph) in help.about.iter().enumerate() {
        if i > 0 || !description.is_empty() {
            page.control("PP", []);
        }
        page.text(inline(paragraph));
    }
    if !help.commands.is_empty() {
        page.control("SH", ["COMMANDS"]);
    }
    for (command, text) in &help.commands {
        page.control("TP", []);
        page.text([bold(command)]);
        page.text(inline(text));
    }
    page.control("SH", ["OPTIONS"]);
    for opt in &help.options {
        option(&mut page, opt);
    }
    for (title, lines) in notes {
        page.control("SH", [title]);
        paragraphs(&mut page, &lines);
    }
    page.control("SH", ["SEE ALSO"]);
    let others = program.see.iter().enumerate().flat_map(|(i, other)| {
        let comma = if i > 0 { ", " } else { "" };
        [roman(comma), bold(*other), roman("(1)")]
    });
    page.text(others.collect::<Vec<_>>());
    page.render()
}

fn option(page: &mut Roff, opt: &Opt) {
    let mut head = Vec::new();
    for (i, name) in opt.names.iter().enumerate() {
        if i > 0 {
            head.push(roman(", "));
        }
        head.push(bold(name));
    }
    if let Some(arg) = &opt.arg {
        head.extend([roman(" "), italic(arg)]);
    }
    page.control("TP", []);
    page.text(head);
    page.text(inline(&opt.text));
}

/// Words in backquotes are what one types.
fn inline(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(i, part)| if i % 2 == 1 { bold(part) } else { roman(part) })
        .collect()
}

type Sections<'a> = Vec<(&'a str, Vec<&'a str>)>;

/// The lines of one section, and the other sections.
fn section<'a>(text: &'a str, wanted: &str) -> (Vec<&'a str>, Sections<'a>) {
    let (mut found, mut others) = (Vec::new(), Sections::new());
    let text = text.strip_prefix("# ").unwrap_or(text);
    for part in text.split("\n# ") {
        let mut lines = part.lines();
        let title = lines.next().unwrap_or_default();
        if title == wanted {
            found.extend(lines);
        } else {
            others.push((title, lines.collect()));
        }
    }
    (found, others)
}

/// Paragraphs between empty lines; those with an indent stay as they are.
fn paragraphs(page: &mut Roff, lines: &[&str]) {
    let parts = lines.split(|line| line.is_empty());
    for (i, paragraph) in parts.filter(|lines| !lines.is_empty()).enumerate() {
        // The first stands below a heading, which begins a paragraph itself.
        if i > 0 {
            page.control("PP", []);
        }
        if !paragraph[0].starts_with(' ') {
            page.text(inline(&paragraph.join(" ")));
            continue;
        }
        page.control("nf", []);
        page.control("RS", ["4"]);
        for line in paragraph {
            page.text([roman(line.trim())]);
        }
        page.control("RE", []);
        page.control("fi", []);
    }
}
