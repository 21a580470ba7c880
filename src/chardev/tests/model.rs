//! The life of a socket chardev against a model of it: random sequences of what peers,
//! time and commands do to it, in virtual time. The model knows no descriptor; it says
//! what the front end and the peers must have been told after each step.

use std::collections::VecDeque;
use std::os::unix::net::UnixListener;

use super::change::go_over;
use super::*;

use ChrEvent::*;

const RECONNECT_MS: u64 = 100;

/// The states at the head of `socket.rs`. Connecting has none here: on a unix socket it
/// is over at once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Listening,
    Connected(usize),
    Disconnected { retry_at: u64 },
}

#[derive(Debug, Default)]
struct PeerModel {
    /// What it sent and nobody has read.
    sent: Vec<u8>,
    /// It will send no more.
    ended: bool,
    /// What it has to receive.
    due: Vec<u8>,
    /// The chardev has let go of it, or never took it.
    dropped: bool,
}

#[derive(Debug)]
struct Model {
    server: bool,
    state: State,
    now: u64,
    peers: Vec<PeerModel>,
    /// Who waits for a server, in the kernel's queue.
    queue: VecDeque<usize>,
    /// Whether somebody listens for a client.
    answered: bool,
    reported: bool,
    events: Vec<ChrEvent>,
    input: Vec<u8>,
    reports: usize,
}

impl Model {
    /// What a new chardev does before it has a front end; true if it is open.
    fn start(&mut self, server: bool) -> bool {
        for waiting in std::mem::take(&mut self.queue) {
            self.peers[waiting].dropped = true;
        }
        if let State::Connected(peer) = self.state {
            self.peers[peer].dropped = true;
        }
        self.server = server;
        self.reported = false;
        self.state = State::Listening;
        if !server {
            self.attempt();
        }
        matches!(self.state, State::Connected(_))
    }

    fn attempt(&mut self) {
        if self.answered {
            self.peers.push(PeerModel::default());
            self.state = State::Connected(self.peers.len() - 1);
            self.reported = false;
            return;
        }
        self.reports += usize::from(!self.reported);
        self.reported = true;
        let retry_at = self.now + RECONNECT_MS;
        self.state = State::Disconnected { retry_at };
    }

    /// Everything that happens without anybody's doing.
    fn settle(&mut self) {
        loop {
            match self.state {
                State::Listening => match self.queue.pop_front() {
                    Some(peer) => self.state = State::Connected(peer),
                    None => return,
                },
                State::Disconnected { retry_at } => {
                    if self.now < retry_at {
                        return;
                    }
                    self.attempt();
                    if !matches!(self.state, State::Connected(_)) {
                        return;
                    }
                }
                State::Connected(peer) => {
                    let peer = &mut self.peers[peer];
                    self.input.append(&mut peer.sent);
                    if !peer.ended {
                        return;
                    }
                    peer.dropped = true;
                    self.events.push(Closed);
                    self.state = if self.server {
                        State::Listening
                    } else {
                        State::Disconnected {
                            retry_at: self.now + RECONNECT_MS,
                        }
                    };
                    continue;
                }
            }
            self.events.push(Opened);
        }
    }

    /// `chardev-change` under the front end.
    fn change(&mut self, server: bool) {
        let was_open = matches!(self.state, State::Connected(_));
        match (was_open, self.start(server)) {
            (true, false) => self.events.push(Closed),
            (_, true) => self.events.push(Opened),
            (false, false) => {}
        }
    }

    /// `chardev-remove`, then `chardev-add` and a new front end.
    fn replace(&mut self, server: bool) {
        if self.start(server) {
            self.events.push(Opened);
        }
    }
}

/// The real thing.
struct World {
    front: usize,
    dir: tempfile::TempDir,
    peers: Vec<Option<UnixStream>>,
    listener: Option<UnixListener>,
    /// Last, because it counts the descriptors that are left.
    app: App,
}

impl World {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn options(&self, server: bool) -> String {
        if server {
            let path = self.path("server");
            format!("socket,id=c,path={path},server=on,wait=off")
        } else {
            let path = self.path("client");
            format!("socket,id=c,path={path},reconnect-ms={RECONNECT_MS}")
        }
    }

    fn add(&mut self, server: bool) {
        let options = self.options(server);
        let chr = self.app.add(&options);
        self.front = self.app.attach(chr);
        let fe = self.app.fronts[self.front].fe;
        qemu_chr_fe_set_be_change(&mut self.app, fe, Some(go_over));
    }

    /// Lets everything happen, and takes up the connection that a client made.
    fn settle(&mut self) {
        self.app.turn();
        if let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) {
            self.peers.push(Some(stream));
            self.app.turn();
        }
    }

    fn listen(&mut self) {
        let path = self.path("client");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.listener = Some(listener);
    }
}

