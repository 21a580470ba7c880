//! Pages that tell in steps how to add something, with diffs and sessions.

use crate::common::Client;

/// A place in a file that a step of the page changes. The page's diffs have
/// only additions.
pub struct Hunk {
    pub file: String,
    /// The context above the additions.
    above: String,
    /// The additions.
    pub added: String,
    /// The context below them.
    below: String,
}

impl Hunk {
    /// The text without the additions. The context only says where they go: other
    /// commands may have been added between.
    #[track_caller]
    pub fn take_out(&self, text: &str) -> String {
        let Hunk { file, added, .. } = self;
        let found = text.matches(added.as_str()).count();
        assert_eq!(found, 1, "{file}:\n{added}");
        let (above, below) = text.split_once(added.as_str()).expect("the additions");
        assert!(above.contains(&self.above), "{file}, above:\n{added}");
        assert!(below.contains(&self.below), "{file}, below:\n{added}");
        above.to_owned() + below
    }
}

/// A page with numbered sections.
pub struct Page(pub &'static str);

impl Page {
    /// The code blocks of a section of the page, whose heading starts with
    /// `number`, in the language.
    pub fn blocks(&self, number: &str, language: &str) -> Vec<&'static str> {
        let heading = format!("\n## {number}. ");
        let section = self.0.split_once(&heading).expect("the section").1;
        let section = section.split("\n## ").next().unwrap_or(section);
        let fence = format!("```{language}\n");
        let blocks: Vec<_> = section
            .split(&fence)
            .skip(1)
            .map(|rest| rest.split_once("```").expect("the end of the block").0)
            .collect();
        assert!(!blocks.is_empty(), "step {number} has {language}");
        blocks
    }

    /// The changes that a step makes.
    pub fn hunks(&self, step: &str) -> Vec<Hunk> {
        let mut hunks = Vec::new();
        for block in self.blocks(step, "diff") {
            let mut parts = block.split("@@\n");
            let file = parts.next().and_then(|head| head.strip_prefix("+++ "));
            let file = file.expect("a diff names its file").trim_end();
            for part in parts {
                let mut hunk = Hunk {
                    file: file.to_owned(),
                    above: String::new(),
                    added: String::new(),
                    below: String::new(),
                };
                for line in part.lines() {
                    let (sign, text) = line.split_at(1);
                    let place = match sign {
                        "+" if hunk.below.is_empty() => &mut hunk.added,
                        " " if hunk.added.is_empty() => &mut hunk.above,
                        " " => &mut hunk.below,
                        _ => panic!("neither context nor addition: {line}"),
                    };
                    *place += &format!("{text}\n");
                }
                hunks.push(hunk);
            }
        }
        hunks
    }

    /// What a step adds to a file, hunk by hunk.
    pub fn added(&self, step: &str, file: &str) -> Vec<String> {
        let hunks = self.hunks(step).into_iter().filter(|h| h.file == file);
        hunks.map(|h| h.added).collect()
    }

    /// Plays the QMP session of a section: a person types the lines that start with
    /// `{"exec`.
    #[track_caller]
    pub fn play_qmp(&self, number: &str, client: &mut Client) {
        let block = self.blocks(number, "console").concat();
        let mut lines = block.lines();
        let shell = lines.next().expect("a command line");
        assert!(shell.starts_with("$ nc -U "), "{shell}");
        for line in lines {
            if line.starts_with("{\"exec") {
                client.send(format!("{line}\n"));
            } else {
                assert_eq!(client.line(), line);
            }
        }
    }
}
