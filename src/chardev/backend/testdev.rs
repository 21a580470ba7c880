//! `testdev`: output that ends the program. Digits and a `q` ask for the exit
//! status `2 * number + 1`; any other byte ends a number without effect. It has
//! no input.

use super::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::{ChardevHost, ChardevRequest};
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

#[derive(Default)]
struct TestdevChardev {
    number: u32,
}

/// It has no options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestdevConfig;

impl BackendOptions for TestdevConfig {
    type Arguments = q::ChardevCommon;

    fn from_opts(_opts: &QemuOpts) -> Result<Self, Error> {
        Ok(TestdevConfig)
    }

    fn from_arguments(_arguments: q::ChardevCommon) -> Result<Self, Error> {
        Ok(TestdevConfig)
    }
}

impl<H: ChardevHost> Backend<H> for TestdevConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            opens_at_once: true,
            chr_write: |h, id, buf| {
                testdev_eat_packet(h, id, buf);
                Ok(buf.len())
            },
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        h.chardevs_mut()
            .set_state(id, Box::new(TestdevChardev::default()));
        Ok(None)
    }
}

fn testdev_eat_packet<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) {
    let Some(s) = h.chardevs_mut().state_mut::<TestdevChardev>(id) else {
        return;
    };
    for &byte in buf {
        let number = std::mem::take(&mut s.number);
        match byte {
            b'0'..=b'9' => {
                s.number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
            }
            b'q' => {
                let status = number.wrapping_mul(2) | 1;
                return h.chardev_request(ChardevRequest::Exit(status as i32));
            }
            _ => {}
        }
    }
}
