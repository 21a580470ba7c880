//! Reports for other programs, in JUnit's format.

use std::fmt::Write;
use std::io;

/// Writes a report of one scenario.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_junit(path: &str, scenario: &str, failures: &[String], log: &str) -> io::Result<()> {
    std::fs::write(path, junit(scenario, failures, log))
}

fn junit(scenario: &str, failures: &[String], log: &str) -> String {
    let name = escape(scenario);
    let failed = usize::from(!failures.is_empty());
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"1\" failures=\"{failed}\" errors=\"0\"");
    let _ = writeln!(text, "<testsuite name=\"qmonitor-mock\" {counts}>");
    let _ = writeln!(
        text,
        "  <testcase classname=\"qmonitor-mock\" name=\"{name}\">"
    );
    for failure in failures {
        let _ = writeln!(text, "    <failure message=\"{}\"/>", escape(failure));
    }
    let _ = writeln!(text, "    <system-err>{}</system-err>", escape(log));
    text += "  </testcase>\n</testsuite>\n";
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(c),
            // XML has no way to write these.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let report = junit("a<b", &["\"x\" & \u{1}".to_owned()], "log");
        assert!(report.contains("name=\"a&lt;b\""), "{report}");
        assert!(
            report.contains("message=\"&quot;x&quot; &amp; \u{fffd}\""),
            "{report}"
        );
        assert!(report.contains("failures=\"1\""), "{report}");
        assert!(junit("a", &[], "").contains("failures=\"0\""));
    }
}
