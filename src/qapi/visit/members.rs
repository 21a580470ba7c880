//! Generated code reads members with these: by type, and with a check of the policy
//! if the member is deprecated or unstable.

use super::{InputVisitor, QType, QapiObject, QapiType, VisitSize};
use crate::qapi::{Error, ErrorClass, SpecialFeatures};

impl InputVisitor {
    /// Reads the member `name`.
    ///
    /// # Errors
    ///
    /// As [`QapiType::visit_in`].
    pub fn member<T: QapiType>(&mut self, name: &str) -> Result<T, Error> {
        T::visit_in(self, name)
    }

    /// Reads a member that is a size, or a list of them; see [`VisitSize`].
    ///
    /// # Errors
    ///
    /// As [`QapiType::visit_in`].
    pub fn size<T: VisitSize>(&mut self, name: &str) -> Result<T, Error> {
        T::visit_size(self, name)
    }

    /// Reads the members of a union's branch, or of a whole object, without braces
    /// around them.
    ///
    /// # Errors
    ///
    /// As [`QapiObject::visit_members_in`].
    pub fn branch<T: QapiObject>(&mut self) -> Result<T, Error> {
        T::visit_members_in(self)
    }

    fn check_member(&self, name: &str, features: SpecialFeatures) -> Result<(), Error> {
        let class = ErrorClass::GenericError;
        self.policy.check_input(features, class, "parameter", name)
    }

    /// Reads a mandatory member that is deprecated or unstable.
    ///
    /// # Errors
    ///
    /// Fails if the policy forbids the member (checked before its value), or as
    /// [`QapiType::visit_in`].
    pub fn special_member<T: QapiType>(
        &mut self,
        name: &str,
        features: SpecialFeatures,
    ) -> Result<T, Error> {
        self.check_member(name, features)?;
        if self.policy.takes_str(features) && self.start_alternate(name)? != QType::Qstring {
            self.type_str(name)?;
        }
        T::visit_in(self, name)
    }

    /// [`special_member`](Self::special_member) for a size.
    ///
    /// # Errors
    ///
    /// As [`special_member`](Self::special_member).
    pub fn special_size<T: VisitSize>(
        &mut self,
        name: &str,
        features: SpecialFeatures,
    ) -> Result<T, Error> {
        self.check_member(name, features)?;
        T::visit_size(self, name)
    }

    /// Reads an optional member that is deprecated or unstable.
    ///
    /// # Errors
    ///
    /// As [`special_member`](Self::special_member), if the member is present.
    pub fn special_optional<T: QapiType>(
        &mut self,
        name: &str,
        features: SpecialFeatures,
    ) -> Result<Option<T>, Error> {
        if !self.policy.has(features) {
            return Ok(None);
        }
        if self.optional(name) || self.policy.requires(features) {
            self.special_member(name, features).map(Some)
        } else {
            Ok(None)
        }
    }

    /// [`special_optional`](Self::special_optional) for a size.
    ///
    /// # Errors
    ///
    /// As [`special_optional`](Self::special_optional).
    pub fn special_optional_size<T: VisitSize>(
        &mut self,
        name: &str,
        features: SpecialFeatures,
    ) -> Result<Option<T>, Error> {
        if self.policy.has(features) && self.optional(name) {
            self.special_size(name, features).map(Some)
        } else {
            Ok(None)
        }
    }
}
