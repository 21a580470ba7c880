//! The clients of VNC servers: how they come, what they send, and how they go.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use super::keys::send_key;
use super::vnc_info::{basic, client_info, server_info};
use super::vnc_listen::{tcp_place, unix_place, Listener};
use crate::model::display::{Client, Place, Rfb, RfbEvent, Share, Stream, VncServer, Websocket};
use crate::model::keys::key_of_symbol;
use crate::schema::{
    qapi_event_send_vnc_connected, qapi_event_send_vnc_disconnected,
    qapi_event_send_vnc_initialized, IntWrapper, KeyValue, QKeyCodeWrapper,
};
use crate::Machine;
use qmonitor::chardev::websocket::{frame, handshake, FrameDecoder, MAX_REQUEST, REQUEST_END};
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, SharedFd, Watch, WatchId};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

const SECOND_NS: i64 = 1_000_000_000;

/// The time in seconds since 1970.
pub(super) fn now(rt: &Rt) -> i64 {
    rt.main_loop().clock_get_ns(ClockType::Host) / SECOND_NS
}

/// Takes clients from a socket; `None` if it cannot be watched.
pub(super) fn watch_listener(
    rt: &mut Rt,
    id: String,
    listener: Listener,
    websocket: bool,
) -> Option<WatchId> {
    let nonblocking = match &listener {
        Listener::Tcp(l) => l.set_nonblocking(true),
        Listener::Unix(l) => l.set_nonblocking(true),
    };
    nonblocking.ok()?;
    let listener = Rc::new(listener);
    let fd: SharedFd = listener.clone();
    let accept = move |rt: &mut Rt, _: Condition| {
        let accepted = match &*listener {
            Listener::Tcp(l) => l
                .accept()
                .map(|(stream, peer)| (Stream::Tcp(stream), tcp_place(peer))),
            Listener::Unix(l) => l
                .accept()
                .map(|(stream, _)| (Stream::Unix(stream), unix_place(""))),
        };
        if let Ok((stream, place)) = accepted {
            add_client(rt, &id, stream, place, websocket);
        }
        Flow::Keep
    };
    let watch = Watch::new("vnc_listen_io", fd, Condition::IN, accept);
    Some(rt.main_loop_mut().add_watch(watch))
}

/// Greets a client.
pub(super) fn add_client(rt: &mut Rt, id: &str, stream: Stream, place: Place, websocket: bool) {
    let nonblocking = match &stream {
        Stream::Tcp(s) => s.set_nonblocking(true),
        Stream::Unix(s) => s.set_nonblocking(true),
    };
    if nonblocking.is_err() {
        return;
    }
    let name = match rt.state.name.as_str() {
        "" => "QEMU".to_owned(),
        name => format!("QEMU ({name})"),
    };
    let Some(server) = server(rt, id) else {
        return;
    };
    let number = server.next_client;
    server.next_client += 1;
    let stream = Rc::new(stream);
    let client = Client {
        place,
        rfb: Rfb::new(server.security, &name),
        websocket: websocket.then(|| Websocket::Request(Vec::new())),
        stream: stream.clone(),
        output: Vec::new(),
        writing: None,
        reading: None,
        is_initialized: false,
        is_exclusive: false,
    };
    let info = basic(&client);
    server.clients.insert(number, client);
    if let Some(server) = server_info(server) {
        qapi_event_send_vnc_connected(rt, server, info);
    }
    let server_id = id.to_owned();
    let read = move |rt: &mut Rt, _: Condition| {
        read_client(rt, &server_id, number);
        Flow::Keep
    };
    let fd: SharedFd = stream;
    let watch = Watch::new("vnc_client_io", fd, Condition::IN, read);
    let watch = rt.main_loop_mut().add_watch(watch);
    if let Some(it) = client_of(rt, id, number) {
        it.reading = Some(watch);
    }
    send(rt, id, number);
}

pub(super) fn server<'a>(rt: &'a mut Rt, id: &str) -> Option<&'a mut VncServer> {
    rt.state.vnc.iter_mut().find(|s| s.id == id)
}

fn client_of<'a>(rt: &'a mut Rt, id: &str, number: u64) -> Option<&'a mut Client> {
    server(rt, id)?.clients.get_mut(&number)
}

/// Reads what a client sent.
fn read_client(rt: &mut Rt, id: &str, number: u64) {
    let time = now(rt);
    let Some(it) = client_of(rt, id, number) else {
        return;
    };
    let mut bytes = [0; 4096];
    let read = match &*it.stream {
        Stream::Tcp(s) => (&*s).read(&mut bytes),
        Stream::Unix(s) => (&*s).read(&mut bytes),
    };
    let bytes = match read {
        Ok(0) => return disconnect(rt, id, number),
        Ok(n) => bytes[..n].to_vec(),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
        Err(_) => return disconnect(rt, id, number),
    };
    let (payload, is_over) = unwrap(it, &bytes, time);
    feed(rt, id, number, &payload);
    send(rt, id, number);
    if is_over {
        disconnect(rt, id, number);
    }
}

