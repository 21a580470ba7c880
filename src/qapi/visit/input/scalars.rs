//! Scalars and values of any type, as the input visitor reads them.

use std::borrow::Cow;

use super::{short_name, InputVisitor, Unvisited};
use crate::qapi::visit::numbers::{parse_bool, parse_i64, parse_number, parse_size, parse_u64};
use crate::qapi::visit::unvisited::push_keys;
use crate::qapi::visit::EnumEntry;
use crate::qapi::{Error, ErrorClass, QNum, QObject};

impl InputVisitor {
    /// The text of a scalar in keyval.
    fn scalar_text(&mut self, name: &str) -> Result<String, Error> {
        match self.take(name)? {
            QObject::String(text) => Ok(text),
            value if self.unvisited == Unvisited::Invalid => {
                let mut keys = Vec::new();
                push_keys(&mut keys, name.to_owned(), &value);
                Err(self.invalid(keys.first().map_or(name, |key| key)))
            }
            _ => {
                let name = self.full_name(name);
                Err(Error::new(format!("Parameters '{name}.*' are unexpected")))
            }
        }
    }

    /// A signed integer (`visit_type_int64`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing, or not an integer between -2^63 and 2^63-1.
    pub fn type_int64(&mut self, name: &str) -> Result<i64, Error> {
        if self.keyval {
            let value = parse_i64(&self.scalar_text(name)?);
            let what = self.in_words_of("integer", "an int64 value");
            return value.ok_or_else(|| self.full_name_expects(name, what));
        }
        match self.take(name)? {
            QObject::Num(QNum::I64(value)) => Ok(value),
            _ => Err(self.wrong_type(name, "integer")),
        }
    }

    /// An unsigned integer (`visit_type_uint64`). Negative ones wrap around,
    /// because some clients send them.
    ///
    /// # Errors
    ///
    /// Fails if the member is missing, or not an integer between -2^63 and 2^64-1.
    pub fn type_uint64(&mut self, name: &str) -> Result<u64, Error> {
        if self.keyval {
            let value = parse_u64(&self.scalar_text(name)?);
            let what = self.in_words_of("integer", "a uint64 value");
            return value.ok_or_else(|| self.full_name_expects(name, what));
        }
        match self.take(name)? {
            QObject::Num(QNum::I64(value)) => Ok(value as u64),
            QObject::Num(QNum::U64(value)) => Ok(value),
            _ => Err(self.full_name_expects(name, "uint64")),
        }
    }

    /// A size in bytes (`visit_type_size`). keyval understands suffixes such as
    /// `M`; QMP takes an unsigned integer.
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not a size.
    pub fn type_size(&mut self, name: &str) -> Result<u64, Error> {
        if !self.keyval {
            return self.type_uint64(name);
        }
        let value = parse_size(&self.scalar_text(name)?);
        let what = self.in_words_of("size", "a size value");
        value.map_err(|_| self.full_name_expects(name, what))
    }

    /// A boolean (`visit_type_bool`); in keyval `on` or `off`, `yes` or `no`,
    /// `true` or `false`, `y` or `n`.
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not a boolean.
    pub fn type_bool(&mut self, name: &str) -> Result<bool, Error> {
        if self.keyval {
            let value = parse_bool(&self.scalar_text(name)?);
            return value.ok_or_else(|| self.full_name_expects(name, "'on' or 'off'"));
        }
        match self.take(name)? {
            QObject::Bool(value) => Ok(value),
            _ => Err(self.wrong_type(name, "boolean")),
        }
    }

    /// A string (`visit_type_str`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not a string.
    pub fn type_str(&mut self, name: &str) -> Result<String, Error> {
        if self.keyval {
            return self.scalar_text(name);
        }
        match self.try_take(name) {
            Some(QObject::String(value)) => Ok(value),
            Some(_) => Err(self.wrong_type(name, "string")),
            None => Err(self.missing(name)),
        }
    }

    /// A string, of the form that handlers borrow.
    ///
    /// # Errors
    ///
    /// As [`type_str`](Self::type_str).
    pub fn text(&mut self, name: &str) -> Result<Cow<'static, str>, Error> {
        self.type_str(name).map(Cow::Owned)
    }

    /// The same if the member is there.
    ///
    /// # Errors
    ///
    /// As [`type_str`](Self::type_str).
    pub fn optional_text(&mut self, name: &str) -> Result<Option<Cow<'static, str>>, Error> {
        self.optional(name).then(|| self.text(name)).transpose()
    }

    /// A number; integers count (`visit_type_number`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or not a number, in keyval also if it is not
    /// finite.
    pub fn type_number(&mut self, name: &str) -> Result<f64, Error> {
        if self.keyval {
            let value = parse_number(&self.scalar_text(name)?);
            return value.ok_or_else(|| self.wrong_type(name, "number"));
        }
        match self.take(name)? {
            QObject::Num(QNum::I64(value)) => Ok(value as f64),
            QObject::Num(QNum::U64(value)) => Ok(value as f64),
            QObject::Num(QNum::Double(value)) => Ok(value),
            _ => Err(self.wrong_type(name, "number")),
        }
    }

    /// Any value, `null` included (`visit_type_any`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing.
    pub fn type_any(&mut self, name: &str) -> Result<QObject, Error> {
        self.take(name)
    }

    /// `null` (`visit_type_null`). keyval cannot express it.
    ///
    /// # Errors
    ///
    /// Fails if the member is missing or anything else.
    pub fn type_null(&mut self, name: &str) -> Result<(), Error> {
        match self.take(name)? {
            QObject::Null => Ok(()),
            _ => Err(self.wrong_type(name, "null")),
        }
    }

    /// The index of the enumeration's value in `lookup` (`visit_type_enum`).
    ///
    /// # Errors
    ///
    /// Fails if the member is missing, not a string, not one of the names, or
    /// forbidden by the policy.
    pub fn type_enum(&mut self, name: &str, lookup: &[EnumEntry]) -> Result<usize, Error> {
        let text = self.type_str(name)?;
        let known = |entry: &EnumEntry| entry.name == text && self.policy.has(entry.features);
        let Some(i) = lookup.iter().position(known) else {
            let name = short_name(name);
            let desc = format!("Parameter '{name}' does not accept value '{text}'");
            return Err(Error::new(desc));
        };
        let class = ErrorClass::GenericError;
        self.policy
            .check_input(lookup[i].features, class, "value", &text)?;
        Ok(i)
    }
}
