//! The session against a plain model, which keeps whole texts and counts on its
//! fingers: what has arrived, what waits, and whether the session reads.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::qapi::json::qobject_to_json;
use crate::qapi::{
    QDict, QmpCommand, QmpCommandFunc, QmpCommandList, QmpCommandOptions, SpecialFeatures,
};

/// The only command there is.
const KNOWN: &str = "known";

/// What a driver does to a session.
#[derive(Debug, Clone)]
enum Step {
    /// Bytes arrive, with a descriptor.
    Feed(String, Option<u32>),
    /// The driver pulls as much as there is.
    Pull,
    /// The dispatcher takes a request and answers it, or begins to.
    Serve {
        answers: bool,
    },
    /// A command under way is answered.
    Answer,
    /// A command takes the descriptor.
    TakeFd,
    Negotiate {
        oob: bool,
    },
    Renegotiate,
    Reset,
    GiveUp,
}

/// What a message is told by.
fn told(request: &Request) -> String {
    match request {
        Request::Message(Ok(request)) => qobject_to_json(request, false),
        Request::Message(Err(_)) => "error".to_owned(),
        Request::Plain { command, id, .. } => {
            let mut members = QDict::new();
            members.insert("execute", command.name());
            if let Some(id) = id {
                members.insert("id", id.clone());
            }
            qobject_to_json(&members.into(), false)
        }
    }
}

/// Finds one of the commands that the messages name.
fn find(name: &[u8]) -> Option<CommandKey> {
    let mut list = QmpCommandList::<()>::new();
    list.register(QmpCommand {
        name: KNOWN,
        options: QmpCommandOptions::NONE,
        features: SpecialFeatures::NONE,
        func: QmpCommandFunc::Immediate(|_, _| Ok(())),
    });
    list.key(name)
}

/// Messages end with `}`, and with nothing else.
#[derive(Default)]
struct Model {
    negotiated: bool,
    oob: bool,
    connection: u64,
    unread: String,
    /// The beginning of a message that is read.
    begun: String,
    waiting: VecDeque<(String, Option<u32>)>,
    arrived: Option<u32>,
    in_hand: Option<u32>,
    stopped: bool,
    deaf: bool,
}

#[derive(Debug, PartialEq)]
enum Pulled {
    OutOfBand(String),
    Queued { waiting: usize, stops: bool },
}

impl Model {
    fn reset(&mut self) {
        *self = Model {
            connection: self.connection + 1,
            ..Model::default()
        };
    }

    fn feed(&mut self, text: &str) {
        let in_string = self.begun.matches('"').count() % 2 == 1;
        let mut text = text;
        if in_string && self.unread.is_empty() && !self.stopped {
            let (inside, rest) = text.split_at(text.find('"').unwrap_or(text.len()));
            self.begun += inside;
            text = rest;
        }
        self.unread += text;
    }

    fn pull(&mut self) -> Option<Pulled> {
        if self.stopped {
            return None;
        }
        let Some(end) = self.unread.find('}') else {
            self.begun += &std::mem::take(&mut self.unread);
            return None;
        };
        let mut rest = self.unread.split_off(end + 1);
        // A request that is recognised takes the white space behind it along.
        if self.begun.trim().is_empty() && self.unread.contains(KNOWN) {
            rest = rest.trim_start().to_owned();
        }
        let message = std::mem::take(&mut self.begun) + &std::mem::replace(&mut self.unread, rest);
        let fd = self.arrived.take();
        let message = match message.trim() {
            "}" => "error".to_owned(),
            message => message.to_owned(),
        };
        if message.starts_with("{\"exec-oob\"") {
            self.in_hand = fd.or(self.in_hand);
            return Some(Pulled::OutOfBand(message));
        }
        self.waiting.push_back((message, fd));
        let limit = if self.oob { 8 } else { 1 };
        self.stopped = self.waiting.len() >= limit;
        Some(Pulled::Queued {
            waiting: self.waiting.len(),
            stops: self.stopped,
        })
    }