/// Takes the websocket protocol away; true if it is over.
fn unwrap(it: &mut Client, bytes: &[u8], time: i64) -> (Vec<u8>, bool) {
    match &mut it.websocket {
        None => (bytes.to_vec(), false),
        Some(Websocket::Open(decoder)) => {
            let decoded = decoder.decode(bytes);
            it.output.extend(decoded.replies);
            (decoded.text, decoded.closed)
        }
        Some(Websocket::Request(request)) => {
            request.extend_from_slice(bytes);
            let is_whole = request.ends_with(REQUEST_END) || request.len() >= MAX_REQUEST;
            if !is_whole {
                return (Vec::new(), false);
            }
            match handshake(request, time) {
                Ok(answer) => {
                    it.output.extend(answer);
                    it.websocket = Some(Websocket::Open(FrameDecoder::default()));
                    (Vec::new(), false)
                }
                Err(answer) => {
                    it.output.extend(answer);
                    it.rfb.end();
                    (Vec::new(), true)
                }
            }
        }
    }
}

/// Gives a client's session what it sent, and does what it asks for.
fn feed(rt: &mut Rt, id: &str, number: u64, bytes: &[u8]) {
    let screen = rt.state.first_screen();
    let Some(it) = client_of(rt, id, number) else {
        return;
    };
    let events = it.rfb.feed(bytes, &screen);
    for event in events {
        match event {
            RfbEvent::Answer(answer) => {
                let time = now(rt);
                let Some(server) = server(rt, id) else { return };
                let password = server.password.clone();
                let Some(it) = server.clients.get_mut(&number) else {
                    return;
                };
                let is_right = password.admits(it.rfb.challenge(), &answer, time);
                if it.rfb.decide(is_right).is_some() {
                    send(rt, id, number);
                    return disconnect(rt, id, number);
                }
                // What came behind the answer.
                feed(rt, id, number, &[]);
            }
            RfbEvent::Initialized(is_shared) => {
                if !initialized(rt, id, number, is_shared) {
                    return;
                }
            }
            RfbEvent::Refused => {
                send(rt, id, number);
                return disconnect(rt, id, number);
            }
            // The keys go where those of send-key go.
            RfbEvent::Key(symbol, down) => {
                if let Some(data) = key_of_symbol(symbol) {
                    send_key(rt, KeyValue::Qcode(QKeyCodeWrapper { data }), down);
                }
            }
            RfbEvent::Code(code, down) => {
                let data = i64::from(code);
                send_key(rt, KeyValue::Number(IntWrapper { data }), down);
            }
            RfbEvent::Pointer => {}
        }
    }
}

/// Lets a client in, unless it may not share the screen; false if it is gone.
fn initialized(rt: &mut Rt, id: &str, number: u64, is_shared: bool) -> bool {
    let Some(server) = server(rt, id) else {
        return false;
    };
    let share = server.share;
    let is_taken = server.clients.values().any(|c| c.is_exclusive);
    let may_come = match share {
        Share::Ignore => true,
        Share::ForceShared => is_shared,
        Share::AllowExclusive => !is_shared || !is_taken,
    };
    let others: Vec<u64> = server.clients.keys().copied().collect();
    let Some(it) = server.clients.get_mut(&number) else {
        return false;
    };
    if !may_come {
        it.rfb.end();
        disconnect(rt, id, number);
        return false;
    }
    it.is_initialized = true;
    it.is_exclusive = !is_shared && share == Share::AllowExclusive;
    let (ends_others, info) = (it.is_exclusive, client_info(it));
    if let Some(server) = server_info(server) {
        qapi_event_send_vnc_initialized(rt, server, info);
    }
    if ends_others {
        for other in others.into_iter().filter(|other| *other != number) {
            disconnect(rt, id, other);
        }
    }
    true
}

/// Sends what waits; what the socket does not take waits for it.
fn send(rt: &mut Rt, id: &str, number: u64) {
    let Some(it) = client_of(rt, id, number) else {
        return;
    };
    // Before the answer to the request nothing else is sent.
    if !matches!(it.websocket, Some(Websocket::Request(_))) {
        let more = it.rfb.take_output();
        if it.websocket.is_some() && !more.is_empty() {
            it.output.extend(frame(&more));
        } else {
            it.output.extend(more);
        }
    }
    while !it.output.is_empty() {
        let written = match &*it.stream {
            Stream::Tcp(s) => (&*s).write(&it.output),
            Stream::Unix(s) => (&*s).write(&it.output),
        };
        match written {
            Ok(n) => drop(it.output.drain(..n)),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // An error is noticed when reading.
            Err(_) => break,
        }
    }
    if it.output.is_empty() || it.writing.is_some() {
        return;
    }
    let fd: SharedFd = it.stream.clone();
    let server = id.to_owned();
    let write = move |rt: &mut Rt, _: Condition| {
        if let Some(it) = client_of(rt, &server, number) {
            it.writing = None;
        }
        send(rt, &server, number);
        Flow::Remove
    };
    let watch = Watch::new("vnc_client_write", fd, Condition::OUT, write);
    let watch = rt.main_loop_mut().add_watch(watch);
    if let Some(it) = client_of(rt, id, number) {
        it.writing = Some(watch);
    }
}

/// Ends a connection and tells of it.
fn disconnect(rt: &mut Rt, id: &str, number: u64) {
    let Some(server) = server(rt, id) else {
        return;
    };
    let Some(gone) = server.clients.remove(&number) else {
        return;
    };
    let info = server_info(server);
    for watch in [gone.writing, gone.reading].into_iter().flatten() {
        rt.main_loop_mut().remove_watch(watch);
    }
    if let Some(info) = info {
        qapi_event_send_vnc_disconnected(rt, info, client_info(&gone));
    }
}