/// Xorshift: the same seed, the same steps.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Plays some steps; returns how often each state was left behind.
fn play(seed: u64, steps: usize) -> [usize; 3] {
    let mut dice = Dice(seed);
    let mut model = Model {
        server: true,
        state: State::Listening,
        now: 0,
        peers: Vec::new(),
        queue: VecDeque::new(),
        answered: false,
        reported: false,
        events: Vec::new(),
        input: Vec::new(),
        reports: 0,
    };
    let mut world = World {
        app: App::new(),
        front: 0,
        dir: tempfile::tempdir().unwrap(),
        peers: Vec::new(),
        listener: None,
    };
    world.add(true);
    let mut seen = [0; 3];
    for step in 0..steps {
        let what = one_step(&mut dice, &mut model, &mut world);
        model.settle();
        world.settle();
        let context = format!("seed {seed} step {step}: {what}, {model:?}");
        let front = &mut world.app.fronts[world.front];
        assert_eq!(std::mem::take(&mut front.events), model.events, "{context}");
        assert_eq!(std::mem::take(&mut front.got), model.input, "{context}");
        assert_eq!(world.app.reports.len(), model.reports, "{context}");
        let filename = world.app.filename(qemu_chr_find(&world.app, "c").unwrap());
        let connected = matches!(model.state, State::Connected(_));
        assert_eq!(
            !filename.starts_with("disconnected:"),
            connected,
            "{context}"
        );
        seen[match model.state {
            State::Listening => 0,
            State::Connected(_) => 1,
            State::Disconnected { .. } => 2,
        }] += 1;
        model.events.clear();
        model.input.clear();
    }
    chardev_remove_used(&mut world);
    assert_eq!(world.app.main_loop().watch_count(), 0);
    seen
}

fn chardev_remove_used(world: &mut World) {
    let fe = world.app.fronts[world.front].fe;
    qemu_chr_fe_deinit(&mut world.app, fe, false);
    chardev_remove(&mut world.app, "c").unwrap();
}

fn one_step(dice: &mut Dice, model: &mut Model, world: &mut World) -> &'static str {
    // A peer that is still there.
    let alive: Vec<usize> = (0..world.peers.len())
        .filter(|peer| world.peers[*peer].is_some())
        .collect();
    let peer = match alive.len() {
        0 => None,
        n => Some(alive[dice.below(n)]),
    };
    let server = dice.below(2) == 0;
    match (dice.below(16), peer) {
        (0..=2, _) if model.server && model.queue.len() < 2 => {
            let stream = UnixStream::connect(world.path("server")).unwrap();
            world.peers.push(Some(stream));
            model.peers.push(PeerModel::default());
            model.queue.push_back(model.peers.len() - 1);
            "a client connects"
        }
        (3, _) => {
            world.listen();
            model.answered = true;
            "somebody listens"
        }
        (4, _) => {
            world.listener = None;
            model.answered = false;
            "nobody listens any more"
        }
        (5..=7, _) => {
            let ms = dice.below(2 * RECONNECT_MS as usize) as u64;
            model.now += ms;
            world
                .app
                .main_loop_mut()
                .time_advance(Duration::from_millis(ms));
            "time passes"
        }
        (8, _) => {
            let opts = world.options(server);
            let (label, config) = qemu_chr_parse_cli(&opts, &mut Vec::new()).unwrap();
            chardev_change(&mut world.app, &label, config).unwrap();
            model.change(server);
            "chardev-change"
        }
        (9, _) => {
            chardev_remove_used(world);
            world.add(server);
            model.replace(server);
            "chardev-remove and chardev-add"
        }
        (10, _) => {
            assert_eq!(world.app.write(world.front, "out").unwrap(), 3);
            if let State::Connected(peer) = model.state {
                model.peers[peer].due.extend(b"out");
            }
            "the front end writes"
        }
        (11 | 12, Some(peer)) if !model.peers[peer].ended && !model.peers[peer].dropped => {
            send(world.peers[peer].as_ref().unwrap(), "in");
            model.peers[peer].sent.extend(b"in");
            "a peer sends"
        }
        (13, Some(peer)) => {
            let stream = world.peers[peer].as_ref().unwrap();
            let state = &mut model.peers[peer];
            assert_eq!(received(stream), std::mem::take(&mut state.due));
            assert_eq!(is_gone(stream), state.dropped, "{state:?}");
            "a peer reads"
        }
        (14, Some(peer)) if !model.peers[peer].ended && !model.peers[peer].dropped => {
            let stream = world.peers[peer].as_ref().unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            model.peers[peer].ended = true;
            "a peer closes half"
        }
        // With something unread that is a reset.
        (15, Some(peer)) => {
            world.peers[peer] = None;
            model.peers[peer].ended = true;
            "a peer closes"
        }
        _ => "nothing",
    }
}

/// Whether the other side has gone, with a reset if it left something unread.
fn is_gone(mut stream: &UnixStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(n) => n == 0,
        Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn random_lives_are_as_the_model_says() {
    let mut seen = [0; 3];
    for seed in 1..=20 {
        for (all, one) in seen.iter_mut().zip(play(seed * 0x9e37_79b9, 500)) {
            *all += one;
        }
    }
    // The test has been somewhere.
    assert!(seen.iter().all(|n| *n > 500), "{seen:?}");
}
