//! Each stack of layers gives the same result however its input is cut: what the codecs
//! make of the whole input, one after the other.

use proptest::prelude::*;

use super::*;
#[cfg(feature = "tls")]
use crate::chardev::codec::tls::{testing::Pki, TlsCreds};
use crate::chardev::codec::websocket::{frame, handshake};

const NOW: i64 = 784_111_777;

#[cfg(feature = "websocket")]
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Credentials of a server and a client.
#[cfg(feature = "tls")]
type Creds = (TlsCreds, TlsCreds);

/// Which layers there are.
#[derive(Clone, Copy, Debug)]
struct Layers {
    websocket: bool,
    /// And whether it is for 3270 terminals.
    telnet: Option<bool>,
}

impl Layers {
    /// Every stack above TLS, or above nothing.
    fn all() -> Vec<Layers> {
        let websocket = [false, true];
        let websocket = websocket
            .iter()
            .filter(|on| !**on || cfg!(feature = "websocket"));
        websocket
            .flat_map(|websocket| {
                [None, Some(false), Some(true)].map(|telnet| Layers {
                    websocket: *websocket,
                    telnet,
                })
            })
            .collect()
    }

    fn telnet(self) -> Option<TelnetDecoder> {
        self.telnet.map(TelnetDecoder::new)
    }
}

/// What a connection came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    steps: Vec<Step>,
    text: Vec<u8>,
    breaks: usize,
    closed: bool,
    /// What the peer was sent.
    told: Vec<u8>,
}

/// What the layers make of the whole input.
fn expected(layers: Layers, input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut telnet = layers.telnet();
    let opening = telnet.as_ref().map_or(&b""[..], TelnetDecoder::opening);
    let mut text = input.to_vec();
    if layers.websocket {
        let head = &input[..input.len().min(MAX_REQUEST)];
        let end = head.windows(4).position(|bytes| bytes == REQUEST_END);
        let len = match end {
            Some(end) => end + 4,
            None if head.len() == MAX_REQUEST => MAX_REQUEST,
            None => return outcome,
        };
        match handshake(&head[..len], NOW) {
            Ok(answer) => outcome.told = answer,
            Err(answer) => {
                outcome.told = answer;
                outcome.steps.push(Step::Closed);
                outcome.closed = true;
                return outcome;
            }
        }
        outcome.steps.push(Step::Opened);
        if telnet.is_some() {
            outcome.told.extend(frame(opening));
        }
        let decoded = FrameDecoder::default().decode(&input[len..]);
        outcome.told.extend(decoded.replies);
        outcome.closed = decoded.closed;
        text = decoded.text;
    } else {
        outcome.told.extend(opening);
    }
    match &mut telnet {
        Some(telnet) => outcome.breaks = telnet.decode(&text, &mut outcome.text),
        None => outcome.text = text,
    }
    outcome
}

/// Cuts a slice into pieces of these lengths, from the first again at the end.
fn cut<'a>(bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let len = (*lengths.next()?).min(rest.len());
        let (piece, left) = rest.split_at(len);
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A stream, and a caller that does what it asks for.
struct Player {
    stream: Stream,
    opened: bool,
    /// How much the front end takes, in turn.
    rooms: std::vec::IntoIter<usize>,
    outcome: Outcome,
}

impl Player {
    fn new(stream: Stream, rooms: &[usize]) -> Self {
        Player {
            opened: stream.is_open(),
            stream,
            rooms: Vec::from(rooms).into_iter(),
            outcome: Outcome::default(),
        }
    }

