//! Numbers, read and written as QEMU does.
//!
//! Reading: an integer is signed if it fits, else unsigned, else a double; so `-0`
//! is the integer 0 and `18446744073709551616` a double. A number beyond the range
//! of a double becomes an infinity.
//!
//! Writing: integers in decimal, doubles as C's `%.17g` prints them: 17 significant
//! digits, trailing zeros dropped, with an exponent if that is below -4 or above
//! 16. `0.1` becomes `0.10000000000000001`. An infinity prints as `inf`, which is
//! not JSON but is what QEMU sends.

use super::super::qobject::QNum;

/// Converts a numeric token. The token must match the lexer's grammar.
pub(super) fn parse(token: &str) -> QNum {
    let integer = !token.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if integer {
        if let Ok(value) = token.parse() {
            return QNum::I64(value);
        }
        if let Ok(value) = token.parse() {
            return QNum::U64(value);
        }
    }
    // Rust reads decimals of any length exactly, and too large ones as an infinity,
    // as strtod does.
    QNum::Double(token.parse().unwrap_or(f64::NAN))
}

/// The number in the decimal digits that eight characters start with, and how many they
/// are.
///
/// All digits are marked at once, then those at the start are moved to the end, where the
/// zeros in front of them count for nothing. Multiplications join neighbours: digits to
/// pairs, pairs to fours, fours to one number.
#[inline(always)]
pub(super) fn leading_digits(text: [u8; 8]) -> (u64, usize) {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let word = u64::from_le_bytes(text) ^ ASCII_ZEROS;
    // The lowest mark is exact: only what is no digit carries.
    let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    let digits = word.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first = (pairs & PAIRS).wrapping_mul(0x000f_4240_0000_0064);
    let second = (pairs >> 16 & PAIRS).wrapping_mul(0x0000_2710_0000_0001);
    (first.wrapping_add(second) >> 32, count as usize)
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Powers of five that fit in 64 bits.
static FIVES: [u64; 28] = {
    let mut fives = [1; 28];
    let mut i = 1;
    while i < fives.len() {
        fives[i] = fives[i - 1] * 5;
        i += 1;
    }
    fives
};

/// The double nearest to `mantissa * 10^exponent`, or `None` if the exponent is
/// too far from zero for plain arithmetic.
///
/// If both the mantissa and the power are doubles, a single operation on them
/// rounds correctly (Clinger's easy case). Otherwise the power of five is
/// multiplied or divided in 128-bit integers, and the power of two added to
/// the exponent of the double.
pub(super) fn nearest_double(mantissa: u64, exponent: i32) -> Option<f64> {
    let magnitude = exponent.unsigned_abs() as usize;
    if mantissa < 1 << 53 && magnitude < EXACT_POWERS.len() {
        let power = EXACT_POWERS[magnitude];
        return Some(if exponent < 0 {
            mantissa as f64 / power
        } else {
            mantissa as f64 * power
        });
    }
    let five = *FIVES.get(magnitude)?;
    if mantissa == 0 {
        return Some(0.0);
    }
    let (rounded, shift) = if exponent < 0 {
        // With both brought to 64 bits, the quotient has 63 or 64 bits before the
        // point. Of the remainder only its presence matters, so it is noted in the
        // lowest bit, far below the bits that a double keeps.
        let up = mantissa.leading_zeros();
        let down = five.leading_zeros();
        let dividend = u128::from(mantissa << up) << 63;
        let divisor = u128::from(five << down);
        let quotient = (dividend / divisor) as u64 | u64::from(dividend % divisor != 0);
        (quotient as f64, down as i32 - up as i32 - 63)
    } else {
        ((u128::from(mantissa) * u128::from(five)) as f64, 0)
    };
    // Multiplying by a power of two is exact here: no result comes near the
    // smallest or the largest double.
    let two = f64::from_bits(((1023 + exponent + shift) as u64) << 52);
    Some(rounded * two)
}

/// The decimal digits of a number below 10^8, with leading zeros, each in a byte
/// of its own and the first in the lowest.
///
/// Each step halves the groups: the quotients by 10^4, 100 and 10 are found by
/// multiplication in all groups at once, and the remainders go to the upper halves.
#[inline]
fn eight_digits(value: u32) -> u64 {
    let fours = u64::from(value / 10_000) | u64::from(value % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0xf_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const TEN_8: u64 = 10u64.pow(8);

/// Appends a number in decimal.
#[inline]
pub(super) fn write_u64(out: &mut Vec<u8>, value: u64) {
    match u32::try_from(value) {
        Ok(digit @ 0..10) => out.push(b'0' + digit as u8),
        Ok(value) if u64::from(value) < TEN_8 => write_short(out, value),
        _ => write_long(out, value),
    }
}

/// Appends a number below 10^8, but not zero.
#[inline]
fn write_short(out: &mut Vec<u8>, value: u32) {
    let digits = eight_digits(value);
    let zeros = digits.trailing_zeros() / 8;
    let text = (digits | ASCII_ZEROS) >> (8 * zeros);
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(out.len() - zeros as usize);
}

fn write_long(out: &mut Vec<u8>, value: u64) {
    write_u64(out, value / TEN_8);
    let digits = eight_digits((value % TEN_8) as u32) | ASCII_ZEROS;
    out.extend_from_slice(&digits.to_le_bytes());
}

/// Appends a number in decimal.
#[inline]
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Significant digits of `%.17g`.
const PRECISION: usize = 17;

/// Appends a number as `%.17g` prints it. It stays out of line: it would burden the
/// writer's recursion with its variables.
#[inline(never)]
pub(super) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    // An integer of up to 15 digits needs no decimal arithmetic.
    if value < 1e15 && value as i64 as f64 == value {
        return write_u64(out, value as u64);
    }
    let (digits, exponent) = match decimal(value) {
        Some(decimal) => decimal,
        None if value.is_nan() => return out.extend_from_slice(b"nan"),
        None if value.is_infinite() => return out.extend_from_slice(b"inf"),
        None => decimal_by_std(value),
    };
    let text = digits.to_text();
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < PRECISION => {
            out.push(text.first);
            text.append_rest(out, 0, exponent);
            if text.len > exponent + 1 {
                out.push(b'.');
                text.append_rest(out, exponent, text.len - 1);
            }
        }
        Err(_) if exponent >= -4 => {
            let zeros = (-exponent - 1) as usize;
            out.extend_from_slice(b"0.000");
            out.truncate(out.len() - 3 + zeros);
            out.push(text.first);
            text.append_rest(out, 0, text.len - 1);
        }
        _ => {
            out.push(text.first);
            if text.len > 1 {
                out.push(b'.');
                text.append_rest(out, 0, text.len - 1);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            write_u64(out, exponent.unsigned_abs().into());
        }
    }
}

/// The 17 significant digits of a double, as an integer.
struct Digits(u64);

/// The same as characters.
struct DigitText {
    first: u8,
    /// The other 16, the next one in the lowest byte. They stay in registers: memory
    /// written in parts is slow to read as a whole.
    rest: u128,
    /// Their number without zeros at the end.
    len: usize,
}

impl Digits {
    #[inline(always)]
    fn to_text(&self) -> DigitText {
        let (high, low) = (self.0 / TEN_8, (self.0 % TEN_8) as u32);
        let (first, high) = (high / TEN_8, (high % TEN_8) as u32);
        let (high, low) = (eight_digits(high), eight_digits(low));
        let zeros = if low == 0 {
            8 + high.leading_zeros() / 8
        } else {
            low.leading_zeros() / 8
        };
        let (high, low) = (high | ASCII_ZEROS, low | ASCII_ZEROS);
        DigitText {
            first: b'0' + first as u8,
            rest: u128::from(high) | u128::from(low) << 64,
            len: PRECISION - zeros as usize,
        }
    }
}

impl DigitText {
    /// Appends the digits after the first between two positions. A copy of a fixed
    /// length is cut back, because that costs less than the call for a copy of any
    /// length.
    #[inline(always)]
    fn append_rest(&self, out: &mut Vec<u8>, from: usize, to: usize) {
        if from < to {
            let digits = (self.rest >> (8 * from)).to_le_bytes();
            out.extend_from_slice(&digits);
            out.truncate(out.len() - digits.len() + (to - from));
        }
    }
}

const TEN_16: u64 = 10u64.pow(PRECISION as u32 - 1);

/// The digits of a finite positive double, rounded half to even, and the decimal
/// exponent of the first. `None` unless the value is between about 1e-15 and 1e17,
/// where 128-bit integers suffice.
#[inline(always)]
fn decimal(value: f64) -> Option<(Digits, i32)> {
    if !(1e-15..9e16).contains(&value) {
        return None;
    }
    let bits = value.to_bits();
    let binary = (bits >> 52) as i32 - 1075;
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    // log10 of the power of two, never too large and at most one too small.
    let estimate = ((binary + 52) * 1233) >> 12;
    let digits = scaled(mantissa, binary, estimate);
    Some(if digits < 10 * TEN_16 {
        (Digits(digits), estimate)
    } else {
        let digits = scaled(mantissa, binary, estimate + 1);
        (Digits(digits), estimate + 1)
    })
}

/// `mantissa * 2^binary`, in units of the last of 17 digits if the first has the
/// given decimal exponent.
#[inline(always)]
fn scaled(mantissa: u64, binary: i32, exponent: i32) -> u64 {
    // value * 10^places = mantissa * 5^places * 2^(binary + places)
    let places = PRECISION as i32 - 1 - exponent;
    let down = -(binary + places);
    match FIVES.get(places as usize) {
        // Nearly always the bits shifted out fit in a word.
        Some(&five) if (1..64).contains(&down) => {
            let product = u128::from(mantissa) * u128::from(five);
            let whole = (product >> (down & 63)) as u64;
            let rest = product as u64 & ((1 << down) - 1);
            let up = rest + (whole & 1) > 1 << (down - 1);
            whole + u64::from(up)
        }
        _ => scaled_far(mantissa, places as u32, down),
    }
}

#[inline(never)]
fn scaled_far(mantissa: u64, places: u32, down: i32) -> u64 {
    let product = u128::from(mantissa) * five_to(places);
    if down <= 0 {
        return (product << -down) as u64;
    }
    let (whole, rest) = (product >> down, product & ((1 << down) - 1));
    let up = rest + (whole & 1) > 1 << (down - 1);
    whole as u64 + u64::from(up)
}

fn five_to(power: u32) -> u128 {
    let power = power as usize;
    let low = power.min(FIVES.len() - 1);
    u128::from(FIVES[low]) * u128::from(FIVES[power - low])
}

/// The same for any finite positive double, through Rust's formatting. Its digits
/// are those of the exact value, rounded half to even.
fn decimal_by_std(value: f64) -> (Digits, i32) {
    let text = format!("{value:.*e}", PRECISION - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let digits = digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (Digits(digits), exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn g17(value: f64) -> String {
        text(|out| write_f64(out, value))
    }

    proptest! {
        #[test]
        fn digits_are_read_eight_at_a_time(text in "[0-9]{0,8}[ -~\u{e9}]{8}") {
            let text = text.as_bytes().first_chunk().unwrap();
            let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
            let digits = std::str::from_utf8(&text[..count]).unwrap();
            let number = digits.parse().unwrap_or(0);
            prop_assert_eq!(leading_digits(*text), (number, count));
        }
    }

    #[test]
    fn doubles_print_as_c_prints_them() {
        // The right column is what printf("%.17g") of glibc prints.
        let rows = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.10000000000000001"),
            (0.5, "0.5"),
            (100.0, "100"),
            (0.001, "0.001"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (0.00012345, "0.00012344999999999999"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e20, "1e+20"),
            (1.5e17, "1.5e+17"),
            (123456789.123, "123456789.123"),
            (12345678901234567890.5, "1.2345678901234567e+19"),
            (9007199254740993.0, "9007199254740992"),
            (99999999999999999.0, "1e+17"),
            (1e100, "1e+100"),
            (-1e-7, "-9.9999999999999995e-08"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "4.9406564584124654e-324"),
            // Exact ties at the 18th digit go to the even neighbour.
            (12345678.0 + 1.0 / 1024.0, "12345678.000976562"),
            (12345678.0 + 3.0 / 1024.0, "12345678.002929688"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in rows {
            assert_eq!(g17(value), expected);
        }
        assert_eq!(g17(f64::NAN), "nan");
    }

    #[test]
    fn tokens_become_the_smallest_kind_that_holds_them() {
        let rows = [
            ("0", QNum::I64(0)),
            ("-0", QNum::I64(0)),
            ("9223372036854775807", QNum::I64(i64::MAX)),
            ("-9223372036854775808", QNum::I64(i64::MIN)),
            ("9223372036854775808", QNum::U64(1 << 63)),
            ("18446744073709551615", QNum::U64(u64::MAX)),
            ("18446744073709551616", QNum::Double(18446744073709551616.0)),
            ("-9223372036854775809", QNum::Double(-9223372036854775809.0)),
            ("1.0", QNum::Double(1.0)),
            ("1e2", QNum::Double(100.0)),
            ("1E400", QNum::Double(f64::INFINITY)),
            ("-1e400", QNum::Double(f64::NEG_INFINITY)),
            ("1e-400", QNum::Double(0.0)),
        ];
        for (token, number) in rows {
            assert_eq!(parse(token), number, "{token}");
        }
    }

    proptest! {
        #[test]
        fn doubles_survive_the_round_trip(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let printed = g17(value);
            prop_assert_eq!(printed.parse::<f64>().unwrap().to_bits(), bits, "{}", printed);
        }

        #[test]
        fn integers_print_as_rust_prints_them(u in any::<u64>(), shift in 0..64) {
            let u = u >> shift;
            prop_assert_eq!(text(|out| write_u64(out, u)), u.to_string());
            let i = u as i64;
            prop_assert_eq!(text(|out| write_i64(out, i)), i.to_string());
        }

        #[test]
        fn short_mantissas_give_the_nearest_double(mantissa in any::<u64>(), shift in 0..64, exponent in -35..35) {
            let mantissa = mantissa >> shift;
            let slow: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
            match nearest_double(mantissa, exponent) {
                Some(value) => prop_assert_eq!(value.to_bits(), slow.to_bits()),
                None => prop_assert!(exponent.abs() >= 23),
            }
        }

        #[test]
        fn digits_agree_with_those_of_std(mantissa in any::<u64>(), exponent in 1023 - 52..1023 + 58u64) {
            let value = f64::from_bits(mantissa >> 12 | exponent << 52);
            let (expected, place) = decimal_by_std(value);
            match decimal(value) {
                Some((digits, at)) => prop_assert_eq!((digits.0, at), (expected.0, place)),
                None => prop_assert!(!(1e-15..9e16).contains(&value)),
            }
        }
    }

    #[test]
    fn groups_of_four_digits_do_not_disturb_each_other() {
        let text = |value| (eight_digits(value) | ASCII_ZEROS).to_le_bytes();
        for low in 0..10_000 {
            for high in [0, low, 9_999 - low, 9_999] {
                let value = high * 10_000 + low;
                assert_eq!(text(value), *format!("{value:08}").as_bytes());
            }
        }
    }

    #[test]
    fn digits_around_powers_of_ten_and_ties_agree_with_those_of_std() {
        for power in -16..18 {
            let ten: f64 = format!("1e{power}").parse().unwrap();
            for near in (ten.to_bits() - 500..ten.to_bits() + 500).map(f64::from_bits) {
                let (expected, place) = decimal_by_std(near);
                if let Some((digits, at)) = decimal(near) {
                    assert_eq!((digits.0, at), (expected.0, place), "{near:e}");
                }
            }
        }
        // With few bits after the point, the 18th digit is often the last one and a
        // 5.
        for numerator in (1 << 36..1u64 << 36 | 1 << 12).chain(1 << 46..1u64 << 46 | 1 << 12) {
            for places in 1..20 {
                let value = numerator as f64 / f64::from(1 << places);
                let (expected, place) = decimal_by_std(value);
                if let Some((digits, at)) = decimal(value) {
                    assert_eq!((digits.0, at), (expected.0, place), "{value}");
                }
            }
        }
    }
}
