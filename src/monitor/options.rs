//! The options that make monitors: `-qmp`, `-monitor`, `-mon`.

use std::rc::Rc;

use super::config::MonitorConfig;
use super::hmp::driver::monitor_init_hmp;
use super::qmp::monitor_init_qmp;
use super::runtime::Runtime;
pub use super::schema::{MonitorCloseAction, MonitorMode, MonitorOptions, MonitorReadline};
use super::table::{MonitorId, NewMonitor};
use crate::chardev::{
    chardev_add, invalid_char_driver, label, qemu_chr_exposed_at, qemu_chr_fe_init_server,
    qemu_chr_find, qemu_chr_parse_compat, qemu_chr_parse_opts, ChardevHost, ChardevId,
    ChardevReport, ParsedCompat,
};
use crate::qapi::visit::{InputVisitor, QapiType};
use crate::qapi::{CompatPolicy, Error};
use crate::trace_event;
use crate::util::qemu_opts::{QemuOptType, QemuOpts, QemuOptsList};

/// The parameters of `-mon` (`qemu_mon_opts`).
pub static QEMU_MON_OPTS: QemuOptsList = QemuOptsList {
    name: "mon",
    implied_opt_name: Some("chardev"),
    desc: &[
        ("mode", QemuOptType::String),
        ("chardev", QemuOptType::String),
        ("pretty", QemuOptType::Bool),
    ],
    extensions: &[
        ("readline", QemuOptType::String),
        ("read-only", QemuOptType::Bool),
        ("allow", QemuOptType::String),
        ("close-action", QemuOptType::String),
        ("drain-on-close", QemuOptType::Bool),
        ("json-max-size", QemuOptType::Size),
        ("json-max-tokens", QemuOptType::Number),
        ("json-max-depth", QemuOptType::Number),
        ("max-reply-size", QemuOptType::Size),
    ],
};

impl MonitorOptions {
    /// A monitor of the default kind on a chardev. Set other fields with struct
    /// update syntax:
    ///
    /// ```
    /// use qmonitor::monitor::{MonitorMode, MonitorOptions};
    ///
    /// let watcher = MonitorOptions {
    ///     mode: Some(MonitorMode::Control),
    ///     read_only: Some(true),
    ///     json_max_size: Some(64 * 1024),
    ///     ..MonitorOptions::new("mon0")
    /// };
    /// # assert_eq!(watcher.chardev, "mon0");
    /// ```
    pub fn new(chardev: impl Into<String>) -> Self {
        MonitorOptions {
            read_only: None,
            allow: None,
            close_action: None,
            drain_on_close: None,
            json_max_size: None,
            json_max_tokens: None,
            json_max_depth: None,
            max_reply_size: None,
            id: None,
            mode: None,
            pretty: None,
            chardev: chardev.into(),
            readline: None,
        }
    }

    /// Parses the value of `-mon`. Deprecated short forms are added to
    /// `warnings`.
    ///
    /// As in QEMU the text is read twice: as an option list, so that short forms
    /// work, and then by the visitor of the schema's type (`monitor_init_opts`).
    ///
    /// # Errors
    ///
    /// An unknown parameter or mode, or no chardev.
    pub fn parse(params: &str, warnings: &mut Vec<Error>) -> Result<Self, Error> {
        Self::from_opts(&QemuOpts::parse(&QEMU_MON_OPTS, params, warnings)?)
    }

    /// Builds the options from an already parsed list.
    ///
    /// # Errors
    ///
    /// An unknown mode, or no chardev.
    pub fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        // The last one would win, and a list that is longer than it looks allows less
        // than its author believes, or more.
        if opts.iter().filter(|(name, _)| *name == "allow").count() > 1 {
            return Err(Error::new("Parameter 'allow' is given twice"));
        }
        let mut v = InputVisitor::new_keyval(opts.to_qdict(), CompatPolicy::default());
        MonitorOptions::visit_in(&mut v, "")
    }
}

/// Expands a short form like `unix:/tmp/qmp,server=on,wait=off` of `-qmp`,
/// `-qmp-pretty` and `-monitor` into a chardev of that label and a monitor on it.
/// `chardev:ID` makes no chardev. As in QEMU the monitor's id is the chardev's.
///
/// # Errors
///
/// The form is wrong. The description may be empty; print `parse error: FORM`
/// then.
pub fn monitor_parse_compat(
    label: &str,
    form: &str,
    mode: MonitorMode,
    pretty: bool,
) -> Result<(Option<QemuOpts>, MonitorOptions), Error> {
    let (chardev, label) = match qemu_chr_parse_compat(label, form)? {
        ParsedCompat::None => return Err(invalid_char_driver(form)),
        ParsedCompat::Existing(id) => (None, id),
        ParsedCompat::New { opts, .. } => (Some(opts), label.to_owned()),
    };
    trace_event!(monitor_parse, "{form} is chardev {label}, mon {mode:?}");
    let options = MonitorOptions {
        id: Some(label.clone()),
        mode: Some(mode),
        pretty: Some(pretty),
        ..MonitorOptions::new(label)
    };
    Ok((chardev, options))
}

