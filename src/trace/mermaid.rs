//! The trace as a sequence diagram of Mermaid.
//!
//! The rooms stand side by side. An arrow goes from the room that took the step before
//! to the room that takes this one; a dashed one comes back.

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
    participant MainLoop as main loop
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
                push("    Note over MainLoop,Machine: the rest is left out");
            }
            self.arrows = ARROWS_MAX + 1;
            return;
        }
        self.arrows += 1;
        if let Some(turn) = self.turn.take() {
            push(&format!("    Note over MainLoop,Machine: turn {turn}"));
        }
        let (name, text) = (step.event.name, message(step));
        let (from, to) = (self.at.unwrap_or(Room::Loop), step.event.room);
        let arrow = match name {
            "watch_dispatch" | "timer_dispatch" | "bh_dispatch" => {
                self.at = None;
                return push(&format!("    Note over MainLoop: {text}"));
            }
            "bh_schedule" => "-)",
            _ if name.ends_with("_done") => "-->>",
            _ => "->>",
        };
        push(&format!(
            "    {}{arrow}{}: {text}",
            participant(from),
            participant(to)
        ));
        // What a room asks of the loop returns at once.
        if to != Room::Loop {
            self.at = Some(to);
        }
    }
}

/// The name of a room in the diagram. `Loop` would be a keyword.
fn participant(room: Room) -> &'static str {
    match room {
        Room::Loop => "MainLoop",
        Room::Chardev => "Chardev",
        Room::Monitor => "Monitor",
        Room::Qapi => "Qapi",
        Room::Command => "Command",
        Room::Machine => "Machine",
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
        // Renderers differ in what they make of Mermaid's codes for these letters, so
        // others that look alike stand in their place.
        match c {
            '#' => message.push('№'),
            ';' => message.push(','),
            '<' => message.push('‹'),
            c => message.push(c),
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::super::event::{Fact, TraceEvent};
    use super::super::events;
    use super::*;
    use std::time::Duration;

    fn pieces(
        diagram: &mut SequenceDiagram,
        event: &'static TraceEvent,
        text: &str,
    ) -> Vec<String> {
        let turn = [("turn", Fact::Number(7))];
        let mut pieces = Vec::new();
        let step = Step {
            event,
            text: format_args!("{text}"),
            facts: &turn,
            time: Duration::ZERO,
            thread: 1,
        };
        diagram.translate(&step, &mut |piece| pieces.push(piece.trim().to_owned()));
        pieces
    }

    #[test]
    fn a_turn_shows_when_something_happens_in_it() {
        let mut diagram = SequenceDiagram::default();
        let mut take = |event, text| pieces(&mut diagram, event, text);
        assert!(take(&events::main_loop_wait, "turn 7").is_empty());
        assert!(take(&events::os_host_main_loop_wait, "sleeps").is_empty());
        let shown = take(&events::watch_dispatch, "fd 4 to f");
        let expected = [
            "Note over MainLoop,Machine: turn 7",
            "Note over MainLoop: watch_dispatch fd 4 to f",
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            take(&events::tcp_chr_read, "a;b#c->fn"),
            ["MainLoop->>Chardev: tcp_chr_read a,b№c->fn"]
        );
        assert_eq!(
            take(&events::watch_add, "x"),
            ["Chardev->>MainLoop: watch_add x"]
        );
        assert_eq!(
            take(&events::bh_schedule, "x"),
            ["Chardev-)MainLoop: bh_schedule x"]
        );
        assert_eq!(
            take(&events::monitor_flush_done, ""),
            ["Chardev-->>Monitor: monitor_flush_done"]
        );
        let long = take(&events::qmp_enter, &"é".repeat(100));
        assert!(
            long[0].ends_with('…') && long[0].chars().count() < 110,
            "{long:?}"
        );
    }

    #[test]
    fn a_long_recording_ends_with_a_note() {
        let mut diagram = SequenceDiagram::default();
        for _ in 0..ARROWS_MAX {
            assert_eq!(pieces(&mut diagram, &events::tcp_chr_read, "x").len(), 1);
        }
        let end = pieces(&mut diagram, &events::tcp_chr_read, "x");
        assert_eq!(end, ["Note over MainLoop,Machine: the rest is left out"]);
        assert!(pieces(&mut diagram, &events::tcp_chr_read, "x").is_empty());
    }
}
