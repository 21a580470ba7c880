//! A new value of a property, in one of three spellings.
//!
//! QMP's `qom-set` and `object-add` bring a JSON value, whose type must be
//! right. The human monitor's `qom-set` brings text (QEMU's string input
//! visitor), which is converted to the type of the property; so does `-device`, whose
//! texts go by the rules of `key=value` lists (QEMU's keyval visitor). Errors name
//! the property, and differ in wording among the three.

use qmonitor::qapi::visit::{parse_size, InputVisitor, QapiType};
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};

/// A new value for a property, not looked at yet.
pub struct PropertyInput {
    name: String,
    value: Value,
    policy: CompatPolicy,
}

enum Value {
    Json(QObject),
    Text(String),
    Keyval(String),
}

/// Most elements that one range in a list may stand for
/// (`RANGE_MAX_ELEMENTS`).
const RANGE_MAX_ELEMENTS: u64 = 65536;

impl PropertyInput {
    /// A value with JSON's types; `policy` says whether its deprecated parts are
    /// accepted.
    pub fn json(name: &str, value: QObject, policy: CompatPolicy) -> Self {
        PropertyInput {
            name: name.to_owned(),
            value: Value::Json(value),
            policy,
        }
    }

    /// A value written as text.
    pub fn text(name: &str, text: &str) -> Self {
        PropertyInput {
            name: name.to_owned(),
            value: Value::Text(text.to_owned()),
            policy: CompatPolicy::default(),
        }
    }

    /// A value of a `key=value` list.
    pub fn keyval(name: &str, text: &str, policy: CompatPolicy) -> Self {
        PropertyInput {
            name: name.to_owned(),
            value: Value::Keyval(text.to_owned()),
            policy,
        }
    }

    /// Whether the value is a number of JSON.
    pub fn is_number(&self) -> bool {
        matches!(self.value, Value::Json(QObject::Num(_)))
    }

    fn expects(&self, what: &str) -> Error {
        Error::new(format!("Parameter '{}' expects {what}", self.name))
    }

    /// Reads the value as a type of the schema. Text is taken for a JSON
    /// string, which is right for strings and enumerations.
    ///
    /// # Errors
    ///
    /// The value does not fit; the words are those of `visit_type_T`.
    pub fn value<T: QapiType>(&self) -> Result<T, Error> {
        T::visit_in(&mut self.visitor()?, &self.name)
    }

    fn visitor(&self) -> Result<InputVisitor, Error> {
        let value = match &self.value {
            Value::Json(value) => value.clone(),
            Value::Text(text) | Value::Keyval(text) => text.as_str().into(),
        };
        // One level of braces makes paths in error texts start with the name.
        let dict: QDict = [(self.name.as_str(), value)].into_iter().collect();
        let mut v = match &self.value {
            Value::Keyval(_) => InputVisitor::new_keyval(dict, self.policy),
            _ => InputVisitor::new(dict.into(), self.policy),
        };
        v.start_struct("")?;
        Ok(v)
    }

    /// Reads an integer (`visit_type_int`).
    ///
    /// # Errors
    ///
    /// The value is no integer, or does not fit in 64 signed bits.
    pub fn int(&self) -> Result<i64, Error> {
        match &self.value {
            Value::Json(_) | Value::Keyval(_) => self.value(),
            Value::Text(text) => parse_int(text).ok_or_else(|| self.expects("int64")),
        }
    }

    /// Reads an unsigned integer (`visit_type_uint64`); negative ones wrap.
    ///
    /// # Errors
    ///
    /// The value is no integer, or does not fit in 64 bits.
    pub fn uint64(&self) -> Result<u64, Error> {
        match &self.value {
            Value::Json(_) | Value::Keyval(_) => self.value(),
            Value::Text(text) => parse_uint(text).ok_or_else(|| self.expects("uint64")),
        }
    }

    /// Reads a 32-bit unsigned integer (`visit_type_uint32`).
    ///
    /// # Errors
    ///
    /// The value is no integer, or does not fit.
    pub fn uint32(&self) -> Result<u32, Error> {
        let wide = self.uint64()?;
        u32::try_from(wide).map_err(|_| self.expects("uint32_t"))
    }

    /// Reads a size in bytes (`visit_type_size`); text may have a suffix.
    ///
    /// # Errors
    ///
    /// The value has another type.
    pub fn size(&self) -> Result<u64, Error> {
        match &self.value {
            Value::Json(_) | Value::Keyval(_) => self.visitor()?.type_size(&self.name),
            Value::Text(text) => parse_size(text).map_err(|_| {
                self.expects("a non-negative number below 2^64").with_hint(
                    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, \
                     peta-\nand exabytes, respectively.\n",
                )
            }),
        }
    }

    /// Reads a boolean (`visit_type_bool`).
    ///
    /// # Errors
    ///
    /// The value has another type.
    pub fn boolean(&self) -> Result<bool, Error> {
        match &self.value {
            Value::Json(_) | Value::Keyval(_) => self.value(),
            Value::Text(text) => match text.as_str() {
                "on" | "yes" | "true" | "y" => Ok(true),
                "off" | "no" | "false" | "n" => Ok(false),
                _ => Err(self.expects("'on' or 'off'")),
            },
        }
    }

    /// Reads a string (`visit_type_str`).
    ///
    /// # Errors
    ///
    /// The value has another type.
    pub fn string(&self) -> Result<String, Error> {
        self.value()
    }

