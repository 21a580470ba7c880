//! A human monitor and a QMP session side by side, recorded by playing them: once as a
//! recording for asciinema, once as an animated SVG.

use serde_json::json;

use super::assert_file;
use super::svg::Svg;
use crate::common::{Client, Server};

/// Which side of the picture.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Hmp,
    Qmp,
}

/// A line that appears.
struct Line {
    /// In tenths of a second.
    at: u32,
    side: Side,
    /// A person or program wrote it.
    typed: bool,
    text: String,
}

/// Columns of each side, and what stands between them.
const COLUMNS: usize = 54;
const GAP: usize = 3;

/// Two sessions that are played in turn.
struct Play {
    person: Client,
    program: Client,
    clock: u32,
    lines: Vec<Line>,
}

impl Play {
    fn show(&mut self, side: Side, typed: bool, text: &str) {
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(COLUMNS) {
            let text = piece.iter().collect();
            self.lines.push(Line {
                at: self.clock,
                side,
                typed,
                text,
            });
        }
    }

    fn hmp(&mut self, line: &str) {
        self.clock += 18;
        self.show(Side::Hmp, true, &format!("(qemu) {line}"));
        self.person.send(format!("{line}\n"));
        self.person.until(&format!("{line}\x1b[K\r\n"));
        let output = self.person.until("(qemu) ");
        self.clock += 3;
        for line in output.trim_end_matches("(qemu) ").lines() {
            self.show(Side::Hmp, false, line);
        }
    }

    fn qmp(&mut self, message: &str) {
        self.clock += 18;
        self.show(Side::Qmp, true, message);
        self.program.send(format!("{message}\n"));
        self.hear();
    }

    /// One message from the program, with a time that is always the same.
    fn hear(&mut self) {
        let mut text = self.program.line();
        if let Some((_, rest)) = text.split_once("}, \"event\"") {
            text = format!("{{\"timestamp\": {{…}}, \"event\"{rest}");
        }
        self.clock += 3;
        self.show(Side::Qmp, false, &text);
    }
}

fn played() -> Vec<Line> {
    let server = Server::start(&["-monitor", "unix:{dir}/h,server=on,wait=off"]);
    let mut person = Client::connect(&server.path("h"));
    let banner = person.until("(qemu) ");
    let mut play = Play {
        person,
        program: server.connect(),
        clock: 5,
        lines: Vec::new(),
    };
    play.show(Side::Hmp, false, banner.lines().next().unwrap_or_default());
    play.hear();
    play.qmp("{\"execute\": \"qmp_capabilities\"}");
    play.hmp("info status");
    play.qmp("{\"execute\": \"query-status\"}");
    play.hmp("stop");
    play.hear();
    play.hmp("info status");
    play.qmp("{\"execute\": \"cont\"}");
    play.hear();
    play.hmp("info status");
    play.lines
}

/// The row of each line, counted for each side.
fn placed(lines: &[Line]) -> Vec<(usize, &Line)> {
    let mut rows = [0, 0];
    let mut placed = Vec::new();
    for line in lines {
        let row = &mut rows[usize::from(line.side == Side::Qmp)];
        placed.push((*row, line));
        *row += 1;
    }
    placed
}

/// Version 2 of asciinema's format.
fn cast(lines: &[Line]) -> String {
    let placed = placed(lines);
    let height = placed.iter().map(|(row, _)| row + 3).max().unwrap_or(0);
    let width = 2 * COLUMNS + GAP;
    let header = json!({"version": 2, "width": width, "height": height,
        "title": "HMP and QMP side by side"});
    let mut out = format!("{header}\n");
    let mut print = |at: u32, text: String| {
        let event = json!([f64::from(at) / 10.0, "o", text]);
        out += &format!("{event}\n");
    };
    let right = COLUMNS + GAP + 1;
    print(
        0,
        format!("\x1b[2J\x1b[1;1H\x1b[2mHMP\x1b[1;{right}HQMP\x1b[0m"),
    );
    for (row, line) in placed {
        let column = if line.side == Side::Hmp { 1 } else { right };
        let style = if line.typed { "\x1b[1m" } else { "" };
        let row = row + 2;
        print(
            line.at,
            format!("\x1b[{row};{column}H{style}{}\x1b[0m", line.text),
        );
    }
    out
}

const LETTER: f64 = 7.3;
const ROW: f64 = 17.0;

fn animation(lines: &[Line]) -> String {
    let placed = placed(lines);
    let rows = placed.iter().map(|(row, _)| row + 1).max().unwrap_or(0);
    let side = COLUMNS as f64 * LETTER;
    let width = 2.0 * side + 60.0;
    let height = 44.0 + rows as f64 * ROW;
    let style = "
    .typed { font-weight: bold; fill: #2f5fb3; }
    .line { animation: appear .01s linear both; }
    @keyframes appear { from { opacity: 0; } to { opacity: 1; } }
    @media (prefers-color-scheme: dark) { .typed { fill: #8ab4f8; } }
    @media (prefers-reduced-motion: reduce) { .line { animation: none; } }
";
    let mut svg = Svg::new(width, height, "HMP and QMP side by side", style);
    let left = |of: Side| if of == Side::Hmp { 14.0 } else { side + 46.0 };
    svg.text("class=\"faint\"", left(Side::Hmp), 20.0, "HMP: -monitor");
    svg.text("class=\"faint\"", left(Side::Qmp), 20.0, "QMP: -qmp");
    svg.line("grid", side + 30.0, 10.0, side + 30.0, height - 10.0);
    for (row, line) in placed {
        let class = if line.typed { "line typed" } else { "line" };
        let delay = f64::from(line.at) / 10.0;
        let attributes = format!("class=\"{class}\" style=\"animation-delay: {delay}s\"");
        svg.text(
            &attributes,
            left(line.side),
            40.0 + row as f64 * ROW,
            &line.text,
        );
    }
    svg.end()
}

#[test]
fn both_monitors_side_by_side_say_what_they_say() {
    let lines = played();
    assert_file("monitors.cast", &cast(&lines));
    assert_file("monitors.svg", &animation(&lines));
}
