//! Reading: the files of a schema, one expression after the other.
//!
//! Directives are carried out as they come. A file is read at its first include;
//! later includes of it add nothing. Open files are kept on an explicit stack, so a
//! long chain of includes costs heap and not the thread's stack.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::dirs::SchemaDirs;
use super::doc_comment::{self, DocBlock};
use super::expr::{Expr, Object, TokenStream};
use super::lexer::{LexError, Token};
use super::model::{DocId, ModuleId};
use super::pragma::Pragmas;
use super::source::{reason, relative, FileId, Loc, Places, SchemaError};

/// Reads a file: from a path to its bytes.
pub(super) type ReadFile<'a> = dyn FnMut(&Path) -> io::Result<Vec<u8>> + 'a;

/// The result of reading.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Includes and definitions, in order of reading.
    pub(super) items: Vec<Item>,
    pub(super) docs: Vec<DocBlock>,
    /// Names of modules; the first is that of the built-in types.
    pub(super) modules: Vec<String>,
    pub(super) pragmas: Pragmas,
    pub(super) places: Places,
}

/// An include directive or an unchecked definition.
#[derive(Debug)]
pub(super) enum Item {
    Include { module: ModuleId, target: ModuleId },
    Definition(RawDefinition),
}

/// An unchecked definition.
#[derive(Debug)]
pub(super) struct RawDefinition {
    pub(super) object: Object,
    pub(super) loc: Loc,
    pub(super) module: ModuleId,
    pub(super) doc: Option<DocId>,
    /// Number of documentation comments read before it.
    pub(super) docs_before: usize,
}

/// The module of the built-in types.
pub(super) const BUILTIN_MODULE: ModuleId = ModuleId(0);

/// Reads a main file and all files it includes.
pub(super) fn parse(
    main: &Path,
    dirs: &SchemaDirs,
    read: &mut ReadFile<'_>,
) -> Result<Parsed, SchemaError> {
    let mut parser = Parser {
        parsed: Parsed {
            modules: vec!["./builtin".to_owned()],
            places: Places::new(dirs.clone()),
            ..Parsed::default()
        },
        seen: HashSet::new(),
        module_ids: HashMap::new(),
        directory: PathBuf::new(),
        stack: Vec::new(),
    };
    parser.start(main, read)?;
    while let Some(file) = parser.stack.last_mut() {
        match file.step(&mut parser.parsed)? {
            Step::Again => {}
            Step::Done => {
                parser.stack.pop();
            }
            Step::Include { what, at, module } => parser.include(&what, at, module, read)?,
        }
    }
    Ok(parser.parsed)
}

struct Parser {
    parsed: Parsed,
    /// Files already read.
    seen: HashSet<PathBuf>,
    module_ids: HashMap<PathBuf, ModuleId>,
    /// The directory of the main file.
    directory: PathBuf,
    stack: Vec<OpenFile>,
}

/// A file being read.
struct OpenFile {
    file: FileId,
    module: ModuleId,
    tokens: TokenStream,
    /// The comment that waits for its definition.
    doc: Option<DocId>,
}

enum Step {
    Again,
    Done,
    Include {
        what: String,
        at: Loc,
        module: ModuleId,
    },
}

impl Parser {
    fn start(&mut self, main: &Path, read: &mut ReadFile<'_>) -> Result<(), SchemaError> {
        let bytes = read(main).map_err(|error| {
            let name = main.display();
            let reason = reason(&error);
            SchemaError::new(format!("can't read schema file '{name}': {reason}"))
        })?;
        let file = self.parsed.places.add_main(main);
        let identity = self.parsed.places.identity(file).to_owned();
        self.directory = identity.parent().unwrap_or(&identity).to_owned();
        self.seen.insert(identity.clone());
        let module = self.module(&identity);
        self.push(file, module, bytes)
    }

    fn include(
        &mut self,
        what: &str,
        at: Loc,
        module: ModuleId,
        read: &mut ReadFile<'_>,
    ) -> Result<(), SchemaError> {
        let places = &self.parsed.places;
        let target = places.include_target(at.file, what);
        // Every file in the chain has been read, so most includes need no search of
        // it.
        let known = self.seen.contains(&target.identity);
        if known && places.in_chain(at.file, &target.identity) {
            return Err(places.error(at, &format!("inclusion loop for {what}")));
        }
        let target_module = self.module(&target.identity);
        self.parsed.items.push(Item::Include {
            module,
            target: target_module,
        });
        if known {
            return Ok(());
        }
        self.seen.insert(target.identity.clone());
        let bytes = read(&target.path).map_err(|error| {
            let reason = reason(&error);
            let message = format!("can't read include file '{}': {reason}", target.name);
            self.parsed.places.error(at, &message)
        })?;
        let file = self.parsed.places.add_included(target, at);
        self.push(file, target_module, bytes)
    }

