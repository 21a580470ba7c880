//! Makes a site of all pages that docs/README.md leads to, in target/book: a file each,
//! with the book's parts at the side, and a search that needs no server. A link that
//! leads nowhere is an error.
//!
//!     book/mermaid            # once: what draws the diagrams; needs npm
//!     cargo run -p qmonitor-book

mod links;
mod page;
mod site;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = match page::read_all(&root) {
        Ok(pages) => pages,
        Err(e) => return fail(&[e]),
    };
    let dead = links::dead(&root, &pages);
    if !dead.is_empty() {
        return fail(&dead);
    }
    match site::write(&root, &root.join("target/book"), &pages) {
        Ok(()) => {
            println!("{} pages: target/book/index.html", pages.len());
            ExitCode::SUCCESS
        }
        Err(e) => fail(&[format!("target/book: {e}")]),
    }
}

fn fail(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::FAILURE
}
