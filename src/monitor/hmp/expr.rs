//! Integer expressions: `print 2*(0x10+'a')`, and every integer argument.
//!
//! 64-bit and wrapping. From loose to tight: `+ -`; then `& | ^`, all three on
//! one level, which binds tighter than `+`; then `* / %`, signed; then unary `+ - ~`.
//! Blanks may stand between tokens, so `sum 0x1000 -1` has one argument.
//!
//! The evaluator reads from left to right with two stacks and calculates as
//! soon as precedence allows: of several mistakes in a line the first one is
//! reported. There is no recursion, since `human-monitor-command` may send
//! megabytes of opening parentheses.

use super::cursor::Cursor;

/// The text of an expression error, without a newline. Bytes, since it may
/// repeat one that was typed.
pub type ExprError = Vec<u8>;

/// Looks up `$name`: the register's value, or an error such as `unknown register`.
pub type RegisterFn<'a> = &'a dyn Fn(&[u8]) -> Result<i64, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Unary(u8),
    Paren,
    Binary(u8),
}

/// How tight a binary operator binds.
fn precedence(op: u8) -> u8 {
    match op {
        b'+' | b'-' => 1,
        b'&' | b'|' | b'^' => 2,
        _ => 3,
    }
}

/// Reads an expression. Afterwards the cursor is behind it and the blanks
/// that follow it.
pub(super) fn expression(
    cursor: &mut Cursor<'_>,
    register: RegisterFn<'_>,
) -> Result<i64, ExprError> {
    let mut values: Vec<i64> = Vec::new();
    let mut ops: Vec<Op> = Vec::new();
    let mut open_parens = 0;
    loop {
        cursor.skip_blanks();
        let mut value = match cursor.peek() {
            Some(op @ (b'+' | b'-' | b'~')) => {
                cursor.advance(1);
                ops.push(Op::Unary(op));
                continue;
            }
            Some(b'(') => {
                cursor.advance(1);
                ops.push(Op::Paren);
                open_parens += 1;
                continue;
            }
            _ => operand(cursor, register)?,
        };
        // An operand is complete: apply what binds tighter than anything
        // that may follow, and close parentheses.
        loop {
            value = apply_tight(value, &mut values, &mut ops)?;
            cursor.skip_blanks();
            match cursor.peek() {
                Some(op @ (b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^')) => {
                    cursor.advance(1);
                    value = apply(value, precedence(op), &mut values, &mut ops)?;
                    values.push(value);
                    ops.push(Op::Binary(op));
                    break;
                }
                Some(b')') if open_parens > 0 => {
                    cursor.advance(1);
                    open_parens -= 1;
                    value = apply(value, 0, &mut values, &mut ops)?;
                    ops.pop();
                }
                _ => {
                    value = apply(value, 0, &mut values, &mut ops)?;
                    return if ops.is_empty() {
                        Ok(value)
                    } else {
                        Err(b"')' expected".to_vec())
                    };
                }
            }
        }
    }
}

/// Applies the unary operators and a `* / %` that wait for this operand.
fn apply_tight(mut value: i64, values: &mut Vec<i64>, ops: &mut Vec<Op>) -> Result<i64, ExprError> {
    while let Some(Op::Unary(op)) = ops.last() {
        value = match op {
            b'-' => value.wrapping_neg(),
            b'~' => !value,
            _ => value,
        };
        ops.pop();
    }
    apply(value, 3, values, ops)
}

/// Applies waiting binary operators that bind at least as tight as `minimum`,
/// back to the innermost parenthesis.
fn apply(
    mut value: i64,
    minimum: u8,
    values: &mut Vec<i64>,
    ops: &mut Vec<Op>,
) -> Result<i64, ExprError> {
    while let Some(&Op::Binary(op)) = ops.last() {
        if precedence(op) < minimum {
            break;
        }
        let Some(left) = values.pop() else { break };
        ops.pop();
        value = match op {
            b'+' => left.wrapping_add(value),
            b'-' => left.wrapping_sub(value),
            b'&' => left & value,
            b'|' => left | value,
            b'^' => left ^ value,
            b'*' => left.wrapping_mul(value),
            _ if value == 0 => return Err(b"division by zero".to_vec()),
            // QEMU dies of the most negative number divided by -1.
            b'/' => left.wrapping_div(value),
            _ => left.wrapping_rem(value),
        };
    }
    Ok(value)
}

fn operand(cursor: &mut Cursor<'_>, register: RegisterFn<'_>) -> Result<i64, ExprError> {
    match cursor.peek() {
        None => Err(b"unexpected end of expression".to_vec()),
        Some(b'\'') => character(cursor),
        Some(b'$') => {
            cursor.advance(1);
            let name = cursor
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
            register(name).map_err(String::into_bytes)
        }
        Some(b'0'..=b'9') => number(cursor),
        Some(byte) => {
            let mut text = b"invalid char '".to_vec();
            text.push(byte);
            text.extend_from_slice(b"' in expression");
            Err(text)
        }
    }
}

/// `'c'`: any byte, no escapes, sign-extended like C's `char` on x86.
fn character(cursor: &mut Cursor<'_>) -> Result<i64, ExprError> {
    cursor.advance(1);
    let Some(byte) = cursor.next() else {
        return Err(b"character constant expected".to_vec());
    };
    if cursor.next() != Some(b'\'') {
        return Err(b"missing terminating ' character".to_vec());
    }
    Ok(i64::from(byte as i8))
}

/// A number as C's `strtoull` reads it with base 0. A prefix `0x` without a
/// hexadecimal digit behind it is the number 0 and a letter.
fn number(cursor: &mut Cursor<'_>) -> Result<i64, ExprError> {
    let mut base = 10;
    if cursor.peek() == Some(b'0') {
        base = 8;
        if let [b'0', b'x' | b'X', digit, ..] = cursor.rest() {
            if digit.is_ascii_hexdigit() {
                base = 16;
                cursor.advance(2);
            }
        }
    }
    let digits = cursor.take_while(|byte| char::from(byte).is_digit(base));
    whole_number(digits, base)
        .map(|value| value as i64)
        .ok_or_else(|| b"number too large".to_vec())
}

/// A number below 2^64 of these digits; none count as 0.
pub(super) fn whole_number(digits: &[u8], base: u32) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = char::from(byte).to_digit(base)?;
        value
            .checked_mul(u64::from(base))?
            .checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Evaluates the whole text.
    fn evaluate(text: &[u8], register: RegisterFn<'_>) -> Result<i64, ExprError> {
        let mut cursor = Cursor::new(text);
        let value = expression(&mut cursor, register)?;
        if cursor.at_end() {
            Ok(value)
        } else {
            Err(b"extraneous characters".to_vec())
        }
    }

    fn eval(text: &str) -> Result<i64, String> {
        evaluate(text.as_bytes(), &|name| match name {
            b"eip" => Ok(0xfff0),
            b"cs.base" => Ok(0x1000),
            _ => Err("unknown register".into()),
        })
        .map_err(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn values() {
        for (text, value) in [
            ("1+2*3", 7),
            ("(1+2)*3", 9),
            ("10-2-3", 5),
            ("7/2", 3),
            ("7%4", 3),
            ("-7/2", -3),
            ("-7%2", -1),
            ("1|2", 3),
            ("6^3", 5),
            ("1+2&3", 3),
            ("1|6&3", 3),
            ("2*3|8", 14),
            ("8|2*3", 14),
            ("- 5", -5),
            ("--5", 5),
            ("-~0", 1),
            ("~-1", 0),
            ("- - -1", -1),
            ("-2*3", -6),
            ("2*-3", -6),
            ("-(1+2)", -3),
            ("1- -1", 2),
            ("0x10", 16),
            ("010", 8),
            ("0XfF", 255),
            ("0", 0),
            ("'a'", 97),
            ("' '+1", 33),
            ("'''", 39),
            ("( 1\t+ 2 ) * 3", 9),
            ("(((((((1)))))))", 1),
            ("18446744073709551615", -1),
            ("9223372036854775807+1", i64::MIN),
            ("01777777777777777777777", -1),
            ("0/1", 0),
            ("$eip+1", 0xfff1),
            ("$cs.base", 0x1000),
            ("0x8000000000000000/-1", i64::MIN),
            ("0x8000000000000000%-1", 0),
        ] {
            assert_eq!(eval(text), Ok(value), "{text}");
        }
        assert_eq!(evaluate(b"'\xe9'", &|_| Ok(0)), Ok(-23));
    }

    #[test]
    fn errors() {
        for (text, error) in [
            ("", "unexpected end of expression"),
            ("(", "unexpected end of expression"),
            ("1+", "unexpected end of expression"),
            ("1*(", "unexpected end of expression"),
            ("~", "unexpected end of expression"),
            ("(1", "')' expected"),
            ("(1 2", "')' expected"),
            ("((1)", "')' expected"),
            ("1)", "extraneous characters"),
            (")", "invalid char ')' in expression"),
            ("()", "invalid char ')' in expression"),
            ("*1", "invalid char '*' in expression"),
            ("1//2", "invalid char '/' in expression"),
            ("1^^2", "invalid char '^' in expression"),
            ("abc", "invalid char 'a' in expression"),
            ("1 2", "extraneous characters"),
            ("1,2", "extraneous characters"),
            ("08", "extraneous characters"),
            ("0x", "extraneous characters"),
            ("0x+1", "extraneous characters"),
            ("0b11", "extraneous characters"),
            ("1/0x", "division by zero"),
            ("1/0", "division by zero"),
            ("5/(3-3)", "division by zero"),
            ("1/0+*", "division by zero"),
            ("18446744073709551616", "number too large"),
            ("0xfffffffffffffffff", "number too large"),
            ("02000000000000000000000", "number too large"),
            ("99999999999999999999x", "number too large"),
            ("'", "character constant expected"),
            ("'a", "missing terminating ' character"),
            ("''", "missing terminating ' character"),
            ("'ab'", "missing terminating ' character"),
            ("'a'b", "extraneous characters"),
            ("$", "unknown register"),
            ("$nosuch (", "unknown register"),
            ("$eip:", "extraneous characters"),
            ("$ eip", "unknown register"),
            ("$eip_", "unknown register"),
        ] {
            assert_eq!(eval(text), Err(error.to_string()), "{text}");
        }
        assert_eq!(
            evaluate(b"\xff", &|_| Ok(0)),
            Err(b"invalid char '\xff' in expression".to_vec())
        );
    }

    #[test]
    fn depth_is_no_danger() {
        assert_eq!(
            eval(&"(".repeat(1 << 20)),
            Err("unexpected end of expression".into())
        );
        assert_eq!(
            eval(&"-".repeat(1 << 20)),
            Err("unexpected end of expression".into())
        );
        let deep = format!("{}1{}", "(".repeat(1 << 12), ")".repeat(1 << 12));
        assert_eq!(eval(&deep), Ok(1));
    }

    /// The textbook recursive evaluator, as an oracle.
    fn oracle(text: &[u8], pos: &mut usize, level: u8) -> Result<i64, ()> {
        if level == 4 {
            let byte = *text.get(*pos).ok_or(())?;
            *pos += 1;
            return match byte {
                b'-' => Ok(oracle(text, pos, 4)?.wrapping_neg()),
                b'~' => Ok(!oracle(text, pos, 4)?),
                b'+' => oracle(text, pos, 4),
                b'(' => {
                    let value = oracle(text, pos, 1)?;
                    if text.get(*pos) != Some(&b')') {
                        return Err(());
                    }
                    *pos += 1;
                    Ok(value)
                }
                b'1'..=b'9' => Ok(i64::from(byte - b'0')),
                _ => Err(()),
            };
        }
        let mut value = oracle(text, pos, level + 1)?;
        while let Some(&op) = text.get(*pos) {
            if !b"+-&|^*/%".contains(&op) || precedence(op) != level {
                break;
            }
            *pos += 1;
            let right = oracle(text, pos, level + 1)?;
            value = match op {
                b'+' => value.wrapping_add(right),
                b'-' => value.wrapping_sub(right),
                b'&' => value & right,
                b'|' => value | right,
                b'^' => value ^ right,
                b'*' => value.wrapping_mul(right),
                b'/' => value.checked_div(right).ok_or(())?,
                _ => value.checked_rem(right).ok_or(())?,
            };
        }
        Ok(value)
    }

    proptest! {
        #[test]
        fn agrees_with_a_recursive_evaluator(
            text in "([1-9]|[-+*/%&|^~()]|[1-9][-+*/%&|^]){0,24}",
        ) {
            // One digit per number: the oracle knows no longer ones.
            let text: String = text.chars().fold(String::new(), |mut text, c| {
                if c.is_ascii_digit() && text.ends_with(|c: char| c.is_ascii_digit()) {
                    text.push('|');
                }
                text.push(c);
                text
            });
            let mut pos = 0;
            let expected = oracle(text.as_bytes(), &mut pos, 1);
            let expected = if pos == text.len() { expected } else { expected.and(Err(())) };
            prop_assert_eq!(eval(&text).map_err(|_| ()), expected);
        }

        #[test]
        fn random_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = evaluate(&text, &|_| Err(String::new()));
        }
    }
}
