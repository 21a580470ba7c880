//! The pages: docs/README.md, and whatever pages can be reached from there.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Where the book begins.
pub const INDEX: &str = "docs/README.md";

/// A page of the repository.
pub struct Page {
    pub text: String,
    /// The first heading.
    pub title: String,
    /// Its headings with the names by which links find them, in order.
    pub headings: Vec<(String, String)>,
}

/// Pages by their path from the root.
pub type Pages = BTreeMap<String, Page>;

/// The parts of a text. A page of the library hides lines of its code from readers.
pub fn parse(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Reads the first page and all that it leads to.
pub fn read_all(root: &Path) -> Result<Pages, String> {
    let mut pages = Pages::new();
    let mut waiting = vec![INDEX.to_owned()];
    while let Some(path) = waiting.pop() {
        if pages.contains_key(&path) {
            continue;
        }
        let text = std::fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        for (target, _) in targets(&path, &text) {
            if target.ends_with(".md") && root.join(&target).exists() {
                waiting.push(target);
            }
        }
        let headings = headings(&text);
        let title = headings
            .first()
            .map_or(path.clone(), |(title, _)| title.clone());
        pages.insert(
            path,
            Page {
                text,
                title,
                headings,
            },
        );
    }
    Ok(pages)
}

/// The headings of a text, with their names as GitHub makes them.
fn headings(text: &str) -> Vec<(String, String)> {
    let mut headings: Vec<(String, String)> = Vec::new();
    let mut title = None;
    for event in parse(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => title = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(title) = &mut title {
                    *title += &part;
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let title = title.take().unwrap_or_default();
                let slug = slug(&title);
                let same = |name: &str| headings.iter().any(|(_, known)| known == name);
                let mut name = slug.clone();
                let mut number = 0;
                while same(&name) {
                    number += 1;
                    name = format!("{slug}-{number}");
                }
                headings.push((title, name));
            }
            _ => {}
        }
    }
    headings
}

fn slug(title: &str) -> String {
    let kept = title.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// The links of a page into the repository: the path from the root, and the place on
/// that page.
pub fn targets(page: &str, text: &str) -> Vec<(String, String)> {
    let links = parse(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
        _ => None,
    });
    links.filter_map(|link| resolve(page, &link)).collect()
}

/// Where a link of a page leads; nothing if it leaves the repository.
pub fn resolve(page: &str, link: &CowStr<'_>) -> Option<(String, String)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, place) = link.split_once('#').unwrap_or((link, ""));
    if path.is_empty() {
        return Some((page.to_owned(), place.to_owned()));
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => {}
        }
    }
    Some((parts.join("/"), place.to_owned()))
}

/// Whether a heading is one of the levels that the search tells apart.
pub fn is_section(level: HeadingLevel) -> bool {
    level <= HeadingLevel::H3
}
