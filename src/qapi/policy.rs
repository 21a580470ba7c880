//! What to do with deprecated and unstable interfaces (QEMU's `-compat`).
//!
//! Developers of management software want to know whether it still uses anything
//! deprecated. In testing they start the emulator with `-compat
//! deprecated-input=reject,deprecated-output=hide`. Input is then checked command
//! by command, member by member and value by value; deprecated members and events
//! are left out of output as if they had been removed already.

use super::{Error, ErrorClass, Profile};

/// Which QEMUs have a part of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// All of them.
    #[default]
    Always,
    /// This one and later ones.
    Since(Profile),
    /// Those before this one.
    Before(Profile),
}

impl Life {
    /// Whether that QEMU has it.
    #[inline]
    pub fn includes(self, profile: Profile) -> bool {
        match self {
            Life::Always => true,
            Life::Since(first) => profile >= first,
            Life::Before(first) => profile < first,
        }
    }
}

/// The features of schema entities that QMP itself knows about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpecialFeatures {
    /// Has the feature `deprecated`.
    pub deprecated: bool,
    /// Has the feature `unstable`.
    pub unstable: bool,
    /// Is deprecated from this QEMU on.
    pub deprecated_since: Option<Profile>,
    /// Which QEMUs have it at all.
    pub life: Life,
    /// What is special about the value of a member.
    pub value: SpecialValue,
}

/// How the value of a member differs between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpecialValue {
    /// It does not.
    #[default]
    Alike,
    /// The member is optional before this QEMU, and mandatory since.
    RequiredSince(Profile),
    /// The value is a string before this QEMU.
    StrBefore(Profile),
}

impl SpecialFeatures {
    /// Neither.
    pub const NONE: Self = Self::new(false, false);
    /// Deprecated only.
    pub const DEPRECATED: Self = Self::new(true, false);
    /// Unstable only.
    pub const UNSTABLE: Self = Self::new(false, true);
    /// Both.
    pub const BOTH: Self = Self::new(true, true);

    /// New in QEMU 11.1.
    pub const SINCE_11_1: Self = Self::NONE.living(Life::Since(Profile::V11_1));
    /// The same, and unstable.
    pub const UNSTABLE_SINCE_11_1: Self = Self::UNSTABLE.living(Life::Since(Profile::V11_1));
    /// Not in QEMU 11.1.
    pub const REMOVED_IN_11_1: Self = Self::NONE.living(Life::Before(Profile::V11_1));
    /// The same, and deprecated before.
    pub const DEPRECATED_REMOVED_IN_11_1: Self =
        Self::DEPRECATED.living(Life::Before(Profile::V11_1));
    /// The same, and unstable before.
    pub const UNSTABLE_REMOVED_IN_11_1: Self = Self::UNSTABLE.living(Life::Before(Profile::V11_1));
    /// Deprecated in QEMU 11.1.
    pub const DEPRECATED_SINCE_11_1: Self = SpecialFeatures {
        deprecated_since: Some(Profile::V11_1),
        ..Self::NONE
    };

    /// A member that is mandatory in QEMU 11.1.
    pub const REQUIRED_SINCE_11_1: Self =
        Self::NONE.valued(SpecialValue::RequiredSince(Profile::V11_1));
    /// The same, and new there.
    pub const REQUIRED_AND_SINCE_11_1: Self =
        Self::SINCE_11_1.valued(SpecialValue::RequiredSince(Profile::V11_1));
    /// A member that is a string before QEMU 11.1.
    pub const STR_BEFORE_11_1: Self = Self::NONE.valued(SpecialValue::StrBefore(Profile::V11_1));

    /// The two flags, in this order.
    pub const fn new(deprecated: bool, unstable: bool) -> Self {
        SpecialFeatures {
            deprecated,
            unstable,
            deprecated_since: None,
            life: Life::Always,
            value: SpecialValue::Alike,
        }
    }

    const fn valued(mut self, value: SpecialValue) -> Self {
        self.value = value;
        self
    }

    const fn living(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    fn is_deprecated(self, profile: Profile) -> bool {
        self.deprecated || self.deprecated_since.is_some_and(|first| profile >= first)
    }
}

/// What to do when a client uses something (`CompatPolicyInput`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompatPolicyInput {
    /// Accept it.
    #[default]
    Accept,
    /// Answer with an error.
    Reject,
    /// Abort the process, so that a test of the client cannot overlook it.
    Crash,
}

/// What to do with something in output (`CompatPolicyOutput`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompatPolicyOutput {
    /// Send it.
    #[default]
    Accept,
    /// Leave it out.
    Hide,
}

