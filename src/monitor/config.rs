//! The options of a monitor, checked and in the form in which they are used. The
//! sessions of one listening socket share them.

use super::access::CommandPolicy;
use super::schema::{
    MonitorAccessOptions, MonitorCloseAction, MonitorMode, MonitorOptions, MonitorReadline,
};
use crate::qapi::json::JsonLimits;
use crate::qapi::Error;

/// See [`MonitorOptions`], from which it is made.
#[derive(Debug, Clone)]
pub(crate) struct MonitorConfig {
    pub(crate) mode: MonitorMode,
    pub(crate) pretty: bool,
    /// `None` if it depends on where the monitor is.
    pub(crate) readline: Option<MonitorReadline>,
    pub(crate) close_action: MonitorCloseAction,
    pub(crate) drain_on_close: bool,
    pub(crate) limits: JsonLimits,
    /// In bytes.
    pub(crate) max_reply_size: usize,
    pub(crate) policy: CommandPolicy,
}

impl MonitorConfig {
    /// # Errors
    ///
    /// An option does not go with the kind of monitor, or a limit is out of range.
    pub(super) fn new(options: &MonitorOptions) -> Result<Self, Error> {
        let mode = options.mode.unwrap_or(MonitorMode::Readline);
        let pretty = options.pretty.unwrap_or(false);
        let drain_on_close = options.drain_on_close.unwrap_or(false);
        let limits = limits(options)?;
        let max_reply_size = max_reply_size(options)?;
        let misplaced = match mode {
            MonitorMode::Readline => [
                ("pretty", pretty),
                ("drain-on-close", drain_on_close),
                ("json-max-size", options.json_max_size.is_some()),
                ("json-max-tokens", options.json_max_tokens.is_some()),
                ("json-max-depth", options.json_max_depth.is_some()),
                ("max-reply-size", options.max_reply_size.is_some()),
            ]
            .into_iter()
            .find_map(|(name, given)| given.then_some((name, "HMP"))),
            MonitorMode::Control => options.readline.map(|_| ("readline", "QMP")),
        };
        if let Some((name, kind)) = misplaced {
            return Err(Error::new(format!(
                "'{name}' is not compatible with {kind} monitors"
            )));
        }
        Ok(MonitorConfig {
            mode,
            pretty,
            readline: options.readline,
            close_action: options.close_action.unwrap_or(MonitorCloseAction::None),
            drain_on_close,
            limits,
            max_reply_size,
            policy: CommandPolicy::new(&MonitorAccessOptions {
                read_only: options.read_only,
                allow: options.allow.clone(),
            }),
        })
    }
}

/// QEMU's limits unless lower ones are given.
fn limits(options: &MonitorOptions) -> Result<JsonLimits, Error> {
    let most = JsonLimits::QEMU;
    Ok(JsonLimits {
        token_size: limit("json-max-size", options.json_max_size, most.token_size)?,
        token_count: limit("json-max-tokens", options.json_max_tokens, most.token_count)?,
        nesting: limit("json-max-depth", options.json_max_depth, most.nesting)?,
    })
}

/// Larger replies, in bytes, end a QMP session unless its monitor has another limit.
/// QEMU's limits on a request allow a reply of 4 GB.
pub const MAX_REPLY_SIZE: usize = 256 << 20;

/// The greeting and any error must fit.
const LEAST_REPLY_SIZE: u64 = 4096;

fn max_reply_size(options: &MonitorOptions) -> Result<usize, Error> {
    match options.max_reply_size {
        None => Ok(MAX_REPLY_SIZE),
        Some(size) if size >= LEAST_REPLY_SIZE => Ok(usize::try_from(size).unwrap_or(usize::MAX)),
        Some(_) => Err(Error::new(format!(
            "Parameter 'max-reply-size' expects a size of at least {LEAST_REPLY_SIZE}"
        ))),
    }
}

fn limit(name: &str, wanted: Option<u64>, most: usize) -> Result<usize, Error> {
    let Some(wanted) = wanted else {
        return Ok(most);
    };
    let wanted = usize::try_from(wanted).ok();
    wanted.filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        Error::new(format!(
            "Parameter '{name}' expects a number from 1 to {most}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(params: &str) -> String {
        let options = MonitorOptions::parse(params, &mut Vec::new());
        let error = options
            .and_then(|options| MonitorConfig::new(&options))
            .unwrap_err();
        error.desc().to_owned()
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        for (params, desc) in [
            (
                "c,pretty=on",
                "'pretty' is not compatible with HMP monitors",
            ),
            (
                "c,drain-on-close=on",
                "'drain-on-close' is not compatible with HMP monitors",
            ),
            (
                "c,json-max-depth=7",
                "'json-max-depth' is not compatible with HMP monitors",
            ),
            (
                "c,mode=control,readline=on",
                "'readline' is not compatible with QMP monitors",
            ),
            (
                "c,mode=control,json-max-size=0",
                "Parameter 'json-max-size' expects a number from 1 to 67108864",
            ),
            (
                "c,max-reply-size=1M",
                "'max-reply-size' is not compatible with HMP monitors",
            ),
            (
                "c,mode=control,max-reply-size=4095",
                "Parameter 'max-reply-size' expects a size of at least 4096",
            ),
            (
                "c,mode=control,json-max-tokens=2097153",
                "Parameter 'json-max-tokens' expects a number from 1 to 2097152",
            ),
            (
                "c,mode=control,close-action=stop",
                "Parameter 'close-action' does not accept value 'stop'",
            ),
        ] {
            assert_eq!(error(params), desc, "{params}");
        }
    }

    #[test]
    fn limits_can_be_lowered() {
        let params = "c,mode=control,json-max-size=64K,json-max-tokens=1000,json-max-depth=8";
        let options = MonitorOptions::parse(params, &mut Vec::new()).unwrap();
        let limits = JsonLimits {
            token_size: 65536,
            token_count: 1000,
            nesting: 8,
        };
        assert_eq!(MonitorConfig::new(&options).unwrap().limits, limits);
    }
}
