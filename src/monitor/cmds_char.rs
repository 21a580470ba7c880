//! Commands about character devices.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::char_config::chardev_config;
use super::hash_order::hash_order;
use super::runtime::Runtime;
use super::schema::{
    CharCommands, ChardevBackend, ChardevBackendInfo, ChardevInfo, ChardevReturn, DataFormat,
    YankCommands, YankInstance, YankInstanceChardev,
};
use crate::chardev::{
    self, base64, chardev_change, chardev_remove, chardev_send_break, fifo_reader, qemu_chr_find,
    ChardevConfig, FifoReader,
};
use crate::main_loop::ClockType;
use crate::qapi::{Error, ErrorClass, Responder};

impl<S: 'static> CharCommands for S {
    fn qmp_query_chardev(rt: &mut Runtime<Self>) -> Result<Vec<ChardevInfo>, Error> {
        let list = rt.chardevs.iter().map(|(_, chr)| ChardevInfo {
            label: chr.label().to_owned(),
            filename: chr.filename(),
            frontend_open: chr.frontend_open(),
        });
        Ok(hash_order(list.collect(), |info| &info.label))
    }

    fn qmp_query_chardev_backends(
        rt: &mut Runtime<Self>,
    ) -> Result<Vec<ChardevBackendInfo>, Error> {
        let info = |name: &&str| ChardevBackendInfo {
            name: (*name).to_owned(),
        };
        Ok(rt.chardevs.backends().iter().map(info).collect())
    }

    fn qmp_ringbuf_write(
        rt: &mut Runtime<Self>,
        device: String,
        data: String,
        format: Option<DataFormat>,
    ) -> Result<(), Error> {
        let bytes = match format.unwrap_or(DataFormat::Utf8) {
            DataFormat::Utf8 => utf8_bytes(&data),
            DataFormat::Base64 => match base64::decode(&data) {
                Ok(bytes) => bytes,
                // An error about the device comes first.
                Err(e) => return chardev::ringbuf_write(rt, &device, &[]).and(Err(e)),
            },
        };
        chardev::ringbuf_write(rt, &device, &bytes)
    }

    fn qmp_ringbuf_read(
        rt: &mut Runtime<Self>,
        device: String,
        size: i64,
        format: Option<DataFormat>,
    ) -> Result<String, Error> {
        let bytes = chardev::ringbuf_read(rt, &device, size)?;
        Ok(match format.unwrap_or(DataFormat::Utf8) {
            DataFormat::Utf8 => utf8_text(&bytes),
            DataFormat::Base64 => base64::encode(&bytes),
        })
    }

    fn qmp_chardev_add(
        rt: &mut Runtime<Self>,
        id: String,
        backend: ChardevBackend,
        responder: Responder<ChardevReturn>,
    ) {
        if qemu_chr_find(rt, &id).is_some() {
            let e = Error::new(format!("Chardev with id '{id}' already exists"));
            return responder.respond(Err(e));
        }
        let failed =
            |id: &str, e: Error| Err(e.prepend(format_args!("Failed to add chardev '{id}': ")));
        match chardev_config(backend) {
            Err(e) => responder.respond(failed(&id, e)),
            Ok(config) => when_openable(rt, config, move |rt, config| {
                let added = chardev::chardev_add(rt, &id, config);
                responder.respond(match added {
                    Ok(added) => Ok(ChardevReturn { pty: added.pty }),
                    Err(e) => failed(&id, e),
                });
            }),
        }
    }

    fn qmp_chardev_change(
        rt: &mut Runtime<Self>,
        id: String,
        backend: ChardevBackend,
        responder: Responder<ChardevReturn>,
    ) {
        match chardev_config(backend) {
            Err(e) => responder.respond(Err(e)),
            Ok(config) => when_openable(rt, config, move |rt, config| {
                let changed = chardev_change(rt, &id, config);
                responder.respond(changed.map(|changed| ChardevReturn { pty: changed.pty }));
            }),
        }
    }

    fn qmp_chardev_remove(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_remove(rt, &id)
    }

    fn qmp_chardev_send_break(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_send_break(rt, &id)
    }
}

/// How often a FIFO is asked whether it has a reader.
const FIFO_INTERVAL: Duration = Duration::from_millis(10);

/// Calls `then` as soon as the backend's output can be opened. That is at once
/// unless it is a FIFO without a reader: QEMU blocks in open(2) then, here the
/// command is answered later while the loop goes on.
fn when_openable<S>(
    rt: &mut Runtime<S>,
    config: ChardevConfig,
    then: impl FnOnce(&mut Runtime<S>, ChardevConfig) + 'static,
) {
    let path = match &config.backend {
        chardev::ChardevBackend::File(file) => file.out.clone(),
        _ => return then(rt, config),
    };
    match fifo_reader(&path) {
        FifoReader::Missing => {}
        _held => return then(rt, config),
    }
    let timer = Rc::new(Cell::new(None));
    let own = timer.clone();
    let mut waiting = Some((config, then));
    let ask_again = move |rt: &mut Runtime<S>| {
        let Some(timer) = own.get() else { return };
        match fifo_reader(&path) {
            FifoReader::Missing => {
                rt.main_loop.timer_mod_in(timer, FIFO_INTERVAL);
            }
            _held => {
                rt.main_loop.timer_free(timer);
                if let Some((config, then)) = waiting.take() {
                    then(rt, config);
                }
            }
        }
    };
    let id = rt
        .main_loop
        .timer_new(ClockType::Realtime, "chardev_fifo", ask_again);
    timer.set(Some(id));
    rt.main_loop.timer_mod_in(id, FIFO_INTERVAL);
}

impl<S: 'static> YankCommands for S {
    fn qmp_yank(rt: &mut Runtime<Self>, instances: Vec<YankInstance>) -> Result<(), Error> {
        let missing = || Error::with_class(ErrorClass::DeviceNotFound, "Instance not found");
        let mut chardevs = Vec::new();
        for instance in instances {
            match instance {
                YankInstance::Chardev(YankInstanceChardev { id }) => {
                    let chr = qemu_chr_find(rt, &id).ok_or_else(missing)?;
                    if !chardev::can_yank(rt, chr) {
                        return Err(missing());
                    }
                    chardevs.push(chr);
                }
                _ => return Err(missing()),
            }
        }
        for chr in chardevs {
            chardev::char_socket_yank(rt, chr);
        }
        Ok(())
    }

    fn qmp_query_yank(rt: &mut Runtime<Self>) -> Result<Vec<YankInstance>, Error> {
        let ids: Vec<_> = rt.chardevs.iter().map(|(id, _)| id).collect();
        let mut list = Vec::new();
        for chr in ids {
            if chardev::can_yank(rt, chr) {
                if let Some(c) = rt.chardevs.get(chr) {
                    let id = c.label().to_owned();
                    list.push(YankInstance::Chardev(YankInstanceChardev { id }));
                }
            }
        }
        Ok(list)
    }
}

/// Encodes a string as QEMU holds it: U+0000 is C0 80, so that a zero byte can
/// end the string.
fn utf8_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            0 => bytes.extend_from_slice(&[0xc0, 0x80]),
            b => bytes.push(b),
        }
    }
    bytes
}

/// Bytes as text: ends at a zero byte; C0 80 is U+0000 again; each invalid
/// sequence becomes one U+FFFD.
fn utf8_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    crate::qapi::json::mod_utf8_lossy(&bytes[..end]).into_owned()
}
