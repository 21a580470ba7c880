//! From a request to a command's handler (QEMU's `qmp_dispatch`).
//!
//! The monitor owns the session (capabilities, queueing, `id`, writing the reply).
//! This module does everything that needs no session, in QEMU's order of checks:
//!
//! 1. [`qmp_is_oob`]: does the request run at once, or is it queued?
//! 2. [`qmp_request_check`]: the members of the request object;
//! 3. [`qmp_find_command`]: does the command exist, and may it run now: under the
//!    policy, out of band, without a machine;
//! 4. [`QmpCommandFunc`]: the generated `qmp_marshal_X` reads the arguments from a
//!    [`Call`], calls the handler `qmp_X` and writes its return value straight into
//!    the reply.
//!
//! ```text
//! match command.func {
//!     Immediate(func) => func(&mut runtime, &mut call),
//!     Deferred(func) => func(&mut runtime, &mut call, RawResponder::new(port, token)),
//! }
//! ```
//!
//! A deferred command's reply arrives through the [`ReplyPort`](super::ReplyPort).

use super::{CompatPolicy, Error, ErrorClass, SpecialFeatures};

pub use super::call::Call;
pub(crate) use super::commands::CommandKey;
pub use super::commands::{QmpCommand, QmpCommandFunc, QmpCommandList, QmpCommandOptions};

pub use super::request::{qmp_is_oob, qmp_request_check, QmpRequest};

/// The circumstances under which a command is called.
#[derive(Debug, Clone, Copy, Default)]
pub struct DispatchEnv {
    /// Capabilities have not been negotiated yet; the list holds only
    /// `qmp_capabilities`.
    pub negotiating: bool,
    /// The call is out of band.
    pub oob: bool,
    /// There is no machine yet (`--preconfig`).
    pub preconfig: bool,
    /// The policy in force.
    pub policy: CompatPolicy,
}

/// Looks a command up and checks whether it may be called now (the middle part
/// of `do_qmp_dispatch`).
///
/// # Errors
///
/// Checked in this order: the command does not exist, the policy forbids it, it
/// cannot run out of band, it needs a machine.
pub fn qmp_find_command<'l, C>(
    list: &'l QmpCommandList<C>,
    name: &str,
    env: &DispatchEnv,
) -> Result<&'l QmpCommand<C>, Error> {
    check(list.find(name), name, env)
}

/// The same for a command whose key was found when its request was read.
#[inline]
pub(crate) fn qmp_find_known_command<'l, C>(
    list: &'l QmpCommandList<C>,
    key: CommandKey,
    env: &DispatchEnv,
) -> Result<&'l QmpCommand<C>, Error> {
    check(list.by_key(key), key.name(), env)
}

#[inline(always)]
fn check<'c, C>(
    command: Option<&'c QmpCommand<C>>,
    name: &str,
    env: &DispatchEnv,
) -> Result<&'c QmpCommand<C>, Error> {
    let Some(command) = command else {
        return Err(not_found(name, env));
    };
    let permitted = command.features == SpecialFeatures::NONE
        && !env.oob
        && (!env.preconfig || command.options.allow_preconfig);
    if permitted {
        return Ok(command);
    }
    check_unusual(command, name, env)
}

fn check_unusual<'c, C>(
    command: &'c QmpCommand<C>,
    name: &str,
    env: &DispatchEnv,
) -> Result<&'c QmpCommand<C>, Error> {
    let class = ErrorClass::CommandNotFound;
    let permitted = env
        .policy
        .check_input(command.features, class, "command", name);
    match permitted {
        Err(_) if env.negotiating => return Err(not_found(name, env)),
        permitted => permitted?,
    }
    if env.oob && !command.options.allow_oob {
        let desc = format!("The command {name} does not support OOB");
        return Err(Error::new(desc));
    }
    if env.preconfig && !command.options.allow_preconfig {
        return Err(Error::new(format!(
            "The command '{name}' is permitted only after machine initialization has completed"
        )));
    }
    Ok(command)
}

#[cold]
fn not_found(name: &str, env: &DispatchEnv) -> Error {
    let desc = if env.negotiating {
        "Expecting capabilities negotiation with 'qmp_capabilities'".to_owned()
    } else {
        format!("The command {name} has not been found")
    };
    Error::with_class(ErrorClass::CommandNotFound, desc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qapi::commands::tests;
    use crate::qapi::CompatPolicyInput;

    /// A command that the policy can forbid.
    fn command(name: &'static str, options: QmpCommandOptions) -> QmpCommand<()> {
        QmpCommand {
            features: SpecialFeatures::BOTH,
            ..tests::command(name, options)
        }
    }

    fn list() -> QmpCommandList<()> {
        let mut list = QmpCommandList::new();
        list.register(command("plain", QmpCommandOptions::NONE));
        let any = QmpCommandOptions {
            allow_oob: true,
            allow_preconfig: true,
            ..QmpCommandOptions::NONE
        };
        list.register(command("any", any));
        list
    }

    #[track_caller]
    fn assert_not_found(name: &str, env: DispatchEnv, class: ErrorClass, desc: &str) {
        let error = qmp_find_command(&list(), name, &env).unwrap_err();
        assert_eq!((error.class(), error.desc()), (class, desc));
    }

    #[test]
    fn each_check_hides_those_behind_it() {
        let mut env = DispatchEnv {
            oob: true,
            preconfig: true,
            ..DispatchEnv::default()
        };
        env.policy.deprecated_input = CompatPolicyInput::Reject;
        let not_found = ErrorClass::CommandNotFound;
        assert_not_found(
            "nope",
            env,
            not_found,
            "The command nope has not been found",
        );
        let by_policy = "Deprecated command plain disabled by policy";
        assert_not_found("plain", env, not_found, by_policy);
        let negotiating = DispatchEnv {
            negotiating: true,
            ..env
        };
        let expecting = "Expecting capabilities negotiation with 'qmp_capabilities'";
        assert_not_found("nope", negotiating, not_found, expecting);
        assert_not_found("plain", negotiating, not_found, expecting);
        env.policy = CompatPolicy::default();
        let generic = ErrorClass::GenericError;
        let no_oob = "The command plain does not support OOB";
        assert_not_found("plain", env, generic, no_oob);
        env.oob = false;
        let too_early =
            "The command 'plain' is permitted only after machine initialization has completed";
        assert_not_found("plain", env, generic, too_early);
        env.preconfig = false;
        assert_eq!(
            qmp_find_command(&list(), "plain", &env).unwrap().name,
            "plain"
        );
    }

    #[test]
    fn what_the_schema_allows_is_allowed() {
        let env = DispatchEnv {
            oob: true,
            preconfig: true,
            ..DispatchEnv::default()
        };
        assert_eq!(qmp_find_command(&list(), "any", &env).unwrap().name, "any");
        let names: Vec<_> = list().iter().map(|command| command.name).collect();
        assert_eq!(names, ["plain", "any"]);
    }
}
