//! The files of the site.

use std::fs;
use std::io;
use std::path::Path;

use pulldown_cmark::{html, CodeBlockKind, CowStr, Event, Tag, TagEnd};

use crate::page::{is_section, parse, resolve, Page, Pages, INDEX};

const FRAME: &str = include_str!("frame.html");

/// What draws the diagrams of a page.
const DRAWING: &str = "<script src=\"mermaid.min.js\" defer></script>\n\
                       <script src=\"pictures.js\" defer></script>\n";

/// The library that does so, if `book/mermaid` has got it.
const LIBRARY: [&str; 2] = ["mermaid.min.js", "LICENSE"];

/// Writes all pages, what they show, and the index of the search.
pub fn write(root: &Path, out: &Path, pages: &Pages) -> io::Result<()> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    let contents = contents(pages);
    let mut index = Vec::new();
    for (path, page) in pages {
        let mut body = String::new();
        html::push_html(&mut body, with_names(path, page, pages).into_iter());
        let scripts = if body.contains("language-mermaid") {
            DRAWING
        } else {
            ""
        };
        let text = FRAME
            .replace("{title}", &escaped(&page.title))
            .replace("{scripts}", scripts)
            .replace("{contents}", &contents)
            .replace("{body}", &body);
        fs::write(out.join(file_name(path)), text)?;
        sections(path, page, &mut index);
        copy_pictures(root, out, path, page)?;
    }
    fs::write(out.join("pictures.js"), include_str!("pictures.js"))?;
    let [library, licence] = LIBRARY.map(|name| root.join("target/mermaid").join(name));
    if library.exists() {
        fs::copy(library, out.join("mermaid.min.js"))?;
        fs::copy(licence, out.join("mermaid.LICENSE"))?;
    }
    fs::write(out.join("search.js"), include_str!("search.js"))?;
    fs::write(out.join("style.css"), include_str!("style.css"))?;
    let index = format!("const SECTIONS = [\n{}\n];\n", index.join(",\n"));
    fs::write(out.join("index.js"), index)
}

/// `docs/trace.md` is `trace.html`.
fn file_name(path: &str) -> String {
    if path == INDEX {
        return "index.html".to_owned();
    }
    let path = path.strip_prefix("docs/").unwrap_or(path);
    let stem = path.strip_suffix(".md").unwrap_or(path);
    format!("{}.html", stem.replace('/', "-"))
}

/// The list at the side: what the first page has below its title.
fn contents(pages: &Pages) -> String {
    let mut text = String::new();
    if let Some(page) = pages.get(INDEX) {
        let events = with_names(INDEX, page, pages).into_iter();
        let below = events.skip_while(|event| !matches!(event, Event::Start(Tag::Heading { level, .. }) if *level as usize == 2));
        html::push_html(&mut text, below);
    }
    text
}

/// The parts of a page, whose links lead to files of the site, and whose headings have
/// names.
fn with_names<'a>(path: &str, page: &'a Page, pages: &Pages) -> Vec<Event<'a>> {
    let mut names = page.headings.iter().map(|(_, name)| name.clone());
    parse(&page.text)
        .map(|event| match event {
            Event::Start(Tag::Heading {
                level,
                classes,
                attrs,
                ..
            }) => {
                let id = names.next().map(CowStr::from);
                Event::Start(Tag::Heading {
                    level,
                    id,
                    classes,
                    attrs,
                })
            }
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let dest_url = link(path, dest_url, pages);
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                })
            }
            Event::Start(Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let shown = resolve(path, &dest_url).map(|(target, _)| target.replace('/', "-"));
                let dest_url = shown.map_or(dest_url, CowStr::from);
                Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    title,
                    id,
                })
            }
            event => event,
        })
        .collect()
}

/// A link within the site; to a file of the repository where that is no page.
fn link<'a>(page: &str, url: CowStr<'a>, pages: &Pages) -> CowStr<'a> {
    let Some((target, place)) = resolve(page, &url) else {
        return url;
    };
    let place = if place.is_empty() {
        place
    } else {
        format!("#{place}")
    };
    if pages.contains_key(&target) {
        return format!("{}{place}", file_name(&target)).into();
    }
    format!("../../{target}{place}").into()
}

fn copy_pictures(root: &Path, out: &Path, path: &str, page: &Page) -> io::Result<()> {
    for event in parse(&page.text) {
        let Event::Start(Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        if let Some((target, _)) = resolve(path, &dest_url) {
            fs::copy(root.join(&target), out.join(target.replace('/', "-")))?;
        }
    }
    Ok(())
}

/// Each section of a page as the search wants it: page, heading, address, words.
fn sections(path: &str, page: &Page, index: &mut Vec<String>) {
    let mut headings = page.headings.iter();
    let (mut title, mut name, mut words) = (page.title.clone(), String::new(), String::new());
    let mut hidden = false;
    let mut push = |title: &str, name: &str, words: &mut String| {
        let address = format!("{}#{name}", file_name(path));
        let parts = [&page.title, title, &address, &*words].map(quoted);
        index.push(format!("[{}]", parts.join(",")));
        words.clear();
    };
    for event in parse(&page.text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let Some(heading) = headings.next().filter(|_| is_section(level)) else {
                    continue;
                };
                push(&title, &name, &mut words);
                (title, name) = heading.clone();
            }
            // Pictures are drawn by text.
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                hidden = &*kind == "mermaid";
            }
            Event::End(TagEnd::CodeBlock) => hidden = false,
            Event::Text(text) | Event::Code(text) if !hidden => {
                words += &text;
                words.push(' ');
            }
            _ => {}
        }
    }
    push(&title, &name, &mut words);
}

/// A string of JavaScript.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Also ends a script.
            '<' => quoted += "\\u003c",
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