    /// Takes bytes of the wire. Returns the bytes that the stream answers.
    fn receive(&mut self, wire: &[u8]) -> Vec<u8> {
        self.stream.receive(wire).unwrap();
        while !self.opened && !self.outcome.closed {
            let step = self.stream.advance(NOW).unwrap();
            match step {
                Step::NeedMore => return self.answers(),
                Step::Authorize => self.stream.admit(),
                Step::Opened => self.opened = true,
                Step::Closed => self.outcome.closed = true,
            }
            self.outcome.steps.push(step);
        }
        let mut told = self.answers();
        while self.stream.has_input() && !self.outcome.closed {
            let room = self.rooms.next().unwrap_or(100);
            let mut buf = vec![0; room];
            let input = self.stream.read(&mut buf);
            self.outcome.text.extend(&buf[..input.len]);
            self.outcome.breaks += input.breaks;
            self.outcome.closed = input.closed;
            told.extend(self.answers());
        }
        told
    }

    /// What there is to send, a byte first and then the rest.
    fn answers(&mut self) -> Vec<u8> {
        let wire = self.stream.wire().to_vec();
        if !wire.is_empty() {
            self.stream.sent(1);
            assert_eq!(self.stream.wire(), &wire[1..]);
            self.stream.sent(wire.len() - 1);
        }
        wire
    }
}

/// Plays a connection without TLS to the end of the input.
fn play(layers: Layers, input: &[u8], cuts: &[usize], rooms: &[usize]) -> Outcome {
    let stream = Stream::new(None, layers.websocket, layers.telnet());
    let mut player = Player::new(stream, rooms);
    let mut told = player.answers();
    for piece in cut(input, cuts) {
        if player.outcome.closed {
            break;
        }
        told.extend(player.receive(piece));
    }
    Outcome {
        told,
        ..player.outcome
    }
}

/// Plays it with TLS below; the input goes in records of up to `record` bytes.
#[cfg(feature = "tls")]
fn play_tls(
    layers: Layers,
    creds: &Creds,
    record: usize,
    input: &[u8],
    cuts: &[usize],
    rooms: &[usize],
) -> Outcome {
    let (server, client) = creds;
    let channel = TlsChannel::new(server, None).unwrap();
    let stream = Stream::new(Some(channel), layers.websocket, layers.telnet());
    let mut player = Player::new(stream, rooms);
    let mut client = TlsChannel::new(client, Some("localhost")).unwrap();
    let mut told = Vec::new();
    let mut asked = false;
    loop {
        let mut wire = Vec::new();
        client.take_output(&mut wire);
        if wire.is_empty() && asked {
            break;
        }
        let mut answers = player.answers();
        for piece in cut(&wire, cuts) {
            if !player.outcome.closed {
                answers.extend(player.receive(piece));
            }
        }
        for piece in cut(&answers, cuts) {
            client.receive(piece, &mut told).unwrap();
        }
        if !client.is_handshaking() && !asked {
            asked = true;
            input.chunks(record).for_each(|piece| client.send(piece));
        }
    }
    assert_eq!(player.outcome.steps.remove(0), Step::Authorize);
    if !layers.websocket {
        assert_eq!(player.outcome.steps.remove(0), Step::Opened);
    }
    Outcome {
        told,
        ..player.outcome
    }
}

#[cfg(feature = "tls")]
fn creds() -> Creds {
    let pki = Pki::new();
    (pki.server(), pki.client())
}

/// A frame as a client sends it.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend(mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Text with all that telnet does to it, among it a break.
const TELNET_TEXT: &[u8] =
    b"info\xff\xfd\x03 status\xff\xff\xff\xf3\n\xff\xef\xff\xfa\x18xt\xff\xf0quit\n\xff\xf1\0";

/// A fixed input that goes through everything a stack has.
fn sample(layers: Layers) -> Vec<u8> {
    if !layers.websocket {
        return TELNET_TEXT.to_vec();
    }
    #[cfg(feature = "websocket")]
    return [
        REQUEST,
        &client_frame(0x02, &TELNET_TEXT[..5]),
        &client_frame(0x89, b"ping"),
        &client_frame(0x80, &TELNET_TEXT[5..]),
        &client_frame(0x82, TELNET_TEXT),
        &client_frame(0x88, b"\x03\xe8"),
        b"not read any more",
    ]
    .concat();
    #[cfg(not(feature = "websocket"))]
    unreachable!()
}