impl<S> Runtime<S> {
    /// Starts a monitor on a chardev (`monitor_init`). While a command of a restricted
    /// monitor runs, the new one may do no more than that one.
    ///
    /// # Errors
    ///
    /// The chardev does not exist or is in use, or the options do not go together.
    pub fn monitor_init(&mut self, options: &MonitorOptions) -> Result<MonitorId, Error> {
        let label = &options.chardev;
        let chr = qemu_chr_find(self, label)
            .ok_or_else(|| Error::new(format!("chardev \"{label}\" not found")))?;
        let mut config = MonitorConfig::new(options)?;
        if let Some(maker) = self.current_policy() {
            config.policy = config.policy.within(maker);
        }
        let config = Rc::new(config);
        let refuses = !self.profile().deletes_on_shared_chardevs();
        let shared = self
            .chardevs
            .get(chr)
            .filter(|chr| refuses && chr.combines_chardevs());
        if let (MonitorCloseAction::Delete, Some(chr)) = (config.close_action, shared) {
            // Others use it too.
            let kind = chr.kind();
            return Err(Error::new(format!(
                "'close-action=delete' is not compatible with {kind} chardev '{label}'"
            )));
        }
        let fe = qemu_chr_fe_init_server(self, chr)?;
        self.warn_if_exposed(chr, config.mode);
        let mode = config.mode;
        let new = NewMonitor {
            fe,
            config,
            parent: None,
        };
        Ok(match mode {
            MonitorMode::Control => monitor_init_qmp(self, new),
            MonitorMode::Readline => monitor_init_hmp(self, new),
        })
    }

    /// Changes whether a QMP monitor lays its replies out for people, that of the command
    /// under way included. Sessions that exist on a chardev of several clients keep theirs.
    pub fn set_monitor_pretty(&mut self, id: MonitorId, pretty: bool) {
        if let Some(monitor) = self.monitors.get_mut(id) {
            Rc::make_mut(&mut monitor.config).pretty = pretty;
        }
        if self.dispatcher.current == Some(id) {
            self.dispatcher.relaid = Some(pretty);
        }
    }

    /// Changes what becomes of a monitor when its client leaves.
    pub fn set_monitor_close_action(&mut self, id: MonitorId, action: MonitorCloseAction) {
        if let Some(monitor) = self.monitors.get_mut(id) {
            Rc::make_mut(&mut monitor.config).close_action = action;
        }
    }

    /// Warns of a monitor that strangers can reach.
    fn warn_if_exposed(&mut self, chr: ChardevId, mode: MonitorMode) {
        let Some(address) = qemu_chr_exposed_at(self, chr) else {
            return;
        };
        let kind = match mode {
            MonitorMode::Control => "QMP",
            MonitorMode::Readline => "HMP",
        };
        let text = format!(
            "{kind} monitor on chardev '{}' at {address}: who can reach that address controls \
             this program; use a unix socket, a loopback address or TLS with verify-peer=on",
            label(self, chr)
        );
        self.chardev_report(ChardevReport::Warning, &text);
    }

    /// Makes a chardev out of a short form like
    /// `unix:/tmp/qmp,server=on,wait=off` and a monitor on it, as `-qmp`,
    /// `-qmp-pretty` and `-monitor` do (`monitor_parse`). The chardev is
    /// labelled `compat_monitor0`, `compat_monitor1`, ... unless the form is
    /// `chardev:ID`, which takes one that exists.
    ///
    /// # Errors
    ///
    /// The form is wrong or the chardev cannot be made. The description may be
    /// empty; print `parse error: FORM` then.
    pub fn monitor_parse(
        &mut self,
        form: &str,
        mode: MonitorMode,
        pretty: bool,
    ) -> Result<MonitorId, Error> {
        let label = (0..)
            .map(|i| format!("compat_monitor{i}"))
            .find(|l| qemu_chr_find(self, l).is_none())
            .unwrap_or_default();
        let (chardev, options) = monitor_parse_compat(&label, form, mode, pretty)?;
        if let Some(opts) = chardev {
            let (label, config) = qemu_chr_parse_opts(&opts)?;
            chardev_add(self, &label, config)?;
        }
        self.monitor_init(&options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mon_options_and_their_errors() {
        let parse = |s: &str| MonitorOptions::parse(s, &mut Vec::new());
        assert_eq!(
            parse("m0,mode=control,pretty=on").unwrap(),
            MonitorOptions {
                mode: Some(MonitorMode::Control),
                pretty: Some(true),
                ..MonitorOptions::new("m0")
            }
        );
        for (params, message) in [
            (
                "m0,mode=bogus",
                "Parameter 'mode' does not accept value 'bogus'",
            ),
            (
                "mode=bogus,pretty=perhaps",
                "Parameter 'pretty' expects 'on' or 'off'",
            ),
            (
                "mode=bogus",
                "Parameter 'mode' does not accept value 'bogus'",
            ),
            ("mode=control", "Parameter 'chardev' is missing"),
            ("m0,bogus=1", "Invalid parameter 'bogus'"),
            (
                "m0,allow=stop,allow=cont",
                "Parameter 'allow' is given twice",
            ),
            (
                "m0,readline=maybe",
                "Parameter 'readline' does not accept value 'maybe'",
            ),
        ] {
            assert_eq!(parse(params).unwrap_err().desc(), message, "{params}");
        }
    }
}
