//! `blockdev-add`, which waits for what comes out of a FIFO.
//!
//! QEMU waits in open(2) until the other end of a FIFO is opened, and answers out-of-band
//! commands from another thread meanwhile. Here the loop waits for the FIFO, and only the
//! command does.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::rc::Rc;

use crate::model::block::add_rules;
use crate::schema::{BlockdevOptions, BlockdevOptionsBranch};
use crate::Machine;
use qmonitor::main_loop::{Condition, Flow, Host, Watch};
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The FIFO with the rules of a node, if there is one.
pub(super) fn fifo_of(options: &BlockdevOptions) -> Option<&str> {
    let BlockdevOptionsBranch::Blkdebug(debug) = &options.u else {
        return None;
    };
    let config = debug.config.as_deref()?;
    let metadata = std::fs::metadata(config).ok()?;
    metadata.file_type().is_fifo().then_some(config)
}

/// Adds a node when the rules in a FIFO have been read to their end.
pub(super) fn add_later(rt: &mut Rt, options: BlockdevOptions, responder: Responder<()>) {
    let name = fifo_of(&options).unwrap_or_default();
    let opened = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(name);
    let fifo = match opened {
        Ok(fifo) => Rc::new(fifo),
        Err(e) => {
            let error = Error::from_io("Could not read blkdebug config file", &e);
            return responder.respond(Err(error));
        }
    };
    let waiting = RefCell::new(Some((options, responder, Vec::new())));
    let shared = fifo.clone();
    let watch = Watch::new(
        "blkdebug_config",
        fifo,
        Condition::IN,
        move |rt: &mut Rt, _| {
            let Some((options, responder, mut bytes)) = waiting.take() else {
                return Flow::Remove;
            };
            match read_some(&shared, &mut bytes) {
                Ok(false) => {
                    waiting.replace(Some((options, responder, bytes)));
                    Flow::Keep
                }
                Ok(true) => {
                    responder.respond(add(rt, options, &bytes));
                    Flow::Remove
                }
                Err(e) => {
                    let error = Error::from_io("Could not read blkdebug config file", &e);
                    responder.respond(Err(error));
                    Flow::Remove
                }
            }
        },
    );
    rt.main_loop_mut().add_watch(watch);
}

/// Reads what is there; true at the end.
fn read_some(mut fifo: &File, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 4096];
    match fifo.read(&mut piece) {
        Ok(0) => Ok(true),
        Ok(read) => {
            bytes.extend_from_slice(&piece[..read]);
            Ok(false)
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

fn add(rt: &mut Rt, mut options: BlockdevOptions, rules: &[u8]) -> Result<(), Error> {
    if let BlockdevOptionsBranch::Blkdebug(debug) = &mut options.u {
        debug.config = None;
        add_rules(debug, &String::from_utf8_lossy(rules))?;
    }
    rt.state.blocks.add(&options)
}
