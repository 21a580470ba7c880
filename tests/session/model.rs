//! A plain model of a client's session. It sees all output of the session and
//! knows which output is right, because it also makes the requests.

use std::collections::VecDeque;

use serde_json::Value;

use crate::world::*;

/// xorshift64*
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Ok,
    Error,
}

/// Expected answers; those in band come in this order.
#[derive(Debug)]
pub struct Asked {
    pub id: i64,
    pub reply: Reply,
    /// The event that the command causes.
    pub event: Option<String>,
}

#[derive(Default)]
pub struct Model {
    pub connected: bool,
    pub greeted: bool,
    /// The request for negotiation.
    pub negotiation: Option<i64>,
    pub negotiated: bool,
    pub in_band: VecDeque<Asked>,
    pub out_of_band: Vec<i64>,
    /// Events of its own commands that have come before their reply.
    seen: Vec<String>,
    partial: Vec<u8>,
}

impl Model {
    /// The model of a client that has just connected.
    pub fn connected() -> Self {
        Model {
            connected: true,
            ..Model::default()
        }
    }

    pub fn is_owed_nothing(&self) -> bool {
        self.partial.is_empty() && self.in_band.is_empty() && self.out_of_band.is_empty()
    }

    /// Takes output and compares it with the model.
    pub fn read(&mut self, bytes: &[u8]) {
        self.partial.extend(bytes);
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            let text = String::from_utf8(line).unwrap();
            let line = text.strip_suffix("\r\n").expect("CR LF");
            self.hear(line);
        }
    }

    fn hear(&mut self, line: &str) {
        assert!(self.connected, "nobody is there to hear {line}");
        if !self.greeted {
            assert_eq!(line, GREETING);
            self.greeted = true;
            return;
        }
        let message: Value = serde_json::from_str(line).unwrap();
        if message.get("event").is_some() {
            assert!(self.negotiated, "an event before negotiation: {line}");
            self.seen
                .push(message["data"]["id"].as_str().unwrap().to_owned());
            return;
        }
        let id = message["id"]
            .as_i64()
            .unwrap_or_else(|| panic!("whose is {line}"));
        if let Some(at) = self.out_of_band.iter().position(|other| *other == id) {
            self.out_of_band.remove(at);
            return;
        }
        let asked = self.in_band.pop_front();
        let asked = asked.unwrap_or_else(|| panic!("nobody asked for {line}"));
        assert_eq!(asked.id, id, "{asked:?} is next, not {line}");
        let reply = match message.get("return") {
            Some(_) => Reply::Ok,
            None => Reply::Error,
        };
        assert_eq!(asked.reply, reply, "{line}");
        if let Some(event) = asked.event {
            let seen = self.seen.contains(&event);
            assert!(seen, "the reply came before its event: {line}");
        }
        if self.in_band.is_empty() {
            self.seen.clear();
        }
        if self.negotiation.take_if(|wanted| *wanted == id).is_some() {
            self.negotiated = true;
        }
    }

    /// Asks for negotiation.
    pub fn negotiate(&mut self, id: i64, oob: bool) -> String {
        self.negotiation = Some(id);
        self.in_band.push_back(Asked {
            id,
            reply: Reply::Ok,
            event: None,
        });
        let request = capabilities_request(if oob { "'oob'" } else { "" });
        format!("{}, 'id': {id}}}", &request[..request.len() - 1])
    }

    /// Makes a random request.
    pub fn request(&mut self, rng: &mut Rng, id: i64) -> String {
        // By the time this runs, negotiation is over.
        let ready = self.negotiated || self.negotiation.is_some();
        let mut asked = Asked {
            id,
            reply: Reply::Ok,
            event: None,
        };
        let text = match rng.below(12) {
            0..=4 => note_req("n", id),
            5..=6 => {
                asked.event = Some(format!("inner{id}"));
                format!("{{'execute': 'emit', 'arguments': {{'id': 'inner{id}'}}, 'id': {id}}}")
            }
            7 => req("hold", id),
            8 => {
                asked.reply = Reply::Error;
                req("nope", id)
            }
            9 => {
                asked.reply = Reply::Error;
                format!("{{'execute': {id}, 'id': {id}}}")
            }
            10 => format!("{{'execute': 'big', 'arguments': {{'size': 20000}}, 'id': {id}}}"),
            _ => {
                // Answered at once, whatever the answer is.
                self.out_of_band.push(id);
                let command = ["note-oob", "hold-oob", "nope"][rng.below(3) as usize];
                return oob(command, id);
            }
        };
        if !ready {
            asked.reply = Reply::Error;
            asked.event = None;
        }
        self.in_band.push_back(asked);
        text
    }
}
