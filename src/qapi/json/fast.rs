//! The fast path: tokens that are complete in the input.
//!
//! Nearly all input arrives in pieces that hold whole messages of plain tokens.
//! This code takes such tokens directly from the input, without a state per byte
//! and without copying them together first. It takes a token only if the lexer
//! would take the same bytes for the same token. It leaves everything unusual (cut
//! off by the end of the input, malformed, badly encoded, an unknown keyword) to
//! the lexer. So there is one grammar and one place for each error text, and the
//! two paths can be compared (`tests.rs` does).
//!
//! A number or keyword is complete only if the byte after it is there.

use std::borrow::Cow;

use super::super::qobject::{QDict, QNum, QObject};
use super::checked::Checked;
use super::number;
use super::parser::{Expect, Frame};
use super::scan;
use super::stream::JsonMessageParser;
use super::string::{has_noncharacter, resolve};

/// Takes tokens from the start of `input`, up to the end of the message or the
/// first token that is not plain. Returns the number of bytes taken and the
/// message.
///
/// It changes the parser's state as [`JsonMessageParser::push`] does, without
/// building a token.
pub(super) fn parse(stream: &mut JsonMessageParser, input: &[u8]) -> (usize, Option<QObject>) {
    let input = &input[..input.len().min(stream.room())];
    let mut checked = Checked::new(input);
    let nesting = stream.nesting_limit();
    let parser = &mut stream.parser;
    let (mut at, mut blanks, mut tokens) = (0, 0, 0);
    let (mut braces, mut brackets) = (0, 0);
    let mut message = None;
    while let Some(&byte) = input.get(at) {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
            blanks += 1;
            continue;
        }
        match (parser.expect, byte) {
            (Expect::Value | Expect::First, b'"' | b'\'') => {
                let Some((text, end)) = string(&mut checked, input, at) else {
                    break;
                };
                at = end;
                message = parser.complete_string(text);
            }
            (Expect::Value | Expect::First, b'{') if parser.frames.len() < nesting => {
                parser.open(Frame::Dict(QDict::new(), None));
                braces += 1;
                at += 1;
            }
            (Expect::Value | Expect::First, b'[') if parser.frames.len() < nesting => {
                parser.open(Frame::List(Vec::new()));
                brackets += 1;
                at += 1;
            }
            (Expect::Separator, b',') | (Expect::Colon, b':') => {
                parser.expect = Expect::Value;
                at += 1;
            }
            (Expect::First | Expect::Separator, b'}') if parser.in_dict() => {
                message = parser.close();
                braces -= 1;
                at += 1;
            }
            (Expect::First | Expect::Separator, b']') if parser.in_list() => {
                message = parser.close();
                brackets -= 1;
                at += 1;
            }
            (Expect::Value | Expect::First, _) => {
                let Some((value, len)) = number_or_keyword(&input[at..]) else {
                    break;
                };
                at += len;
                message = parser.complete(value);
            }
            _ => break,
        }
        tokens += 1;
        if let Some(message) = message {
            stream.restart_counts();
            return (at, Some(message));
        }
        // What nearly always comes next needs no turn of its own.
        let next = input.get(at);
        match parser.expect {
            Expect::Separator if next == Some(&b',') => {}
            Expect::Colon if next == Some(&b':') => {}
            Expect::Nothing => break,
            _ => continue,
        }
        parser.expect = Expect::Value;
        at += 1;
        tokens += 1;
        if input.get(at) == Some(&b' ') {
            at += 1;
            blanks += 1;
        }
    }
    stream.account(tokens, at - blanks, braces, brackets);
    (at, None)
}

/// The number or keyword at the start of `input`, and its length.
#[inline(always)]
pub(super) fn number_or_keyword(input: &[u8]) -> Option<(QObject, usize)> {
    match input[0] {
        b'-' | b'0'..=b'9' => {
            let (number, len) = number(input)?;
            Some((QObject::Num(number), len))
        }
        b't' => keyword(input, b"true", QObject::Bool(true)),
        b'f' => keyword(input, b"false", QObject::Bool(false)),
        b'n' => keyword(input, b"null", QObject::Null),
        _ => None,
    }
}

#[inline]
fn keyword(input: &[u8], word: &[u8], value: QObject) -> Option<(QObject, usize)> {
    let next = *input.get(word.len())?;
    (input.starts_with(word) && !next.is_ascii_lowercase()).then_some((value, word.len()))
}

