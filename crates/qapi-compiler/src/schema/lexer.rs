//! Tokens of the schema language.
//!
//! The language looks like JSON but is its own: strings are in single quotes
//! and hold printable ASCII only, `#` starts a comment, there are no numbers.
//! A comment that starts with `##` is a token even where other comments are
//! skipped, because documentation is part of the language.
//!
//! Lines end in LF. CR LF and CR are turned into LF on entry, and a missing final
//! newline is added, so that the end of file always has a place: the last newline.

/// A piece of schema text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// One of `{ } [ ] : ,`.
    Punct(u8),
    /// A string, unescaped.
    Str(String),
    /// `true` or `false`.
    Bool(bool),
    /// A comment with its `#`, up to the end of the line.
    Comment(String),
    /// End of file.
    Eof,
}

/// Text that is not a token, or bytes that are not text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LexError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Splits the text of one file into tokens, on demand.
#[derive(Debug)]
pub(super) struct Lexer {
    text: String,
    /// Where the search for the next token starts.
    cursor: usize,
    /// Where the last token started.
    token_start: usize,
    line: usize,
    line_start: usize,
}

impl Lexer {
    /// Takes the contents of a file.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, LexError> {
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to())),
        };
        if text.contains('\r') {
            text = text.replace("\r\n", "\n").replace('\r', "\n");
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Self {
            text,
            cursor: 0,
            token_start: 0,
            line: 1,
            line_start: 0,
        })
    }

    /// The line of the last token.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The column of the last token.
    pub(super) fn column(&self) -> usize {
        column(&self.text[self.line_start..self.token_start])
    }

    /// The next token. Plain comments are returned only if `comments` is set.
    pub(super) fn next(&mut self, comments: bool) -> Result<Token, LexError> {
        loop {
            let bytes = self.text.as_bytes();
            self.token_start = self.cursor;
            let byte = bytes[self.cursor];
            match byte {
                b'\n' => {
                    if self.cursor + 1 == bytes.len() {
                        return Ok(Token::Eof);
                    }
                    self.cursor += 1;
                    self.line += 1;
                    self.line_start = self.cursor;
                }
                b' ' | b'\t' => self.cursor += 1,
                b'{' | b'}' | b'[' | b']' | b':' | b',' => {
                    self.cursor += 1;
                    return Ok(Token::Punct(byte));
                }
                b'\'' => return self.string(),
                b'#' => {
                    let rest = &self.text[self.cursor..];
                    let end = rest.find('\n').unwrap_or(rest.len());
                    let comment = &rest[..end];
                    self.cursor += end;
                    if comments || comment.starts_with("##") {
                        return Ok(Token::Comment(comment.to_owned()));
                    }
                }
                _ => {
                    let rest = &self.text[self.cursor..];
                    // These are prefixes, not words: the characters after them are
                    // the next token.
                    if rest.starts_with("true") {
                        self.cursor += 4;
                        return Ok(Token::Bool(true));
                    }
                    if rest.starts_with("false") {
                        self.cursor += 5;
                        return Ok(Token::Bool(false));
                    }
                    let ch = rest.chars().next().unwrap_or(' ');
                    if !is_space(ch) {
                        return Err(self.stray());
                    }
                    self.cursor += ch.len_utf8();
                }
            }
        }
    }

    fn string(&mut self) -> Result<Token, LexError> {
        let mut value = String::new();
        let mut escaped = false;
        // The newline at the end of the text stops the loop.
        for (offset, ch) in self.text[self.cursor + 1..].char_indices() {
            match ch {
                '\n' => break,
                '\\' if escaped => {
                    value.push('\\');
                    escaped = false;
                }
                _ if escaped => return Err(self.error(format!("unknown escape \\{ch}"))),
                '\\' => escaped = true,
                '\'' => {
                    self.cursor += 1 + offset + 1;
                    return Ok(Token::Str(value));
                }
                ' '..='~' => value.push(ch),
                _ => return Err(self.error("funny character in string".to_owned())),
            }
        }
        Err(self.error("missing terminating \"'\"".to_owned()))
    }

    fn stray(&self) -> LexError {
        let rest = &self.text[self.token_start..];
        let end = rest
            .find(|ch| is_space(ch) || "[]{}:,'".contains(ch))
            .unwrap_or(rest.len());
        self.error(format!("stray '{}'", &rest[..end]))
    }

    fn error(&self, message: String) -> LexError {
        LexError {
            line: self.line,
            column: self.column(),
            message,
        }
    }
}

