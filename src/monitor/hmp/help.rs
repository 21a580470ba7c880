//! `help`: one line `NAME PARAMS -- HELP` per command.

use super::cursor::split_words;
use super::table::{HmpCommand, HmpTable};

impl<F: Copy> HmpTable<F> {
    /// The text that `help` prints for `topic`, the rest of its line (QEMU's
    /// `help_cmd`): all commands for an empty topic, the sub-commands of a command
    /// that has some, or one line. `preconfig` is true while the machine does not
    /// exist yet; commands that need one are then unknown.
    ///
    /// QEMU answers the exact topic `log` with the list of log items; the handler
    /// does that. Bare `info` prints `help(b"info", ...)`.
    ///
    /// # Errors
    /// When the topic cannot be split into words nothing is printed; the
    /// error is the line for the server's standard output, maybe empty.
    pub fn help(&self, topic: &[u8], preconfig: bool) -> Result<Vec<u8>, Vec<u8>> {
        let words = split_words(topic)?;
        let mut text = Vec::new();
        self.help_words(&mut Vec::new(), &words, preconfig, &mut text);
        Ok(text)
    }

    /// `prefix` is what precedes the names in this table, blank included.
    fn help_words(
        &self,
        prefix: &mut Vec<u8>,
        words: &[Vec<u8>],
        preconfig: bool,
        out: &mut Vec<u8>,
    ) {
        let Some((word, rest)) = words.split_first() else {
            for command in self.commands() {
                if command.row.is_available(preconfig) {
                    help_line(prefix, command, out);
                }
            }
            return;
        };
        match self
            .find(word)
            .filter(|command| command.row.is_available(preconfig))
        {
            None => {
                out.extend_from_slice(b"unknown command: '");
                out.extend_from_slice(prefix);
                out.extend_from_slice(word);
                out.extend_from_slice(b"'\n");
            }
            Some(command) => match &command.sub {
                None => help_line(prefix, command, out),
                Some(sub) => {
                    prefix.extend_from_slice(word);
                    prefix.push(b' ');
                    sub.help_words(prefix, rest, preconfig, out);
                }
            },
        }
    }
}

fn help_line<F: Copy>(prefix: &[u8], command: &HmpCommand<F>, out: &mut Vec<u8>) {
    let row = &command.row;
    out.extend_from_slice(prefix);
    out.extend_from_slice(format!("{} {} -- {}\n", row.name, row.params, row.help).as_bytes());
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
