//! The websocket protocol (RFC 6455) as QEMU's servers speak it: binary frames
//! only, one for each write.
//!
//! Pure: bytes in; text, replies and the end out. A connection begins with the
//! [handshake], a request over HTTP. Frames follow, which [`FrameDecoder`] reads and
//! [`frame`] makes.
//!
//! ```text
//!   request ──▶ 101, frames ──▶ close frame, end
//!      │                          ▲ close, or a frame that makes no sense
//!      └──▶ 400, 403, 404, end
//! ```
//!
//! QEMU is lenient, and clients may count on it: it takes reserved bits, and lengths
//! that could be written shorter, and it replies to a close with 1000 whatever the
//! client's code was.

#[cfg(feature = "websocket")]
use crate::util::base64;

/// A request may have this many bytes and headers.
pub const MAX_REQUEST: usize = 4096;
const MAX_HEADERS: usize = 32;

/// The end of a request.
pub const REQUEST_END: &[u8] = b"\r\n\r\n";

/// Answers a request. `now` is the time in seconds since 1970, for the header `Date`.
/// With `Err` the connection ends after the answer.
pub fn handshake(request: &[u8], now: i64) -> Result<Vec<u8>, Vec<u8>> {
    let common = format!("Server: QEMU VNC\r\nDate: {}\r\n", http_date(now));
    let bad = || {
        // QEMU leaves the empty line out here.
        let end = "Connection: close\r\nSec-WebSocket-Version: 13\r\n";
        format!("HTTP/1.1 400 Bad Request\r\n{common}{end}").into_bytes()
    };
    let Some(request) = request.strip_suffix(REQUEST_END) else {
        let status = "403 Request Entity Too Large";
        return Err(refusal(status, &common));
    };
    let request = std::str::from_utf8(request).map_err(|_| bad())?;
    let mut lines = request.split("\r\n");
    let mut words = lines.next().unwrap_or("").splitn(3, ' ');
    let (method, path, version) = (words.next(), words.next(), words.next());
    if method != Some("GET") || version != Some("HTTP/1.1") {
        return Err(bad());
    }
    if path != Some("/") {
        return Err(refusal("404 Not Found", &common));
    }
    let headers: Option<Vec<(&str, &str)>> = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name, value.trim()))
        })
        .collect();
    let headers = headers.filter(|h| h.len() <= MAX_HEADERS).ok_or_else(bad)?;
    let header = |name: &str| {
        let mut found = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| *value)
    };
    let protocol = header("Sec-WebSocket-Protocol");
    let key = header("Sec-WebSocket-Key").filter(|key| key.len() == 24);
    let good = header("Host").is_some()
        && header("Upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        && header("Connection").is_some_and(|v| v.to_ascii_lowercase().contains("upgrade"))
        && header("Sec-WebSocket-Version") == Some("13")
        && protocol.is_none_or(|protocol| protocol.contains("binary"));
    let key = key.filter(|_| good).ok_or_else(bad)?;
    let protocol = match protocol {
        Some(_) => "Sec-WebSocket-Protocol: binary\r\n",
        None => "",
    };
    let accept = accept_key(key).ok_or_else(bad)?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\n{common}Upgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
    .into_bytes())
}

/// The proof that the server understood the request.
#[cfg(feature = "websocket")]
fn accept_key(key: &str) -> Option<String> {
    let mut sha1 = sha1_smol::Sha1::from(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(base64::encode(&sha1.digest().bytes()))
}

/// Without SHA-1 there is no proof. No socket gets here then, because none with
/// `websocket=on` is opened.
#[cfg(not(feature = "websocket"))]
fn accept_key(_: &str) -> Option<String> {
    None
}

fn refusal(status: &str, common: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{common}Connection: close\r\n\r\n").into_bytes()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, time) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Count years from March, so that the leap day is the last; 400 years are an era.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    let year = era * 400 + year + i64::from(month < 2);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month as usize],
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Puts a write in a binary frame.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    make_frame(BINARY, payload)
}

fn make_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        n @ 0..=125 => frame.push(n as u8),
        n @ 126..=0xffff => {
            frame.push(126);
            frame.extend((n as u16).to_be_bytes());
        }
        n => {
            frame.push(127);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.as_bytes());
    make_frame(CLOSE, &payload)
}

