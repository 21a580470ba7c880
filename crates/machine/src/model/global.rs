//! A value for a property of all devices of a type.

/// One `-global` (`GlobalProperty`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Global {
    /// The type of the devices.
    pub(crate) driver: String,
    /// The property's name, and its value as text.
    pub(crate) property: String,
    pub(crate) value: String,
    /// Whether a device has taken it up.
    pub(crate) used: bool,
}

impl Global {
    pub(crate) fn new(driver: &str, property: &str, value: &str) -> Self {
        Global {
            driver: driver.to_owned(),
            property: property.to_owned(),
            value: value.to_owned(),
            used: false,
        }
    }
}
