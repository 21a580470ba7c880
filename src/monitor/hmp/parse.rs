//! From a line to a handler and its arguments, or to an error text.

use super::args::parse_arguments;
use super::cursor::{is_blank, Cursor};
use super::format::FormatState;
use super::table::{HmpRow, HmpTable};
use super::values::HmpArgs;
use crate::qapi::QDict;

/// The surroundings of the parser.
pub trait HmpEnv {
    /// The format and size of the last `/fmt` argument. QEMU has one for all
    /// monitors.
    fn format(&mut self) -> &mut FormatState;

    /// Whether the machine does not exist yet (`--preconfig`): only commands
    /// marked so can then be used.
    fn preconfig(&self) -> bool {
        false
    }

    /// The value of a CPU register named in an expression.
    ///
    /// # Errors
    /// The text to print, `unknown register` as a rule.
    fn register(&self, name: &str) -> Result<i64, String> {
        let _ = name;
        Err("unknown register".to_string())
    }

    /// Reads `key=value,...` for an option group, `device` or `netdev`.
    /// The group checks ids itself.
    ///
    /// # Errors
    /// The reason. The person at the monitor never sees it: QEMU writes it to
    /// its standard error.
    fn options(&mut self, group: &'static str, text: &str) -> Result<QDict, String>;
}

/// A line that can be run.
#[derive(Clone, Debug)]
pub struct ParsedCommand<F: Copy> {
    /// The command's declaration.
    pub row: HmpRow,
    /// The declaration of the command whose sub-command it is: `info`.
    pub group: Option<HmpRow>,
    /// The function to call.
    pub handler: F,
    /// Its arguments.
    pub args: HmpArgs,
}

/// Why a line cannot be run. Newlines are plain; the monitor's output makes
/// them CR LF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineError {
    /// The text for the monitor, newlines included.
    pub text: Vec<u8>,
    /// The text for the server's standard output, newline included; or nothing.
    pub stdout: Vec<u8>,
    /// The report on the server's standard error; or nothing.
    pub stderr: Option<String>,
}

impl LineError {
    /// A text that is complete as it is.
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A text that lacks its newline.
    pub(super) fn line(text: impl Into<Vec<u8>>) -> Self {
        let mut error = Self::text(text);
        error.text.push(b'\n');
        error
    }

    pub(super) fn with_stdout(mut self, stdout: Vec<u8>) -> Self {
        self.stdout = stdout;
        self
    }

    pub(super) fn with_stderr(mut self, stderr: String) -> Self {
        self.stderr = Some(stderr);
        self
    }
}

/// Parses a line (QEMU's `monitor_parse_command` and
/// `monitor_parse_arguments`). `Ok(None)` is a blank line, which does nothing.
///
/// A name ends at a blank or a `/`, so `p/x 5` is the command `p`. Names are
/// exact; there are no abbreviations.
///
/// ```
/// use qmonitor::monitor::hmp::{parse_command, FormatState, HmpEnv, HmpRow, HmpTable};
/// use qmonitor::qapi::QDict;
///
/// struct Env(FormatState);
/// impl HmpEnv for Env {
///     fn format(&mut self) -> &mut FormatState {
///         &mut self.0
///     }
///     fn options(&mut self, _: &'static str, _: &str) -> Result<QDict, String> {
///         Ok(QDict::new())
///     }
/// }
///
/// let mut table = HmpTable::new();
/// table.add(HmpRow::new("stop|s", "", "stop emulation"), "hmp_stop");
/// let mut env = Env(FormatState::default());
///
/// let parsed = parse_command(b"s", &table, &mut env).unwrap().unwrap();
/// assert_eq!(parsed.handler, "hmp_stop");
/// let error = parse_command(b"sto", &table, &mut env).unwrap_err();
/// assert_eq!(error.text, b"unknown command: 'sto'\n");
/// ```
///
/// # Errors
/// The texts to print; see [`LineError`].
pub fn parse_command<F: Copy>(
    line: &[u8],
    table: &HmpTable<F>,
    env: &mut dyn HmpEnv,
) -> Result<Option<ParsedCommand<F>>, LineError> {
    // In C a NUL ends the line.
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut cursor = Cursor::new(line);
    cursor.skip_blanks();
    if cursor.at_end() {
        return Ok(None);
    }
    let mut table = table;
    let mut group = None;
    loop {
        let name = cursor.take_while(|byte| byte != b'/' && !is_blank(byte));
        // Messages repeat the line from its start, leading blanks included.
        let typed = &line[..cursor.pos()];
        let Some(command) = table.find(name) else {
            return Err(quoting(b"unknown command: '", typed, b"'\n"));
        };
        if !command.row.is_available(env.preconfig()) {
            return Err(quoting(
                b"Command '",
                typed,
                b"' not available until machine initialization has completed.\n",
            ));
        }
        cursor.skip_blanks();
        if let (Some(sub), false) = (&command.sub, cursor.at_end()) {
            table = sub;
            group = Some(command.row);
            continue;
        }
        let row = command.row;
        return match parse_arguments(row.name, row.args, &mut cursor, env) {
            Ok(args) => Ok(Some(ParsedCommand {
                row,
                group,
                handler: command.handler,
                args,
            })),
            Err(mut error) => {
                let hint = quoting(b"Try \"help ", typed, b"\" for more information\n");
                error.text.extend_from_slice(&hint.text);
                Err(error)
            }
        };
    }
}

fn quoting(before: &[u8], quoted: &[u8], after: &[u8]) -> LineError {
    LineError::text([before, quoted, after].concat())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