    fn take(&mut self) -> Option<String> {
        let (message, fd) = self.waiting.pop_front()?;
        self.in_hand = fd.or(self.in_hand);
        Some(message)
    }

    /// Without out-of-band execution an answer lets the session read; with it,
    /// room in the queue does.
    fn taken_up(&mut self, answered: bool) -> bool {
        let room = self.waiting.len() < 8;
        let resumes = self.stopped && room && (self.oob || answered);
        if resumes {
            self.stopped = false;
        }
        resumes
    }
}

fn pull(session: &mut QmpSession<u32>) -> Option<Pulled> {
    match session.next(Some(find), &mut None) {
        Next::Nothing => None,
        Next::OutOfBand(request) => Some(Pulled::OutOfBand(told(&request))),
        Next::Queued { suspends } => Some(Pulled::Queued {
            waiting: session.waiting(),
            stops: suspends,
        }),
    }
}

fn agree(session: &QmpSession<u32>, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(session.is_negotiated(), model.negotiated);
    prop_assert_eq!(session.has_oob(), model.oob);
    prop_assert_eq!(session.connection(), model.connection);
    prop_assert_eq!(session.waiting(), model.waiting.len());
    prop_assert_eq!(session.is_ready(), !model.waiting.is_empty());
    prop_assert_eq!(
        session.newest().map(|(request, _)| told(request)),
        model.waiting.back().map(|(message, _)| message.clone())
    );
    prop_assert_eq!(session.is_suspended(), model.stopped);
    let read = model.unread.is_empty();
    prop_assert_eq!(session.wants_input(), read && !model.stopped);
    prop_assert_eq!(session.has_read_all(), read && model.waiting.is_empty());
    Ok(())
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut session = QmpSession::new(JsonLimits::QEMU, Dialect::Qemu10);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Feed(text, fd) => {
                session.feed(text.as_bytes(), *fd);
                if !model.deaf {
                    model.feed(text);
                    model.arrived = fd.or(model.arrived);
                }
            }
            Step::Pull => loop {
                let pulled = pull(&mut session);
                prop_assert_eq!(&pulled, &model.pull());
                agree(&session, &model)?;
                if pulled.is_none() {
                    break;
                }
            },
            Step::Serve { answers } => {
                let taken = session.take();
                prop_assert_eq!(taken.as_ref().map(told), model.take());
                if taken.is_some() {
                    prop_assert_eq!(session.taken_up(*answers), model.taken_up(*answers));
                }
            }
            Step::Answer => prop_assert_eq!(session.taken_up(true), model.taken_up(true)),
            Step::TakeFd => prop_assert_eq!(session.take_fd(), model.in_hand.take()),
            Step::Negotiate { oob } => {
                session.negotiated(*oob);
                (model.negotiated, model.oob) = (true, *oob);
            }
            Step::Renegotiate => {
                session.renegotiate();
                (model.negotiated, model.oob) = (false, false);
            }
            Step::Reset => {
                session.reset();
                model.reset();
            }
            Step::GiveUp => {
                session.give_up();
                model.reset();
                model.deaf = true;
            }
        }
        agree(&session, &model)?;
    }
    Ok(())
}

