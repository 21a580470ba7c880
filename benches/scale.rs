//! How costs grow with the number of sessions, chardevs, objects, jobs and timers.
//!
//! ```text
//! cargo bench --bench scale              # up to 10 000 sessions, 100 000 timers
//! cargo bench --bench scale -- --test    # small numbers, for CI
//! ```
//!
//! A line has of what there were many, what was done with one of them, how many
//! there were, and the microseconds it took. The package `qmonitor-plot` draws a
//! picture of these lines:
//!
//! ```text
//! cargo bench --bench scale | cargo run -p qmonitor-plot > docs/scale.svg
//! ```

#[path = "support/in_process.rs"]
mod in_process;
#[path = "support/process.rs"]
mod process;
#[path = "support/table.rs"]
mod table;

use std::cell::Cell;
use std::time::{Duration, Instant};

use in_process::World;
use process::{exchange, Server, REQUEST};
use qmonitor::impl_host;
use qmonitor::main_loop::{ClockType, MainLoop, TimerId};
use table::median;

const QUERY_VERSION: &str = r#"{"execute": "query-version"}"#;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    process::raise_fd_limit();
    // The wake-up of a second processor would hide everything.
    process::stay_on_one_processor();
    let up_to = |largest: usize| {
        let sizes = (1..).map(|exponent| 10_usize.pow(exponent));
        let largest = if quick { 100 } else { largest };
        sizes.take_while(move |size| *size <= largest)
    };
    sessions(up_to(10_000));
    chardevs(up_to(1_000));
    objects(up_to(10_000));
    jobs(up_to(1_000));
    timers(up_to(100_000));
}