    /// Reads a list of 16-bit numbers (`visit_type_uint16List`). As text it is
    /// numbers and ranges separated by commas: `0-3,7`.
    ///
    /// # Errors
    ///
    /// The value is no such list, or an element does not fit. Elements have no name, which
    /// QEMU prints as `null`.
    pub fn uint16_list(&self) -> Result<Vec<u16>, Error> {
        let text = match &self.value {
            Value::Json(_) | Value::Keyval(_) => return self.value(),
            Value::Text(text) => text,
        };
        let mut list = Vec::new();
        for part in text.split_terminator(',') {
            let (first, last) = parse_range(part).ok_or_else(|| {
                Error::new("Parameter 'null' expects list of uint64 values or ranges")
            })?;
            for number in first..=last {
                let number = u16::try_from(number)
                    .map_err(|_| Error::new("Parameter 'null' expects uint16_t"))?;
                list.push(number);
            }
        }
        Ok(list)
    }
}

/// Sign and magnitude in decimal, `0x` hexadecimal or `0` octal.
fn parse_magnitude(text: &str) -> Option<(bool, u64)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let digits = Some(digits).filter(|d| !d.starts_with(['+', '-']))?;
    Some((negative, u64::from_str_radix(digits, radix).ok()?))
}

fn parse_int(text: &str) -> Option<i64> {
    match parse_magnitude(text)? {
        (false, magnitude) => i64::try_from(magnitude).ok(),
        (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
    }
}

fn parse_uint(text: &str) -> Option<u64> {
    let (negative, magnitude) = parse_magnitude(text)?;
    Some(if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    })
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    // A hyphen in front is a sign.
    let hyphen = text.char_indices().skip(1).find(|(_, c)| *c == '-');
    let (first, last) = match hyphen {
        Some((at, _)) => (parse_uint(&text[..at])?, parse_uint(&text[at + 1..])?),
        None => (parse_uint(text)?, parse_uint(text)?),
    };
    let fits = first <= last && last - first < RANGE_MAX_ELEMENTS;
    fits.then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> PropertyInput {
        PropertyInput::text("p", value)
    }

    fn json(value: impl Into<QObject>) -> PropertyInput {
        PropertyInput::json("p", value.into(), CompatPolicy::default())
    }

    #[track_caller]
    fn says<T: std::fmt::Debug>(result: Result<T, Error>, desc: &str) {
        assert_eq!(result.unwrap_err().desc(), desc);
    }

    #[test]
    fn json_values_need_the_right_type() {
        assert_eq!(json(-5).int().unwrap(), -5);
        assert_eq!(json(5).size().unwrap(), 5);
        assert!(json(true).boolean().unwrap());
        says(
            json("5").int(),
            "Invalid parameter type for 'p', expected: integer",
        );
        says(json(5.0).uint64(), "Parameter 'p' expects uint64");
        says(json(-1).uint32(), "Parameter 'p' expects uint32_t");
        says(
            json(vec![QObject::from(70000)]).uint16_list(),
            "Parameter 'null' expects uint16_t",
        );
        says(
            json(vec!["x".into()]).value::<Vec<i64>>(),
            "Invalid parameter type for 'p[0]', expected: integer",
        );
    }

    #[test]
    fn text_is_converted() {
        assert_eq!(text(" -0x10").int().unwrap(), -16);
        assert_eq!(text("-1").uint64().unwrap(), u64::MAX);
        assert_eq!(text("010").uint32().unwrap(), 8);
        assert_eq!(text("64K").size().unwrap(), 65536);
        assert!(!text("off").boolean().unwrap());
        assert_eq!(text("5").string().unwrap(), "5");
        assert_eq!(text("0-3,7").uint16_list().unwrap(), [0, 1, 2, 3, 7]);
        assert_eq!(text("").uint16_list().unwrap(), [0u16; 0]);
        assert_eq!(text("1,").uint16_list().unwrap(), [1]);
    }

    #[test]
    fn values_of_a_list_have_the_words_of_options() {
        let keyval = |value| PropertyInput::keyval("p", value, CompatPolicy::default());
        assert_eq!(keyval("0x10").uint32().unwrap(), 16);
        assert_eq!(keyval("64K").size().unwrap(), 65536);
        assert!(keyval("on").boolean().unwrap());
        assert_eq!(keyval("5").string().unwrap(), "5");
        says(keyval("x").uint64(), "Parameter 'p' expects integer");
        says(keyval("x").boolean(), "Parameter 'p' expects 'on' or 'off'");
        says(keyval("x").size(), "Parameter 'p' expects size");
    }

    #[test]
    fn text_that_does_not_convert_has_its_own_words() {
        says(text("x").int(), "Parameter 'p' expects int64");
        says(text("--1").int(), "Parameter 'p' expects int64");
        says(text("").uint64(), "Parameter 'p' expects uint64");
        says(
            text("4294967296").uint32(),
            "Parameter 'p' expects uint32_t",
        );
        says(text("1").boolean(), "Parameter 'p' expects 'on' or 'off'");
        let list = "Parameter 'null' expects list of uint64 values or ranges";
        says(text("3-1").uint16_list(), list);
        says(text("0-65536").uint16_list(), list);
        says(text("1,x").uint16_list(), list);
        says(
            text("-1").uint16_list(),
            "Parameter 'null' expects uint16_t",
        );
    }
}
