//! The trace as a sequence diagram of Mermaid.
//!
//! The rooms stand side by side. An arrow goes from the room that took the step before
//! to the room that takes this one; a dashed one comes back.

use std::fmt::Write;

use super::event::{Room, Step};
use super::file::Translate;
use super::lines::push_escaped;

/// More arrows than this make no picture, and Mermaid refuses more than 500.
const ARROWS_MAX: usize = 400;

/// Longer texts are cut.
const TEXT_MAX: usize = 72;

/// Translates steps to lines of a sequence diagram.
#[derive(Debug, Default)]
pub struct SequenceDiagram {
    /// Where the step before was taken; none for the loop.
    at: Option<Room>,
    /// The turn, until something happens in it.
    turn: Option<i64>,
    arrows: usize,
}

impl Translate for SequenceDiagram {
    const HEAD: &'static str = "sequenceDiagram
    participant Loop as main loop
    participant Chardev as chardev
    participant Monitor as monitor
    participant Qapi as QAPI
    participant Command as command
    participant Machine as machine
";
    const BETWEEN: &'static str = "\n";
    const END: &'static str = "\n";

    fn translate(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        match step.event.name {
            "main_loop_wait" => {
                self.turn = step.number_of("turn");
                self.at = None;
            }
            "os_host_main_loop_wait" | "os_host_main_loop_wait_done" => {}
            "dispatch_done" => self.at = None,
            _ => self.arrow(step, push),
        }
    }
}

impl SequenceDiagram {
    fn arrow(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        if self.arrows >= ARROWS_MAX {
            if self.arrows == ARROWS_MAX {
                push("    Note over Loop,Machine: the rest is left out");
            }
            self.arrows = ARROWS_MAX + 1;
            return;
        }
        self.arrows += 1;
        if let Some(turn) = self.turn.take() {
            push(&format!("    Note over Loop,Machine: turn {turn}"));
        }
        let (name, text) = (step.event.name, message(step));
        let (from, to) = (self.at.unwrap_or(Room::Loop), step.event.room);
        let arrow = match name {
            "watch_dispatch" | "timer_dispatch" | "bh_dispatch" => {
                self.at = None;
                return push(&format!("    Note over Loop: {text}"));
            }
            "bh_schedule" => "-)",
            _ if name.ends_with("_done") => "-->>",
            _ => "->>",
        };
        push(&format!("    {from:?}{arrow}{to:?}: {text}"));
        // What a room asks of the loop returns at once.
        if to != Room::Loop {
            self.at = Some(to);
        }
    }
}

/// The step in one line without the letters that mean something to Mermaid.
fn message(step: &Step<'_>) -> String {
    let mut text = String::new();
    push_escaped(&mut text, &format!("{} {}", step.event.name, step.text));
    let mut message = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == TEXT_MAX {
            message.push('…');
            break;
        }
        match c {
            '#' | ';' | '<' | '>' | '%' => {
                let _ = write!(message, "#{};", u32::from(c));
            }
            c => message.push(c),
        }
    }
    message
}
