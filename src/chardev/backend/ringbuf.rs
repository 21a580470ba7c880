//! `ringbuf`, also called `memory`: keeps the last bytes of the output, to be read
//! with `ringbuf-read`.

use std::collections::VecDeque;

use super::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// Its size if the options give none.
const DEFAULT_SIZE: u64 = 65536;

struct RingBufChardev {
    size: usize,
    bytes: VecDeque<u8>,
}

impl RingBufChardev {
    fn write(&mut self, buf: &[u8]) {
        let buf = &buf[buf.len().saturating_sub(self.size)..];
        let too_many = (self.bytes.len() + buf.len()).saturating_sub(self.size);
        self.bytes.drain(..too_many);
        self.bytes.extend(buf);
    }
}

/// Options of the ring buffer (QEMU's `ChardevRingbuf`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingbufConfig {
    /// Its size in bytes, a power of two; `None` is 64 KiB.
    pub size: Option<u64>,
}

impl BackendOptions for RingbufConfig {
    type Arguments = q::ChardevRingbuf;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let size = opts.get_number("size").filter(|size| *size != 0);
        Ok(RingbufConfig { size })
    }

    fn from_arguments(arguments: q::ChardevRingbuf) -> Result<Self, Error> {
        let size = arguments.size.map(|size| size as u64);
        Ok(RingbufConfig { size })
    }
}

impl<H: ChardevHost> Backend<H> for RingbufConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            chr_write: |h, id, buf| {
                if let Some(s) = h.chardevs_mut().state_mut::<RingBufChardev>(id) {
                    s.write(buf);
                }
                Ok(buf.len())
            },
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qemu_chr_open_ringbuf(h, id, self)?;
        Ok(None)
    }
}

fn qemu_chr_open_ringbuf<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &RingbufConfig,
) -> Result<(), Error> {
    let size = config.size.filter(|size| *size != 0);
    let size = size.unwrap_or(DEFAULT_SIZE);
    if !size.is_power_of_two() {
        return Err(Error::new("size of ringbuf chardev must be power of two"));
    }
    let state = RingBufChardev {
        size: usize::try_from(size).unwrap_or(usize::MAX),
        bytes: VecDeque::new(),
    };
    h.chardevs_mut().set_state(id, Box::new(state));
    Ok(())
}

fn find<'a, H: ChardevHost>(h: &'a mut H, device: &str) -> Result<&'a mut RingBufChardev, Error> {
    let Some(id) = h.chardevs().find(device) else {
        return Err(Error::new(format!("Device '{device}' not found")));
    };
    let state = h.chardevs_mut().state_mut(id);
    state.ok_or_else(|| Error::new(format!("{device} is not a ringbuf device")))
}

/// `ringbuf-write`: adds bytes as if a front end had written them, but past
/// the log. The oldest make room.
///
/// # Errors
///
/// `Device 'x' not found`, `x is not a ringbuf device`.
pub fn ringbuf_write<H: ChardevHost>(h: &mut H, device: &str, bytes: &[u8]) -> Result<(), Error> {
    find(h, device)?.write(bytes);
    Ok(())
}

/// `ringbuf-read`: takes up to `size` bytes out, the oldest first.
///
/// # Errors
///
/// `Device 'x' not found`, `x is not a ringbuf device`, `size must be greater
/// than zero`.
pub fn ringbuf_read<H: ChardevHost>(h: &mut H, device: &str, size: i64) -> Result<Vec<u8>, Error> {
    let ring = find(h, device)?;
    if size <= 0 {
        return Err(Error::new("size must be greater than zero"));
    }
    let len = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .min(ring.bytes.len());
    Ok(ring.bytes.drain(..len).collect())
}
