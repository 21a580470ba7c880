//! Links that lead nowhere.

use std::path::Path;

use crate::page::{targets, Pages};

/// Each dead link, with the page that has it.
pub fn dead(root: &Path, pages: &Pages) -> Vec<String> {
    let mut dead = Vec::new();
    for (path, page) in pages {
        for (target, place) in targets(path, &page.text) {
            if !root.join(&target).exists() {
                dead.push(format!("{path}: there is no {target}"));
                continue;
            }
            let Some(other) = pages.get(&target).filter(|_| !place.is_empty()) else {
                continue;
            };
            // Pages that are printed from a schema name their places themselves.
            let named = format!("<a id=\"{place}\">");
            let has = other.headings.iter().any(|(_, name)| *name == place);
            if !has && !other.text.contains(&named) {
                dead.push(format!("{path}: {target} has no place #{place}"));
            }
        }
    }
    dead
}