    fn push(&mut self, file: FileId, module: ModuleId, bytes: Vec<u8>) -> Result<(), SchemaError> {
        let tokens = TokenStream::new(bytes).and_then(|mut tokens| {
            tokens.advance()?;
            Ok(tokens)
        });
        let tokens = tokens.map_err(|e| at(&self.parsed.places, file, e))?;
        self.stack.push(OpenFile {
            file,
            module,
            tokens,
            doc: None,
        });
        Ok(())
    }

    fn module(&mut self, identity: &Path) -> ModuleId {
        if let Some(id) = self.module_ids.get(identity) {
            return *id;
        }
        let id = ModuleId(self.parsed.modules.len());
        let name = self.parsed.places.announced_name(identity);
        let name = name.unwrap_or_else(|| relative(identity, &self.directory));
        self.parsed.modules.push(name);
        self.module_ids.insert(identity.to_owned(), id);
        id
    }
}

fn at(places: &Places, file: FileId, error: LexError) -> SchemaError {
    let line = error.line;
    places.error_at(Loc { file, line }, error.column, &error.message)
}

impl OpenFile {
    /// Reads one comment, directive or definition.
    fn step(&mut self, parsed: &mut Parsed) -> Result<Step, SchemaError> {
        match self.tokens.token {
            Token::Eof => {
                self.drop_doc(parsed)?;
                return Ok(Step::Done);
            }
            Token::Comment(_) => {
                self.drop_doc(parsed)?;
                let (file, module) = (self.file, self.module);
                let doc = doc_comment::parse(&mut self.tokens, file, module, &parsed.places)?;
                self.doc = Some(DocId(parsed.docs.len()));
                parsed.docs.push(doc);
                return Ok(Step::Again);
            }
            _ => {}
        }
        let loc = Loc {
            file: self.file,
            line: self.tokens.line(),
        };
        let expr = self.tokens.expression();
        let expr = expr.map_err(|e| at(&parsed.places, self.file, e))?;
        let Expr::Object(mut object) = expr else {
            let message = "top-level expression must be an object";
            return Err(parsed.places.error(loc, message));
        };
        if let Some(value) = object.take("include") {
            self.drop_doc(parsed)?;
            if !object.0.is_empty() {
                return Err(parsed.places.error(loc, "invalid 'include' directive"));
            }
            let Expr::Str(what) = value else {
                let message = "value of 'include' must be a string";
                return Err(parsed.places.error(loc, message));
            };
            let (at, module) = (loc, self.module);
            return Ok(Step::Include { what, at, module });
        }
        if let Some(value) = object.take("pragma") {
            self.drop_doc(parsed)?;
            if !object.0.is_empty() {
                return Err(parsed.places.error(loc, "invalid 'pragma' directive"));
            }
            let Expr::Object(value) = value else {
                let message = "value of 'pragma' must be an object";
                return Err(parsed.places.error(loc, message));
            };
            let applied = parsed.pragmas.apply(value);
            applied.map_err(|message| parsed.places.error(loc, &message))?;
            return Ok(Step::Again);
        }
        let doc = self.doc.take();
        if let Some(doc) = doc {
            let doc = &parsed.docs[doc.0];
            if doc.symbol.is_none() {
                let message = "definition documentation required";
                return Err(parsed.places.error(doc.loc, message));
            }
        }
        parsed.items.push(Item::Definition(RawDefinition {
            object,
            loc,
            module: self.module,
            doc,
            docs_before: parsed.docs.len(),
        }));
        Ok(Step::Again)
    }

    /// Ends a comment that no definition follows, if there is one.
    fn drop_doc(&mut self, parsed: &Parsed) -> Result<(), SchemaError> {
        let Some(doc) = self.doc.take() else {
            return Ok(());
        };
        let doc = &parsed.docs[doc.0];
        match &doc.symbol {
            None => Ok(()),
            Some(name) => {
                let message =
                    format!("documentation for '{name}' is not followed by the definition");
                Err(parsed.places.error(doc.loc, &message))
            }
        }
    }
}