thread_local! {
    static SERVED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Measures the turns of the loop.
fn serving(work: &mut dyn FnMut()) {
    let start = Instant::now();
    work();
    SERVED.set(SERVED.get() + start.elapsed());
}

fn print(of: &str, what: &str, size: usize, seconds: f64) {
    println!("{of:<9} {what:<26} {size:>7} {:>10.3}", seconds * 1e6);
}

/// The best of some rounds, because noise only makes things slower; of a round the
/// median.
fn best(mut measure: impl FnMut() -> f64) -> f64 {
    let rounds = (0..5).map(|_| median(101, &mut measure));
    rounds.fold(f64::INFINITY, f64::min)
}

/// The time that a machine needs to serve what `work` asks for.
fn served(work: impl FnOnce()) -> f64 {
    SERVED.set(Duration::ZERO);
    work();
    SERVED.get().as_secs_f64()
}

/// A client of a machine.
struct Client {
    world: World,
    stream: std::os::unix::net::UnixStream,
}

impl Client {
    fn new() -> Client {
        let mut world = World::new("");
        let stream = world.connect();
        Client { world, stream }
    }

    fn ask(&mut self, request: &str) {
        let line = format!("{request}\n");
        self.world.exchange(&mut self.stream, line.as_bytes(), 1);
    }

    fn time(&mut self, of: &str, what: &str, size: usize, requests: &[String]) {
        let of_all = best(|| {
            served(|| {
                for request in requests {
                    self.ask(request);
                }
            })
        });
        print(of, what, size, of_all / requests.len() as f64);
    }
}

/// A request to one of many sessions, to a server that is a process of its own: one
/// process may not have the descriptors of both ends.
fn sessions(sizes: impl Iterator<Item = usize>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::qmonitor(dir.path(), ",max-clients=10000");
    let mut clients = Vec::new();
    for size in sizes {
        while clients.len() < size {
            clients.push(server.negotiate());
        }
        const TIMES: u32 = 200;
        let mut cost = || {
            let before = server.cpu();
            for _ in 0..TIMES {
                exchange(&mut clients[size / 2], REQUEST);
            }
            ((server.cpu() - before) / TIMES).as_secs_f64()
        };
        let seconds = (0..25).map(|_| cost()).fold(f64::INFINITY, f64::min);
        print("sessions", "query-version", size, seconds);
    }
}

fn chardevs(sizes: impl Iterator<Item = usize>) {
    let mut client = Client::new();
    let add = |id: usize| {
        format!(
            r#"{{"execute": "chardev-add", "arguments": {{"id": "c{id}", "backend": {{"type": "null", "data": {{}}}}}}}}"#
        )
    };
    let mut chardevs = 0;
    for size in sizes {
        while chardevs < size {
            client.ask(&add(chardevs));
            chardevs += 1;
        }
        let remove =
            format!(r#"{{"execute": "chardev-remove", "arguments": {{"id": "c{size}"}}}}"#);
        client.time(
            "chardevs",
            "chardev-add, -remove",
            size,
            &[add(size), remove],
        );
        client.time(
            "chardevs",
            "query-version",
            size,
            &[QUERY_VERSION.to_owned()],
        );
    }
}

fn objects(sizes: impl Iterator<Item = usize>) {
    let mut client = Client::new();
    let add = |id: usize| {
        format!(
            r#"{{"execute": "object-add", "arguments": {{"qom-type": "rng-builtin", "id": "o{id}"}}}}"#
        )
    };
    let get = |path: String| {
        format!(
            r#"{{"execute": "qom-get", "arguments": {{"path": "{path}", "property": "type"}}}}"#
        )
    };
    let mut objects = 0;
    for size in sizes {
        while objects < size {
            client.ask(&add(objects));
            objects += 1;
        }
        let del = format!(r#"{{"execute": "object-del", "arguments": {{"id": "o{size}"}}}}"#);
        client.time("objects", "object-add, -del", size, &[add(size), del]);
        let last = size - 1;
        client.time(
            "objects",
            "qom-get, absolute path",
            size,
            &[get(format!("/objects/o{last}"))],
        );
        client.time(
            "objects",
            "qom-get, partial path",
            size,
            &[get(format!("o{last}"))],
        );
    }
}

/// Mirrors that all run at once, from their commands until they are ready.
fn jobs(sizes: impl Iterator<Item = usize>) {
    let node = |name: String| {
        format!(
            r#"{{"execute": "blockdev-add", "arguments": {{"driver": "null-co", "node-name": "{name}", "size": 1048576, "read-zeroes": true}}}}"#
        )
    };
    let mirror = |id: usize| {
        format!(
            "{{\"execute\": \"blockdev-mirror\", \"arguments\": {{\"job-id\": \"j{id}\", \
             \"device\": \"s{id}\", \"target\": \"t{id}\", \"sync\": \"full\"}}}}\n"
        )
    };
    // A reply, `created`, `running`, `ready`, and BLOCK_JOB_READY.
    const LINES: usize = 5;
    for size in sizes {
        let rounds = (0..3).map(|_| {
            let mut client = Client::new();
            for id in 0..size {
                client.ask(&node(format!("s{id}")));
                client.ask(&node(format!("t{id}")));
            }
            let requests: String = (0..size).map(mirror).collect();
            served(|| {
                let Client { world, stream } = &mut client;
                world.exchange(stream, requests.as_bytes(), LINES * size);
            })
        });
        let of_all = rounds.fold(f64::INFINITY, f64::min);
        print("jobs", "blockdev-mirror", size, of_all / size as f64);
    }
}

struct App {
    main_loop: MainLoop<App>,
}

impl_host!(App, main_loop);

/// Moving the deadline of one of many armed timers to another place among them.
fn timers(sizes: impl Iterator<Item = usize>) {
    const HOUR: i64 = 3_600_000_000_000;
    let main_loop = MainLoop::new().expect("a main loop");
    let mut app = App { main_loop };
    let mut timers: Vec<TimerId> = Vec::new();
    // Deadlines all over the next hour, in an order without a pattern.
    let start = app.main_loop.clock_get_ns(ClockType::Realtime);
    let mut random = 1_u64;
    let mut deadline = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        start + HOUR + (random >> 33) as i64 * 1000
    };
    for size in sizes {
        while timers.len() < size {
            let timer = app
                .main_loop
                .timer_new(ClockType::Realtime, "t", |_: &mut App| ());
            app.main_loop.timer_mod(timer, deadline());
            timers.push(timer);
        }
        const TIMES: usize = 100;
        let of_all = best(|| {
            let start = Instant::now();
            for timer in timers.iter().cycle().take(TIMES) {
                app.main_loop.timer_mod(*timer, deadline());
            }
            start.elapsed().as_secs_f64()
        });
        print("timers", "re-arming one", size, of_all / TIMES as f64);
    }
}