/// The result of decoding some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Input for the front end.
    pub text: Vec<u8>,
    /// Frames to send.
    pub replies: Vec<u8>,
    /// The connection ends after the replies.
    pub closed: bool,
}

/// Reads frames, however they are cut.
///
/// ```
/// use qmonitor::chardev::websocket::FrameDecoder;
///
/// let mut decoder = FrameDecoder::default();
/// // A masked binary frame of two bytes, cut in the middle.
/// assert_eq!(decoder.decode(b"\x82\x82\x01\x02").text, b"");
/// assert_eq!(decoder.decode(b"\x03\x04ik").text, b"hi");
/// ```
#[derive(Debug, Default)]
pub struct FrameDecoder {
    header: Vec<u8>,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// A binary message goes on in the next frame.
    fragmented: bool,
    closed: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    left: u64,
    mask: [u8; 4],
    at: usize,
    /// The payload of a control frame, up to 125 bytes.
    control: Vec<u8>,
}

type Refused = (u16, &'static str);

impl FrameDecoder {
    /// Decodes. After the end it ignores its input.
    pub fn decode(&mut self, mut input: &[u8]) -> Decoded {
        let mut out = Decoded::default();
        while !self.closed && !input.is_empty() {
            if let Some(frame) = &mut self.frame {
                let n = input
                    .len()
                    .min(usize::try_from(frame.left).unwrap_or(usize::MAX));
                let to = match frame.opcode {
                    CONTINUATION | BINARY => &mut out.text,
                    _ => &mut frame.control,
                };
                for byte in &input[..n] {
                    to.push(byte ^ frame.mask[frame.at]);
                    frame.at = (frame.at + 1) % 4;
                }
                frame.left -= n as u64;
                input = &input[n..];
            } else {
                self.header.push(input[0]);
                input = &input[1..];
                match self.parse_header() {
                    Ok(frame) => self.frame = frame,
                    Err((code, reason)) => {
                        out.replies.extend(close_frame(code, reason));
                        self.closed = true;
                    }
                }
            }
            self.end_frame(&mut out);
        }
        out.closed = self.closed;
        out
    }

    /// The frame that the header describes, once it is complete.
    fn parse_header(&mut self) -> Result<Option<Frame>, Refused> {
        let [first, second, ..] = self.header[..] else {
            return Ok(None);
        };
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        if second & 0x80 == 0 {
            return Err((1002, "client frames must be masked"));
        }
        let known = match opcode {
            CONTINUATION => self.fragmented,
            BINARY | CLOSE | PING | PONG => true,
            _ => false,
        };
        if !known {
            let reason = "only binary, close, ping, and pong frames are supported";
            return Err((1003, reason));
        }
        let is_control = opcode >= CLOSE;
        if is_control && !is_final {
            return Err((1008, "only binary frames may be fragmented"));
        }
        if is_control && second & 0x7f > 125 {
            return Err((1002, "control frame is too large"));
        }
        let extra = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let rest = &self.header[2..];
        if rest.len() < extra + 4 {
            return Ok(None);
        }
        let left = match extra {
            0 => u64::from(second & 0x7f),
            _ => rest[..extra].iter().fold(0, |n, b| n << 8 | u64::from(*b)),
        };
        let mut mask = [0; 4];
        mask.copy_from_slice(&rest[extra..]);
        self.header.clear();
        if !is_control {
            self.fragmented = !is_final;
        }
        Ok(Some(Frame {
            opcode,
            left,
            mask,
            at: 0,
            control: Vec::new(),
        }))
    }

    /// Acts on a frame that is complete.
    fn end_frame(&mut self, out: &mut Decoded) {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else {
            return;
        };
        match frame.opcode {
            CLOSE => {
                out.replies
                    .extend(close_frame(1000, "peer requested close"));
                self.closed = true;
            }
            PING => out.replies.extend(make_frame(PONG, &frame.control)),
            _ => {}
        }
    }
}

#[cfg(all(test, feature = "websocket"))]
#[path = "websocket_tests.rs"]
mod tests;
