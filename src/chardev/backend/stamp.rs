//! Time stamps at the beginning of each line that goes through a mux.

use std::io;

/// Puts `[HH:MM:SS.mmm] ` in front of lines, counted from the first one.
pub(super) struct Stamper {
    start_ns: Option<i64>,
    at_line_start: bool,
    /// The rest of a stamp that was written in part.
    pending: Vec<u8>,
}

impl Stamper {
    /// Begins with the line after the next newline.
    pub(super) fn new() -> Self {
        Stamper {
            start_ns: None,
            at_line_start: false,
            pending: Vec::new(),
        }
    }

    /// Writes `buf` with stamps; counts bytes of `buf` only.
    pub(super) fn write(
        &mut self,
        buf: &[u8],
        now_ns: i64,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            if self.at_line_start {
                self.at_line_start = false;
                let start = *self.start_ns.get_or_insert(now_ns);
                self.pending = stamp(now_ns - start).into_bytes();
            }
            let rest = &buf[done..];
            let end = rest.iter().position(|b| *b == b'\n');
            let line = &rest[..end.map_or(rest.len(), |end| end + 1)];
            match self.write_line(line, &mut write) {
                Ok(n) => {
                    done += n;
                    self.at_line_start = n > 0 && buf[done - 1] == b'\n';
                    if n < line.len() {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Writes what is left of a stamp, then the line.
    fn write_line(
        &mut self,
        line: &[u8],
        write: &mut impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        while !self.pending.is_empty() {
            match write(&self.pending)? {
                0 => return Err(io::ErrorKind::WouldBlock.into()),
                n => self.pending.drain(..n),
            };
        }
        write(line)
    }
}

fn stamp(ns: i64) -> String {
    let ms = ns / 1_000_000;
    let (s, ms) = (ms / 1000, ms % 1000);
    let (m, s) = (s / 60, s % 60);
    let (h, m) = (m / 60, m % 60);
    format!("[{h:02}:{m:02}:{s:02}.{ms:03}] ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stamps() {
        for (ns, text) in [
            (0, "[00:00:00.000] "),
            (1_999_999, "[00:00:00.001] "),
            (3_723_004_000_000, "[01:02:03.004] "),
            (360_000_000_000_000, "[100:00:00.000] "),
        ] {
            assert_eq!(stamp(ns), text);
        }
    }

    proptest! {
        /// However little the other side takes at a time, the stream is the same.
        #[test]
        fn short_writes_make_no_difference(
            lines in "[a\n]{0,20}",
            rooms in prop::collection::vec(0usize..5, 1..40),
        ) {
            let mut whole = Vec::new();
            let mut stamper = Stamper::new();
            let n = stamper.write(lines.as_bytes(), 5, |b| {
                whole.extend(b);
                Ok(b.len())
            });
            prop_assert_eq!(n.unwrap(), lines.len());

            let mut pieces = Vec::new();
            let mut stamper = Stamper::new();
            let mut rest = lines.as_bytes();
            let mut rooms = rooms.into_iter();
            while !rest.is_empty() {
                let n = stamper.write(rest, 5, |b| {
                    let n = rooms.next().unwrap_or(7).min(b.len());
                    pieces.extend(&b[..n]);
                    match n {
                        0 => Err(io::ErrorKind::WouldBlock.into()),
                        n => Ok(n),
                    }
                });
                rest = &rest[n.unwrap_or(0)..];
            }
            prop_assert_eq!(pieces.escape_ascii().to_string(), whole.escape_ascii().to_string());
        }
    }
}