#[test]
fn every_stack_byte_by_byte_and_whole() {
    for layers in Layers::all() {
        let input = sample(layers);
        let expected = expected(layers, &input);
        assert!(!expected.text.is_empty());
        assert_eq!(expected.closed, layers.websocket);
        assert_eq!(
            expected.breaks,
            layers
                .telnet
                .map_or(0, |_| 1 + usize::from(layers.websocket))
        );
        for cuts in [1, 2, 7, usize::MAX] {
            for room in [1, 3, 1 << 16] {
                let got = play(layers, &input, &[cuts], &[room; 1000]);
                assert_eq!(got, expected, "{layers:?} in {cuts} for {room}");
            }
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn every_stack_inside_tls() {
    let creds = creds();
    for layers in Layers::all() {
        let input = sample(layers);
        let expected = expected(layers, &input);
        for (record, cuts, room) in [(1, 1, 1), (10_000, 1, 7), (3, usize::MAX, 1 << 16)] {
            let got = play_tls(layers, &creds, record, &input, &[cuts], &[room; 1000]);
            assert_eq!(got, expected, "{layers:?} in {cuts} for {room}");
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z ]{0,12}\n".prop_map(String::into_bytes),
        2 => prop::collection::vec(0xefu8..=0xff, 0..4),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ]
}

fn frame_of_client() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => Just(0x82u8),
        3 => prop::sample::select(vec![0x02u8, 0x00, 0x80]),
        3 => Just(0x89),
        1 => prop::sample::select(vec![0x88u8, 0x8a, 0x81, 0xf2]),
    ];
    (first, piece()).prop_map(|(first, payload)| client_frame(first, &payload))
}

/// Layers, and an input that is made for them.
fn layers_and_input() -> impl Strategy<Value = (Layers, Vec<u8>)> {
    let frames = prop::collection::vec(frame_of_client(), 0..12);
    let text = prop::collection::vec(piece(), 0..12);
    let junk = prop_oneof![4 => Just(Vec::new()), 1 => piece()];
    (prop::sample::select(Layers::all()), frames, text, junk).prop_map(
        |(layers, frames, text, junk)| {
            #[cfg(feature = "websocket")]
            let request = REQUEST;
            #[cfg(not(feature = "websocket"))]
            let request: &[u8] = b"";
            let input = if layers.websocket {
                [request, &frames.concat(), &junk].concat()
            } else {
                [text.concat(), junk].concat()
            };
            (layers, input)
        },
    )
}

fn lengths(longest: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..longest, 1..8)
}

proptest! {
    #[test]
    fn splits_make_no_difference(
        (layers, input) in layers_and_input(),
        cuts in lengths(60),
        rooms in prop::collection::vec(1usize..20, 0..100),
    ) {
        let got = play(layers, &input, &cuts, &rooms);
        prop_assert_eq!(got, expected(layers, &input));
    }
}

#[cfg(feature = "tls")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn splits_make_no_difference_inside_tls(
        (layers, input) in layers_and_input(),
        record in 1usize..200,
        cuts in lengths(700),
        rooms in prop::collection::vec(1usize..20, 0..100),
    ) {
        thread_local!(static CREDS: Creds = creds());
        let got = CREDS.with(|creds| play_tls(layers, creds, record, &input, &cuts, &rooms));
        prop_assert_eq!(got, expected(layers, &input));
    }
}

#[test]
fn a_request_too_long_or_bad_closes_it_however_it_is_cut() {
    let layers = Layers {
        websocket: true,
        telnet: None,
    };
    let long = [b'x'; MAX_REQUEST + 10];
    for input in [&long[..], b"GET / HTTP/1.1\r\n\r\nbehind", b"\r\n\r\n"] {
        let expected = expected(layers, input);
        assert_eq!(expected.steps, [Step::Closed]);
        for cuts in [1, 100, usize::MAX] {
            assert_eq!(play(layers, input, &[cuts], &[]), expected);
        }
    }
    let half = &b"GET / HTTP/1.1\r\nHost:"[..];
    assert_eq!(play(layers, half, &[1], &[]), Outcome::default());
}

