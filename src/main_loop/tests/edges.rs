//! Fds that epoll reports changes of, since they are read to the end each time.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use proptest::prelude::*;

use super::*;

/// A peer, and a watch that reads what it writes.
struct Reader {
    peer: UnixStream,
    /// How much the watch reads at a time.
    room: Rc<Cell<usize>>,
    /// Made first and dropped last, since it guards descriptors.
    app: App,
}

const USUAL_ROOM: usize = 8;

impl Reader {
    fn new(policy: FdmonPolicy) -> Self {
        let mut app = App::new(policy, TimeSource::simulated());
        let (peer, socket) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Rc::new(socket);
        let room = Rc::new(Cell::new(USUAL_ROOM));
        let (fd, wanted): (SharedFd, _) = (socket.clone(), room.clone());
        let watch = Watch::new("reader", fd, IN, move |app: &mut App, _| {
            let mut buf = [0; USUAL_ROOM];
            let room = wanted.get();
            match (&*socket).read(&mut buf[..room]) {
                Ok(0) => {
                    app.say("end");
                    Flow::Remove
                }
                Ok(n) => {
                    app.say(format!("read {n}"));
                    if n < room {
                        Flow::Drained
                    } else {
                        Flow::Keep
                    }
                }
                Err(e) => {
                    app.say(format!("{:?}", e.kind()));
                    Flow::Keep
                }
            }
        });
        app.main_loop.add_watch(watch.gate(|app: &App| app.open));
        Reader { peer, room, app }
    }

    fn write(&mut self, bytes: usize) {
        self.peer.write_all(&[b'x'; USUAL_ROOM][..bytes]).unwrap();
    }

    /// Lets so many reports pass that epoll then reports changes only.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.write(3);
            self.app.expect(&["read 3"]);
        }
    }

    fn ctl_syscalls(&self) -> u64 {
        self.app.main_loop.counters().ctl_syscalls
    }
}

#[test]
fn changes_are_reported_while_all_is_read() {
    let mut reader = Reader::new(FdmonPolicy::Epoll);
    reader.app.turn();
    assert_eq!(reader.ctl_syscalls(), 1, "registered");
    reader.settle();
    assert_eq!(reader.ctl_syscalls(), 2, "for changes");
    reader.write(8);
    reader.write(2);
    // As much as there is room for may not be all.
    reader.app.expect(&["read 8"]);
    reader.app.expect(&["read 2"]);
    reader.app.expect(&[]);
    assert_eq!(reader.ctl_syscalls(), 3, "for conditions");
    reader.settle();
    assert_eq!(reader.ctl_syscalls(), 4);
}

#[test]
fn the_end_behind_the_last_bytes_is_reported() {
    let mut reader = Reader::new(FdmonPolicy::Epoll);
    reader.settle();
    reader.write(1);
    reader.peer.shutdown(Shutdown::Write).unwrap();
    reader.app.expect(&["read 1"]);
    reader.app.expect(&["end"]);
}

#[test]
fn what_a_closed_gate_keeps_back_is_reported_once_it_is_open() {
    let mut reader = Reader::new(FdmonPolicy::Epoll);
    reader.settle();
    reader.app.open = false;
    reader.write(1);
    reader.app.expect(&[]);
    // Open again before the kernel is told that it was closed.
    reader.app.open = true;
    reader.app.expect(&["read 1"]);
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Room(usize),
    Gate(bool),
    Shutdown,
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..USUAL_ROOM).prop_map(Step::Write),
        1 => (1..=USUAL_ROOM).prop_map(Step::Room),
        2 => any::<bool>().prop_map(Step::Gate),
        1 => Just(Step::Shutdown),
        8 => Just(Step::Turn),
    ]
}

/// What the turns log.
fn play(policy: FdmonPolicy, steps: &[Step]) -> Vec<Vec<String>> {
    let mut reader = Reader::new(policy);
    reader.settle();
    let (mut log, mut is_shut) = (Vec::new(), false);
    for step in steps.iter().chain([&Step::Gate(true)]) {
        match step {
            Step::Write(bytes) if !is_shut => reader.write(*bytes),
            Step::Write(_) => {}
            Step::Room(room) => reader.room.set(*room),
            Step::Gate(open) => reader.app.open = *open,
            Step::Shutdown => {
                is_shut = true;
                reader.peer.shutdown(Shutdown::Write).unwrap();
            }
            Step::Turn => {
                reader.app.turn();
                log.push(std::mem::take(&mut reader.app.log));
            }
        }
    }
    while reader.app.turn() {
        log.push(std::mem::take(&mut reader.app.log));
    }
    log
}

proptest! {
    #[test]
    fn it_makes_no_difference_what_is_reported(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert_eq!(play(FdmonPolicy::Epoll, &steps), play(FdmonPolicy::Poll, &steps));
    }
}