/// Some messages in a row, cut where it happens.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let message = prop_oneof![
        4 => (0..9u8).prop_map(|n| format!("{{\"execute\": {n}}}")),
        4 => (0..9u8).prop_map(|n| format!("{{\"execute\": \"{KNOWN}\", \"id\": {n}}}")),
        1 => (0..9u8).prop_map(|n| format!("{{\"execute\": \"other\", \"id\": {n}}}")),
        2 => (0..9u8).prop_map(|n| format!("{{\"exec-oob\": {n}}}")),
        1 => Just("{\"execute\": 0, \"exec-oob\": 0}".to_owned()),
        1 => Just("}".to_owned()),
        1 => Just("\r\n".to_owned()),
    ];
    let cuts = prop::collection::vec(1..40usize, 1..8);
    (prop::collection::vec(message, 1..12), cuts).prop_map(|(messages, cuts)| {
        let mut text = messages.concat();
        let mut pieces = Vec::new();
        for cut in cuts {
            let rest = text.split_off(cut.min(text.len()));
            pieces.push(std::mem::replace(&mut text, rest));
        }
        pieces.push(text);
        pieces
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fd = || prop::option::weighted(0.3, any::<u32>());
    let feeds = (texts(), fd()).prop_map(|(pieces, fd)| {
        let feed = |(at, piece)| Step::Feed(piece, fd.filter(|_| at == 0));
        pieces.into_iter().enumerate().map(feed).collect()
    });
    let one = prop_oneof![
        6 => Just(Step::Pull),
        8 => any::<bool>().prop_map(|answers| Step::Serve { answers }),
        2 => Just(Step::Answer),
        2 => Just(Step::TakeFd),
        3 => any::<bool>().prop_map(|oob| Step::Negotiate { oob }),
        1 => Just(Step::Renegotiate),
        1 => Just(Step::Reset),
        1 => Just(Step::GiveUp),
    ];
    let many = prop_oneof![
        1 => feeds,
        3 => prop::collection::vec(one, 1..6),
    ];
    prop::collection::vec(many, 1..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_session_does_what_the_model_does(steps in steps()) {
        run(&steps)?;
    }

    /// Whatever the pieces: with room for all, the same messages come out.
    #[test]
    fn cuts_do_not_matter(pieces in texts()) {
        let messages = |pieces: &[String]| {
            let mut session = QmpSession::<u32>::new(JsonLimits::QEMU, Dialect::Qemu10);
            let mut seen = Vec::new();
            for piece in pieces {
                session.feed(piece.as_bytes(), None);
                while let Some(pulled) = pull(&mut session) {
                    seen.push(match (pulled, session.take()) {
                        (Pulled::OutOfBand(message), _) => message,
                        (_, taken) => taken.as_ref().map(told).expect("it was queued"),
                    });
                    session.taken_up(true);
                }
            }
            seen
        };
        prop_assert_eq!(messages(&pieces), messages(&[pieces.concat()]));
    }
}

#[test]
fn a_request_waits_with_its_own_descriptor() {
    let mut session = QmpSession::new(JsonLimits::QEMU, Dialect::Qemu10);
    session.negotiated(true);
    session.feed(b"{\"execute\": 1}", Some(1));
    assert_eq!(
        session.next(Some(find), &mut None),
        Next::Queued { suspends: false }
    );
    session.feed(b"{\"execute\": 2}", Some(2));
    assert_eq!(
        session.next(Some(find), &mut None),
        Next::Queued { suspends: false }
    );
    assert_eq!(session.take_fd(), None, "none was taken up yet");
    assert!(session.take().is_some());
    assert_eq!(session.take_fd(), Some(1));
    assert!(session.take().is_some());
    assert_eq!(session.take_fd(), Some(2));
}

#[test]
fn a_descriptor_that_was_not_taken_stays_until_the_next_comes() {
    let mut session = QmpSession::new(JsonLimits::QEMU, Dialect::Qemu10);
    session.negotiated(true);
    session.feed(
        b"{\"execute\": 1}{\"execute\": 2}{\"exec-oob\": 3}",
        Some(1),
    );
    assert_eq!(
        session.next(Some(find), &mut None),
        Next::Queued { suspends: false }
    );
    assert_eq!(
        session.next(Some(find), &mut None),
        Next::Queued { suspends: false }
    );
    assert!(session.take().is_some());
    assert!(session.take().is_some());
    assert!(matches!(
        session.next(Some(find), &mut None),
        Next::OutOfBand(_)
    ));
    assert_eq!(session.take_fd(), Some(1));
}
