//! Commands about character devices.

use super::char_config::chardev_config;
use super::runtime::Runtime;
use super::schema::{
    CharCommands, ChardevBackend, ChardevBackendInfo, ChardevInfo, ChardevReturn, DataFormat,
    YankCommands, YankInstance, YankInstanceChardev,
};
use crate::chardev::{
    self, base64, chardev_change, chardev_remove, chardev_send_break, qemu_chr_find,
    CHARDEV_BACKENDS,
};
use crate::qapi::{Error, ErrorClass};

impl<S: 'static> CharCommands for S {
    fn qmp_query_chardev(rt: &mut Runtime<Self>) -> Result<Vec<ChardevInfo>, Error> {
        let list = rt.chardevs.iter().map(|(_, chr)| ChardevInfo {
            label: chr.label().to_owned(),
            filename: chr.filename(),
            frontend_open: chr.frontend_open(),
        });
        Ok(list.collect())
    }

    fn qmp_query_chardev_backends(
        _rt: &mut Runtime<Self>,
    ) -> Result<Vec<ChardevBackendInfo>, Error> {
        let info = |name: &&str| ChardevBackendInfo {
            name: (*name).to_owned(),
        };
        Ok(CHARDEV_BACKENDS.iter().map(info).collect())
    }

    fn qmp_ringbuf_write(
        rt: &mut Runtime<Self>,
        device: String,
        data: String,
        format: Option<DataFormat>,
    ) -> Result<(), Error> {
        let bytes = match format.unwrap_or(DataFormat::Utf8) {
            DataFormat::Utf8 => utf8_bytes(&data),
            DataFormat::Base64 => base64::decode(&data)?,
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
    ) -> Result<ChardevReturn, Error> {
        if qemu_chr_find(rt, &id).is_some() {
            return Err(Error::new(format!("Chardev with id '{id}' already exists")));
        }
        let failed = |e: Error| e.prepend(format_args!("Failed to add chardev '{id}': "));
        let config = chardev_config(rt, backend).map_err(failed)?;
        let added = chardev::chardev_add(rt, &id, config).map_err(failed)?;
        Ok(ChardevReturn { pty: added.pty })
    }

    fn qmp_chardev_change(
        rt: &mut Runtime<Self>,
        id: String,
        backend: ChardevBackend,
    ) -> Result<ChardevReturn, Error> {
        let config = chardev_config(rt, backend)?;
        let changed = chardev_change(rt, &id, config)?;
        Ok(ChardevReturn { pty: changed.pty })
    }

    fn qmp_chardev_remove(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_remove(rt, &id)
    }

    fn qmp_chardev_send_break(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        chardev_send_break(rt, &id)
    }
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

/// A string as QEMU holds it: U+0000 is stored as C0 80, so that a zero byte
/// can end the string.
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