#[test]
fn an_end_closes_a_request_and_is_seen_behind_input() {
    let mut stream = Stream::new(None, true, None);
    stream.receive(b"GET").unwrap();
    assert_eq!(stream.advance(NOW), Ok(Step::NeedMore));
    stream.receive(b"").unwrap();
    assert_eq!(stream.advance(NOW), Ok(Step::Closed));

    let mut stream = Stream::new(None, false, None);
    stream.receive(b"last").unwrap();
    stream.receive(b"").unwrap();
    assert!(stream.has_ended() && stream.has_input());
    assert_eq!(stream.read(&mut [0; 9]).len, 4);
    assert!(stream.has_ended() && !stream.has_input());
}

#[test]
fn a_front_end_never_gets_more_than_it_takes() {
    // Kept commands make the text a byte longer than what was decoded.
    let mut stream = Stream::new(None, false, Some(TelnetDecoder::new(true)));
    let mut text: Vec<u8> = Vec::new();
    let mut buf = [0];
    for piece in [&b"\xff"[..], b"\xefa"] {
        stream.receive(piece).unwrap();
        while stream.has_input() {
            let input = stream.read(&mut buf);
            text.extend(&buf[..input.len]);
        }
    }
    assert_eq!(text, b"\xff\xffa");
}

#[test]
fn telnet_goes_on_where_the_last_connection_left_it() {
    let mut stream = Stream::new(None, false, Some(TelnetDecoder::new(false)));
    stream.receive(b"a\xff").unwrap();
    stream.read(&mut [0; 9]);
    let telnet = stream.into_telnet();
    let mut stream = Stream::new(None, false, telnet);
    stream.receive(b"\xf3b").unwrap();
    let input = stream.read(&mut [0; 9]);
    assert_eq!((input.len, input.breaks), (1, 1));
}

#[test]
fn output_goes_as_it_is_or_in_a_frame() {
    let large = vec![b'x'; MAX_WRITE + 1];
    let mut stream = Stream::new(None, false, None);
    assert!(!stream.wraps_output());
    assert_eq!(stream.send(&large), MAX_WRITE);
    assert_eq!(stream.wire(), &large[1..]);
    stream.close();
    assert_eq!(stream.wire().len(), MAX_WRITE, "there is no word for it");

    let mut stream = Stream::new(None, true, None);
    assert!(stream.wraps_output());
    assert_eq!(stream.send(&large), large.len());
    assert_eq!(stream.wire(), frame(&large));
}

#[test]
fn buffers_that_were_large_give_their_memory_back() {
    let large = vec![b'x'; 60_000_000];
    let mut stream = Stream::new(None, true, None);
    stream.send(&large);
    let half = stream.wire().len() / 2;
    stream.sent(half);
    stream.sent(stream.wire().len());
    assert!(stream.wire.capacity() <= KEPT);

    let mut stream = Stream::new(None, false, Some(TelnetDecoder::new(false)));
    stream.receive(&large).unwrap();
    let mut buf = vec![0; large.len()];
    assert_eq!(stream.read(&mut buf).len, large.len());
    assert!(stream.raw.capacity().max(stream.plain.capacity()) <= KEPT);
}