/// The policy in force (`CompatPolicy`). The default accepts everything.
///
/// ```
/// use qmonitor::qapi::{CompatPolicy, CompatPolicyOutput, SpecialFeatures};
///
/// let policy = CompatPolicy {
///     deprecated_output: CompatPolicyOutput::Hide,
///     ..CompatPolicy::default()
/// };
/// assert!(policy.hides(SpecialFeatures::DEPRECATED));
/// assert!(!policy.hides(SpecialFeatures::UNSTABLE));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompatPolicy {
    /// For deprecated commands, arguments and values.
    pub deprecated_input: CompatPolicyInput,
    /// For deprecated members of replies and events, and for deprecated events.
    pub deprecated_output: CompatPolicyOutput,
    /// For unstable commands, arguments and values.
    pub unstable_input: CompatPolicyInput,
    /// For unstable members of replies and events, and for unstable events.
    pub unstable_output: CompatPolicyOutput,
    /// Which QEMU's interface it is all about.
    pub profile: Profile,
}

impl CompatPolicy {
    /// Checks whether a client may use something with these features
    /// (`compat_policy_input_ok`). `kind` and `name` describe it in the error, such
    /// as `command` and `x-query-roms`.
    ///
    /// # Errors
    ///
    /// Fails with `Deprecated KIND NAME disabled by policy`, or `Unstable ...`, of
    /// the given class. Under [`CompatPolicyInput::Crash`] the process aborts.
    #[inline]
    pub fn check_input(
        &self,
        features: SpecialFeatures,
        class: ErrorClass,
        kind: &str,
        name: &str,
    ) -> Result<(), Error> {
        if features == SpecialFeatures::NONE {
            return Ok(());
        }
        let checks = [
            (
                features.is_deprecated(self.profile),
                self.deprecated_input,
                "Deprecated",
            ),
            (features.unstable, self.unstable_input, "Unstable"),
        ];
        for (has, policy, adjective) in checks {
            match policy {
                CompatPolicyInput::Reject if has => {
                    let desc = format!("{adjective} {kind} {name} disabled by policy");
                    return Err(Error::with_class(class, desc));
                }
                CompatPolicyInput::Crash if has => std::process::abort(),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the profile has something with these features.
    #[inline]
    pub fn has(&self, features: SpecialFeatures) -> bool {
        features.life.includes(self.profile)
    }

    /// Whether a member with these features is mandatory, although it is declared as
    /// optional.
    pub(crate) fn requires(&self, features: SpecialFeatures) -> bool {
        let SpecialValue::RequiredSince(first) = features.value else {
            return false;
        };
        self.profile >= first
    }

    /// Whether a member with these features is a string, whatever is declared.
    pub(crate) fn takes_str(&self, features: SpecialFeatures) -> bool {
        let SpecialValue::StrBefore(first) = features.value else {
            return false;
        };
        self.profile < first
    }

    /// Whether something with these features is left out of output.
    pub fn hides(&self, features: SpecialFeatures) -> bool {
        let hide = CompatPolicyOutput::Hide;
        !self.has(features)
            || (features.is_deprecated(self.profile) && self.deprecated_output == hide)
            || (features.unstable && self.unstable_output == hide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejecting() -> CompatPolicy {
        CompatPolicy {
            deprecated_input: CompatPolicyInput::Reject,
            unstable_input: CompatPolicyInput::Reject,
            ..CompatPolicy::default()
        }
    }

    #[track_caller]
    fn assert_rejected(features: SpecialFeatures, want: Option<&str>) {
        let got = rejecting().check_input(features, ErrorClass::CommandNotFound, "command", "c");
        assert_eq!(got.as_ref().err().map(Error::desc), want);
        if let Err(e) = got {
            assert_eq!(e.class(), ErrorClass::CommandNotFound);
        }
    }

    #[test]
    fn deprecation_is_reported_before_instability() {
        let deprecated = "Deprecated command c disabled by policy";
        assert_rejected(SpecialFeatures::NONE, None);
        assert_rejected(SpecialFeatures::DEPRECATED, Some(deprecated));
        assert_rejected(SpecialFeatures::BOTH, Some(deprecated));
        assert_rejected(
            SpecialFeatures::UNSTABLE,
            Some("Unstable command c disabled by policy"),
        );
    }

    #[test]
    fn the_default_accepts_and_shows_everything() {
        let policy = CompatPolicy::default();
        let ok = policy.check_input(SpecialFeatures::BOTH, ErrorClass::GenericError, "x", "y");
        assert_eq!(ok, Ok(()));
        assert!(!policy.hides(SpecialFeatures::BOTH));
    }
}
