//! The words of a line as a shell reads them (`g_shell_parse_argv`).

use qmonitor::qapi::Error;

/// The words, without quotes, backslashes and comments.
///
/// # Errors
///
/// A quote is not closed, a backslash is last, or there is no word.
pub(super) fn shell_words(line: &str) -> Result<Vec<String>, Error> {
    let said = |what: &str| Error::new(format!("{what} (The text was “{line}”)"));
    let mut words = Vec::new();
    // A word may be empty, if it is quoted.
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                rest.find(|c| *c == '\n');
            }
            '\\' => {
                let escaped = rest.next();
                let missing = || said("Text ended just after a “\\” character.");
                word.get_or_insert_default()
                    .push(escaped.ok_or_else(missing)?);
            }
            '\'' | '"' => {
                let missing = || {
                    said(&format!(
                        "Text ended before matching quote was found for {c}."
                    ))
                };
                let inner = quoted(c, &mut rest).ok_or_else(missing)?;
                word.get_or_insert_default().push_str(&inner);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() {
        return Err(Error::new("Text was empty (or contained only whitespace)"));
    }
    Ok(words)
}

/// What stands before the closing quote. Between double quotes a backslash escapes only what
/// a shell would look at.
fn quoted(quote: char, rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut inner = String::new();
    loop {
        match rest.next()? {
            c if c == quote => return Some(inner),
            '\\' if quote == '"' => match rest.next()? {
                c @ ('"' | '\\' | '`' | '$') => inner.push(c),
                '\n' => {}
                c => inner.extend(['\\', c]),
            },
            c => inner.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_glib_reads_them() {
        for (line, words) in [
            (r#"a  b "c d""#, &["a", "b", "c d"][..]),
            (r"a\ b c", &["a b", "c"]),
            ("a #b c", &["a"]),
            ("a#b", &["a#b"]),
            (r#""a\"b\c\$d" e\\f"#, &[r#"a"b\c$d"#, r"e\f"]),
            ("''", &[""]),
            ("a'b'c", &["abc"]),
            (r"'it'\''s' x", &["it's", "x"]),
        ] {
            assert_eq!(shell_words(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn errors_as_glib_tells_them() {
        for (line, error) in [
            (
                r"a\",
                r"Text ended just after a “\” character. (The text was “a\”)",
            ),
            (
                "'a",
                "Text ended before matching quote was found for '. (The text was “'a”)",
            ),
            (
                "a \"",
                "Text ended before matching quote was found for \". (The text was “a \"”)",
            ),
            ("#", "Text was empty (or contained only whitespace)"),
        ] {
            assert_eq!(shell_words(line).unwrap_err().desc(), error, "{line}");
        }
    }
}
