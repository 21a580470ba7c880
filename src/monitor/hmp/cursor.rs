//! A command line and a position in it, which argument parsers share.

/// Longest string argument in bytes; the rest is cut off, as in QEMU.
const STRING_MAX: usize = 1023;

/// Words a line may have where it is split into words.
const MAX_WORDS: usize = 16;

/// White space as C's `isspace` has it.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Why there is no string where one was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StringError {
    /// The line ends here.
    Missing,
    /// A quoted string is malformed. QEMU prints this reason on the server's
    /// standard output, where the person at the monitor never sees it.
    Malformed(Vec<u8>),
}

impl StringError {
    /// The line for the server's standard output, or nothing.
    pub(super) fn into_stdout(self) -> Vec<u8> {
        match self {
            StringError::Missing => Vec::new(),
            StringError::Malformed(reason) => reason,
        }
    }
}

/// A position in a command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { line, pos: 0 }
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// The rest of the line.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.line[self.pos..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.pos).copied()
    }

    pub(super) fn peek_second(&self) -> Option<u8> {
        self.line.get(self.pos + 1).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.pos += 1;
        Some(byte)
    }

    /// Moves on by `count` bytes, at most to the end.
    pub(super) fn advance(&mut self, count: usize) {
        self.pos = (self.pos + count).min(self.line.len());
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().take_while(|&&byte| accept(byte)).count();
        self.pos += len;
        &rest[..len]
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos == self.line.len()
    }

    /// Takes the rest of the line.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.pos = self.line.len();
        rest
    }

    /// Reads a word or a double-quoted string, after blanks (QEMU's `get_str`).
    /// A quote in the middle of a word is an ordinary character, and so is
    /// what follows a closing quote: the caller sees it next.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, StringError> {
        self.skip_blanks();
        let mut text = match self.peek() {
            None => return Err(StringError::Missing),
            Some(b'"') => self.quoted()?,
            Some(_) => self.take_while(|byte| !is_blank(byte)).to_vec(),
        };
        text.truncate(STRING_MAX);
        Ok(text)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, StringError> {
        let mut text = Vec::new();
        self.advance(1);
        loop {
            match self.next() {
                None => return Err(StringError::Malformed(b"unterminated string\n".to_vec())),
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(match self.next() {
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(byte @ (b'\\' | b'\'' | b'"')) => byte,
                    other => {
                        let mut reason = b"unsupported escape code: '\\".to_vec();
                        // C prints the NUL that ends the line.
                        reason.push(other.unwrap_or(0));
                        reason.extend_from_slice(b"'\n");
                        return Err(StringError::Malformed(reason));
                    }
                }),
                Some(byte) => text.push(byte),
            }
        }
    }
}

/// Splits a line into words and quoted strings (QEMU's `parse_cmdline`).
/// `Err` holds the line for the server's standard output, empty when the
/// reason is that there are more than 16 words.
pub(super) fn split_words(line: &[u8]) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut cursor = Cursor::new(line);
    let mut words = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.at_end() {
            return Ok(words);
        }
        if words.len() == MAX_WORDS {
            return Err(Vec::new());
        }
        words.push(cursor.string().map_err(StringError::into_stdout)?);
    }
}

/// Like [`split_words`], with one more, empty word when the line ends in a
/// blank or holds no word: completion works on the last word.
pub(super) fn split_words_for_completion(line: &[u8]) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut words = split_words(line)?;
    if line.last().is_none_or(|&byte| is_blank(byte)) {
        if words.len() == MAX_WORDS {
            return Err(Vec::new());
        }
        words.push(Vec::new());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for (line, text, rest) in [
            ("ab cd", "ab", " cd"),
            ("  ab", "ab", ""),
            ("\t\x0b\x0c\rab", "ab", ""),
            ("\"a b\" c", "a b", " c"),
            ("\"a\"b", "a", "b"),
            ("\"\"x", "", "x"),
            ("a\"b c", "a\"b", " c"),
            ("'a b'", "'a", " b'"),
            (r#""\n\r\\\'\"""#, "\n\r\\'\"", ""),
        ] {
            let mut cursor = Cursor::new(line.as_bytes());
            assert_eq!(cursor.string(), Ok(text.as_bytes().to_vec()), "{line:?}");
            assert_eq!(cursor.rest(), rest.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn malformed_strings() {
        for (line, stdout) in [
            ("", ""),
            ("   ", ""),
            ("\"", "unterminated string\n"),
            ("\"abc", "unterminated string\n"),
            ("\"a\\tb\"", "unsupported escape code: '\\t'\n"),
            ("\"a\\", "unsupported escape code: '\\\0'\n"),
        ] {
            let error = Cursor::new(line.as_bytes()).string().unwrap_err();
            assert_eq!(error.into_stdout(), stdout.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn long_strings_are_cut() {
        let line = [b'y'; 2000];
        let mut cursor = Cursor::new(&line);
        assert_eq!(cursor.string().map(|text| text.len()), Ok(1023));
        assert!(cursor.at_end());
    }

    #[test]
    fn words() {
        let texts = |line: &str| {
            split_words(line.as_bytes()).map(|words| {
                words
                    .iter()
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            texts(" a \"b c\"d "),
            Ok(vec!["a".into(), "b c".into(), "d".into()])
        );
        assert_eq!(texts(""), Ok(vec![]));
        assert_eq!(texts("a \"b"), Err(b"unterminated string\n".to_vec()));
        assert_eq!(texts(&"w ".repeat(16)).map(|words| words.len()), Ok(16));
        assert_eq!(texts(&"w ".repeat(17)), Err(Vec::new()));
    }

    #[test]
    fn the_word_to_complete_comes_last() {
        let count =
            |line: &str| split_words_for_completion(line.as_bytes()).map(|words| words.len());
        assert_eq!(count(""), Ok(1));
        assert_eq!(count("a"), Ok(1));
        assert_eq!(count("a "), Ok(2));
        assert_eq!(count(&"w ".repeat(16)), Err(Vec::new()));
    }
}
