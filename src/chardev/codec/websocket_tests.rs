//! Requests and frames with the answers recorded from QEMU.

use super::*;
use proptest::prelude::*;

/// 16:51:23 on the day the answers were recorded.
const NOW: i64 = 1_795_366_283;

const GOOD: [(&str, &str); 6] = [
    ("Host", "x"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Protocol", "binary"),
];

/// A good request with one header changed, or left out.
fn request(line: &str, name: &str, value: Option<&str>) -> Vec<u8> {
    let mut text = format!("{line}\r\n");
    for (n, v) in GOOD {
        match value {
            Some(value) if n == name => text += &format!("{n}: {value}\r\n"),
            None if n == name => {}
            _ => text += &format!("{n}: {v}\r\n"),
        }
    }
    (text + "\r\n").into_bytes()
}

fn status(request: &[u8]) -> u32 {
    let answer = handshake(request, NOW);
    let accepted = answer.is_ok();
    let text = String::from_utf8(answer.unwrap_or_else(|e| e)).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(accepted, status == 101);
    status
}

#[test]
fn requests() {
    let get = "GET / HTTP/1.1";
    for (line, name, value, expected) in [
        (get, "", None, 101),
        ("GET /x HTTP/1.1", "", None, 404),
        ("GET /?x=1 HTTP/1.1", "", None, 404),
        ("POST / HTTP/1.1", "", None, 400),
        ("GET / HTTP/1.0", "", None, 400),
        ("junk", "", None, 400),
        (get, "Host", None, 400),
        (get, "Upgrade", None, 400),
        (get, "Connection", None, 400),
        (get, "Sec-WebSocket-Key", None, 400),
        (get, "Sec-WebSocket-Version", None, 400),
        (get, "Sec-WebSocket-Protocol", None, 101),
        (get, "Sec-WebSocket-Protocol", Some("chat, binary"), 101),
        (get, "Sec-WebSocket-Protocol", Some("xbinaryx"), 101),
        (get, "Sec-WebSocket-Protocol", Some("chat"), 400),
        (get, "Sec-WebSocket-Protocol", Some("BINARY"), 400),
        (get, "Upgrade", Some("WebSocket"), 101),
        (get, "Upgrade", Some("foo, websocket"), 400),
        (get, "Connection", Some("keep-alive, upgrade"), 101),
        (get, "Sec-WebSocket-Key", Some("short"), 400),
        (get, "Sec-WebSocket-Version", Some("8"), 400),
    ] {
        let answer = status(&request(line, name, value));
        assert_eq!(answer, expected, "{line} {name} {value:?}");
    }
    let good = String::from_utf8(request(get, "", None)).unwrap();
    let end = "\r\n\r\n";
    for (text, expected) in [
        (good.replace("Host", "hOST"), 101),
        (good.replace(": ", ":"), 101),
        (good.replace(end, "\r\nHost: y\r\n\r\n"), 101),
        (good.replace(end, "\r\nnocolon\r\n\r\n"), 400),
        (
            good.replace(end, &format!("{}{end}", "\r\nX: y".repeat(40))),
            400,
        ),
        ("a".repeat(MAX_REQUEST), 403),
    ] {
        assert_eq!(status(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(status(b"\xff\r\n\r\n"), 400);
}

#[test]
fn answers_in_full() {
    let get = "GET / HTTP/1.1";
    let date = "Server: QEMU VNC\r\nDate: Sun, 22 Nov 2026 16:51:23 GMT\r\n";
    let good = handshake(&request(get, "", None), NOW).unwrap();
    assert_eq!(
        String::from_utf8(good).unwrap(),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\n{date}Upgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: binary\r\n\r\n"
        )
    );
    let bad = handshake(&request(get, "Host", None), NOW).unwrap_err();
    assert_eq!(
        String::from_utf8(bad).unwrap(),
        format!(
            "HTTP/1.1 400 Bad Request\r\n{date}Connection: close\r\n\
             Sec-WebSocket-Version: 13\r\n"
        )
    );
    let missing = handshake(&request("GET /x HTTP/1.1", "", None), NOW).unwrap_err();
    assert_eq!(
        String::from_utf8(missing).unwrap(),
        format!("HTTP/1.1 404 Not Found\r\n{date}Connection: close\r\n\r\n")
    );
}

#[test]
fn dates() {
    for (seconds, text) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
    ] {
        assert_eq!(http_date(seconds), text);
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = b"ABCD";
    let mut frame = make_frame(0, payload);
    let header = frame.len() - payload.len();
    frame[0] = first;
    frame[1] |= 0x80;
    for (i, byte) in frame[header..].iter_mut().enumerate() {
        *byte ^= mask[i % 4];
    }
    frame.splice(header..header, *mask);
    frame
}

fn decode(input: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let out = FrameDecoder::default().decode(input);
    (out.text, out.replies, out.closed)
}

#[test]
fn frames_that_go_through() {
    let long = vec![b'x'; 70_000];
    for (input, text, replies) in [
        (masked(0x82, b"p 1\n"), &b"p 1\n"[..], &b""[..]),
        (masked(0x82, b""), b"", b""),
        (masked(0xc2, b"reserved bit"), b"reserved bit", b""),
        (masked(0x82, &long[..126]), &long[..126], b""),
        (masked(0x82, &long), &long, b""),
        (
            [masked(0x02, b"p"), masked(0x80, b" 1")].concat(),
            b"p 1",
            b"",
        ),
        (
            [masked(0x02, b"p"), masked(0x89, b"k"), masked(0x80, b"1")].concat(),
            b"p1",
            b"\x8a\x01k",
        ),
        (masked(0x89, b"hi"), b"", b"\x8a\x02hi"),
        (masked(0x89, b""), b"", b"\x8a\x00"),
        (
            [masked(0x8a, b"hi"), masked(0x82, b"x")].concat(),
            b"x",
            b"",
        ),
        // A length in more bytes than needed.
        (b"\x82\xfe\x00\x01ABCD9".to_vec(), b"x", b""),
    ] {
        let expected = (text.to_vec(), replies.to_vec(), false);
        assert_eq!(decode(&input), expected, "{:x?}", &input[..2]);
    }
}

#[test]
fn frames_that_end_it() {
    let unsupported = "only binary, close, ping, and pong frames are supported";
    for (input, code, reason) in [
        (masked(0x88, b"\x03\xe8bye"), 1000, "peer requested close"),
        (masked(0x88, b"\x03\xe9"), 1000, "peer requested close"),
        (masked(0x88, b""), 1000, "peer requested close"),
        (
            b"\x82\x01xxxxx".to_vec(),
            1002,
            "client frames must be masked",
        ),
        (masked(0x81, b"text"), 1003, unsupported),
        (masked(0x83, b"x"), 1003, unsupported),
        (masked(0x80, b"continued from nothing"), 1003, unsupported),
        (
            masked(0x09, b"h"),
            1008,
            "only binary frames may be fragmented",
        ),
        (
            masked(0x89, &[b'h'; 126]),
            1002,
            "control frame is too large",
        ),
    ] {
        // What comes after it is not looked at.
        let input = [masked(0x82, b"before"), input, masked(0x82, b"after")].concat();
        let expected = (b"before".to_vec(), close_frame(code, reason), true);
        assert_eq!(decode(&input), expected);
    }
}

#[test]
fn frames_made() {
    assert_eq!(frame(b"(qemu) "), b"\x82\x07(qemu) ");
    assert_eq!(frame(&[b'x'; 126])[..4], *b"\x82\x7e\x00\x7e");
    assert_eq!(frame(&[b'x'; 65536])[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
}

proptest! {
    #[test]
    fn splits_make_no_difference(
        frames in prop::collection::vec(
            (prop_oneof![Just(0x82u8), Just(0x89), Just(0x02), any::<u8>()], prop::collection::vec(any::<u8>(), 0..140)),
            0..5,
        ),
        cuts in prop::collection::vec(1usize..20, 1..50),
    ) {
        let input: Vec<u8> = frames.iter().flat_map(|(first, p)| masked(*first, p)).collect();
        let mut decoder = FrameDecoder::default();
        let (mut all, mut rest) = (Decoded::default(), &input[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            let out = decoder.decode(piece);
            all.text.extend(out.text);
            all.replies.extend(out.replies);
            all.closed |= out.closed;
            rest = tail;
        }
        prop_assert_eq!((all.text, all.replies, all.closed), decode(&input));
    }

    #[test]
    fn no_bytes_panic(request in prop::collection::vec(any::<u8>(), 0..200), now in any::<i64>()) {
        let _ = decode(&request);
        let _ = handshake(&[&request[..], REQUEST_END].concat(), now % (1 << 40));
    }
}
