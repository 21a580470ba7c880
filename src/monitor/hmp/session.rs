//! An HMP session as a pure machine: bytes in, lines out, and what the terminal
//! shows. It knows no chardev and no command.
//!
//! Bytes arrive in pieces and are fed to the editor one by one. A finished line
//! is run at once and the bytes behind it wait, so that type-ahead appears in
//! perfect order: output, prompt, echo of the next line. (QEMU gets the same
//! order by reading one byte at a time between commands.) While a command is
//! under way nothing is taken, and the prompt waits for its end.

use super::{Readline, ReadlineEvent};
use crate::chardev::PeerEnd;
use crate::monitor::outbuf::clear_buffer;
use crate::monitor::schema::MonitorReadline;

/// The longest line without the editor, which has a limit of its own.
const LINE_MAX: usize = 64 * 1024;

/// The state of an HMP session (QEMU's `MonitorHMP`).
pub struct MonitorHmp {
    /// `None` with `readline=off`: lines are taken as they come, without echo
    /// and prompt.
    readline: Option<Readline>,
    /// The line so far where there is no editor; one byte longer than
    /// [`LINE_MAX`] it is too long.
    line: Vec<u8>,
    inbuf: Vec<u8>,
    taken: usize,
    /// A mux has given the focus to another front end.
    mux_out: bool,
    /// Whether a client was ever there.
    reset_seen: bool,
    /// Whether the peer sees each write by itself.
    writes_apart: bool,
    /// The command that has not finished yet.
    under_way: Option<u64>,
}

impl MonitorHmp {
    pub(super) fn new(mode: MonitorReadline, prompt: &str, writes_apart: bool) -> Self {
        MonitorHmp {
            readline: (mode != MonitorReadline::Off).then(|| {
                let mut rl = Readline::new(prompt);
                rl.set_full(mode == MonitorReadline::Full);
                rl
            }),
            line: Vec::new(),
            inbuf: Vec::new(),
            taken: 0,
            mux_out: false,
            reset_seen: false,
            writes_apart,
            under_way: None,
        }
    }

    /// Whether output is kept until the mux gives the focus back.
    pub(crate) fn holds_output(&self) -> bool {
        self.mux_out
    }

    /// Whether the peer sees each write by itself.
    pub(super) fn writes_apart(&self) -> bool {
        self.writes_apart
    }

    /// How many bytes wait.
    pub(crate) fn input_left(&self) -> usize {
        self.inbuf.len() - self.taken
    }

    /// Whether all input of a client that has ended it was carried out. One that
    /// cannot read any more is not owed the output of its last command.
    pub(crate) fn has_read_all(&self, end: PeerEnd) -> bool {
        self.input_left() == 0 && (self.under_way.is_none() || end == PeerEnd::Gone)
    }

    /// The lines run so far, oldest first.
    pub(crate) fn history(&self) -> Vec<Vec<u8>> {
        let entries = self.readline.as_ref().map(|rl| rl.history().entries());
        entries.map_or(Vec::new(), |e| e.map(<[u8]>::to_vec).collect())
    }

