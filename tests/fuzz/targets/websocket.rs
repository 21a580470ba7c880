//! The websocket protocol: the request, and frames however they are cut.
//!
//! Input: a byte for the cuts, whose highest bit chooses request or frames;
//! then these. Frames are tried alone, and behind one that begins a fragmented
//! message.

use qmonitor::chardev::websocket::{frame, handshake, FrameDecoder, REQUEST_END};

use super::pieces;

pub fn websocket(data: &[u8]) {
    match data {
        [seed @ 0..=0x7f, input @ ..] => {
            frames(*seed, input);
            let begun = [b"\x02\x81\0\0\0\0x", input].concat();
            frames(*seed, &begun);
        }
        [_, request @ ..] => answers(request),
        [] => {}
    }
}

fn frames(seed: u8, input: &[u8]) {
    let whole = decode(&[input]);
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(&single), whole);
    assert_eq!(decode(&pieces(input, seed)), whole);
    let (text, replies, closed) = whole;
    assert!(text.len() <= input.len());
    // A pong is shorter than its ping, which is masked; one frame ends it all.
    assert!(replies.len() <= input.len() + 127);
    assert!(!closed || !replies.is_empty(), "closed without a word");
}

fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, bool) {
    let mut decoder = FrameDecoder::default();
    let (mut text, mut replies, mut closed) = (Vec::new(), Vec::new(), false);
    for piece in pieces {
        let decoded = decoder.decode(piece);
        assert!(!closed || decoded.text.is_empty() && decoded.replies.is_empty());
        text.extend(decoded.text);
        replies.extend(decoded.replies);
        closed |= decoded.closed;
    }
    (text, replies, closed)
}

fn answers(input: &[u8]) {
    for request in [input.to_vec(), [input, REQUEST_END].concat()] {
        let (answer, taken) = match handshake(&request, 784_111_777) {
            Ok(answer) => (answer, true),
            Err(answer) => (answer, false),
        };
        let answer = String::from_utf8(answer).expect("a header is text");
        let switches = answer.starts_with("HTTP/1.1 101 ");
        assert_eq!(switches, taken, "{answer}");
        assert!(answer.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
        assert!(!taken || answer.ends_with("\r\n\r\n"));
        // Nothing the client wrote comes back, except as a hash.
        assert!(answer.len() < 400);
    }
    // The output is one frame that a decoder without masks accepts.
    let out = frame(input);
    assert!(out.ends_with(input) && out.len() - input.len() <= 10);
}
