//! Which watches exist when, and which bottom halves are scheduled: bars over the steps of
//! a session.

use std::collections::BTreeMap;

use serde_json::Value;

use super::assert_file;
use super::session::{trace_of, Descriptors};
use super::svg::Svg;

/// A row of the picture.
#[derive(Default)]
struct Row {
    name: String,
    /// From which step to which it exists.
    bars: Vec<(usize, Option<usize>)>,
    /// From which step to which it runs.
    runs: Vec<(usize, usize)>,
}

#[derive(Default)]
struct Picture {
    rows: Vec<Row>,
    by_name: BTreeMap<String, usize>,
    /// The step at which each turn begins.
    turns: Vec<(usize, i64)>,
    steps: usize,
}

impl Picture {
    fn row(&mut self, name: &str) -> &mut Row {
        let rows = &mut self.rows;
        let at = *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            rows.push(Row {
                name: name.to_owned(),
                ..Row::default()
            });
            rows.len() - 1
        });
        &mut self.rows[at]
    }
}

/// Reads the recording up to the turn after the client has left.
fn read(events: &[Value]) -> Picture {
    let mut picture = Picture::default();
    let mut descriptors = Descriptors::new();
    let mut running: Vec<(String, usize)> = Vec::new();
    let mut left = false;
    for event in events {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let name = match text("ph") {
            "B" => text("cat"),
            "i" => text("name"),
            "E" if text("cat") == "dispatch_done" => "dispatch_done",
            _ => continue,
        };
        let args = &event["args"];
        let callback = args["callback"].as_str().unwrap_or_default();
        let mut watch = || {
            let fd = args["fd"].as_i64().unwrap_or_default();
            format!("fd {} {callback}", descriptors.name(&fd.to_string()))
        };
        let at = picture.steps;
        match name {
            "main_loop_wait" if left => break,
            "main_loop_wait" => {
                let turn = args["turn"].as_i64().unwrap_or_default();
                picture.turns.push((at, turn));
            }
            "watch_add" => picture.row(&watch()).bars.push((at, None)),
            "watch_remove" => {
                if let Some(bar) = picture.row(&watch()).bars.last_mut() {
                    bar.1 = Some(at);
                }
            }
            "watch_dispatch" => running.push((watch(), at)),
            "bh_schedule" => picture.row(&format!("bh {callback}")).bars.push((at, None)),
            "bh_dispatch" => {
                let row = format!("bh {callback}");
                if let Some(bar) = picture.row(&row).bars.last_mut() {
                    bar.1 = Some(at);
                }
                running.push((row, at));
            }
            "dispatch_done" => {
                if let Some((row, from)) = running.pop() {
                    picture.row(&row).runs.push((from, at));
                }
            }
            "monitor_qmp_event" => left |= text_of(args).ends_with("CLOSED"),
            _ => {}
        }
        picture.steps += 1;
    }
    picture
}

fn text_of(args: &Value) -> &str {
    args["text"].as_str().unwrap_or_default()
}

const STYLE: &str = "
    .exists { fill: #a9c4ef; } .runs { fill: #2f5fb3; }
    @media (prefers-color-scheme: dark) { .exists { fill: #34507c; } .runs { fill: #8ab4f8; } }
";
const LEFT: f64 = 230.0;
const TOP: f64 = 34.0;
const STEP: f64 = 6.0;
const ROW: f64 = 24.0;

fn draw(picture: &Picture) -> String {
    let width = LEFT + picture.steps as f64 * STEP + 16.0;
    let height = TOP + picture.rows.len() as f64 * ROW + 12.0;
    let title = "Watches and bottom halves of a session, over the turns of the main loop";
    let mut svg = Svg::new(width, height, title, STYLE);
    let x = |step: usize| LEFT + step as f64 * STEP;
    svg.text("class=\"faint\"", LEFT - 46.0, 20.0, "start");
    for (step, turn) in &picture.turns {
        svg.line("grid", x(*step), 12.0, x(*step), height - 8.0);
        svg.text(
            "class=\"faint\"",
            x(*step) + 3.0,
            20.0,
            &format!("turn {turn}"),
        );
    }
    for (at, row) in picture.rows.iter().enumerate() {
        let y = TOP + at as f64 * ROW;
        svg.text("", 10.0, y + 13.0, &row.name);
        for (from, to) in &row.bars {
            let to = to.unwrap_or(picture.steps);
            svg.rect("exists", x(*from), y + 3.0, x(to) - x(*from), 12.0);
        }
        for (from, to) in &row.runs {
            svg.rect("runs", x(*from), y + 3.0, x(*to + 1) - x(*from), 12.0);
        }
    }
    svg.end()
}

#[test]
fn the_watches_are_drawn_as_a_session_has_them() {
    let session = trace_of(&[]);
    let picture = read(&session.events);
    let listening = &picture.rows[picture.by_name["fd 4 tcp_chr_accept"]];
    assert_eq!(
        listening.bars.len(),
        2,
        "it is watched again when the client leaves"
    );
    assert_file("watches.svg", &draw(&picture));
}
