//! Documentation comments.
//!
//! A block runs from a line `##` to the next. If its first line is `@NAME:` it
//! documents the definition after it; else it is free-form text. In a definition's
//! block, lines at the first text column form its structure:
//!
//! ```text
//! @NAME: text        a member, argument, value or alternative
//! Features:          then @NAME: text, once or more
//! Returns: text      or Errors, Since, TODO
//! anything else      a paragraph, up to the next blank line
//! ```
//!
//! Text after the colon continues in the following lines as long as they are
//! indented at least like the first of them. A line with less indentation ends the
//! section; directly below that first line it is an error. This looks like an
//! oversight, but schemas that QEMU accepts rely on it.
//!
//! A later step (`doc_link`) checks whether the things described exist.

use std::collections::HashMap;

use super::expr::TokenStream;
use super::lexer::{is_space, LexError, Token};
use super::model::ModuleId;
use super::source::{FileId, Loc, Places, SchemaError};

/// A block as read.
#[derive(Debug)]
pub(super) struct DocBlock {
    pub(super) symbol: Option<String>,
    pub(super) module: ModuleId,
    pub(super) loc: Loc,
    pub(super) body: String,
    pub(super) args: Descriptions,
    pub(super) features: Descriptions,
    pub(super) sections: Vec<Section>,
}

/// Descriptions by name, in order.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    list: Vec<Description>,
    index: HashMap<String, usize>,
}

/// The description of a member, an argument, a value, a feature, ...
#[derive(Debug)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) loc: Loc,
    /// Whether the definition has such a thing.
    pub(super) linked: bool,
}

/// A section without a name.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) tag: Tag,
    pub(super) text: String,
    pub(super) loc: Loc,
}

/// The subject of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Plain,
    Returns,
    Errors,
    Since,
    Todo,
}

impl Tag {
    /// As written in the comment.
    pub(super) fn as_written(self) -> &'static str {
        match self {
            Tag::Plain => "",
            Tag::Returns => "Returns",
            Tag::Errors => "Errors",
            Tag::Since => "Since",
            Tag::Todo => "TODO",
        }
    }
}

impl Descriptions {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Description> {
        self.list.iter()
    }

    pub(super) fn into_vec(self) -> Vec<Description> {
        self.list
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Description> {
        let index = *self.index.get(name)?;
        self.list.get_mut(index)
    }

    /// Appends; the name must be new.
    pub(super) fn push(&mut self, description: Description) {
        self.index.insert(description.name.clone(), self.list.len());
        self.list.push(description);
    }
}

/// Reads the block whose first `##` is the current token, and advances to the token
/// after the block.
pub(super) fn parse(
    tokens: &mut TokenStream,
    file: FileId,
    module: ModuleId,
    places: &Places,
) -> Result<DocBlock, SchemaError> {
    let loc = Loc {
        file,
        line: tokens.line(),
    };
    let mut reader = BlockReader {
        tokens,
        file,
        places,
        block: DocBlock {
            symbol: None,
            module,
            loc,
            body: String::new(),
            args: Descriptions::default(),
            features: Descriptions::default(),
            sections: Vec::new(),
        },
        described: false,
        order: Vec::new(),
    };
    reader.read()?;
    let block = reader.block;
    tokens.advance().map_err(|e| at(places, file, e))?;
    Ok(block)
}

fn at(places: &Places, file: FileId, error: LexError) -> SchemaError {
    let line = error.line;
    places.error_at(Loc { file, line }, error.column, &error.message)
}

/// Where a section's text goes: a place in the block.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Arg(usize),
    Feature(usize),
    Section(usize),
}

struct BlockReader<'a> {
    tokens: &'a mut TokenStream,
    file: FileId,
    places: &'a Places,
    block: DocBlock,
    /// Whether member descriptions are over.
    described: bool,
    /// All tagged sections in order.
    order: Vec<Slot>,
}

