//! The trace in Chrome's trace event format, for <https://ui.perfetto.dev>, for
//! chrome://tracing and for `qmonitor-view`.
//!
//! | here | there |
//! |---|---|
//! | a turn, a wait, a handler that the loop calls | slices (`B`, `E`), one within the other |
//! | another step | an instant (`i`) |
//! | a request, from its message to its reply | an async span (`b`, `e`) |
//! | from what scheduled a bottom half to its run | a flow (`s`, `f`) |
//! | requests that wait, bytes that a client is owed | counters (`C`) |
//!
//! Times are microseconds with three decimals. `cat` of a slice is the name of the event
//! that began it, `cat` of an instant its room. The text of a step and its facts are its
//! `args`.

use std::collections::btree_map::{BTreeMap, Entry};

use super::event::{Fact, Step};
use super::file::Translate;
use super::lines::push_escaped;
use crate::qapi::json::JsonWriter;

/// Translates steps to Chrome's trace event format, one object a piece.
#[derive(Debug, Default)]
pub struct ChromeTrace {
    /// How many slices are open, by thread.
    open: BTreeMap<u32, usize>,
    /// Requests that have not been answered: their monitor and id.
    requests: Vec<(String, String)>,
    /// The flow that ends at the run of a bottom half, by thread and bottom half.
    scheduled: BTreeMap<(u32, i64), u64>,
    flows: u64,
}

impl Translate for ChromeTrace {
    const HEAD: &'static str = "[\n";
    const BETWEEN: &'static str = ",\n";
    const END: &'static str = "\n]\n";

    fn translate(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        if let Entry::Vacant(place) = self.open.entry(step.thread) {
            place.insert(0);
            push(&thread_name(step));
        }
        match step.event.name {
            "main_loop_wait" => {
                // Slices that a panic left open end here as well.
                while self.end_slice(step, push) {}
                let turn = step.number_of("turn").unwrap_or(0);
                self.begin_slice(step, &format!("turn {turn}"), push);
            }
            "os_host_main_loop_wait" => self.begin_slice(step, "wait", push),
            "watch_dispatch" | "timer_dispatch" | "bh_dispatch" => {
                self.begin_slice(step, step.text_of("callback").unwrap_or(""), push);
                self.end_flow(step, push);
            }
            "os_host_main_loop_wait_done" | "dispatch_done" => {
                self.end_slice(step, push);
            }
            _ => self.instant(step, push),
        }
    }
}

impl ChromeTrace {
    fn begin_slice(&mut self, step: &Step<'_>, name: &str, push: &mut dyn FnMut(&str)) {
        *self.open.entry(step.thread).or_default() += 1;
        push(
            &Event::new("B", name, step.event.name, step)
                .args(step)
                .end(),
        );
    }

    /// Ends the innermost slice. Returns whether there was one.
    fn end_slice(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) -> bool {
        let open = self.open.entry(step.thread).or_default();
        let any = *open > 0;
        if any {
            *open -= 1;
            push(&Event::new("E", "", step.event.name, step).end());
        }
        any
    }

    fn instant(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        let event = step.event;
        let mut shown = Event::new("i", event.name, event.room.name(), step);
        shown.text("s", "t");
        push(&shown.args(step).end());
        match event.name {
            "bh_schedule" => self.begin_flow(step, push),
            "handle_qmp_command" => self.begin_request(step, push),
            "monitor_qmp_respond" => self.end_requests(step, push),
            "qmp_dispatch_done" if step.text_of("reply") == Some("none") => {
                self.end_requests(step, push);
            }
            "monitor_qmp_event" if step.text_of("event") == Some("CHR_EVENT_CLOSED") => {
                self.end_requests(step, push);
            }
            _ => {}
        }
        for (fact, title) in [("waiting", "requests waiting"), ("owed", "bytes owed")] {
            if let Some(number) = step.number_of(fact) {
                push(&counter(step, title, fact, number));
            }
        }
    }

