//! Stands for TLS in a build without it: credentials that cannot be loaded, and a channel
//! that cannot be made.

use std::convert::Infallible;

use super::{TlsCreds, TlsCredsX509};
use crate::qapi::Error;

pub(super) type Loaded = Infallible;

pub(super) fn load(_: &TlsCredsX509) -> Result<Loaded, Error> {
    Err(Error::new(
        "TLS credentials support requires a build with the Cargo feature 'tls'",
    ))
}

pub(in crate::chardev) struct TlsChannel(Infallible);

impl TlsChannel {
    pub fn new(creds: &TlsCreds, _: Option<&str>) -> Result<Self, Error> {
        match creds.loaded {}
    }

    pub fn receive(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), String> {
        match self.0 {}
    }

    pub fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub fn has_ended(&self) -> bool {
        match self.0 {}
    }

    pub fn send(&mut self, _: &[u8]) {
        match self.0 {}
    }

    pub fn close(&mut self) {
        match self.0 {}
    }

    pub fn take_output(&mut self, _: &mut Vec<u8>) {
        match self.0 {}
    }

    pub fn peer_name(&self) -> Option<String> {
        match self.0 {}
    }
}
