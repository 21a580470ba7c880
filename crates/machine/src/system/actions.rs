//! `-action` and `-global`.

use super::option_groups::{ACTION_OPTS, GLOBAL_OPTS};
use crate::model::global::Global;
use crate::model::qom::PropertyInput;
use crate::model::runstate::Actions;
use qmonitor::qapi::visit::QapiType;
use qmonitor::qapi::{CompatPolicy, Error};
use qmonitor::util::qemu_opts::QemuOpts;

/// The action of that name, in the words of the schema.
pub(super) fn action<T: QapiType>(name: &str, word: &str) -> Result<T, Error> {
    PropertyInput::keyval(name, word, CompatPolicy::default()).value()
}

/// Takes the argument of `-action`.
pub(super) fn take_actions(
    actions: &mut Actions,
    arg: &str,
    warnings: &mut Vec<Error>,
) -> Result<(), Error> {
    let opts = QemuOpts::parse(&ACTION_OPTS, arg, warnings)?;
    for (name, word) in opts.iter() {
        match name {
            "reboot" => actions.reboot = action(name, word)?,
            "shutdown" => actions.shutdown = action(name, word)?,
            "panic" => actions.panic = action(name, word)?,
            _ => actions.watchdog = action(name, word)?,
        }
    }
    Ok(())
}

/// Reads `DRIVER.PROPERTY=VALUE`, whose value may have any characters, or
/// `driver=DRIVER,property=PROPERTY,value=VALUE`.
pub(super) fn parse_global(arg: &str, warnings: &mut Vec<Error>) -> Result<Global, Error> {
    let short = arg.split_once('=').and_then(|(name, value)| {
        let (driver, property) = name.split_once('.')?;
        let named = !driver.is_empty() && !property.is_empty();
        named.then(|| Global::new(driver, property, value))
    });
    if let Some(global) = short {
        return Ok(global);
    }
    let opts = QemuOpts::parse(&GLOBAL_OPTS, arg, warnings)?;
    match (opts.get("driver"), opts.get("property"), opts.get("value")) {
        (Some(driver), Some(property), Some(value)) => Ok(Global::new(driver, property, value)),
        _ => Err(Error::new(
            "options 'driver', 'property', and 'value' are required",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{RebootAction, WatchdogAction};

    #[test]
    fn a_global_is_written_in_two_ways() {
        let parse = |arg| parse_global(arg, &mut Vec::new());
        let global = Global::new("a", "b", "c=d,e");
        assert_eq!(parse("a.b=c=d,e").unwrap(), global);
        let global = Global::new("a", "b.c", "");
        assert_eq!(parse("a.b.c=").unwrap(), global);
        assert_eq!(parse("driver=a,property=b.c,value=").unwrap(), global);
        for (arg, desc) in [
            ("a.b", "Invalid parameter 'a.b'"),
            ("driver=a,foo=b", "Invalid parameter 'foo'"),
            (
                "driver=a",
                "options 'driver', 'property', and 'value' are required",
            ),
        ] {
            assert_eq!(parse(arg).unwrap_err().desc(), desc);
        }
    }

    #[test]
    fn actions_have_the_words_of_the_schema() {
        let mut actions = Actions::default();
        let mut take = |arg| take_actions(&mut actions, arg, &mut Vec::new());
        take("reboot=shutdown,watchdog=none").unwrap();
        let e = take("panic=x").unwrap_err();
        assert_eq!(e.desc(), "Parameter 'panic' does not accept value 'x'");
        assert_eq!(actions.reboot, RebootAction::Shutdown);
        assert_eq!(actions.watchdog, WatchdogAction::None);
    }
}