    /// A flow begins in a slice, so what is scheduled outside of the loop has none.
    fn begin_flow(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        let (Some(bh), Some(1..)) = (step.number_of("bh"), self.open.get(&step.thread)) else {
            return;
        };
        self.flows += 1;
        self.scheduled.insert((step.thread, bh), self.flows);
        push(&self.flow("s", self.flows, step));
    }

    fn end_flow(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        let bh = step.number_of("bh");
        let flow = bh.and_then(|bh| self.scheduled.remove(&(step.thread, bh)));
        if let Some(flow) = flow {
            push(&self.flow("f", flow, step));
        }
    }

    fn flow(&self, phase: &str, number: u64, step: &Step<'_>) -> String {
        let name = step.text_of("callback").unwrap_or("");
        let mut event = Event::new(phase, name, "bottom half", step);
        event.number("id", number as i64);
        if phase == "f" {
            event.text("bp", "e");
        }
        event.end()
    }

    fn begin_request(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        let (Some(monitor), Some(request)) = (step.text_of("monitor"), step.text_of("request"))
        else {
            return;
        };
        let command = step.text_of("command").unwrap_or("(not a command)");
        push(&span("b", command, monitor, request, step));
        self.requests.push((monitor.to_owned(), request.to_owned()));
    }

    /// Ends the request that the step names, or all of its monitor.
    fn end_requests(&mut self, step: &Step<'_>, push: &mut dyn FnMut(&str)) {
        let (monitor, request) = (step.text_of("monitor"), step.text_of("request"));
        if step.fact("request") == Some(Fact::Absent) {
            return;
        }
        self.requests.retain(|(of, open)| {
            let ends = Some(of.as_str()) == monitor && request.is_none_or(|one| one == open);
            if ends {
                push(&span("e", "", of, open, step));
            }
            !ends
        });
    }
}

fn span(phase: &str, name: &str, monitor: &str, request: &str, step: &Step<'_>) -> String {
    let mut event = Event::new(phase, name, "request", step);
    event.text("id", &format!("{monitor} {request}"));
    event.end()
}

fn counter(step: &Step<'_>, title: &str, fact: &str, number: i64) -> String {
    let monitor = step.text_of("monitor").unwrap_or("");
    let mut event = Event::new("C", &format!("{monitor}: {title}"), "counter", step);
    event.0.key("args");
    event.0.begin_object();
    event.number(fact, number);
    event.0.end_object();
    event.end()
}

fn thread_name(step: &Step<'_>) -> String {
    let mut event = Event::new("M", "thread_name", "__metadata", step);
    event.0.key("args");
    event.0.begin_object();
    // The step is taken on the thread that is named.
    let thread = std::thread::current();
    let number = format!("thread {}", step.thread);
    event.text("name", thread.name().unwrap_or(&number));
    event.0.end_object();
    event.end()
}

/// One object of the format, under construction.
struct Event(JsonWriter);

impl Event {
    fn new(phase: &str, name: &str, category: &str, step: &Step<'_>) -> Self {
        let mut event = Event(JsonWriter::new(false));
        event.0.begin_object();
        event.text("ph", phase);
        event.text("name", name);
        event.text("cat", category);
        let ns = step.time.as_nanos();
        event.0.key("ts");
        event
            .0
            .raw(format!("{}.{:03}", ns / 1000, ns % 1000).as_bytes());
        event.number("pid", std::process::id().into());
        event.number("tid", step.thread.into());
        event
    }

    fn text(&mut self, key: &str, text: &str) {
        self.0.key(key);
        self.0.string(text);
    }

    fn number(&mut self, key: &str, number: i64) {
        self.0.key(key);
        self.0.i64(number);
    }

    fn args(mut self, step: &Step<'_>) -> Self {
        self.0.key("args");
        self.0.begin_object();
        let mut text = String::new();
        push_escaped(&mut text, &step.text.to_string());
        self.text("text", &text);
        for (name, fact) in step.facts {
            match fact {
                Fact::Absent => {}
                Fact::Number(number) => self.number(name, *number),
                Fact::Text(text) => self.text(name, text),
            }
        }
        self.0.end_object();
        self
    }

    fn end(mut self) -> String {
        self.0.end_object();
        String::from_utf8_lossy(self.0.as_bytes()).into_owned()
    }
}
