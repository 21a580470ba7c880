//! Pages in Chinese say what the English ones say: the same headings, code, links and
//! names, in the same order.

use crate::common::places::root;

const PAGES: [(&str, &str); 2] = [
    ("README.md", "README.zh.md"),
    ("docs/book-map.md", "docs/book-map.zh.md"),
];

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// The lines of a page outside of code, and those of code.
fn lines(text: &str) -> (Vec<&str>, Vec<&str>) {
    let mut fenced = false;
    text.lines().partition(|line| {
        let is_fence = line.starts_with("```");
        let in_code = fenced || is_fence || line.starts_with("    ");
        fenced ^= is_fence;
        !in_code
    })
}

/// How deep each heading is.
fn headings(prose: &[&str]) -> Vec<usize> {
    let levels = prose
        .iter()
        .map(|line| line.len() - line.trim_start_matches('#').len());
    levels.filter(|level| *level > 0).collect()
}

/// How many cells each row of a table has.
fn rows(prose: &[&str]) -> Vec<usize> {
    let rows = prose.iter().filter(|line| line.starts_with('|'));
    rows.map(|row| row.matches(" |").count()).collect()
}

/// What is in backquotes, in alphabetic order: a language has an order of its own.
fn names(prose: &[&str]) -> Vec<String> {
    let text = prose.join("\n");
    let mut names: Vec<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| name.replace('\n', " "))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Where links lead, without places in pages, and to the English page where there are two.
fn links(prose: &[&str]) -> Vec<String> {
    let text = prose.join("\n");
    let mut links: Vec<String> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty())
        .map(|target| target.replace(".zh.md", ".md"))
        .collect();
    links.sort();
    links.dedup();
    links
}

/// The link to the page in the other language, which only one of them has in common.
fn without_other(links: Vec<String>, english: &str) -> Vec<String> {
    let own = english.rsplit('/').next().expect("a name");
    links.into_iter().filter(|link| link != own).collect()
}

#[test]
fn pages_in_chinese_keep_step() {
    for (english, chinese) in PAGES {
        let (one, other) = (read(english), read(chinese));
        let ((prose, code), (other_prose, other_code)) = (lines(&one), lines(&other));
        assert_eq!(other_code, code, "{chinese}: code");
        assert_eq!(
            headings(&other_prose),
            headings(&prose),
            "{chinese}: headings"
        );
        assert_eq!(rows(&other_prose), rows(&prose), "{chinese}: tables");
        assert_eq!(names(&other_prose), names(&prose), "{chinese}: names");
        let links = |prose: &[&str]| without_other(links(prose), english);
        assert_eq!(links(&other_prose), links(&prose), "{chinese}: links");
    }
}

#[test]
fn each_page_leads_to_the_other() {
    for (english, chinese) in PAGES {
        let name = |page: &'static str| page.rsplit('/').next().expect("a name");
        assert!(read(english).contains(&format!("[中文]({})", name(chinese))));
        assert!(read(chinese).contains(&format!("[English]({})", name(english))));
    }
}
