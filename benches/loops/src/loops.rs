//! The loops, each with the same two callbacks.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use event_manager::{
    EventManager, EventOps, EventSet, Events as Reported, MutEventSubscriber, SubscriberOps,
};
use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use qmonitor::impl_host;
use qmonitor::main_loop::{main_loop_wait, Condition, FdmonPolicy, Flow, MainLoop, Watch};

/// Goes on until that many more events have come.
pub type Run = Box<dyn FnMut(u64)>;

pub struct Contender {
    pub name: &'static str,
    pub start: fn(Ring) -> Run,
}

pub const ALL: [Contender; 7] = [
    Contender {
        name: "qmonitor",
        start: |ring| qmonitor(ring, FdmonPolicy::default()),
    },
    Contender {
        name: "qmonitor, ppoll",
        start: |ring| qmonitor(ring, FdmonPolicy::Poll),
    },
    Contender {
        name: "qmonitor, epoll",
        start: |ring| qmonitor(ring, FdmonPolicy::Epoll),
    },
    Contender {
        name: "event-manager",
        start: event_manager,
    },
    Contender {
        name: "mio",
        start: mio,
    },
    Contender {
        name: "calloop",
        start: calloop,
    },
    Contender {
        name: "poll alone",
        start: poll_alone,
    },
];

/// Two eventfds, the first of which has the token, and idle ones.
pub struct Ring {
    hops: [Hop; 2],
    idle: Vec<Rc<EventFd>>,
}

/// One eventfd, and the one that gets the token next.
#[derive(Clone)]
struct Hop {
    from: Rc<EventFd>,
    to: Rc<EventFd>,
}

impl Hop {
    /// Takes the token and passes it on.
    fn pass(&self) {
        self.from.read().expect("it has the token");
        self.to.write(1).expect("it has no token");
    }
}

impl Ring {
    pub fn new(idle: usize) -> Self {
        let eventfd = || {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            Rc::new(EventFd::from_flags(flags).expect("an eventfd"))
        };
        let (first, second) = (eventfd(), eventfd());
        first.write(1).expect("it has no token");
        let hop = |from: &Rc<EventFd>, to: &Rc<EventFd>| Hop {
            from: from.clone(),
            to: to.clone(),
        };
        Ring {
            hops: [hop(&first, &second), hop(&second, &first)],
            idle: (0..idle).map(|_| eventfd()).collect(),
        }
    }

    fn fds(&self) -> impl Iterator<Item = &Rc<EventFd>> {
        self.hops.iter().map(|hop| &hop.from).chain(&self.idle)
    }
}

struct App {
    main_loop: MainLoop<App>,
    events: u64,
}

impl_host!(App, main_loop);

fn qmonitor(ring: Ring, policy: FdmonPolicy) -> Run {
    let mut main_loop = MainLoop::new().expect("a loop");
    main_loop.set_fdmon(policy);
    for hop in ring.hops {
        let fd = hop.from.clone();
        main_loop.add_watch(Watch::new(
            "hop",
            fd,
            Condition::IN,
            move |app: &mut App, _| {
                hop.pass();
                app.events += 1;
                Flow::Keep
            },
        ));
    }
    for fd in ring.idle {
        main_loop.add_watch(Watch::new("idle", fd, Condition::IN, |_, _| Flow::Keep));
    }
    let mut app = App {
        main_loop,
        events: 0,
    };
    Box::new(move |events| {
        let end = app.events + events;
        while app.events < end {
            main_loop_wait(&mut app, None).expect("a turn");
        }
    })
}

/// A hop, or an idle fd.
struct Subscriber {
    fd: RawFd,
    hop: Option<Hop>,
    events: Rc<std::cell::Cell<u64>>,
    /// Keeps it open.
    _fd: Rc<EventFd>,
}

impl MutEventSubscriber for Subscriber {
    fn process(&mut self, _: Reported, _: &mut EventOps<'_>) {
        if let Some(hop) = &self.hop {
            hop.pass();
            self.events.set(self.events.get() + 1);
        }
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        let event = Reported::new_raw(self.fd, EventSet::IN);
        ops.add(event).expect("it is registered");
    }
}

fn event_manager(ring: Ring) -> Run {
    let mut manager = EventManager::<Subscriber>::new().expect("a loop");
    let seen = Rc::default();
    let subscriber = |fd: &Rc<EventFd>, hop| Subscriber {
        fd: fd.as_raw_fd(),
        hop,
        events: Rc::clone(&seen),
        _fd: fd.clone(),
    };
    for hop in &ring.hops {
        manager.add_subscriber(subscriber(&hop.from, Some(hop.clone())));
    }
    for fd in &ring.idle {
        manager.add_subscriber(subscriber(fd, None));
    }
    Box::new(move |events| {
        let end = seen.get() + events;
        while seen.get() < end {
            manager.run().expect("a turn");
        }
    })
}

fn mio(ring: Ring) -> Run {
    let mut poll = Poll::new().expect("a loop");
    for (at, fd) in ring.fds().enumerate() {
        let readable = mio::Interest::READABLE;
        let registry = poll.registry();
        let registered = registry.register(&mut SourceFd(&fd.as_raw_fd()), Token(at), readable);
        registered.expect("it is registered");
    }
    let mut reported = Events::with_capacity(1024);
    Box::new(move |events| {
        let mut left = events;
        while left > 0 {
            poll.poll(&mut reported, None).expect("a turn");
            for event in &reported {
                ring.hops[event.token().0].pass();
                left = left.saturating_sub(1);
            }
        }
    })
}

fn calloop(ring: Ring) -> Run {
    let mut event_loop: EventLoop<'static, u64> = EventLoop::try_new().expect("a loop");
    let handle = event_loop.handle();
    for (at, fd) in ring.fds().enumerate() {
        let hop = ring.hops.get(at).cloned();
        let source = Generic::new(fd.clone(), Interest::READ, Mode::Level);
        let callback = move |_, _: &mut _, events: &mut u64| -> io::Result<PostAction> {
            if let Some(hop) = &hop {
                hop.pass();
                *events += 1;
            }
            Ok(PostAction::Continue)
        };
        handle
            .insert_source(source, callback)
            .expect("it is registered");
    }
    Box::new(move |events| {
        let mut seen = 0;
        while seen < events {
            event_loop.dispatch(None, &mut seen).expect("a turn");
        }
    })
}

fn poll_alone(ring: Ring) -> Run {
    Box::new(move |events| {
        let mut fds: Vec<PollFd> = ring
            .fds()
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
            .collect();
        let mut left = events;
        while left > 0 {
            poll(&mut fds, PollTimeout::NONE).expect("a turn");
            for (hop, fd) in ring.hops.iter().zip(&fds) {
                if fd.any() == Some(true) {
                    hop.pass();
                    left = left.saturating_sub(1);
                }
            }
        }
    })
}