    /// Takes bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.inbuf.extend_from_slice(bytes);
    }

    /// Works off one byte of input, if one waits and no command is under way.
    /// What the terminal shows for it goes to `out`.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<ReadlineEvent> {
        if self.under_way.is_some() {
            return None;
        }
        let byte = *self.inbuf.get(self.taken)?;
        self.taken += 1;
        if self.taken == self.inbuf.len() {
            clear_buffer(&mut self.inbuf);
            self.taken = 0;
        }
        Some(self.take_byte(byte, out))
    }

    fn take_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> ReadlineEvent {
        if let Some(rl) = &mut self.readline {
            return rl.handle_byte(byte, out);
        }
        match byte {
            b'\n' | b'\r' => {
                let line = std::mem::take(&mut self.line);
                if line.len() <= LINE_MAX {
                    return ReadlineEvent::Line(line);
                }
                let text = format!("Error: a line has at most {LINE_MAX} bytes\r\n");
                out.extend_from_slice(text.as_bytes());
            }
            // Telnet has one behind CR.
            0 => {}
            _ if self.line.len() <= LINE_MAX => self.line.push(byte),
            _ => {}
        }
        ReadlineEvent::None
    }

    /// The editor, to complete the word before the cursor.
    pub(super) fn readline_mut(&mut self) -> Option<&mut Readline> {
        self.readline.as_mut()
    }

    /// The command of the last line goes on; `token` tells it from others.
    pub(super) fn begin(&mut self, token: u64) {
        self.under_way = Some(token);
    }

    /// A command has finished. Returns false if it is not the one under way: its
    /// client has left.
    pub(super) fn finish(&mut self, token: u64) -> bool {
        self.under_way.take_if(|own| *own == token).is_some()
    }

    /// A client has come.
    pub(super) fn opened(&mut self) {
        self.reset_seen = true;
        self.restart();
    }

    /// The client has gone, and its command is not waited for.
    pub(super) fn closed(&mut self) {
        self.restart();
        self.under_way = None;
    }

    /// The mux has given the focus back.
    pub(super) fn mux_in(&mut self) {
        self.mux_out = false;
        if self.reset_seen {
            self.drop_line();
        }
    }

    /// Whether the terminal goes to a new line when the mux takes the focus away.
    pub(super) fn starts_new_line(&self) -> bool {
        self.reset_seen && !self.mux_out
    }

    /// The mux has given the focus to another front end.
    pub(super) fn mux_out(&mut self) {
        self.mux_out = true;
    }

    /// Drops what is half typed and what has not been looked at.
    fn restart(&mut self) {
        self.inbuf.clear();
        self.taken = 0;
        self.drop_line();
    }

    /// Drops what is half typed.
    fn drop_line(&mut self) {
        self.line.clear();
        if let Some(rl) = &mut self.readline {
            rl.restart();
        }
    }

    /// Whether the prompt is shown: a client is there to read it, the focus is
    /// here, and no command is under way.
    pub(super) fn prompts(&self) -> bool {
        self.reset_seen && !self.mux_out && self.under_way.is_none()
    }

    /// Shows the prompt.
    pub(super) fn show_prompt(&mut self, out: &mut Vec<u8>) {
        if let Some(rl) = &mut self.readline {
            rl.show_prompt(out);
        }
    }

    /// Draws prompt and line again.
    pub(super) fn redraw(&mut self, out: &mut Vec<u8>) {
        if let Some(rl) = &mut self.readline {
            rl.redraw(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session without an editor whose client is there.
    fn session() -> MonitorHmp {
        let mut session = MonitorHmp::new(MonitorReadline::Off, "", false);
        session.opened();
        session
    }

    /// The next line, if there is a whole one.
    fn line(session: &mut MonitorHmp) -> Option<String> {
        let mut out = Vec::new();
        while let Some(event) = session.next(&mut out) {
            if let ReadlineEvent::Line(line) = event {
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
        }
        None
    }

    #[test]
    fn nothing_is_taken_while_a_command_is_under_way() {
        let mut session = session();
        session.feed(b"one\ntwo\nthr");
        assert_eq!(line(&mut session).as_deref(), Some("one"));
        session.begin(7);
        assert!(!session.prompts());
        session.feed(b"ee\n");
        assert_eq!(line(&mut session), None);
        assert_eq!(session.input_left(), b"two\nthree\n".len());
        assert!(!session.has_read_all(PeerEnd::Gone));
        assert!(!session.finish(6), "another command");
        assert!(session.finish(7));
        assert!(session.prompts());
        assert_eq!(line(&mut session).as_deref(), Some("two"));
        assert_eq!(line(&mut session).as_deref(), Some("three"));
    }

    #[test]
    fn the_last_command_of_a_client_that_is_gone_is_not_waited_for() {
        let mut session = session();
        session.feed(b"one\n");
        assert!(line(&mut session).is_some());
        session.begin(7);
        assert!(session.has_read_all(PeerEnd::Gone));
        assert!(!session.has_read_all(PeerEnd::HalfClosed));
        session.closed();
        assert!(!session.finish(7), "the client has left");
    }

    #[test]
    fn without_the_focus_no_prompt_is_shown_when_a_command_finishes() {
        let mut session = session();
        session.begin(7);
        assert!(session.starts_new_line());
        session.mux_out();
        assert!(session.finish(7));
        assert!(session.holds_output() && !session.prompts());
        session.mux_in();
        assert!(session.prompts());
    }
}