/// The column after `before`, which starts a line. A tab does not advance to the
/// next stop but goes back to the last one; that is wrong, but QEMU does it.
fn column(before: &str) -> usize {
    before.chars().fold(1, |column, ch| match ch {
        '\t' => (column - 1) % 8 + 1,
        _ => column + 1,
    })
}

/// White space in the sense of Python's `str.isspace`: Unicode's, and the four
/// information separators.
pub(super) fn is_space(ch: char) -> bool {
    ch.is_whitespace() || ('\x1c'..='\x1f').contains(&ch)
}

fn not_utf8(bytes: &[u8], valid: usize) -> LexError {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let before = before.replace("\r\n", "\n").replace('\r', "\n");
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    LexError {
        line: 1 + before.matches('\n').count(),
        column: column(&before[line_start..]),
        message: "invalid UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Result<Vec<Token>, String> {
        let mut lexer = Lexer::new(text.as_bytes().to_vec()).map_err(show)?;
        let mut tokens = Vec::new();
        loop {
            match lexer.next(false).map_err(show)? {
                Token::Eof => return Ok(tokens),
                token => tokens.push(token),
            }
        }
    }

    fn show(error: LexError) -> String {
        format!("{}:{}: {}", error.line, error.column, error.message)
    }

    #[test]
    fn tokens() {
        assert_eq!(
            lex("{'a\\\\b':true,\n#c\n[false]}").unwrap(),
            [
                Token::Punct(b'{'),
                Token::Str("a\\b".into()),
                Token::Punct(b':'),
                Token::Bool(true),
                Token::Punct(b','),
                Token::Punct(b'['),
                Token::Bool(false),
                Token::Punct(b']'),
                Token::Punct(b'}'),
            ]
        );
        assert_eq!(lex("").unwrap(), []);
        assert_eq!(
            lex(" # a\n ## b").unwrap(),
            [Token::Comment("## b".into())],
            "documentation is told, other comments are not"
        );
    }

    #[test]
    fn errors_have_the_place_of_the_token() {
        for (text, error) in [
            ("'a\n'", "1:1: missing terminating \"'\""),
            ("'a\\\n'", "1:1: missing terminating \"'\""),
            ("{\n  'a\\n'", "2:3: unknown escape \\n"),
            ("'a\u{e4}'", "1:1: funny character in string"),
            ("'a\x7f'", "1:1: funny character in string"),
            ("\ttrueish", "1:5: stray 'ish'"),
            ("'1234567'\tx", "1:2: stray 'x'"),
            ("\r\n\r  x\"y'", "3:3: stray 'x\"y'"),
            ("\u{feff}{", "1:1: stray '\u{feff}'"),
            ("\x1c\u{2028}a\u{2003}b", "1:3: stray 'a'"),
        ] {
            assert_eq!(lex(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn bad_utf8_has_a_place() {
        let error = Lexer::new(b"# fine\r\n {\xff}".to_vec()).unwrap_err();
        assert_eq!(show(error), "2:3: invalid UTF-8");
    }

    #[test]
    fn end_of_file_sits_on_the_last_newline() {
        let mut lexer = Lexer::new(b"{\n\n".to_vec()).unwrap();
        lexer.next(false).unwrap();
        assert_eq!(lexer.next(false).unwrap(), Token::Eof);
        assert_eq!((lexer.line(), lexer.column()), (2, 1));
        // Asking again is fine.
        assert_eq!(lexer.next(false).unwrap(), Token::Eof);
    }
}
