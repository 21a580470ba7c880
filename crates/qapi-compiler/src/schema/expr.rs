//! Expressions: the syntax between braces, without its meaning.

use std::collections::HashSet;

use super::lexer::{LexError, Lexer, Token};

/// Deepest nesting of braces and brackets. A meaningful schema needs no more than a
/// dozen; QEMU's generator also gives up at about this depth.
const MAX_DEPTH: usize = 400;

/// Objects with more keys find duplicates by hash.
const SMALL_OBJECT: usize = 16;

/// A value of the schema language. The language has no numbers and no null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    Str(String),
    Bool(bool),
    List(Vec<Expr>),
    Object(Object),
}

/// An object; keys are in order and differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Object(pub(super) Vec<(String, Expr)>);

impl Object {
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// Removes a key and returns its value.
    pub(super) fn take(&mut self, key: &str) -> Option<Expr> {
        let index = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(index).1)
    }
}

impl Expr {
    /// Whether Python's `if` would accept the value. QEMU tests some values that
    /// way, so `{}`, `[]` and `''` count as absent there.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Expr::Str(text) => !text.is_empty(),
            Expr::Bool(value) => *value,
            Expr::List(items) => !items.is_empty(),
            Expr::Object(object) => !object.0.is_empty(),
        }
    }
}

/// A lexer and its current token.
#[derive(Debug)]
pub(super) struct TokenStream {
    lexer: Lexer,
    pub(super) token: Token,
}

impl TokenStream {
    /// Starts before the first token; call [`advance`](Self::advance).
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, LexError> {
        Ok(Self {
            lexer: Lexer::new(bytes)?,
            token: Token::Eof,
        })
    }

    /// The line of the token.
    pub(super) fn line(&self) -> usize {
        self.lexer.line()
    }

    /// Advances to the next token, skipping plain comments.
    pub(super) fn advance(&mut self) -> Result<(), LexError> {
        self.token = self.lexer.next(false)?;
        Ok(())
    }

    /// Advances to the next token, even if it is a plain comment.
    pub(super) fn advance_to_comment(&mut self) -> Result<(), LexError> {
        self.token = self.lexer.next(true)?;
        Ok(())
    }

    /// An error at the token.
    pub(super) fn error(&self, message: impl Into<String>) -> LexError {
        LexError {
            line: self.lexer.line(),
            column: self.lexer.column(),
            message: message.into(),
        }
    }

    /// Reads one expression.
    pub(super) fn expression(&mut self) -> Result<Expr, LexError> {
        self.value(0)
    }

    fn at(&self, punct: u8) -> bool {
        self.token == Token::Punct(punct)
    }

    fn value(&mut self, depth: usize) -> Result<Expr, LexError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        match std::mem::replace(&mut self.token, Token::Eof) {
            Token::Punct(b'{') => self.members(depth),
            Token::Punct(b'[') => self.elements(depth),
            Token::Str(text) => {
                self.advance()?;
                Ok(Expr::Str(text))
            }
            Token::Bool(value) => {
                self.advance()?;
                Ok(Expr::Bool(value))
            }
            _ => Err(self.error("expected '{', '[', string, or boolean")),
        }
    }

    fn members(&mut self, depth: usize) -> Result<Expr, LexError> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        self.advance()?;
        if self.at(b'}') {
            self.advance()?;
            return Ok(Expr::Object(Object(members)));
        }
        let mut expected = "expected string or '}'";
        loop {
            let Token::Str(key) = std::mem::replace(&mut self.token, Token::Eof) else {
                return Err(self.error(expected));
            };
            expected = "expected string";
            self.advance()?;
            if !self.at(b':') {
                return Err(self.error("expected ':'"));
            }
            self.advance()?;
            if is_duplicate(&members, &mut seen, &key) {
                return Err(self.error(format!("duplicate key '{key}'")));
            }
            let value = self.value(depth + 1)?;
            members.push((key, value));
            if self.at(b'}') {
                self.advance()?;
                return Ok(Expr::Object(Object(members)));
            }
            if !self.at(b',') {
                return Err(self.error("expected ',' or '}'"));
            }
            self.advance()?;
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Expr, LexError> {
        let mut elements = Vec::new();
        self.advance()?;
        match self.token {
            Token::Punct(b']') => {
                self.advance()?;
                return Ok(Expr::List(elements));
            }
            Token::Punct(b'{' | b'[') | Token::Str(_) | Token::Bool(_) => {}
            _ => return Err(self.error("expected '{', '[', ']', string, or boolean")),
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if self.at(b']') {
                self.advance()?;
                return Ok(Expr::List(elements));
            }
            if !self.at(b',') {
                return Err(self.error("expected ',' or ']'"));
            }
            self.advance()?;
        }
    }
}

/// Whether `key` is among `members`. `seen` is filled only for many members.
fn is_duplicate(members: &[(String, Expr)], seen: &mut HashSet<String>, key: &str) -> bool {
    if members.len() < SMALL_OBJECT {
        return members.iter().any(|(name, _)| name == key);
    }
    if seen.is_empty() {
        seen.extend(members.iter().map(|(name, _)| name.clone()));
    }
    !seen.insert(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expr, String> {
        let show = |error: LexError| format!("{}: {}", error.column, error.message);
        let mut tokens = TokenStream::new(text.into()).map_err(show)?;
        tokens.advance().map_err(show)?;
        tokens.expression().map_err(show)
    }

    #[test]
    fn values() {
        assert_eq!(
            parse("{'a': ['b', true, {}], 'c': []}").unwrap(),
            Expr::Object(Object(vec![
                (
                    "a".into(),
                    Expr::List(vec![
                        Expr::Str("b".into()),
                        Expr::Bool(true),
                        Expr::Object(Object::default()),
                    ])
                ),
                ("c".into(), Expr::List(vec![])),
            ]))
        );
    }

    #[test]
    fn what_was_expected() {
        for (text, error) in [
            ("{", "2: expected string or '}'"),
            ("{[", "2: expected string or '}'"),
            ("{'a'}", "5: expected ':'"),
            ("{'a':}", "6: expected '{', '[', string, or boolean"),
            ("{'a':'b' 'c'", "10: expected ',' or '}'"),
            ("{'a':'b',}", "10: expected string"),
            ("[", "2: expected '{', '[', ']', string, or boolean"),
            ("[true,]", "7: expected '{', '[', string, or boolean"),
            ("[true}", "6: expected ',' or ']'"),
            ("{'a':true,'a':{}}", "15: duplicate key 'a'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn duplicates_are_found_in_large_objects_too() {
        let keys: Vec<String> = (0..100).map(|n| format!("'k{n}': true")).collect();
        let body = keys.join(",");
        assert!(parse(&format!("{{{body}}}")).is_ok());
        for again in [0, 15, 16, 17, 99] {
            let error = parse(&format!("{{{body},'k{again}':true}}")).unwrap_err();
            assert!(error.ends_with(&format!("duplicate key 'k{again}'")));
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        for open in ["[", "{'a':"] {
            assert!(parse(&open.repeat(100_000))
                .unwrap_err()
                .ends_with("nested too deeply"));
        }
        let fine = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(&fine).is_ok());
    }
}