#[cfg(feature = "websocket")]
#[test]
fn a_peer_that_pings_and_does_not_read_gets_no_more_answers() {
    let mut stream = Stream::new(None, true, None);
    stream.receive(REQUEST).unwrap();
    assert_eq!(stream.advance(NOW), Ok(Step::Opened));
    let pings = client_frame(0x89, &[b'x'; 125]).repeat(100);
    for _ in 0..100 {
        stream.receive(&pings).unwrap();
        let mut buf = vec![0; pings.len()];
        assert_eq!(stream.read(&mut buf).len, 0);
    }
    let unsent = stream.wire().len();
    assert!((MAX_UNSENT_PONGS..MAX_UNSENT_PONGS + pings.len()).contains(&unsent));
    // That the connection ends is said in any case.
    stream.receive(&client_frame(0x88, b"")).unwrap();
    assert!(stream.read(&mut [0; 9]).closed);
    assert!(stream.wire().len() > unsent);
}

#[cfg(feature = "websocket")]
#[test]
fn nothing_behind_the_request_is_touched_before_it_is_read() {
    let mut stream = Stream::new(None, true, None);
    let input = [REQUEST, &client_frame(0x88, b""), b"junk"].concat();
    stream.receive(&input).unwrap();
    assert!(!stream.is_open());
    assert_eq!(stream.advance(NOW), Ok(Step::Opened));
    assert!(stream.is_open() && stream.has_input());
    assert_eq!(Ok(stream.wire()), handshake(REQUEST, NOW).as_deref());
    let input = stream.read(&mut [0; 99]);
    assert_eq!((input.len, input.closed), (0, true));
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;

    /// A server's stream and a client's, which have shaken hands up to `Authorize`.
    fn pair() -> (Stream, Stream) {
        let (server, client) = creds();
        let server = TlsChannel::new(&server, None).unwrap();
        let client = TlsChannel::new(&client, Some("localhost")).unwrap();
        let mut server = Stream::new(Some(server), false, None);
        let mut client = Stream::new(Some(client), false, None);
        assert!(!client.wire().is_empty() && server.wire().is_empty());
        while pass(&mut client, &mut server) | pass(&mut server, &mut client) {}
        (server, client)
    }

    fn pass(from: &mut Stream, to: &mut Stream) -> bool {
        let wire = from.wire().to_vec();
        from.sent(wire.len());
        if wire.is_empty() {
            return false;
        }
        to.receive(&wire).unwrap();
        true
    }

    #[test]
    fn each_side_is_asked_who_may_come_in() {
        let (mut server, mut client) = pair();
        for stream in [&mut server, &mut client] {
            assert!(!stream.knows_peer());
            for _ in 0..2 {
                assert_eq!(stream.advance(NOW), Ok(Step::Authorize));
            }
            assert!(stream.peer_name().is_some());
            assert!(!stream.is_open());
            stream.admit();
            assert!(stream.knows_peer() && stream.is_open());
            assert_eq!(stream.advance(NOW), Ok(Step::Opened));
        }
        assert_eq!(client.send(&[b'x'; 100_000]), MAX_WRITE);
        pass(&mut client, &mut server);
        let mut buf = [0; 100_000];
        assert_eq!(server.read(&mut buf).len, MAX_WRITE);
        client.close();
        pass(&mut client, &mut server);
        assert!(server.has_ended() && !server.has_input());
    }

    #[test]
    fn an_end_in_the_handshake_is_an_error() {
        let (server, _) = creds();
        let mut server = Stream::new(TlsChannel::new(&server, None).ok(), false, None);
        assert_eq!(server.advance(NOW), Ok(Step::NeedMore));
        server.receive(b"").unwrap();
        let e = server.advance(NOW).unwrap_err();
        assert_eq!(e, "the peer went away");
    }

    #[test]
    fn a_damaged_record_is_an_error_with_an_alert() {
        let (mut server, mut client) = pair();
        server.admit();
        client.admit();
        client.send(b"quit");
        let mut wire = client.wire().to_vec();
        *wire.last_mut().unwrap() ^= 1;
        let e = server.receive(&wire).unwrap_err();
        assert_eq!(e, "cannot decrypt peer's message");
        assert!(!server.has_input() && !server.wire().is_empty());
    }
}
