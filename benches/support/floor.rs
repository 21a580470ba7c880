//! A floor: a server that does as little as it can, as a measure for real ones. It
//! is a poll loop with one client at a time.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

/// Takes requests from the input and appends replies to the output; returns
/// whether the server goes on.
pub type Answer = fn(input: &mut Vec<u8>, output: &mut Vec<u8>) -> bool;

/// Serves one client after the other.
pub fn serve(path: &Path, answer: Answer) {
    let listener = UnixListener::bind(path).expect("the floor can listen");
    loop {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut buf = [0; 65536];
        let (mut input, mut output) = (Vec::new(), Vec::new());
        loop {
            let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).expect("poll");
            let n = stream.read(&mut buf).unwrap_or(0);
            if n == 0 {
                break;
            }
            input.extend_from_slice(&buf[..n]);
            output.clear();
            if !answer(&mut input, &mut output) {
                return;
            }
            if stream.write_all(&output).is_err() {
                break;
            }
        }
    }
}