/// The string whose opening quote is at `start`, and the position behind it.
#[inline(always)]
pub(super) fn string<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    start: usize,
) -> Option<(Cow<'a, str>, usize)> {
    let quote = *input.get(start)?;
    let inner = start + 1;
    let end = inner + scan::plain(&input[inner..], quote);
    if *input.get(end)? == quote {
        return Some((checked.text(inner, end)?.into(), end + 1));
    }
    unusual_string(checked, input, start, end)
}

/// A string with an escape or a byte beyond ASCII. The plain part before `at` has
/// been scanned already.
#[inline(never)]
fn unusual_string<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    start: usize,
    mut at: usize,
) -> Option<(Cow<'a, str>, usize)> {
    let quote = input[start];
    let mut escaped = false;
    loop {
        at += scan::plain_or_high(&input[at..], quote);
        match *input.get(at)? {
            b'\\' if matches!(input.get(at + 1)?, 0x20..=0xfd) => {
                escaped = true;
                at += 2;
            }
            end if end == quote => break,
            _ => return None,
        }
    }
    let text = if escaped {
        resolve(&input[start + 1..=at]).ok()?.into()
    } else {
        let text = checked.text_alone(start + 1, at)?;
        if has_noncharacter(text) {
            return None;
        }
        text.into()
    };
    Some((text, at + 1))
}

/// This many digits always fit in 64 bits, signed or not.
const SAFE_DIGITS: usize = 18;
const SAFE_DIGITS_UNSIGNED: usize = 19;

#[inline]
fn number(input: &[u8]) -> Option<(QNum, usize)> {
    let negative = input[0] == b'-';
    let start = usize::from(negative);
    let (integer, mut at) = digits(input, start, 0);
    if at == start || (input[start] == b'0' && at > start + 1) {
        return None;
    }
    match *input.get(at)? {
        b'.' => {}
        b'e' | b'E' if input[start] != b'0' => {}
        _ if at - start <= SAFE_DIGITS => {
            let value = integer as i64;
            return Some((QNum::I64(if negative { -value } else { value }), at));
        }
        _ => return Some((decimal(&input[..at])?, at)),
    }
    let mut mantissa = integer;
    let mut places = 0;
    let mut count = at - start;
    if input[at] == b'.' {
        let (value, end) = digits(input, at + 1, mantissa);
        places = end - (at + 1);
        if places == 0 {
            return None;
        }
        mantissa = value;
        count += places;
        if input[start] == b'0' {
            // Leading zeros are not digits of the mantissa.
            let fraction = &input[at + 1..end];
            let zeros = fraction.iter().take_while(|&&b| b == b'0').count();
            count = places - zeros;
        }
        at = end;
    }
    let mut exponent = 0;
    if matches!(*input.get(at)?, b'e' | b'E') {
        let sign = *input.get(at + 1)?;
        let first = at + 1 + usize::from(matches!(sign, b'+' | b'-'));
        let (value, end) = digits(input, first, 0);
        if end == first {
            return None;
        }
        // The exact routine below handles longer exponents.
        exponent = if end - first <= 4 {
            value as i64
        } else {
            i64::MAX / 2
        };
        if sign == b'-' {
            exponent = -exponent;
        }
        at = end;
        input.get(at)?;
    }
    if count <= SAFE_DIGITS_UNSIGNED {
        let exponent = i32::try_from(exponent - places as i64).ok();
        if let Some(value) = exponent.and_then(|e| number::nearest_double(mantissa, e)) {
            return Some((QNum::Double(if negative { -value } else { value }), at));
        }
    }
    Some((decimal(&input[..at])?, at))
}

fn decimal(token: &[u8]) -> Option<QNum> {
    std::str::from_utf8(token).ok().map(number::parse)
}

/// Powers of ten.
const TENS: [u64; 9] = [
    1,
    10,
    100,
    1000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Appends the digits from `at` on to `value`. Returns the new value modulo 2^64
/// and the position after the digits.
#[inline]
fn digits(input: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(word) = input.get(at..).and_then(<[u8]>::first_chunk) {
        let (word, count) = number::leading_digits(*word);
        value = value.wrapping_mul(TENS[count]).wrapping_add(word);
        at += count;
        if count < 8 {
            return (value, at);
        }
    }
    while let Some(digit) = input
        .get(at)
        .map(|b| b.wrapping_sub(b'0'))
        .filter(|&d| d < 10)
    {
        value = value.wrapping_mul(10).wrapping_add(digit.into());
        at += 1;
    }
    (value, at)
}