impl BlockReader<'_> {
    fn read(&mut self) -> Result<(), SchemaError> {
        if self.tokens.token != Token::Comment("##".to_owned()) {
            return Err(self.error("junk after '##' at start of documentation comment"));
        }
        let Some(first) = self.line()? else {
            return Ok(());
        };
        if !first.starts_with('@') {
            return self.free_form(first);
        }
        let Some(symbol) = first[1..].strip_suffix(':') else {
            return Err(self.error("line should end with ':'"));
        };
        if symbol.is_empty() {
            return Err(self.error("name required after '@'"));
        }
        self.block.symbol = Some(symbol.to_owned());
        let mut line = self.line()?;
        while let Some(text) = line {
            line = if text.is_empty() {
                self.line()?
            } else {
                self.part(text)?
            };
        }
        self.check_texts()
    }

    /// Reads one part of a definition's block, which starts with `line`. Returns
    /// the line after it.
    fn part(&mut self, line: String) -> Result<Option<String>, SchemaError> {
        if line == "Features:" {
            return self.features();
        }
        if let Some((name, _)) = description(&line) {
            if self.described {
                let message = format!("description of '@{name}:' follows a section");
                return Err(self.error(message));
            }
            let next = self.descriptions(line, true);
            self.described = true;
            return next;
        }
        if let Some((tag, text)) = tag(&line) {
            self.described = true;
            return self.section(tag, text.to_owned());
        }
        if line.starts_with('=') {
            return Err(self.error("unexpected '=' markup in definition documentation"));
        }
        self.paragraph(line)
    }

    fn free_form(&mut self, first: String) -> Result<(), SchemaError> {
        let mut lines = Vec::new();
        let mut line = Some(first);
        while let Some(text) = line {
            if let Some((name, _)) = description(&text) {
                let message = format!("'@{name}:' not allowed in free-form documentation");
                return Err(self.error(message));
            }
            if text.starts_with('=') && !lines.is_empty() {
                return Err(self.error("'=' heading must come first in a comment block"));
            }
            lines.push(text);
            line = self.line()?;
        }
        self.block.body = trim_newlines(lines.join("\n"));
        Ok(())
    }

    fn features(&mut self) -> Result<Option<String>, SchemaError> {
        if self.block.features.iter().next().is_some() {
            return Err(self.error("duplicated 'Features:' line"));
        }
        let mut line = self.line()?;
        while line.as_deref() == Some("") {
            line = self.line()?;
        }
        match line {
            Some(line) if description(&line).is_some() => {
                self.described = true;
                self.descriptions(line, false)
            }
            _ => Err(self.error("feature descriptions expected")),
        }
    }

    /// A run of descriptions, with or without blank lines between them.
    fn descriptions(
        &mut self,
        first: String,
        members: bool,
    ) -> Result<Option<String>, SchemaError> {
        let mut line = first;
        while let Some((name, text)) = description(&line) {
            let loc = self.loc();
            let list = if members {
                &mut self.block.args
            } else {
                &mut self.block.features
            };
            if name.is_empty() {
                return Err(self.places.error(loc, "invalid parameter name"));
            }
            if list.index.contains_key(name) {
                let message = format!("'{name}' parameter name duplicated");
                return Err(self.places.error(loc, &message));
            }
            let index = list.list.len();
            list.push(Description {
                name: name.to_owned(),
                text: String::new(),
                loc,
                linked: false,
            });
            let slot = if members {
                Slot::Arg(index)
            } else {
                Slot::Feature(index)
            };
            self.order.push(slot);
            let (text, next) = self.indented(text.to_owned())?;
            *self.slot(slot).0 = text;
            match next {
                Some(next) => line = next,
                None => return Ok(None),
            }
        }
        Ok(Some(line))
    }

    fn section(&mut self, tag: Written, text: String) -> Result<Option<String>, SchemaError> {
        let tag = match tag {
            Written::Valid(tag) => tag,
            Written::Gone(name, advice) => {
                let message = format!("The '{name}' section is no longer supported. {advice}");
                return Err(self.error(message));
            }
        };
        let loc = self.loc();
        let repeated = self.block.sections.iter().any(|s| s.tag == tag);
        if repeated && tag != Tag::Todo {
            let message = format!("duplicated '{}' section", tag.as_written());
            return Err(self.places.error(loc, &message));
        }
        let (text, next) = self.indented(text)?;
        self.order.push(Slot::Section(self.block.sections.len()));
        self.block.sections.push(Section { tag, text, loc });
        Ok(next)
    }

    /// Text up to the next blank line. It joins the text before it, unless a
    /// description or a tag is in between.
    fn paragraph(&mut self, first: String) -> Result<Option<String>, SchemaError> {
        let loc = self.loc();
        let mut text = first;
        let next = loop {
            match self.line()? {
                Some(line) if !line.is_empty() => {
                    text.push('\n');
                    text.push_str(&line);
                }
                end => break end,
            }
        };
        let last = match self.order.last() {
            None => &mut self.block.body,
            Some(Slot::Section(last)) if self.block.sections[*last].tag == Tag::Plain => {
                &mut self.block.sections[*last].text
            }
            _ => {
                let tag = Tag::Plain;
                self.order.push(Slot::Section(self.block.sections.len()));
                self.block.sections.push(Section { tag, text, loc });
                return Ok(next);
            }
        };
        if !last.is_empty() {
            last.push_str("\n\n");
        }
        last.push_str(&text);
        Ok(next)
    }

    /// The indented lines after a tag, appended to the text on its line; and the
    /// next line.
    fn indented(&mut self, first: String) -> Result<(String, Option<String>), SchemaError> {
        let mut text = first;
        let mut append = |line: &str| {
            text.push('\n');
            text.push_str(line);
        };
        let mut line = self.line()?;
        while line.as_deref() == Some("") {
            append("");
            line = self.line()?;
        }
        let indent = line.as_deref().map_or(0, indentation);
        if indent == 0 {
            return Ok((trim_newlines(text), line));
        }
        append(line.as_deref().unwrap_or_default());
        let mut right_below = true;
        let next = loop {
            let Some(line) = self.line()? else {
                break None;
            };
            let indented = indentation(&line);
            if !line.is_empty() && indented < indent {
                if right_below && indented > 0 {
                    let message =
                        format!("unexpected de-indent (expected at least {indent} spaces)");
                    return Err(self.error(message));
                }
                break Some(line);
            }
            append(&line);
            right_below = false;
        };
        Ok((trim_newlines(text), next))
    }

    /// The next line without its `# `; `None` at the end of the block.
    fn line(&mut self) -> Result<Option<String>, SchemaError> {
        let advanced = self.tokens.advance_to_comment();
        advanced.map_err(|e| at(self.places, self.file, e))?;
        let Token::Comment(comment) = &self.tokens.token else {
            return Err(self.error("documentation comment must end with '##'"));
        };
        if comment.starts_with("##") {
            if comment != "##" {
                return Err(self.error("junk after '##' at end of documentation comment"));
            }
            return Ok(None);
        }
        if comment == "#" {
            return Ok(Some(String::new()));
        }
        match comment.strip_prefix("# ") {
            Some(text) => Ok(Some(text.trim_end_matches(is_space).to_owned())),
            None => Err(self.error("missing space after #")),
        }
    }

    /// Every tag needs text.
    fn check_texts(&mut self) -> Result<(), SchemaError> {
        for slot in std::mem::take(&mut self.order) {
            let (text, kind, loc) = self.slot(slot);
            if text.is_empty() {
                let message = format!("text required after '{kind}:'");
                return Err(self.places.error(loc, &message));
            }
        }
        Ok(())
    }

    fn slot(&mut self, slot: Slot) -> (&mut String, &'static str, Loc) {
        let (description, kind) = match slot {
            Slot::Arg(index) => (&mut self.block.args.list[index], "Member"),
            Slot::Feature(index) => (&mut self.block.features.list[index], "Feature"),
            Slot::Section(index) => {
                let section = &mut self.block.sections[index];
                return (&mut section.text, section.tag.as_written(), section.loc);
            }
        };
        (&mut description.text, kind, description.loc)
    }

    fn loc(&self) -> Loc {
        Loc {
            file: self.file,
            line: self.tokens.line(),
        }
    }

    fn error(&self, message: impl Into<String>) -> SchemaError {
        at(self.places, self.file, self.tokens.error(message))
    }
}

