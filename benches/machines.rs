//! What it takes to start a machine, and what one of many takes while it does nothing.
//!
//!     cargo bench --bench machines              # all figures
//!     cargo bench --bench machines -- --test    # each once, for CI

#[path = "support/process.rs"]
mod process;
#[path = "support/table.rs"]
mod table;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{connect, exchange, read_lines, Server, NEGOTIATION};
use table::median;

/// A kind of machine, what it is asked for, and its options.
struct Kind {
    name: &'static str,
    aim: &'static str,
    options: Vec<String>,
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (starts, machines) = if quick { (1, 3) } else { (30, 100) };
    println!(
        "{:<26} {:>10} {:>10} {:>10} {:>9}  asked",
        "machine", "greeting", "processor", "resident", "threads"
    );
    for kind in [none(), pc(), q35()] {
        one(dir.path(), &kind, starts);
    }
    for kind in [none(), pc(), q35()] {
        many(dir.path(), &kind, machines);
    }
}

fn options(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn none() -> Kind {
    Kind {
        name: "none",
        aim: "5 ms",
        options: options("-machine none -nodefaults -display none"),
    }
}

/// As libvirt starts a domain with little in it.
fn pc() -> Kind {
    Kind {
        name: "pc",
        aim: "1 MB of its own",
        options: options(
            "-name guest=demo,debug-threads=on -machine pc,usb=off,dump-guest-core=off \
             -accel tcg -m size=131072k -overcommit mem-lock=off -smp 1,sockets=1,cores=1,threads=1 \
             -display none -no-user-config -nodefaults -rtc base=utc -no-shutdown -boot strict=on \
             -device {\"driver\":\"piix3-usb-uhci\",\"id\":\"usb\",\"bus\":\"pci.0\",\"addr\":\"0x1.0x2\"} \
             -device {\"driver\":\"virtio-balloon-pci\",\"id\":\"balloon0\",\"bus\":\"pci.0\",\"addr\":\"0x2\"} \
             -msg timestamp=on",
        ),
    }
}

fn q35() -> Kind {
    let mut all = options("-machine q35 -nodefaults -display none -m 128M");
    for number in 0..10 {
        let port = format!("pcie-root-port,id=p{number},chassis={number},bus=pcie.0");
        let device = format!("virtio-rng-pci,id=d{number},bus=p{number}");
        all.extend(["-device".to_owned(), port, "-device".to_owned(), device]);
    }
    Kind {
        name: "q35, 20 devices",
        aim: "10 ms, 8 MB",
        options: all,
    }
}

impl Kind {
    fn start(&self, dir: &Path, number: usize) -> Server {
        let socket = dir.join(format!("q{number}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
        command.args(&self.options).arg("-qmp");
        command.arg(format!("unix:{},server=on,wait=off", socket.display()));
        Server::start(command, socket)
    }
}

/// Times from the start of the program to its greeting, and what it takes then.
fn one(dir: &Path, kind: &Kind, n: usize) {
    let mut processor = Vec::new();
    let (mut resident, mut threads) = (0, String::new());
    let greeting = median(n, || {
        let start = Instant::now();
        let server = kind.start(dir, 0);
        read_lines(&mut connect(&server.socket), 1);
        let time = start.elapsed().as_secs_f64() * 1e3;
        processor.push(server.cpu());
        resident = server.resident();
        threads = server.status("Threads");
        time
    });
    processor.sort_unstable();
    let processor = ms(processor[n / 2]);
    println!(
        "{:<26} {greeting:>7.2} ms {processor:>7.2} ms {resident:>7} kB {threads:>9}  {}",
        kind.name, kind.aim
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The share of memory of each of many machines that run at once, with a client each.
/// Pages that all of them map count for each of them only in part.
fn many(dir: &Path, kind: &Kind, n: usize) {
    let start = Instant::now();
    let mut machines = Vec::new();
    for number in 0..n {
        let server = kind.start(dir, number);
        let mut client = connect(&server.socket);
        read_lines(&mut client, 1);
        exchange(&mut client, NEGOTIATION);
        machines.push((server, client));
    }
    let each = start.elapsed() / n as u32;
    let field = |name: &str| {
        let all = machines.iter().map(|(server, _)| rollup(server, name));
        all.sum::<u64>() / n as u64
    };
    println!(
        "{n} of {}: each {} kB (PSS), {} kB of its own, {} kB resident; {:.1} ms to start each",
        kind.name,
        field("Pss"),
        field("Private_Dirty") + field("Private_Clean"),
        field("Rss"),
        ms(each),
    );
}

/// A field of the sums over all mappings, in kB.
fn rollup(server: &Server, field: &str) -> u64 {
    let sums = server.proc_file("smaps_rollup");
    let mut lines = sums.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| *name == field);
    let value = found.and_then(|(_, value)| value.split_whitespace().next());
    value.and_then(|kb| kb.parse().ok()).expect("kilobytes")
}
