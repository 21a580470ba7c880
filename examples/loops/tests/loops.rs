//! Each program serves a client, and ends with `quit` and with a signal.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 4] = [
    env!("CARGO_BIN_EXE_calloop"),
    env!("CARGO_BIN_EXE_event_manager"),
    env!("CARGO_BIN_EXE_mio"),
    env!("CARGO_BIN_EXE_tokio"),
];

fn connect(child: &mut Child, path: &Path) -> UnixStream {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok(stream) = UnixStream::connect(path) {
            return stream;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(Instant::now() < end, "it does not listen");
        std::thread::yield_now();
    }
}

#[test]
fn each_serves_a_client_and_puts_everything_back() {
    for program in PROGRAMS {
        for quits in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("q");
            let mut child = Command::new(program).arg(&path).spawn().unwrap();
            let mut stream = connect(&mut child, &path);
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut told = |request: &str, expected: &str| {
                stream.write_all(request.as_bytes()).unwrap();
                let line = lines.next().unwrap().unwrap();
                assert!(line.contains(expected), "{program}: {line}");
            };
            told("", "QMP");
            told("{'execute': 'qmp_capabilities'}", "return");
            told("{'execute': 'query-version', 'id': 7}", "\"id\": 7");
            if quits {
                told("{'execute': 'quit'}", "return");
            } else {
                let pid = child.id().to_string();
                let killed = Command::new("kill").arg(&pid).status().unwrap();
                assert!(killed.success());
            }
            assert!(child.wait().unwrap().success(), "{program}");
            assert!(!path.exists(), "{program} leaves its socket behind");
        }
    }
}