/// A current or former tag.
enum Written {
    Valid(Tag),
    Gone(&'static str, &'static str),
}

const NOTE_ADVICE: &str = "Please use rST's '.. note::' or '.. admonition:: notes' directives, \
                           or another suitable admonition instead.";
const EXAMPLE_ADVICE: &str =
    "Please use the '.. qmp-example::' directive, or other suitable markup instead.";

/// `@NAME: text`, if the line is one.
fn description(line: &str) -> Option<(&str, &str)> {
    let (name, text) = line.strip_prefix('@')?.split_once(':')?;
    Some((name, text.trim_start_matches(' ')))
}

/// `TAG: text`, if the line is one. With two colons it is markup.
fn tag(line: &str) -> Option<(Written, &str)> {
    let (word, text) = line.split_once(':')?;
    if text.starts_with(':') {
        return None;
    }
    let written = match word {
        "Returns" => Written::Valid(Tag::Returns),
        "Errors" => Written::Valid(Tag::Errors),
        "Since" => Written::Valid(Tag::Since),
        "TODO" => Written::Valid(Tag::Todo),
        "Note" => Written::Gone("Note", NOTE_ADVICE),
        "Notes" => Written::Gone("Notes", NOTE_ADVICE),
        "Example" => Written::Gone("Example", EXAMPLE_ADVICE),
        "Examples" => Written::Gone("Examples", EXAMPLE_ADVICE),
        _ => return None,
    };
    Some((written, text.trim_start_matches(' ')))
}

/// How many characters of white space a line starts with.
fn indentation(line: &str) -> usize {
    line.chars().take_while(|ch| is_space(*ch)).count()
}

fn trim_newlines(text: String) -> String {
    text.trim_matches('\n').to_owned()
}
