//! The pages are a book: docs/README.md has all of them in order, and each leads to the
//! one before and the one behind.

use std::path::{Component, Path};

use crate::common::places::root;

/// The pages of the book as paths from the root, in order.
fn order() -> Vec<String> {
    let index = read("docs/README.md");
    let items = index.lines().filter_map(|line| line.strip_prefix("- ["));
    let links = items.filter_map(|item| item.split_once("](")?.1.strip_suffix(')'));
    links.map(|link| from_root("docs", link)).collect()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// Where a link of a page in this folder leads.
fn from_root(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_str().expect("UTF-8")),
            _ => {}
        }
    }
    parts.join("/")
}

/// Printed from elsewhere, or shown by docs.rs: these have no last line of their own.
fn is_bare(page: &str) -> bool {
    page.contains("reference-") || page == "docs/library.md"
}

#[test]
fn each_page_leads_to_its_neighbours() {
    let order = order();
    for (at, page) in order.iter().enumerate().filter(|(_, page)| !is_bare(page)) {
        let text = read(page);
        let last = text.lines().last().unwrap_or_default();
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let links: Vec<String> = last
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .map(|link| from_root(folder, link))
            .collect();
        let before = at.checked_sub(1).map(|at| order[at].clone());
        let index = Some("docs/README.md".to_owned());
        let expected = [before, index, order.get(at + 1).cloned()];
        assert_eq!(
            links,
            expected.into_iter().flatten().collect::<Vec<_>>(),
            "{page}"
        );
    }
}

#[test]
fn the_book_has_every_page_of_the_docs() {
    let order = order();
    for entry in std::fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        let is_page = name.ends_with(".md") && !name.ends_with(".zh.md") && name != "README.md";
        let page = format!("docs/{name}");
        assert!(
            !is_page || order.contains(&page),
            "{page} is not in docs/README.md"
        );
    }
}
